"""Part 3: teach the network."""

import torch
from torch import nn


def train_one_epoch(model, loader, optimizer, device="cpu") -> float:
    """Show the model every batch once and update its weights after each batch.

    model      any network that turns images (B, 1, 28, 28) into scores (B, 10)
    loader     gives batches (images, labels)
    optimizer  already holds the model's parameters and the learning rate
    device     "cpu", "cuda" or "mps": where images and labels go before the model sees them

    First put the model into training mode (dropout on, BatchNorm learns). Every step is made
    by the optimizer, whatever its kind.

    Returns the mean cross-entropy loss over all images of the epoch, as a plain float.
    Over images, not over batches: the last batch may be smaller, so weigh each batch's
    mean by its number of images.
    """
    # TODO 5: for every batch: predict, measure the loss, find the gradients, take a step.
    raise NotImplementedError("TODO 5: train_one_epoch")


def evaluate(model, loader, device="cpu") -> tuple[float, float]:
    """Measure the model without changing it.

    Returns (loss, accuracy), two plain floats over all images of the loader: the mean
    cross-entropy loss, and the fraction of images classified correctly, between 0 and 1.
    First put the model into evaluation mode, and record no gradients.
    """
    # TODO 6: the same walk through the loader, but only measure.
    raise NotImplementedError("TODO 6: evaluate")


def fit(model, train_loader, val_loader, epochs=10, lr=0.01, device="cpu") -> dict:
    """Train the model in place for `epochs` epochs and write down how it went.

    Build one optimizer with learning rate `lr`, then for each epoch: train on train_loader,
    evaluate on val_loader. Validation images are for measuring only, never for training.

    Learning rates that suit: plain SGD about 0.1, SGD with momentum 0.01 to 0.05, Adam and
    AdamW 0.001 to 0.003. A file of 8,000 pictures needs more epochs than one of 60,000.

    Returns {"train_loss": [...], "val_loss": [...], "val_accuracy": [...]}, one float per
    epoch in each list.
    """
    # TODO 7: one optimizer, then epoch after epoch: train, evaluate, write it down.
    raise NotImplementedError("TODO 7: fit")


# From here on everything is given: it puts your functions together and needs no change.


def main() -> None:
    """Train on the digits, say how it goes, save pictures: `python assignment/train.py --help` lists the options."""
    from command_line import kind_endings, read_options

    with kind_endings():
        import plots
        from data import make_loaders
        from model import DigitClassifier

        options = read_options()
        if options.device == "cpu":
            torch.set_num_threads(1)  # for batches this small, several spend their time waiting for each other
        torch.manual_seed(0)  # the same command gives the same numbers
        train_loader, val_loader, test_loader = make_loaders(options.root, **options.for_loaders)
        model = DigitClassifier().to(options.device)

        history = fit(model, plots.Progress(train_loader), val_loader, device=options.device, **options.for_fit)
        plots.print_history(history)
        loss, accuracy = evaluate(model, test_loader, options.device)
        print(f"\ntest loss {loss:.3f}, test accuracy {accuracy:.3f}")
        plots.draw_all(history, model, test_loader, options.device)


if __name__ == "__main__":
    main()
