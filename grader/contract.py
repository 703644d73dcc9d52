"""THE WEEK IN ONE TABLE: files, TODOs, parts, order, what is long, what is a consequence."""

from __future__ import annotations

from pathlib import Path

from grader import bundled, digits, pool
from grader.checks.accuracy import tiers
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
        Todo(1, "data.py", "make_transform", read=("to_tensor",)),
        Todo(2, "data.py", "make_loaders", read=("data_tutorial", "random_split")),
        Todo(3, "model.py", "DigitClassifier.__init__", also=("DigitClassifier",), read=("network_tutorial",)),
        Todo(4, "model.py", "DigitClassifier.forward", read=("network_tutorial",)),
        Todo(5, "train.py", "train_one_epoch", read=("training_tutorial",)),
        Todo(6, "train.py", "evaluate", read=("training_tutorial",)),
        Todo(7, "train.py", "fit", read=("optimizers",)),
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
    measured=tiers.measured,
    judged_again=tiers.judged_again,
    preload=("probes.model",),
    bundled=("digits",),
    verify=digits.load,
    open_pool=pool.load_pool,
    bundle=bundled.bundle,
    known_good=known_good,
    steering=("torch.py", "torchvision.py"),
    reading={
        "torch": ("load", "hub", "jit", "package", "load_library", "cpp_extension", "from_file"),
        "torchvision": ("io", "read_file", "read_image", "ImageFolder", "DatasetFolder"),
        "numpy": ("load", "loadtxt", "genfromtxt", "fromregex", "fromfile", "memmap", "ctypeslib", "DataSource", "lib"),
        "matplotlib": ("imread",),
        "PIL": ("open",),
        "tqdm": (),
    },
    live=LiveWords("preparing your training, which takes about 20 s", "training on secret digits, epoch {epoch}"),
    sections=DigitSections(),
)
