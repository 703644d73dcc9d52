"""The report a student reads in the terminal: points by part, then the one next step."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.engine.check import Check
from grader.engine.printable import can_print
from grader.engine.reports.words import (
    SYMBOLS,
    done_todos,
    headline,
    next_step,
    others,
    part_words,
    praise,
    progress_words,
    score_words,
)
from grader.engine.result import FULL_MARKS, CheckResult, Result

ASCII = {"passed": "+", "failed": "x", "todo": ".", "blocked": "-", "timeout": "!", "crashed": "!", "grader_error": "?"}
STYLES = {"passed": "green", "failed": "yellow", "timeout": "yellow", "crashed": "yellow", "grader_error": "magenta"}
WIDTH = 96


def console() -> Console:
    """Writes to the real standard output, in colour only where that is a terminal."""
    made = Console(highlight=False, soft_wrap=False)
    if not made.is_terminal or made.width > WIDTH:
        made = Console(highlight=False, width=min(made.width, WIDTH) if made.is_terminal else WIDTH)
    return made


def report(result: Result, all_hints: bool = False) -> RenderableType:
    """The whole report."""
    blocks: list[RenderableType] = [Text("")]
    for part in result.parts:
        blocks.append(part_block(part, result))
    total = Text()
    total.append(score_words(result), style="bold")
    if words := headline(result):
        total.append(f"   {words}")
    names = [p["name"] for p in result.parts]
    if result.max_score != FULL_MARKS:
        total.append(f"   (only {', '.join(names)})")
    blocks += [Text(""), total, Text("")]
    blocks += step_block(result)
    if result.prints.strip():
        blocks += prints_block(result.prints)
    rest = others(result)
    if all_hints:
        blocks += findings(rest)
    elif rest:
        more = "1 more finding" if len(rest) == 1 else f"{len(rest)} more findings"
        blocks += [Text(f"{more} after this one: --all-hints shows everything.", style="dim"), Text("")]
    return Group(*blocks)


def findings(checks: Sequence[CheckResult]) -> list[RenderableType]:
    """What each of them found, with all that is said of it."""
    blocks: list[RenderableType] = []
    for check in checks:
        blocks += [Text(check.place, style="bold"), *paragraphs(check.texts)]
    return blocks


def symbols() -> dict[str, str]:
    return SYMBOLS if can_print("".join(SYMBOLS.values())) else ASCII


def checks_of(part: Mapping[str, object], result: Result) -> list[CheckResult]:
    return [check for check in result.checks if check.part == part["name"]]


def part_head(part: Mapping[str, object], result: Result, style: str = "") -> Text:
    """A part's name and points, in columns. style: of the points."""
    column = max(10, *(len(one["name"]) + 2 for one in result.parts))
    head = Text()
    head.append(str(part["name"]).capitalize().ljust(column), style="bold")
    head.append(f"{part['score']:>3}/{part['max_score']}", style=style)
    return head


def part_block(part: Mapping[str, object], result: Result) -> RenderableType:
    """A part's points; where its checks differ, the TODOs that are done and the other checks."""
    head, checks = part_head(part, result), checks_of(part, result)
    longest = max(len(check.title) for check in result.checks)
    words = part_words(checks)
    if words:
        head.append(f"   {words}", style="dim")
        return head
    return Group(
        head, Padding(Fitting(lambda width: rows_of(checks, symbols(), min(longest, width - 13))), (0, 0, 0, 3))
    )


class Fitting:
    """What can be made only when it is known how wide it may be. make: of the characters that there are."""

    def __init__(self, make: Callable[[int], RenderableType]):
        self.make = make

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.make(options.max_width)


def rows_of(checks: Sequence[CheckResult], symbols: Mapping[str, str], width: int) -> RenderableType:
    """The TODOs that are done and the other checks, with points. width: at least, of the titles."""
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(min_width=max(width, 1))
    table.add_column(justify="right", no_wrap=True)
    done = done_todos(checks)
    for todo, points in done.items():
        table.add_row(
            Text(symbols["passed"], style="green"), Text(f"TODO {todo} done", style="green"), f"{points}/{points}"
        )
    for check in checks:
        if check.todo in done:
            continue
        style = STYLES.get(check.status, "dim")
        table.add_row(
            Text(symbols[check.status], style=style), Text(check.title, style=style), f"{check.score}/{check.max_score}"
        )
    return table


def step_block(result: Result) -> list[RenderableType]:
    heading, texts = next_step(result)
    reached = progress_words(result)
    if not heading:
        heading, texts = praise(result)
        return [Text(heading, style="bold green"), *paragraphs(texts)]
    above = [Text(reached, style="green"), Text("")] if reached else []
    return [*above, Text(heading, style="bold"), *paragraphs(texts)]


def paragraphs(texts: Sequence[str]) -> list[RenderableType]:
    """Texts one below the other; what has several lines is code and stays as it is."""
    return [
        *(Padding(as_it_is(text) if "\n" in text else Text(text), (0, 0, 0, 2)) for text in texts if text),
        Text(""),
    ]


def as_it_is(text: str) -> Text:
    return Text(f"\n{around_marks(text)}\n", no_wrap=True, overflow="ellipsis")


def around_marks(text: str) -> str:
    """A quoted line with marks below it; where the marks would stand beyond the edge, its beginning is left out."""
    *above, code, marks = text.split("\n")
    begin = len(marks) - len(marks.lstrip())
    if not marks.strip() or set(marks) - set(" ^~") or len(marks) <= WIDTH - 4:
        return text
    cut = min(begin - 4, len(code) - (WIDTH - 8))  # a little before the marks, but no further than needed
    inset = len(code) - len(code.lstrip())
    return text if cut <= inset else "\n".join([*above, f"    ...{code[cut:]}", f"       {marks[cut:]}"])


def prints_block(prints: str) -> list[RenderableType]:
    lines = prints.rstrip().splitlines()[-8:]
    pieces = [piece for line in lines for piece in textwrap.wrap(line[:200], WIDTH - 6) or [""]]
    return [Text("Your code printed:", style="dim"), *(Text(f"  | {piece}", style="dim") for piece in pieces), Text("")]


def progress(checks: Sequence[Check], done: Mapping[str, CheckResult], long: str, going_on: str) -> RenderableType:
    """The transient picture while a run is going on: one line per part. going_on: what the part `long` is doing."""
    table = Table.grid(padding=(0, 2))
    for part in dict.fromkeys(check.part for check in checks):
        own = [check for check in checks if check.part == part]
        finished = [done[check.id] for check in own if check.id in done]
        points = f"{sum(c.score for c in finished):>3}"
        state = f"{len(finished)} of {len(own)} checked"
        if part == long and not finished:
            state = going_on
        table.add_row(Text(part.capitalize(), style="bold"), points, Text(state, style="dim"))
    return table
