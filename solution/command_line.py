"""Given, nothing to do here: the options of `python assignment/train.py`, and endings that say what to do next."""

import argparse
import contextlib
import math
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from digits_source import Unusable, find_digits

HERE = Path(__file__).resolve().parent
GIVEN = ("command_line.py", "digits_source.py", "plots.py")
TODO_LINE = re.compile(r'^ *raise NotImplementedError\(\s*[\'"]TODO (\d+): ([\w.]+)', re.MULTILINE)


@dataclass(frozen=True)
class Options:
    """What was asked for. An option that was not given is left to the defaults in your own code."""

    root: str
    device: str
    for_loaders: dict[str, Any]
    for_fit: dict[str, Any]


def read_options() -> Options:
    """Read the command line; find the digits and the device it names."""
    parser = Parser(description="Train your digit classifier and draw what came out.")
    parser.add_argument("--epochs", type=whole, help="how often every training image is shown (default: as in fit)")
    parser.add_argument("--lr", type=positive, help="learning rate (default: as in fit)")
    parser.add_argument("--batch-size", type=whole, help="images in one batch (default: as in make_loaders)")
    parser.add_argument(
        "--digits",
        default="bundled",
        help="'bundled' (10,000 images, the default), 'full' (MNIST, 70,000 images, downloaded once), "
        "or the path of a folder with MNIST files or of the zip from Kaggle",
    )
    parser.add_argument("--device", default="auto", help="auto (the default), cpu, cuda or mps")
    given = parser.parse_args()
    loaders, fit = {"batch_size": given.batch_size}, {"epochs": given.epochs, "lr": given.lr}
    return Options(
        device=find_device(given.device),
        root=str(find_digits(given.digits, HERE)),
        for_loaders={name: value for name, value in loaders.items() if value is not None},
        for_fit={name: value for name, value in fit.items() if value is not None},
    )


class Parser(argparse.ArgumentParser):
    """argparse with one sentence where it would print the usage as well."""

    def error(self, message: str) -> NoReturn:
        raise Unusable(f"{message[:1].upper()}{message[1:]}; --help lists the options.")


def whole(text: str) -> int:
    """A whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def positive(text: str) -> float:
    """A number above 0."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def find_device(wanted: str) -> str:
    """The device to compute on, e.g. "cpu". Raises Unusable when this computer does not have it."""
    import torch

    here = ["cpu"]
    if torch.cuda.is_available():
        here.append("cuda")
    if torch.backends.mps.is_available():
        here.append("mps")
    if wanted == "auto":  # not mps: for a network this small it is slower than the processor
        return "cuda" if "cuda" in here else "cpu"
    kind, _, index = wanted.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if kind in here and (not index or (index.isdecimal() and int(index) < count)):
        return wanted
    raise Unusable(f"The device {wanted!r} is not there: this computer offers {', '.join(here)}; choose with --device.")


@contextlib.contextmanager
def kind_endings() -> Iterator[None]:
    """End with one sentence where the cause is known (a TODO still waiting, digits that cannot be used), and with your
    own line where your code stops."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a path with a rare letter must not end the program
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except Unusable as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    except NotImplementedError as error:
        todo = str(error).startswith("TODO")
        print((waiting(HERE) or str(error)) if todo else where_it_stopped(error), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        print(where_it_stopped(error), file=sys.stderr)
        sys.exit(1)


def where_it_stopped(error: Exception) -> str:
    """Your own lines that an error went through, without those of the libraries; then what Python says of it."""
    frames = [(Path(frame.filename).resolve(), frame) for frame in traceback.extract_tb(error.__traceback__)]
    own = [(path.name, frame) for path, frame in frames if path.parent == HERE and path.name not in GIVEN]
    own = [(name, frame) for name, frame in own if frame.name != "main"] or own  # main is given, and calls the others
    lines = [f"{name}, line {frame.lineno}, in {frame.name}:\n    {frame.line}" for name, frame in own[-3:]]
    says = "".join(traceback.format_exception_only(type(error), error)).strip()
    advice = "Your code stopped there. `pytest grader/` says what this usually means."
    return "\n".join(["", *lines, says, "", advice])


def waiting(folder: Path) -> str | None:
    """A sentence about the first TODO that nobody has worked on yet, or None."""
    found = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [(int(number), path.name, function) for number, function in TODO_LINE.findall(text)]
    if not found:
        return None
    number, name, function = min(found)
    return f"TODO {number} is waiting in {name} ({function}): put your code where it says so, then run this again."
