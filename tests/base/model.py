"""Part 2: the network."""

import torch
from torch import nn


class DigitClassifier(nn.Module):
    """A small neural network that looks at a digit and gives ten scores, one for each class.

    It must be possible to build it without arguments: DigitClassifier().
    """

    def __init__(self):
        """Create the layers and store each one as an attribute (self.name = ...).

        An image has 28 * 28 = 784 pixels; there are 10 classes. Put at least one hidden layer between them.
        """
        super().__init__()
        # BEGIN SOLUTION
        self.flatten = nn.Flatten()  # (B, 1, 28, 28) -> (B, 784)
        self.hidden = nn.Linear(28 * 28, 128)
        self.activation = nn.ReLU()
        self.output = nn.Linear(128, 10)
        # END SOLUTION

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Turn images (B, 1, 28, 28) into raw scores (B, 10), also called logits.

        B is any batch size, 1 included. The scores are raw: any real numbers, no softmax at
        the end, because nn.CrossEntropyLoss applies it itself. Each row depends on its own
        image only.
        """
        # BEGIN SOLUTION
        x = self.flatten(images)  # (B, 784)
        x = self.activation(self.hidden(x))  # (B, 128)
        return self.output(x)  # (B, 10)
        # END SOLUTION
