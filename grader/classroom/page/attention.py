"""What needs a human before grades go out: plain frozen data, made from the rows of a class."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Case:
    """One thing to look at. row: whose it is, None where nobody knows; source: what arrived, where it is no row's."""

    what: str
    row: Row | None = None
    source: str = ""


@dataclass(frozen=True)
class Group:
    """Cases of one kind. title: a heading; advice: what to do about them."""

    title: str
    advice: str
    cases: tuple[Case, ...]


def attention(
    rows: Sequence[Row], unusable: Sequence[tuple[str, str]], contract: Contract, tiers: Sequence[Tier]
) -> tuple[Group, ...]:
    """What needs a human, the most pressing first; kinds without a case are left out.

    unusable: (what arrived, why it could not be used)
    """
    graded = [(row, row.result) for row in rows if row.result is not None and row.status != REJECTED]
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
                Case("; ".join(row.notes) or "no reason was written down", row)
                for row in rows
                if row.status == REJECTED
            ),
        ),
        Group(
            "Could not be used",
            "Nobody knows whose it is, or it cannot be opened. Look at the file and name the student.",
            tuple(Case(why, source=what) for what, why in unusable),
        ),
        Group(
            "No points, although something was handed in",
            "Often one slip stops everything: a wrong file, a syntax error, code outside every function.",
            tuple(Case(stopped_by(result), row) for row, result in graded if stopped(result)),
        ),
        Group(
            f"At most {100 * NEAR:g} points of accuracy below a tier",
            "Another run may end on the other side of the line. Grade their accuracy with several seeds.",
            tuple(near(graded, contract, tiers)),
        ),
        Group(
            "Changed files of the grader",
            "The course's own copy gave the score, so nothing was gained by it. Most often it is a slip.",
            tuple(Case(note, row) for row, result in graded for note in notes_of(result) if note.startswith(CHANGED)),
        ),
        Group(
            "Unusual ways to an accuracy",
            "No points were taken for this. An honest program can cause each of them.",
            tuple(Case(line, row) for row, result in graded for line in remarks(result, contract)),
        ),
    )
    return tuple(group for group in groups if group.cases)


def trouble_of(result: Result) -> str:
    found = [check for check in result.checks if check.status == "grader_error"]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0].title}: {found[0].message or 'no message'}{more}"


def stopped(result: Result) -> bool:
    """Whether somebody who began got nothing."""
    return result.final and not result.score and not result.untouched


def stopped_by(result: Result) -> str:
    cause = first_cause(result)
    return cause.message if cause is not None else "nothing that was begun passes yet"


def near(graded: Sequence[tuple[Row, Result]], contract: Contract, tiers: Sequence[Tier]) -> Iterator[Case]:
    """Those just below a tier, the nearest first. Above it there is nothing to do."""
    found = []
    for row, result in graded:
        accuracy = accuracy_of(result, contract)
        above = [tier for tier in tiers if accuracy is not None and 0 < tier.at - accuracy <= NEAR]
        if accuracy is None or not above:
            continue
        got = max((tier.points for tier in tiers if tier.at <= accuracy), default=0)
        missing = above[0].at - accuracy
        told = f"{100 * accuracy:.2f} %, {100 * missing:.2f} below {100 * above[0].at:g} %"
        found.append((missing, row.id, Case(f"{told}: {got} points instead of {above[0].points}", row)))
    return (case for _, _, case in sorted(found, key=lambda one: one[:2]))


def notes_of(result: Result) -> list[str]:
    return [str(note) for note in result.submission.get("notes", [])]


def remarks(result: Result, contract: Contract) -> list[str]:
    """What the week wants a teacher to know of a result."""
    told = contract.sections.text(result.recorded)
    return [line for heading, lines in told if heading == FOR_THE_TEACHER for line in lines.splitlines()]
