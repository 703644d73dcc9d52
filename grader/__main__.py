"""`python -m grader build | ...`: the teacher's command line. Each command lives in its own room."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
STUDENTS = "Your work is graded with `pytest grader/`, in the folder that holds grader/."
INACTIVE = (
    f"The environment of the assignment is not active: {sys.executable} lacks {{name}}. Activate it, or run "
    f"`pip install -e .` in the folder {HERE.parent}."
)
# Before numpy is imported: its threads would spin beside student code, on the processors that this needs
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(name, "1")
try:
    from grader.contract import WEEK
except ValueError as contradiction:  # of the table, which says where
    print(f"grader/{contradiction}", file=sys.stderr)
    raise SystemExit(2) from None
except ModuleNotFoundError as missing:
    print(STUDENTS if missing.name == "grader" else INACTIVE.format(name=missing.name), file=sys.stderr)
    raise SystemExit(2) from None

# command -> the module with add_arguments(parser) and run(args, contract) -> exit status; a student's copy lacks some
COMMANDS = {
    "build": ("grader.authoring.build", "make what a student gets from solution/ and templates/"),
    "release": ("grader.authoring.release", "make a student repository, or what a grading service wants"),
    "constraints": ("grader.authoring.constraints", "pin the versions that grading installs"),
    "watch": ("grader.engine.front.watch", "check again on each save, and show the one next step"),
    "try": ("grader.engine.front.try_check", "run one check on a folder in this process, where a debugger works"),
    "cells": ("grader.engine.front.grade_cells", "grade what a notebook has run; %%grade in a notebook calls it"),
    "collect": ("grader.classroom.collect", "fetch from each student the commit that counts at the deadline"),
    "batch": ("grader.classroom.batch", "grade a whole class; started again, it goes on where it was"),
    "publish": ("grader.engine.publish", "hand a finished run over to GitHub, Classroom 50 or Gradescope"),
    "selftest": ("grader.corpus.selftest", "grade correct and wrong solutions, and judge the grader by them"),
    "calibrate": ("grader.corpus.calibrate", "measure which test accuracy may be asked for"),
}


def is_here(module: str) -> bool:
    """Beside this file, that is: an installed copy of the course's repository must not take a student copy's place."""
    return (HERE / Path(*module.split(".")[1:])).with_suffix(".py").is_file()


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m grader", description=STUDENTS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, purpose) in COMMANDS.items():
        if not is_here(module):
            continue
        sub = commands.add_parser(name, help=purpose, description=purpose)
        if name in arguments:  # the others are not needed, and importing them takes longer than some commands
            importlib.import_module(module).add_arguments(sub)
    args = parser.parse_args(arguments)
    if args.command is None:
        print(f"{STUDENTS} What else there is: python -m grader --help")
        return 2
    try:
        return int(importlib.import_module(COMMANDS[args.command][0]).run(args, WEEK))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read what is printed has ended, as `head` does; Python would speak of it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
