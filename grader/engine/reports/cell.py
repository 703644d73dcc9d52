"""The report below a notebook's cell: short, as HTML for light and dark pages of any width, and as text."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
from rich.console import Console

from grader.engine.check import Check
from grader.engine.contract import Contract
from grader.engine.printable import clean
from grader.engine.reports import terminal
from grader.engine.reports.html import HERE, environment, parts, prints
from grader.engine.reports.words import (
    done_todos,
    headline,
    next_step,
    others,
    praise,
    progress_words,
    score_words,
)
from grader.engine.result import CheckResult, Result

TERMINAL, MAGIC = "`pytest grader/`", "`%grade`"  # how a run is started: in our sentences, and here


def html(result: Result, all_hints: bool = False, ran: Mapping[int, int] | None = None) -> str:
    """The report as a piece of a page. It takes the page's own colours, so that it fits to any theme.

    ran: {TODO: the number of the run that its cell is from}
    """
    heading, texts = next_step(result)
    done = not heading
    step = result.next_step
    number = None
    if step is not None and step.status not in ("todo", "grader_error"):
        told = re.search(r"TODO (\d+)", step.place)  # a cell that cannot be read stops those of other TODOs
        number = (ran or {}).get(int(told[1]) if told else step.todo)
    if done:
        heading, texts = praise(result)
    return template().render(
        result=result,
        score=score_words(result).removeprefix("Score ").replace("/", " of "),
        headline=headline(result),
        reached=progress_words(result),
        number=number,
        heading=heading,
        texts=[text.replace(TERMINAL, MAGIC) for text in texts],
        done=done,
        parts=[part | {"todos": done_todos([e["check"] for e in part["checks"]])} for part in parts(result)],
        others=others(result),
        all_hints=all_hints,
        prints=prints(result),
    )


@cache
def template() -> jinja2.Template:
    return environment(HERE).get_template("cell.html.j2")


def text(result: Result, all_hints: bool = False) -> str:
    """The same for a page that shows no HTML."""
    console = Console(file=io.StringIO(), width=terminal.WIDTH, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(terminal.report(result, all_hints), markup=False)
    lines = [line.rstrip() for line in captured.get().replace(TERMINAL, MAGIC).splitlines()]
    return clean("\n".join([*lines, *result.submission.get("notes", [])])).strip("\n") + "\n"


def live(
    checks: Sequence[Check], done: Mapping[str, CheckResult], contract: Contract, going_on: str, between: str = " · "
) -> str:
    """How far a run is, on one line: "data 20/20 · model 3 of 7 checked · ..."."""
    told: list[str] = []
    found: dict[str, Any] = {part: [c for c in checks if c.part == part] for part in contract.part_names}
    for part, own in found.items():
        finished = [done[check.id] for check in own if check.id in done]
        if not own:
            continue
        if len(finished) == len(own):
            told.append(f"{part} {sum(c.score for c in finished)}/{sum(c.max_score for c in finished)}")
        elif finished:
            told.append(f"{part} {len(finished)} of {len(own)} checked")
        elif part == contract.part_of(contract.long):
            told.append(f"{part}: {going_on}")
    return between.join(told) or "the grader is starting."
