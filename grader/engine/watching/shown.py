"""What is shown while watching, and what a verdict or a key makes of it: plain data, nothing is printed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from grader.engine.reports.words import NEEDS_ATTENTION, done_todos, next_step
from grader.engine.result import CheckResult, Result
from grader.engine.watching.session import Begun, Ended, Event, GoingOn, Judged, NotGraded

LAST_HINT = "That was the last hint. Still stuck? Ask, and bring these lines."
NO_HINT = "There are no hints before you have begun: the function's docstring says what to write."
NOTHING_TO_HINT = "There is nothing to hint at."


@dataclass(frozen=True)
class Solved:
    """The step that was shown, and now passes. why: the idea behind what was wrong, "" where nothing was"""

    what: str
    why: str = ""
    told: bool = False  # whether `why` is shown


@dataclass(frozen=True)
class Shown:
    """name: what is watched. result: what stands; None before the first run has come to its end.

    hints: how many of the next step's hints are shown. saved: the files that were saved last
    running: whether something runs; to_run, judged: its checks, and those that have answered; going_on: the long one's
    news: what the last save has changed; note: an answer to a key; trouble: why nothing can be graded
    """

    name: str
    result: Result | None = None
    hints: int = 0
    saved: tuple[str, ...] = ()
    running: bool = False
    to_run: tuple[str, ...] = ()
    judged: tuple[CheckResult, ...] = ()
    unchanged: int = 0
    seconds: float = 0.0
    going_on: str = ""
    news: tuple[str, ...] = ()
    solved: Solved | None = None
    whys: Mapping[str, str] = field(default_factory=dict)
    before: Result | None = None  # of the last run that came to its end
    view: Literal["step", "all", "help"] = "step"
    note: str = ""
    trouble: str = ""


def asked(shown: Shown, saved: tuple[str, ...] = ()) -> Shown:
    """A save, or a wish to run: it is seen at once."""
    return replace(
        shown,
        saved=saved,
        running=True,
        to_run=(),
        judged=(),
        going_on="",
        note="",
        view="step",
    )


def heard(shown: Shown, event: Event) -> Shown:
    """What an event of the session changes."""
    if isinstance(event, Begun):
        return replace(shown, to_run=event.to_run, unchanged=event.unchanged, trouble="", solved=None, news=())
    if isinstance(event, GoingOn):
        return replace(shown, going_on=event.words)
    if isinstance(event, NotGraded):
        words = "This is a fault of the grader, not yours: " if event.ours else ""
        return replace(shown, running=False, trouble=words + event.why)
    if isinstance(event, Judged):
        shown = replace(shown, judged=(*shown.judged, event.check))
        return with_result(shown, event.standing) if event.standing is not None else shown
    return ended(shown, event)


def ended(shown: Shown, event: Ended) -> Shown:
    shown = with_result(shown, event.result)
    return replace(
        shown,
        running=False,
        unchanged=event.unchanged,
        seconds=event.seconds,
        before=event.result,
        whys=event.whys,
    )


def with_result(shown: Shown, result: Result) -> Shown:
    """Another result stands. Hints that were asked for stay while the step is the same.

    Where the step that was shown is passed and the next one is another function's, the student is not moved on.
    """
    step, ahead, solved = shown.before.next_step if shown.before is not None else None, result.next_step, shown.solved
    if step is not None and status_of(result, step.id) == "passed" and (ahead is None or ahead.todo != step.todo):
        solved = solved or Solved(f"{step.title}.", shown.whys.get(step.id, ""))
    else:
        solved = None
    same = shown.result is not None and identity(shown.result) == identity(result)
    lines = tuple(news(shown.before, result))
    return replace(shown, result=result, hints=shown.hints if same else 0, solved=solved, news=lines)


def identity(result: Result) -> tuple[str, str | None]:
    step = result.next_step
    return (step.id, step.finding) if step is not None else ("", None)


def status_of(result: Result, check_id: str) -> str:
    return next((check.status for check in result.checks if check.id == check_id), "")


def news(before: Result | None, now: Result) -> list[str]:
    """What has changed between two runs, the good first."""
    if before is None:
        return []
    was, done = done_todos(before.checks), done_todos(now.checks)
    lines = [f"TODO {todo} done: {points} points." for todo, points in done.items() if todo not in was]
    old = {check.id: check.status for check in before.checks}
    more = [c for c in now.checks if c.status == "passed" != old.get(c.id) and c.todo not in done]
    less = [c for c in now.checks if c.status != "passed" and old.get(c.id) == "passed"]
    if len(more) == 1:
        lines.append(f"Now it passes: {more[0].title}.")
    elif more:
        lines.append(f"{len(more)} more checks pass.")
    lines += [f"No longer passes: {check.title}." for check in less[:1]]
    lines += [f"{len(less) - 1} more no longer pass."] if len(less) > 1 else []
    if not lines and now.score != before.score:
        lines.append(f"{abs(now.score - before.score)} points {'more' if now.score > before.score else 'fewer'}.")
    return lines


# -- keys ------------------------------------------------------------------------------------------------------------


def hinted(shown: Shown) -> Shown:
    """`h`: the idea behind what has just been solved; then the next step; then its hints, one by one."""
    if shown.result is None:
        return replace(shown, note=NOTHING_TO_HINT)
    if shown.solved is not None:
        if shown.solved.why and not shown.solved.told:
            return replace(shown, view="step", note="", solved=replace(shown.solved, told=True))
        return replace(shown, view="step", note="", solved=None)
    step = shown.result.next_step
    if step is None:
        return replace(shown, note=NOTHING_TO_HINT)
    if step.status not in NEEDS_ATTENTION:
        return replace(shown, view="step", note=NO_HINT)
    told = len(hints_of(step))
    return replace(shown, view="step", hints=min(shown.hints + 1, told), note=LAST_HINT if shown.hints >= told else "")


def turned(shown: Shown, view: Literal["all", "help"]) -> Shown:
    """`a` and `?`: pressed again, the step comes back."""
    return replace(shown, view="step" if shown.view == view else view, note="")


def hints_of(step: CheckResult) -> list[str]:
    """What may be asked for of a step that was begun: the cause, where to look, a question."""
    return step.hint.splitlines() if step.status in NEEDS_ATTENTION else []


def step_words(shown: Shown) -> tuple[str, list[str]]:
    """The heading of the next step, and as many of its lines as were asked for; ("", []) when there is none."""
    if shown.result is None:
        return "", []
    heading, texts = next_step(shown.result)
    step = shown.result.next_step
    hidden = max(0, len(hints_of(step)) - shown.hints) if step is not None else 0
    return heading, texts[: len(texts) - hidden]
