"""`python -m grader publish REPORTS --for SERVICE`: hand a finished run over to the service that asked for it.

The command of a step after the one that ran student code: it reads score.json, runs nothing of the student's, and is
the only one that writes outputs and summaries. Exit status 0 for every score, 3 for trouble of the grader's own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from grader.engine import reports
from grader.engine.contract import Contract
from grader.engine.hints import links_of, load_hints
from grader.engine.printable import one_line
from grader.engine.reports import classroom50, github, gradescope, reporter
from grader.engine.reports.markdown import escape
from grader.engine.result import BadScore, Result
from grader.engine.rubric import BadRubric, load_rubric
from grader.engine.submission.safe_files import write_bytes, write_text

Environment = Mapping[str, str]  # as of a process

TROUBLE = 3
NO_SCORE = "The grader could not finish, so there is no score. That is not your fault: tell your teacher."


def with_notes(result: Result, folder: Path, notes: list[str]) -> Result:
    """The result with further notes, and all its reports written again."""
    if not notes:
        return result
    told = [*result.submission.get("notes", []), *notes]
    result = replace(result, submission={**result.submission, "notes": told})
    reports.write(result, folder)
    return result


def append(path: str | None, text: str) -> None:
    """Add to one of the files that GitHub names in the environment; elsewhere there is none."""
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


def to_github(result: Result, folder: Path, into: Path, environment: Environment, contract: Contract) -> None:
    """Annotations and notices on standard output; summary and outputs where the runner wants them."""
    print(github.annotations(result, contract.work), end="")
    append(environment.get("GITHUB_STEP_SUMMARY"), github.step_summary(result))
    digest = hashlib.sha256((folder / "score.json").read_bytes()).hexdigest()
    extra = f"result={reporter.encoded(result)}\ndigest=sha256:{digest}\n"
    append(environment.get("GITHUB_OUTPUT"), github.outputs(result) + extra)


def to_classroom50(
    result: Result, folder: Path, into: Path, environment: Mapping[str, str], contract: Contract
) -> None:
    """result.json, release-body.md and report.html in the student's checkout; status and summary as outputs."""
    told = classroom50.result_json(result, environment)
    if result.final:  # a number in it would be recorded, whatever stands beside it
        write_text(into / "result.json", json.dumps(told, indent=2) + "\n")
    write_text(into / "release-body.md", classroom50.release_body(result))
    if (folder / "report.html").is_file():
        write_bytes(into / "report.html", (folder / "report.html").read_bytes())
    append(environment.get("GITHUB_OUTPUT"), classroom50.outputs(result))


def to_gradescope(result: Result, folder: Path, into: Path, environment: Environment, contract: Contract) -> None:
    """results.json; who sees which check stands in rubric.toml under [visibility]."""
    results = gradescope.results_json(result, load_rubric(contract).visibility)
    write_text(into / "results.json", json.dumps(results, indent=2) + "\n")


SERVICES: dict[str, Callable[[Result, Path, Path, Environment, Contract], None]] = {
    "github": to_github,
    "classroom50": to_classroom50,
    "gradescope": to_gradescope,
}


def trouble(service: str, reason: str, into: Path, environment: Environment) -> None:
    """Say that there is no score, where the service shows it. Never a score of 0 in its place.

    reason: a sentence for the teacher, "" where none is known.
    """
    told = f"{NO_SCORE} The reason: {reason}" if reason else NO_SCORE
    if service == "github":
        print(github.command("error", {"title": "No score"}, told))
        append(environment.get("GITHUB_STEP_SUMMARY"), f"# No score\n\n{escape(told)}\n")
    elif service == "classroom50":
        append(environment.get("GITHUB_OUTPUT"), f"status=error\nsummary=No score. {one_line(reason, 500)}\n")
    elif service == "gradescope":
        # without a score anywhere Gradescope asks for grading by hand instead of recording one
        write_text(into / "results.json", json.dumps({"output": told, "visibility": "visible"}) + "\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`python -m grader publish`"""
    parser.add_argument("reports", type=Path, help="the folder that `pytest grader/ --report=DIR` wrote")
    parser.add_argument("--for", dest="service", choices=sorted(SERVICES), required=True)
    parser.add_argument("--into", type=Path, metavar="DIR", help="where result files go (default: this folder)")
    parser.add_argument("--note", action="append", default=[], help="a sentence for every report; may be repeated")


def run(arguments: argparse.Namespace, contract: Contract) -> int:
    if arguments.into is not None and arguments.service == "github":
        print("--into has no effect for github, which names its files itself; leave it out.", file=sys.stderr)
        return 2
    into = arguments.into or Path()
    try:
        notes = [note for note in arguments.note if note.strip()]
        read = reports.read(arguments.reports, contract.sections, links_of(load_hints(contract)))
        result = with_notes(read, arguments.reports, notes)
        SERVICES[arguments.service](result, arguments.reports, into, os.environ, contract)
    except (BadScore, BadRubric, OSError, classroom50.NotClassroom50) as error:
        print(f"Nothing was published: {error}", file=sys.stderr)
        trouble(arguments.service, reports.why_no_score(arguments.reports), into, os.environ)
        return TROUBLE
    return 0 if result.final else TROUBLE
