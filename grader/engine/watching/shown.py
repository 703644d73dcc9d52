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
STILL_RUNS = "There is nothing to hint at yet: wait for the check that runs."


@dataclass(frozen=True)
class Solved:
    """The step that was shown, and now passes. why: the idea behind what was wrong, "" where nothing was"""

    what: str
    why: str = ""
    told: bool = False  # whether `why` is shown


@dataclass(frozen=True)
class Shown:
    """name: what is watched. long: the id of the check that takes long

    result: what stands; None before the first run has come to its end
    opened: (check, finding, how many of its hints were asked for). saved: the files that were saved last
    silent: seconds since anything was told of a run
    running: whether something runs; to_run, judged: its checks, and those that have answered; going_on: the long one's
    news: what the last save has changed; note: an answer to a key; trouble: why nothing can be graded
    """

    name: str
    long: str = ""
    result: Result | None = None
    opened: tuple[str, str | None, int] = ("", None, 0)
    saved: tuple[str, ...] = ()
    running: bool = False
    to_run: tuple[str, ...] = ()
    judged: tuple[CheckResult, ...] = ()
    unchanged: int = 0
    seconds: float = 0.0
    going_on: str = ""
    silent: int = 0
    news: tuple[str, ...] = ()
    solved: Solved | None = None
    whys: Mapping[str, str] = field(default_factory=dict)
    before: Result | None = None  # of the last run that came to its end
    view: Literal["step", "all", "help"] = "step"
    note: str = ""
    trouble: str = ""

    @property
    def pending(self) -> frozenset[str]:
        """The checks that run now: what `result` says of them is of an earlier run."""
        return frozenset(self.to_run) - {check.id for check in self.judged} if self.running else frozenset()

    @property
    def known(self) -> Result | None:
        """What stands, without the long check while that one runs: what it said of an earlier run may be wrong now."""
        if self.result is None or self.long not in self.pending:
            return self.result
        return replace(self.result, checks=tuple(check for check in self.result.checks if check.id != self.long))

    @property
    def step(self) -> CheckResult | None:
        """The next step."""
        return self.known.next_step if self.known is not None else None

    @property
    def hints(self) -> int:
        """How many hints of the next step are shown."""
        return self.opened[2] if self.opened[:2] == identity(self.step) else 0


def asked(shown: Shown, saved: tuple[str, ...] = ()) -> Shown:
    """A save, or a wish to run: it is seen at once."""
    return replace(
        shown,
        saved=saved,
        running=True,
        to_run=(),
        judged=(),
        going_on="",
        silent=0,
        note="",
        view="step",
    )


def heard(shown: Shown, event: Event) -> Shown:
    """What an event of the session changes."""
    shown = replace(shown, silent=0)
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
    before, shown = identity(shown.step), with_result(replace(shown, running=False), event.result)
    return replace(
        shown,
        note=shown.note if identity(shown.step) == before and shown.note != STILL_RUNS else "",
        unchanged=event.unchanged,
        seconds=event.seconds,
        before=event.result,
        whys=event.whys,
    )


def with_result(shown: Shown, result: Result) -> Shown:
    """Another result stands.

    Where the step that was shown is passed and the next one is a function that nobody has begun, the student is not
    moved on. What is wrong with one that was begun is said at once.
    """
    shown = replace(shown, result=result)
    step, ahead, solved = shown.before.next_step if shown.before is not None else None, shown.step, shown.solved
    if step is None or status_of(result, step.id) != "passed" or (ahead is not None and ahead.status != "todo"):
        solved = None
    elif ahead is None or ahead.todo != step.todo:
        why = shown.whys.get(step.id, "") if step.status == "failed" else ""  # a slip of typing has no idea behind it
        solved = solved or Solved(f"{step.title}.", why)
    return replace(shown, solved=solved, news=tuple(news(shown.before, result)))


def identity(step: CheckResult | None) -> tuple[str, str | None]:
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
    if len(less) > 1:
        lines.append("1 more no longer passes." if len(less) == 2 else f"{len(less) - 1} more no longer pass.")
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
        if shown.step is not None:
            return replace(shown, view="step", note="", solved=None)
    step = shown.step
    if step is None:
        return replace(shown, note=STILL_RUNS if shown.pending else NOTHING_TO_HINT)
    if step.status not in NEEDS_ATTENTION:
        return replace(shown, view="step", note=NO_HINT)
    told = len(hints_of(step))
    opened = (*identity(step), min(shown.hints + 1, told))
    return replace(shown, view="step", opened=opened, note=LAST_HINT if shown.hints >= told else "")


def turned(shown: Shown, view: Literal["all", "help"]) -> Shown:
    """`a` and `?`: pressed again, the step comes back."""
    return replace(shown, view="step" if shown.view == view else view, note="")


def hints_of(step: CheckResult) -> list[str]:
    """What may be asked for of a step that was begun: the cause, where to look, a question."""
    return step.hint.splitlines() if step.status in NEEDS_ATTENTION else []


def step_words(shown: Shown) -> tuple[str, list[str]]:
    """The heading of the next step, and as many of its lines as were asked for; ("", []) when there is none."""
    if shown.known is None:
        return "", []
    heading, texts = next_step(shown.known)
    step = shown.step
    hidden = max(0, len(hints_of(step)) - shown.hints) if step is not None else 0
    return heading, texts[: len(texts) - hidden]
