"""The frame that a student looks at: made of what is shown, the week and the size of the terminal, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console, Group, RenderableType
from rich.segment import Segment
from rich.styled import Styled
from rich.table import Table
from rich.text import Text

from grader.engine.contract import Contract
from grader.engine.printable import listed, one_line
from grader.engine.reports import terminal
from grader.engine.reports.words import done_todos, headline, others, praise, score_words
from grader.engine.result import Result
from grader.engine.watching.shown import Shown, hints_of, step_words

Lines = list[list[Segment]]

KEYS = (
    ("h", "next hint"),
    ("a", "all findings"),
    ("r", "run now"),
    ("o", "open report"),
    ("?", "help"),
    ("q", "quit"),
)
HELP = (
    "Save a file, and what it can change is checked again, the function that you changed first.",
    "h shows the next hint: what usually causes it, where to look, a question that leads there.",
    "a shows everything that was found, with all hints; a again goes back.",
    "r checks everything anew, also what has not changed.",
    "o opens report.html in your browser. It is written again after each run: reload the page to see it.",
    "q, or Ctrl-C, ends this. Your files are only read, never changed.",
)
CUT = {"step": "... a shows the rest", "all": "", "help": "... (this window is small)"}
SO_FAR = "Everything that was checked so far passes."
LONG_SECONDS = 3  # of a check without a word
LEAST = 3  # lines of the middle of a frame that are shown however small the window is


def frame(shown: Shown, contract: Contract, console: Console, height: int) -> Lines:
    """The lines of a frame, at most `height` of them except where everything was asked for (`a`).

    Where there is not room for all, these go one after the other: the list of checks, what the code printed, what has
    just changed, where the student stands, and the end of the next step; its beginning where hints were asked for.
    """
    draw = Drawing(console)
    below, view = draw.lines(bottom(shown, console.width)), MIDDLES[shown.view]
    if shown.view == "all":
        return [*draw.lines(*view(shown)), *below]
    room = height - len(below)
    small, line = standing(shown, contract, small=True), Group(doing(shown), Text(""))
    for top, changed, prints in (
        (standing(shown, contract), what_changed(shown), True),
        (small, what_changed(shown), True),
        (small, what_changed(shown), False),
        (small, line, False),
        (Group(), line, False),
    ):
        above = [*(draw.lines(top) if top.renderables else []), *draw.lines(changed)]
        middle = draw.lines(*view(shown if prints else without_prints(shown)))
        if len(above) + len(middle) <= room:
            return [*above, *middle, *below]
    return [*above, *cut(middle, room - len(above), shown, draw), *below][-height:]


def without_prints(shown: Shown) -> Shown:
    return replace(shown, result=replace(shown.result, prints="")) if shown.result is not None else shown


def cut(middle: Lines, room: int, shown: Shown, draw: Drawing) -> Lines:
    """As much of the middle as there is room for: with the newest hint, else from the beginning."""
    kept = max(LEAST, room) - 1
    mark = draw.lines(Text(CUT[shown.view], style="dim", no_wrap=True, overflow="ellipsis"))
    if shown.view == "step" and shown.hints:
        return [*middle[:1], *mark, *middle[len(middle) - kept + 1 :]] if kept > 1 else [*mark, *middle[-kept:]]
    return [*middle[:kept], *mark]


class Drawing:
    """Turns what rich can print into lines."""

    def __init__(self, console: Console):
        self.console = console

    def lines(self, *blocks: RenderableType) -> Lines:
        options = self.console.options.update(markup=False, highlight=False)
        return self.console.render_lines(Group(*blocks), options, pad=False) if blocks else []


# -- where the student stands ----------------------------------------------------------------------------------------


def standing(shown: Shown, contract: Contract, small: bool = False) -> Group:
    """Parts, points, TODOs. small: without the checks of a part."""
    title = Text(f"Watching {shown.name}", style="dim", no_wrap=True, overflow="ellipsis")
    if shown.result is None:
        done = {check.id: check for check in shown.judged}
        long = contract.part_of(contract.long)
        return Group(title, terminal.progress(contract.checks, done, long, shown.going_on or contract.live.waiting))
    result = shown.result
    parts: list[RenderableType] = []
    for part in result.parts:
        runs = shown.long in shown.pending and all(c.id == shown.long for c in terminal.checks_of(part, result))
        if small or runs:
            head = terminal.part_head(part, result, "dim" if runs else "")
            parts.append(head.append("   being checked", style="dim") if runs else head)
        else:
            parts.append(terminal.part_block(part, result))
    return Group(title, *parts, total(result, shown, contract))


def total(result: Result, shown: Shown, contract: Contract) -> RenderableType:
    line = Text(score_words(result), style="bold")
    line.append(f"   {len(done_todos(result.checks))} of {len(contract.todos)} TODOs done", style="not bold")
    if shown.long in shown.pending:
        line.append("   so far", style="not bold dim")
    elif words := headline(result):
        line.append(f"   {words}", style="not bold")
    return line


# -- what has just changed -------------------------------------------------------------------------------------------


def what_changed(shown: Shown) -> RenderableType:
    lines: list[RenderableType] = [Text("")]
    solved = shown.solved.what if shown.solved is not None else ""
    if solved and not any(line.startswith("TODO") or solved in line for line in shown.news):
        lines.append(Text(f"{terminal.symbols()['passed']} {solved}", style="green"))
    lines += [Text(line, style="yellow" if "o longer" in line else "green") for line in shown.news]
    return Group(*lines, doing(shown), Text(""))


def doing(shown: Shown) -> Text:
    """One line about the run that goes on, or the last one."""
    saved = one_line(f"{listed(shown.saved)} saved.", 80) + " " if shown.saved else ""
    if not shown.running:
        if shown.trouble or shown.result is None:
            return Text("")
        ran = len(shown.to_run)
        words = f"Checked: {ran} {'check' if ran == 1 else 'checks'} in {shown.seconds:.1f} s." if ran else ""
        if shown.unchanged:
            words += f" {shown.unchanged} not run again: unchanged."
        return Text(words.strip(), style="dim")
    line = Text(saved, style="cyan").append("Checking ...")
    if shown.to_run:
        line.append(f" {len(shown.judged)} of {len(shown.to_run)}")
    waited = f", for {shown.silent} s" if shown.silent >= LONG_SECONDS else ""
    if shown.going_on and shown.pending == {shown.long}:
        line.append(f": {shown.going_on}{waited}")
    elif waited and (first := next((name for name in shown.to_run if name in shown.pending), "")):
        titles = {check.id: check.title for check in shown.result.checks} if shown.result is not None else {}
        line.append(f": {titles.get(first, first)}{waited}")
    elif shown.judged:
        last = shown.judged[-1]
        line.append(f": {terminal.symbols()[last.status]} {last.title}", style=terminal.STYLES.get(last.status, "dim"))
    return line


# -- the middle ------------------------------------------------------------------------------------------------------


def step(shown: Shown) -> list[RenderableType]:
    """The one next step, with the hints that were asked for."""
    if shown.trouble:
        return terminal.paragraphs([shown.trouble])
    if shown.result is None:
        return []
    result, ahead = shown.result, shown.step
    heading, texts = step_words(shown)
    if shown.solved is not None and heading:
        why = [shown.solved.why] if shown.solved.told else []
        ready = f"When you are ready: {heading.removeprefix('Next step: ')}."
        press = "Press h to read why it matters." if shown.solved.why and not why else "Press h to see it."
        return [*(terminal.paragraphs(why) if why else []), *terminal.paragraphs([f"{ready} {press}"])]
    if not heading and shown.pending:
        return [Text(SO_FAR, style="green")]
    if not heading:
        heading, texts = praise(result)
        return [Text(heading, style="bold green"), *terminal.paragraphs(texts)]
    if ahead is not None and ahead.id in shown.pending:  # as it was before the save
        return [Text(heading, style="bold dim"), *(Styled(block, "dim") for block in terminal.paragraphs(texts))]
    blocks: list[RenderableType] = [Text(heading, style="bold"), *terminal.paragraphs(texts)]
    left = len(hints_of(ahead)) - shown.hints if ahead is not None else 0
    if left > 0:
        more = "1 more hint" if left == 1 else f"{left} more hints"
        blocks[-1:] = [Text(f"  {more}: h", style="dim"), Text("")]
    if result.prints.strip():
        blocks += terminal.prints_block(result.prints)
    return blocks


def findings(shown: Shown) -> list[RenderableType]:
    """Everything that was found, with all hints."""
    if shown.result is None or shown.trouble:
        return step(shown)
    return [*terminal.step_block(shown.result), *terminal.findings(others(shown.result))]


def help_text(shown: Shown) -> list[RenderableType]:
    return terminal.paragraphs(HELP)


MIDDLES = {"step": step, "all": findings, "help": help_text}


# -- the end ---------------------------------------------------------------------------------------------------------


def bottom(shown: Shown, width: int) -> RenderableType:
    """An answer to a key, and the keys."""
    note = [Text(one_line(shown.note, 400), style="magenta")] if shown.note else []
    return Group(*note, key_line(KEYS, width))


def key_line(keys: Sequence[tuple[str, str]], width: int) -> RenderableType:
    """The keys on one line; where that is too narrow, in columns."""
    line = Text()
    for key, words in keys:
        line.append(key, style="bold").append(f" {words}   ", style="dim")
    line.rstrip()
    if line.cell_len <= width:
        return line
    table = Table.grid(padding=(0, 2))
    cells = [Text(key, style="bold").append(f" {words}", style="not bold dim") for key, words in keys]
    for start in range(0, len(cells), 3):
        table.add_row(*cells[start : start + 3])
    return table
