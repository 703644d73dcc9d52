"""`python -m grader build | ...`: the teacher's command line. Each command lives in its own room."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from grader.contract import WEEK
except ValueError as contradiction:  # of the table, which says where
    print(f"grader/{contradiction}", file=sys.stderr)
    raise SystemExit(2) from None

HERE = Path(__file__).resolve().parent

# command -> the module with add_arguments(parser) and run(args, contract) -> exit status; a student's copy lacks some
COMMANDS = {
    "build": ("grader.authoring.build", "make what a student gets from solution/ and templates/"),
    "release": ("grader.authoring.release", "make a student repository, or what a grading service wants"),
    "constraints": ("grader.authoring.constraints", "pin the versions that grading installs"),
    "try": ("grader.engine.front.try_check", "run one check on a folder in this process, where a debugger works"),
    "collect": ("grader.classroom.collect", "fetch from each student the commit that counts at the deadline"),
    "publish": ("grader.engine.publish", "hand a finished run over to GitHub, Classroom 50 or Gradescope"),
    "selftest": ("grader.corpus.selftest", "grade correct and wrong solutions, and judge the grader by them"),
    "calibrate": ("grader.corpus.calibrate", "measure which test accuracy may be asked for"),
}


def is_here(module: str) -> bool:
    """Beside this file, that is: an installed copy of the course's repository must not take a student copy's place."""
    return (HERE / Path(*module.split(".")[1:])).with_suffix(".py").is_file()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grader", description="Students run `pytest grader/` instead.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, purpose) in COMMANDS.items():
        if not is_here(module):
            continue
        sub = commands.add_parser(name, help=purpose, description=purpose)
        importlib.import_module(module).add_arguments(sub)
    args = parser.parse_args(arguments)
    try:
        return int(importlib.import_module(COMMANDS[args.command][0]).run(args, WEEK))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
