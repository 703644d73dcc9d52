"""THE WEEK IN ONE TABLE: files, TODOs, parts, order, what is long, what is a consequence."""

from __future__ import annotations

from pathlib import Path

from grader import bundled, causes, digits, pool
from grader.engine.contract import Contract, LiveWords, Part, Todo
from grader.sections import DigitSections


def known_good() -> dict[str, bytes]:
    """The reference solution, where it is and whole: only the course's own repository has it."""
    paths = [WEEK.root / "solution" / name for name in WEEK.files]
    return {path.name: path.read_bytes() for path in paths} if all(path.is_file() for path in paths) else {}


WEEK = Contract(
    folder=Path(__file__).resolve().parent,
    package=__name__.rpartition(".")[0],
    files={  # submitted file: the parts in which its own code runs, first the one that judges it
        "data.py": ("data", "accuracy"),
        "model.py": ("model", "training", "accuracy"),
        "train.py": ("training", "accuracy"),
    },
    given=("plots", "command_line", "digits_source"),
    todos=(
        Todo(1, "data.py", "make_transform"),
        Todo(2, "data.py", "make_loaders"),
        Todo(3, "model.py", "DigitClassifier.__init__", also=("DigitClassifier",)),
        Todo(4, "model.py", "DigitClassifier.forward"),
        Todo(5, "train.py", "train_one_epoch"),
        Todo(6, "train.py", "evaluate"),
        Todo(7, "train.py", "fit"),
    ),
    parts=(
        Part("data", "from picture files to batches", "test_1_data"),
        Part("model", "the network", "test_2_model"),
        Part("training", "the training loop", "test_3_training"),
        Part("accuracy", "the whole pipeline on secret digits", "test_4_accuracy"),
    ),
    run_order=("model", "training", "data", "accuracy"),
    long="test-accuracy",
    consequence="test-accuracy",
    tiered="test-accuracy",
    preload=("probes.model",),
    bundled=("digits",),
    verify=digits.load,
    open_pool=pool.load_pool,
    bundle=bundled.bundle,
    known_good=known_good,
    steering=("torch.py", "torchvision.py"),
    slips=causes.SLIPS,
    live=LiveWords("waiting for the network", "training on secret digits, epoch {epoch}"),
    sections=DigitSections(),
)
