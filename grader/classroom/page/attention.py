"""What needs a human before grades go out: plain frozen data, made from the rows of a class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grader.classroom.counting import NEAR
from grader.classroom.grades import REJECTED, Row
from grader.classroom.page.figures import first_cause
from grader.classroom.page.scores import accuracy_of
from grader.engine.contract import Contract
from grader.engine.result import Result
from grader.engine.rubric import Tier
from grader.engine.sections import FOR_THE_TEACHER
from grader.engine.submission.manifest import CHANGED

# findings of code that stopped Python, or spoilt its answer
KILLED = ("process-killed", "process-ended", "out-of-memory", "folder-deleted", "answer-malformed")
# what counting.spread says of several measurements
SEVERAL = re.compile(r"The accuracy was measured (\d+) times, [\w ,]+: (\d+\.\d %(?:, \d+\.\d %)*)\. The best counts\.")


@dataclass(frozen=True)
class Case:
    """One thing to look at. row: whose it is, None where nobody knows.

    what: in the grader's words, "" where the group says it all; note: in anybody's words, which may name the student
    """

    what: str
    row: Row | None = None
    note: str = ""


@dataclass(frozen=True)
class Group:
    """Cases of one kind. title: a heading; advice: what to do about them."""

    title: str
    advice: str
    cases: tuple[Case, ...]


def attention(
    rows: Sequence[Row], unusable: Sequence[tuple[str, str]], contract: Contract, steps: Sequence[Tier]
) -> tuple[Group, ...]:
    """What needs a human, the most pressing first; kinds without a case are left out.

    Whoever has a score of 0 stands there once, with what explains it best.
    unusable: (what arrived, why it could not be used); steps: of the points for the accuracy
    """
    graded = [(row, row.result) for row in rows if row.result is not None and row.status != REJECTED]
    none = [(row, result) for row, result in graded if result.final and not result.score]
    some = [(row, result) for row, result in graded if not (result.final and not result.score)]
    measured = [(row, result) for row, result in some if several(result)]
    once = [(row, result) for row, result in some if not several(result)]
    groups = (
        Group(
            "The grader had trouble of its own",
            "They have no score, and it is not their fault. Grade them again; if it happens again, report it.",
            tuple(Case(trouble_of(result), row) for row, result in graded if not result.final),
        ),
        Group(
            "Not graded",
            "Read why, and ask the student for a new copy where that helps.",
            tuple(
                Case("", row, "; ".join(row.notes) or "no reason was written down")
                for row in rows
                if row.status == REJECTED
            ),
        ),
        Group(
            "Could not be used",
            "Nobody knows whose it is, or it cannot be opened. Look at the file and name the student.",
            tuple(Case("", note=f"{what}: {why}") for what, why in unusable),
        ),
        Group(
            "Python was stopped by their code",
            "What comes after such a stop could not be checked. Help with this first.",
            tuple(
                Case(f"{killed(result)} {points_of(result)}.{also(result)}", row, changed(result))
                for row, result in graded
                if result.final and killed(result)
            ),
        ),
        Group(
            "Handed in as it came, with nothing done",
            "Often the wrong files were handed in. Ask for the right ones.",
            tuple(Case(also(result).strip(), row, changed(result)) for row, result in none if result.untouched),
        ),
        Group(
            "No points, although something was handed in",
            "Often one slip stops everything: a wrong file, a syntax error, code outside every function.",
            tuple(
                Case(stopped_by(result) + also(result), row, changed(result))
                for row, result in none
                if not result.untouched and not killed(result)
            ),
        ),
        Group(
            f"At most {100 * NEAR:g} points of accuracy below a step",
            "Another run may end above the step. Grade again with --seeds 3: three runs each, and the best counts.",
            tuple(near(once, contract, steps)),
        ),
        Group(
            "Measured several times",
            "The first accuracy was just below a step. The best one counts; there is no need to measure again.",
            tuple(Case(came_out(result, contract, steps), row) for row, result in measured),
        ),
        Group(
            "Changed files of the grader",
            "The course's own copy gave the score, so nothing was gained by it. Most often it is a slip.",
            tuple(Case("", row, changed(result)) for row, result in some if changed(result)),
        ),
        Group(
            "Unusual ways to an accuracy",
            "No points were taken for this. An honest program can cause each of them.",
            tuple(Case(line, row) for row, result in some for line in remarks(result, contract)),
        ),
    )
    return tuple(group for group in groups if group.cases)


def trouble_of(result: Result) -> str:
    found = [check for check in result.checks if check.status == "grader_error"]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0].title}: {found[0].message or 'no message'}{more}"


def points_of(result: Result) -> str:
    return f"{result.score} of {result.max_score} points"


def killed(result: Result) -> str:
    """What is said of the first check in which the code stopped Python, "" for none."""
    return next((check.message for check in result.checks if check.finding in KILLED), "")


def stopped_by(result: Result) -> str:
    cause = first_cause(result)
    return cause.message if cause is not None else "nothing that was begun passes yet"


def near(graded: Sequence[tuple[Row, Result]], contract: Contract, steps: Sequence[Tier]) -> Iterator[Case]:
    """Those just below a step, the nearest first. Above it there is nothing to do."""
    found = []
    for row, result in graded:
        accuracy = accuracy_of(result, contract)
        above = [step for step in steps if accuracy is not None and 0 < step.at - accuracy <= NEAR]
        if accuracy is None or not above:
            continue
        missing = above[0].at - accuracy
        told = f"{100 * accuracy:.2f} %, {100 * missing:.2f} below {100 * above[0].at:g} %"
        told = f"{told}: {earned(accuracy, steps)} points instead of {above[0].points}"
        found.append((missing, row.id, Case(told, row)))
    return (case for _, _, case in sorted(found, key=lambda one: one[:2]))


def earned(accuracy: float, steps: Sequence[Tier]) -> int:
    return max((step.points for step in steps if step.at <= accuracy), default=0)


def several(result: Result) -> re.Match[str] | None:
    """What the grader wrote down of several measurements: (how many, their values)."""
    return next(filter(None, map(SEVERAL.fullmatch, notes_of(result))), None)


def came_out(result: Result, contract: Contract, steps: Sequence[Tier]) -> str:
    """What several measurements gave."""
    found, accuracy = several(result), accuracy_of(result, contract)
    told = found[2] if found is not None else ""
    return f"{told}. The best earns {earned(accuracy or 0, steps)} points for its accuracy"


def notes_of(result: Result) -> list[str]:
    return [str(note) for note in result.submission.get("notes", [])]


def changed(result: Result) -> str:
    """What the submission has in the place of the grader's files, "" for nothing."""
    return "; ".join(note for note in notes_of(result) if note.startswith(CHANGED))


def also(result: Result) -> str:
    """A sentence of that, without the names of the files."""
    return " Files of the grader were changed too." if changed(result) else ""


def remarks(result: Result, contract: Contract) -> list[str]:
    """What the week wants a teacher to know of a result."""
    told = contract.sections.text(result.recorded)
    return [line for heading, lines in told if heading == FOR_THE_TEACHER for line in lines.splitlines()]
