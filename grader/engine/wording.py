"""From a finding to what students read of a check, and the last look over all checks of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grader.engine.check import Check, Finding
from grader.engine.contract import Contract
from grader.engine.hints import THAT_LINE, Hint
from grader.engine.printable import clean, listed, one_line
from grader.engine.result import CheckResult, Status

CAUSES_NAMED = 2  # of what went before, in the words for what may follow from it
UNIMPORTED = ", which cannot be imported"  # behind a file's name
FAULTS: tuple[Status, ...] = ("failed", "crashed", "timeout")


def check_result(
    contract: Contract,
    check: Check,
    points: int,
    status: Status,
    finding: Finding | None,
    hints: Mapping[str, Hint],
    seconds: float,
    frames: tuple[Mapping[str, Any], ...] = (),
    quote: str = "",
) -> CheckResult:
    """A check's result in words: the finding's hint filled with its facts, and the points that it leaves."""
    score = points if status == "passed" else 0
    message = hint = ""
    todo = todo_of(check, finding, hints)
    if finding is not None:
        score = score or int(round(points * finding.share))
        message, hint = in_words(contract, finding, hints.get(finding.id), todo)
    return CheckResult(
        id=check.id,
        title=check.title,
        part=check.part,
        todo=todo,
        place=place(contract, todo, frames),
        status=status,
        score=score,
        max_score=points,
        finding=finding.id if finding is not None else None,
        message=clean(message),
        hint=clean(hint),
        quote=clean(quote),
        seconds=round(seconds, 3),
        frames=frames,
    )


def in_words(contract: Contract, finding: Finding, hint: Hint | None, todo: int) -> tuple[str, str]:
    """(message, hint): what was seen, then its cause, where to look, and a question."""
    if hint is None:
        return f"{finding.id}: {dict(finding.facts)}", ""
    # a file or type name can hold anything; a fact is one clean line
    facts = {name: shown(fact) for name, fact in finding.facts.items()}
    title, seen, cause, question = (hint.filled(name, facts) for name in ("title", "seen", "cause", "question"))
    look = "" if hint.look == THAT_LINE else f"Look here: {look_here(contract, facts, hint, todo)}\n"
    return f"{title}. {seen}", f"{cause}\n{look}{question}"


def shown(fact: object) -> object:
    """A fact as a hint may have it: a number, or one clean line of at most 600 characters."""
    return fact if isinstance(fact, (bool, int, float)) else one_line(str(fact), 600)


def look_here(contract: Contract, facts: Mapping[str, Any], hint: Hint, todo: int) -> str:
    """Where to look, at what, and a page about it: "FILE, TODO n: the last line. https://..."."""
    file = contract.todo[todo].file if todo in contract.todo else ""
    about = str(facts.get("file", file))  # an ending may come from another file than the check asks about
    where = f"{file}, TODO {todo}" if about == file else about
    if hint.file is not None:
        where = hint.filled("file", facts)
    return f"{where}: {hint.filled('look', facts)}. {hint.docs}".removeprefix(": ").rstrip()


def todo_of(check: Check, finding: Finding | None, hints: Mapping[str, Hint]) -> int:
    """Where the fault is: what the finding says, else what its hint says, else the check's own TODO."""
    hint = hints.get(finding.id) if finding is not None else None
    said = [finding.todo if finding is not None else None, hint.todo if hint is not None else None]
    return next((todo for todo in said if todo is not None), check.todo)


def place(contract: Contract, number: int, frames: tuple[Mapping[str, Any], ...]) -> str:
    """Where a TODO stands: its number, its function and its file. What fails on import belongs to no TODO."""
    outside = [frame for frame in frames if frame["function"] in ("", "<module>")]
    if outside and outside[0] is frames[0]:
        return f"{outside[-1]['file']}{UNIMPORTED}"
    todo = contract.todo.get(number)
    return f"TODO {number}, {todo.name} in {todo.file}" if todo else f"TODO {number}"


def as_an_invitation(checks: list[CheckResult], begun: bool) -> list[CheckResult]:
    """While nothing is solved, what waits for another TODO is simply still to do. begun: whether some stub is gone."""
    if begun or any(c.status not in ("todo", "blocked") for c in checks):
        return checks
    return [replace(c, status="todo", message="", hint="") if c.status == "blocked" else c for c in checks]


def with_reading(checks: list[CheckResult], contract: Contract, links: Mapping[str, str]) -> list[CheckResult]:
    """What is still to do comes with the pages to read before it is begun. links: {name: address}"""
    pages = {n: " ".join(links[name] for name in todo.read if name in links) for n, todo in contract.todo.items()}
    return [
        replace(c, hint=f"Read first: {pages[c.todo]}") if c.status == "todo" and pages[c.todo] else c for c in checks
    ]


def named_once(checks: list[CheckResult], contract: Contract, hints: Mapping[str, Hint]) -> list[CheckResult]:
    """A cause is named where it is seen first; a check that it keeps from judging waits.

    So does the check that runs everything, where it stopped after another one had named a fault.
    """
    seen: dict[object, CheckResult] = {}
    told: list[CheckResult] = []
    for check in checks:
        faults = check.status in FAULTS
        cause = next((seen[key] for key in keys_of(check) if key in seen), None) if faults and not check.score else None
        if cause is None and check.id == contract.consequence and check.status == "crashed":
            cause = next(iter(seen.values()), None)
        if cause is not None:
            told.append(waiting(check, cause, hints))
            continue
        if faults:
            seen = {key: check for key in keys_of(check)} | seen
        told.append(check)
    return told


def keys_of(check: CheckResult) -> tuple[object, ...]:
    """One of them is the same for checks that name the same cause: an error's line, a finding's TODO or its words."""
    if check.status == "crashed" and check.frames and check.frames[-1]["line"]:
        return ((check.frames[-1]["file"], check.frames[-1]["line"]),)
    return (check.finding, check.todo), (check.finding, check.message)


def waiting(check: CheckResult, cause: CheckResult, hints: Mapping[str, Hint]) -> CheckResult:
    """The check as one that waits until what stopped another one is put right."""
    file = cause.place.removesuffix(UNIMPORTED)
    facts = {"what": f"TODO {cause.todo} works" if file == cause.place else f"{file} can be imported"}
    hint = hints["waits-for"]
    message = f"{hint.title}. {hint.filled('seen', facts)}"
    lines = [hint.cause, f"Look here: {hint.look}.", hint.question]
    return replace(
        check,
        status="blocked",
        finding=hint.id,
        message=message,
        hint="\n".join(lines),
        frames=(),
        quote="",
        todo=cause.todo,
    )


def point_to_cause(checks: list[CheckResult], consequence: str) -> list[CheckResult]:
    """The check `consequence` may only follow from the others: where a fault was named before, it says so."""
    causes = [c for c in checks if c.id != consequence and c.status in FAULTS]
    if not causes:
        return checks
    named = list(dict.fromkeys(f'"{cause.message.split(". ")[0]}"' for cause in causes))[:CAUSES_NAMED]
    note = f" Put right first what was named above, which may be the cause: {listed(named)}."
    return [replace(c, message=c.message + note) if c.id == consequence and c.status == "failed" else c for c in checks]
