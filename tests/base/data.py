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
    # BEGIN SOLUTION
    return transforms.Compose(
        [
            transforms.ToTensor(),  # uint8 0..255 -> float32 0..1, with a channel axis in front
            transforms.Normalize((MEAN,), (STD,)),  # mean 0 and deviation 1 over the training pixels
        ]
    )
    # END SOLUTION


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
    # BEGIN SOLUTION
    transform = make_transform()
    train_file = datasets.MNIST(root, train=True, transform=transform)
    test_set = datasets.MNIST(root, train=False, transform=transform)

    val_size = round(len(train_file) * val_fraction)
    generator = torch.Generator().manual_seed(seed)
    train_set, val_set = random_split(train_file, [len(train_file) - val_size, val_size], generator)

    train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=batch_size)
    test_loader = DataLoader(test_set, batch_size=batch_size)
    return train_loader, val_loader, test_loader
    # END SOLUTION
