"""Sentences that several reports share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from grader.engine.result import FULL_MARKS, CheckResult, Result
from grader.engine.worker.tiers import missing

STUB_LEFT = re.compile(r"until TODO \d+ is done")
NEEDS_ATTENTION = ("failed", "crashed", "timeout", "grader_error")
IN_A_NOTEBOOK = "Save this notebook, then do what its last cell says: hand it in."
SYMBOLS = {
    "passed": "✓",
    "failed": "✗",
    "todo": "·",
    "blocked": "–",
    "timeout": "!",
    "crashed": "!",
    "grader_error": "?",
}
STATUS_WORDS = {
    "passed": "passed",
    "failed": "not yet",
    "todo": "to do",
    "blocked": "waits",
    "timeout": "too slow",
    "crashed": "stopped",
    "grader_error": "grader's fault",
}


def part_words(checks: Sequence[CheckResult]) -> str:
    """A whole part in a few words, or "" when its checks differ and are better listed."""
    statuses = {check.status for check in checks}
    if statuses == {"passed"}:
        return f"all {len(checks)} checks pass" if len(checks) > 1 else "passed"
    if statuses == {"blocked"} and not any(STUB_LEFT.search(check.message) for check in checks):
        return "waits for the next step below"
    if statuses <= {"todo", "blocked"}:
        todos = sorted({check.todo for check in checks})
        return "to do: TODO " + ", ".join(map(str, todos))
    return ""


def score_words(result: Result) -> str:
    """The score as a heading; where it is not final, words that nobody takes for one."""
    if result.final:
        return f"Score {result.score}/{result.max_score}"
    return f"No score: the grader had trouble of its own ({result.score} of {result.max_score} points so far)"


def headline(result: Result) -> str:
    """What the week says beside the score, "" for nothing."""
    return result.sections.headline(result.recorded)


def isolation_words(result: Result) -> str:
    """The tier of isolation, and in practice mode what the graded code was not kept from."""
    if result.grader.get("isolation") == "confined":
        return "confined"
    open_to_it = [name for name in missing(result.grader.get("measures") or []) if not name.startswith("no ")]
    return f"practice (the graded code was not kept from: {', '.join(open_to_it)})" if open_to_it else "practice"


def practice_notice(result: Result) -> str:
    """The first line of every report on code that was not confined; "" for code that was."""
    confined = result.grader.get("isolation") == "confined"
    return "" if confined else f"Isolation: {isolation_words(result)}."


def next_step(result: Result) -> tuple[str, list[str]]:
    """The heading and the paragraphs of the one thing to do next; ("", []) when there is none."""
    check = result.next_step
    broken = next((c for c in result.checks if c.status == "grader_error"), None)
    if broken is not None and check is None:
        return "The grader has a problem, so there is no score yet", broken.texts
    if check is None:
        return "", []
    if result.untouched and result.max_score == FULL_MARKS:
        return "Everything is still to do, and that is how it starts", [
            f"Begin with {check.place}. Its docstring says what it takes and what it gives back.",
            *check.hint.splitlines(),
            "Run the grader as often as you like: it shows one next step at a time.",
        ]
    if check.status == "todo":
        waits = "It is waiting for you; its docstring says what it takes and gives back."
        return f"Next step: {check.place}", [waits, *check.hint.splitlines()]
    return f"Next step: {check.place}", check.texts


def praise(result: Result) -> tuple[str, list[str]]:
    """What stands in the place of the next step when there is none: a heading, what to do now, what costs nothing."""
    if result.max_score != FULL_MARKS:
        return "Everything here passes.", ["`pytest grader/` runs the rest."]
    now = IN_A_NOTEBOOK if result.submission.get("notebook") else result.sections.passed(result.recorded)
    return "Everything passes. Well done!", [*filter(None, [now]), *result.sections.remarks(result.recorded)]


def done_todos(checks: Sequence[CheckResult]) -> dict[int, int]:
    """{TODO: its points} for those whose checks all pass."""
    todos = dict.fromkeys(check.todo for check in checks)
    own = {todo: [check for check in checks if check.todo == todo] for todo in todos}
    return {todo: sum(c.score for c in of) for todo, of in own.items() if all(c.status == "passed" for c in of)}


def progress_words(result: Result) -> str:
    """What has just been reached, when the next step is a TODO nobody has begun."""
    step = result.next_step
    if step is None or step.status != "todo" or not result.score:
        return ""
    before = [check for check in result.checks if check.todo < step.todo]
    if not before or any(check.status != "passed" for check in before):
        return ""
    last = before[-1]
    part = [check for check in result.checks if check.part == last.part]
    if all(check.status == "passed" for check in part):
        points = sum(check.score for check in part)
        return f"The part {last.part} is complete: {points} points. Well done! Next: TODO {step.todo}."
    points = done_todos(result.checks)[last.todo]
    return f"TODO {last.todo} done: {points} points. Next: TODO {step.todo}."


def others(result: Result) -> list[CheckResult]:
    """What else needs attention beside the next step, each finding once."""
    first = result.next_step
    seen = {first.finding} if first else set()
    rest = []
    for check in result.checks:
        if check.status in NEEDS_ATTENTION and check is not first and check.finding not in seen:
            seen.add(check.finding)
            rest.append(check)
    return rest
