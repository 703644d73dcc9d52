"""`python -m grader try CHECK DIR`: one check on one submission, in this process, where a debugger works.

For whoever writes a check or wants to know why it says what it says. `breakpoint()` works in the check, in its probe
and in the submitted files. Exit status: 0 passed, 1 not passed, 2 bad input, 3 trouble of the grader's own.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import sys
import traceback
from bdb import BdbQuit
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from grader.engine.check import Check, Failed, GraderTrouble
from grader.engine.contract import Contract
from grader.engine.endings import NotSeen
from grader.engine.front.calm_reporter import repeat_words
from grader.engine.front.pytest_session import BadSeed, seed_in
from grader.engine.keys import BadKey, installation_key, read_key
from grader.engine.result import CheckResult
from grader.engine.rubric import BadRubric, load_rubric
from grader.engine.run import Run
from grader.engine.servers import surroundings
from grader.engine.student import Student
from grader.engine.submission.read import NoSubmission, Submission, read
from grader.engine.worker.in_process import InProcessServer

UNPROTECTED = "Student code runs unprotected in this process: only for code that you trust."
STATUSES = {"passed": 0, "grader_error": 3}  # exit statuses; 1 for all others


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("check", metavar="CHECK", help="the id of a check, as in rubric.toml")
    parser.add_argument("submission", type=Path, metavar="DIR", help="a folder with the submitted files, or a notebook")
    parser.add_argument("--seed", metavar="N", help="the run's seed; without it a fresh one, printed")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the key that goes with the seed")


def run(arguments: argparse.Namespace, contract: Contract) -> int:
    check = contract.check.get(arguments.check)
    if check is None:
        close = difflib.get_close_matches(arguments.check, contract.check, 1)
        meant = f" Did you mean {close[0]}?" if close else ""
        known = f"the ids stand under [points] in {contract.rubric_path}"
        print(f"There is no check {arguments.check}; {known}.{meant}", file=sys.stderr)
        return 2
    try:
        rubric = load_rubric(contract)
        contract.verify()
        submission = read(arguments.submission, contract, int(rubric.limits["file_bytes"]))
        key = read_key(arguments.key) if arguments.key else installation_key()
        seed = seed_in(arguments.seed, key) if arguments.seed else None
        server = InProcessServer(surroundings(contract), folder_of(submission))
        one = Run(submission, server, rubric, seed=seed, key=key)
    except (NoSubmission, BadRubric, BadKey, BadSeed, GraderTrouble) as error:
        print(error, file=sys.stderr)
        return 2
    print(UNPROTECTED)
    try:
        own: list[BaseException] = []
        result = one.check(watched(check, own))
        if result.status != "passed":  # a probe may also provoke errors, to look at them
            show_errors([*server.caught, *own])
        show(result)
        print(repeat_words(one.seed, key))
    finally:
        one.close()
        server.close()
    return STATUSES.get(result.status, 1)


def folder_of(submission: Submission) -> Path | None:
    """Where the files that were read lie; None for a notebook, whose cells are put together elsewhere."""
    if submission.is_notebook:
        return None
    path, files = submission.path.resolve(), submission.files
    places = (path, path / submission.contract.work)
    return next((p for p in places if any((p / name).is_file() for name in files)), None)


def watched(check: Check, errors: list[BaseException]) -> Check:
    """The same check, which also keeps what it raises by mistake."""

    @functools.wraps(check.function)
    def function(student: Student) -> None:
        try:
            check.function(student)
        except (Failed, NotSeen):
            raise
        except BdbQuit:
            raise KeyboardInterrupt from None  # the engine would take it for a fault of its own
        except Exception as error:
            errors.append(error)
            raise

    return replace(check, function=function)


def show_errors(errors: Iterable[BaseException]) -> None:
    """The whole traceback of each, the same one only once."""
    for text, times in Counter("".join(traceback.format_exception(error)) for error in errors).items():
        print(text.rstrip() + (f"  ({times} times)" if times > 1 else ""))


def show(result: CheckResult) -> None:
    print(f"{result.id}, {result.title}: {result.status}")
    if result.finding is not None:
        print(f"{result.finding} at {result.place}")
    for text in result.texts:
        print(text)
