"""`python -m grader constraints`: pin what grading installs, in templates/repository/constraints.txt.

One file for every system and Python, made by `uv pip compile --universal`. Every release holds it, every grading
workflow installs with it, and its digest is the key of their cache. Exact public versions and no hashes, so that
`uv pip install --torch-backend cpu -c constraints.txt` still takes the CPU build of the same PyTorch. `release` never
makes it anew: versions change when a teacher runs this command, and not in the middle of a course.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from grader.authoring.build import ROOT
from grader.contract import WEEK
from grader.engine.contract import Contract
from grader.engine.rubric import load_toml
from grader.engine.submission.safe_files import write_text

PLACE = "templates/repository/constraints.txt"
NAME = "constraints.txt"  # in a release
HEADER = """\
# The versions that grading installs, for every system and Python. Made by `python -m grader constraints`.
# Exact public versions, no hashes: the CPU build of PyTorch has the same version and other files.
"""
INSTALLERS = ("uv>=0.7.14",)  # what installs the rest; from this version on it knows --torch-backend
PIN = re.compile(r"[a-z0-9][a-z0-9-]*==[\w.!]+( ; [^;#]+)?")
SECONDS = 600


class NotPinned(ValueError):
    """The versions could not be found out, or are no plain versions; the message says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`python -m grader constraints`"""
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions, not those of the last time")


def run(arguments: argparse.Namespace, contract: Contract = WEEK, root: Path = ROOT) -> int:
    """Exit status: 0 written or unchanged, 2 not to be had."""
    place = root / PLACE
    try:
        before = place.read_text(encoding="utf-8") if place.is_file() else ""
        text = HEADER + checked(compiled(root, arguments.upgrade))
    except (NotPinned, OSError, ValueError) as error:
        print(f"Nothing was pinned: {error}", file=sys.stderr)
        return 2
    if text == before:
        print(f"{PLACE} was up to date.")
        return 0
    write_text(place, text)
    print(f"Wrote {PLACE}, {len(pins(text))} lines. Run the tests with these versions before you release.")
    return 0


def compiled(root: Path, upgrade: bool) -> str:
    """What uv finds for pyproject.toml, near to the versions of the file that is there. Raises NotPinned."""
    if importlib.util.find_spec("uv") is None:
        raise NotPinned("it needs uv; install it with `pip install uv`.")
    settings = load_toml(root / "pyproject.toml")
    oldest = re.search(r"\d+\.\d+", settings["project"]["requires-python"])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / NAME
        if (root / PLACE).is_file() and not upgrade:
            shutil.copyfile(root / PLACE, out)
        command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--quiet", "--no-header"]
        command += ["--no-annotate", "--python-version", oldest[0] if oldest else "3.10"]
        extras = settings["project"].get("optional-dependencies", {})
        command += ["--extra", "confined"] if "confined" in extras else []
        command += ["pyproject.toml", "-", "--output-file", str(out)]
        more = "\n".join([*INSTALLERS, *settings["build-system"]["requires"]])
        try:
            done = subprocess.run(
                command, cwd=root, input=more, capture_output=True, text=True, encoding="utf-8", timeout=SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise NotPinned(f"uv took longer than {SECONDS} seconds; is the network slow? Try again.") from error
        if done.returncode != 0:
            raise NotPinned(f"uv found no versions that fit together: {done.stderr.strip()[-1500:]}")
        return out.read_text(encoding="utf-8")


def checked(text: str) -> str:
    """The same text, when every line is a plain pin of a public version. Raises NotPinned."""
    if odd := [line for line in pins(text) if not PIN.fullmatch(line)]:
        raise NotPinned(f"{odd[0]!r} is no plain version, NAME==VERSION, that every machine can install.")
    return "".join(f"{line}\n" for line in pins(text))


def pins(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
