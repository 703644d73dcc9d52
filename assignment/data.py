"""Part 1: from picture files to batches of tensors."""

import torch
from torch.utils.data import DataLoader, random_split
from torchvision import datasets, transforms

MEAN, STD = 0.1307, 0.3081  # of all MNIST training pixels, once they are scaled to 0..1


def make_transform():
    """Return the function that prepares one picture for the network.

    The returned callable takes a PIL image (28 x 28, grey values 0..255) and gives a
    float32 tensor of shape (1, 28, 28): channel, row, column. Scale the values so that
    they are small (roughly between -10 and 10): a network learns badly from inputs in
    the hundreds. The same picture must always give the same tensor.
    """
    # TODO 1: make one picture into numbers a network likes. `transforms` has what you need.
    raise NotImplementedError("TODO 1: make_transform")


def make_loaders(root, batch_size=64, val_fraction=0.1, seed=0):
    """Return three DataLoaders: (train, validation, test).

    root          folder that holds MNIST/raw/..., as torchvision.datasets.MNIST(root) expects
    batch_size    images in one training batch
    val_fraction  share of the training file that is kept aside for validation
    seed          decides which images those are: same seed, same split; other seed, other split

    Each batch is a pair (images, labels): images float32 of shape (B, 1, 28, 28), prepared
    by make_transform(), and labels int64 of shape (B,). Validation images are drawn at
    random from the training file and are never trained on. The training loader gives its
    images in a new order every epoch; validation and test loaders give every image once.
    """
    # TODO 2: read both files, set some training images aside, and return three loaders.
    raise NotImplementedError("TODO 2: make_loaders")
