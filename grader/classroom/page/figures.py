"""What a class did not understand, and where its students stand: plain frozen data, made from the rows of a class."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from grader.classroom.grades import NOTHING, Row
from grader.classroom.page.private import Quiet
from grader.engine.contract import Contract
from grader.engine.hints import Hint
from grader.engine.result import CheckResult, Result
from grader.engine.wording import FAULTS, place

OPEN = re.compile(r"\{\w+\}")  # in a hint's text: what a check fills in
LOOK = "Look here: "  # how the line of a hint begins that says where to look
IN_FRONT = {"file": "A file", "function": "A function", "what": "Something"}  # a heading never begins with dots


@dataclass(frozen=True)
class Overview:
    """The class in numbers. mean, median, lowest, highest: of the scores there are, None without any.

    listed: everybody; handed_in: who handed in something; graded: who has a score; began: who did more than hand in the
    skeleton; complete: who has all points
    """

    listed: int
    handed_in: int
    graded: int
    began: int
    complete: int
    max_score: int
    mean: float | None
    median: float | None
    lowest: int | None
    highest: int | None
    last_graded: str


@dataclass(frozen=True)
class Misconception:
    """A finding, and the students it was seen in.

    first: those whose first cause it is; followed: those who have it behind another first cause
    share: of those who began, 0..1; rank: 1 for the most frequent, the same for the same number of students
    sentence, cause, look, question: of one of them, with their own numbers and without their name
    why: what to say in class, "" where no hint knows the finding
    """

    id: str
    title: str
    first: tuple[Row, ...]
    followed: tuple[Row, ...]
    share: float
    rank: int
    sentence: str
    cause: str
    look: str
    question: str
    why: str


@dataclass(frozen=True)
class Step:
    """A TODO, and who stands at it. stuck: begun, and something is wrong; ahead: not begun, and next."""

    todo: int
    place: str
    stuck: tuple[Row, ...]
    ahead: tuple[Row, ...]


@dataclass(frozen=True)
class Standing:
    """Where everybody stands. untouched: handed in as it came. nothing: handed in nothing."""

    steps: tuple[Step, ...]
    complete: tuple[Row, ...]
    untouched: tuple[Row, ...]
    nothing: tuple[Row, ...]
    unknown: tuple[Row, ...]


def began(rows: Iterable[Row]) -> list[Row]:
    """Those who did more than hand in the skeleton."""
    return [row for row in rows if row.result is not None and not row.result.untouched]


def overview(rows: Sequence[Row]) -> Overview:
    scores = [row.score for row in rows if row.score is not None]
    results = [row.result for row in rows if row.result is not None]
    return Overview(
        listed=len(rows),
        handed_in=sum(row.status != NOTHING for row in rows),
        graded=len(scores),
        began=len(began(rows)),
        complete=sum(is_complete(result) for result in results),
        max_score=max((result.max_score for result in results), default=0),
        mean=fmean(scores) if scores else None,
        median=median(scores) if scores else None,
        lowest=min(scores, default=None),
        highest=max(scores, default=None),
        last_graded=max((result.started_at for result in results), default=""),
    )


def is_complete(result: Result) -> bool:
    return bool(result.checks) and all(check.status == "passed" for check in result.checks)


def first_cause(result: Result | None) -> CheckResult | None:
    """The next step, where it is something that was found; None where it is a TODO that nobody has begun."""
    step = result.next_step if result is not None else None
    return step if step is not None and step.status in FAULTS and step.finding else None


def misconceptions(rows: Sequence[Row], hints: Mapping[str, Hint], quiet: Quiet) -> tuple[Misconception, ...]:
    """Every finding of the class: those that most students have as first cause first."""
    first: defaultdict[str, list[tuple[Row, CheckResult]]] = defaultdict(list)
    followed: defaultdict[str, list[tuple[Row, CheckResult]]] = defaultdict(list)
    for row in rows:
        cause = first_cause(row.result)
        found = [c for c in row.result.checks if c.status in FAULTS and c.finding] if row.result else []
        if cause is not None:
            first[str(cause.finding)].append((row, cause))
        once = {c.finding: c for c in reversed(found) if cause is None or c.finding != cause.finding}
        for check in once.values():
            followed[str(check.finding)].append((row, check))
    whole = len(began(rows)) or 1
    made = [
        misconception(finding, first[finding], followed[finding], hints.get(finding), whole, quiet)
        for finding in {**first, **followed}
    ]
    more = Counter(len(m.first) for m in made)
    made = [replace(m, rank=1 + sum(n for count, n in more.items() if count > len(m.first))) for m in made]
    return tuple(sorted(made, key=lambda m: (-len(m.first), -len(m.followed), m.id)))


def misconception(
    finding: str,
    first: Sequence[tuple[Row, CheckResult]],
    followed: Sequence[tuple[Row, CheckResult]],
    hint: Hint | None,
    whole: int,
    quiet: Quiet,
) -> Misconception:
    """whole: how many began. Its rank is not known here."""
    row, check = example(first or followed, quiet)
    lines = quiet(check.hint, row).splitlines()
    look = next((line.removeprefix(LOOK) for line in lines if line.startswith(LOOK)), "")
    others = [line for line in lines if not line.startswith(LOOK)]
    return Misconception(
        id=finding,
        title=quiet(title_of(finding, hint, [check.message for _, check in [*first, *followed]]), row),
        first=tuple(row for row, _ in first),
        followed=tuple(row for row, _ in followed),
        share=len(first) / whole,
        rank=0,
        sentence=quiet(untitled(check.message, hint), row),
        cause=others[0] if others else "",
        look=look,
        question=others[-1] if len(others) > 1 else "",
        why=OPEN.sub("...", hint.why) if hint is not None else "",
    )


def example(found: Sequence[tuple[Row, CheckResult]], quiet: Quiet) -> tuple[Row, CheckResult]:
    """The most frequent wording, of those that can be shown as they stand if there is one."""
    often = Counter(check.message for _, check in found)
    ranked = sorted(found, key=lambda one: (-often[one[1].message], one[1].message, one[0].id))
    told = ((row, check) for row, check in ranked if quiet(check.message, row) == check.message)
    return next(told, ranked[0])


def title_of(finding: str, hint: Hint | None, messages: Sequence[str]) -> str:
    """The heading of a finding: with its facts where all students have the same, else with dots in their place."""
    if hint is None:
        return finding
    told = {match[1] for match in (re.match(titled(hint), text) for text in messages) if match}
    return told.pop() if len(told) == 1 else without_facts(hint.title)


def titled(hint: Hint) -> str:
    """A pattern for the heading that a message of this finding begins with."""
    return f"({'.+?'.join(re.escape(piece) for piece in OPEN.split(hint.title))})\\. "


def untitled(message: str, hint: Hint | None) -> str:
    """A message without the heading it begins with."""
    return re.sub(f"^{titled(hint)}", "", message) if hint is not None else message


def short_title(finding: str, hints: Mapping[str, Hint]) -> str:
    """The heading of a finding without its facts."""
    return without_facts(hints[finding].title) if finding in hints else finding


def heading(cause: CheckResult, hints: Mapping[str, Hint]) -> str:
    """The heading of one student's finding, with its facts."""
    return title_of(str(cause.finding), hints.get(str(cause.finding)), [cause.message])


def without_facts(title: str) -> str:
    """A heading as it is said of several: "A file is missing", "Your ... is there"."""
    first = OPEN.match(title)
    if first is not None:
        title = IN_FRONT.get(first[0].strip("{}"), "...") + title[first.end() :]
    return OPEN.sub("...", title)


def standing(rows: Sequence[Row], contract: Contract) -> Standing:
    """Which TODO is next for whom."""
    stuck: defaultdict[int, list[Row]] = defaultdict(list)
    ahead: defaultdict[int, list[Row]] = defaultdict(list)
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        result = row.result
        step = result.next_step if result is not None else None
        if result is None:
            groups["nothing" if row.status == NOTHING else "unknown"].append(row)
        elif result.untouched:
            groups["untouched"].append(row)
        elif is_complete(result):
            groups["complete"].append(row)
        elif step is None:
            groups["unknown"].append(row)
        else:
            (ahead if step.status == "todo" else stuck)[step.todo].append(row)
    numbers = sorted({*contract.todo, *stuck, *ahead})
    steps = (Step(n, place(contract, n, ()), tuple(stuck[n]), tuple(ahead[n])) for n in numbers)
    names = ("complete", "untouched", "nothing", "unknown")
    return Standing(tuple(steps), *(tuple(groups[name]) for name in names))
