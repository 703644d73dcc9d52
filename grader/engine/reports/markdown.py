"""summary.md: the report as Markdown, for a step summary, a release page or a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from grader.engine.printable import apart, clean, one_line
from grader.engine.reports.words import (
    STATUS_WORDS,
    headline,
    isolation_words,
    next_step,
    others,
    practice_notice,
    praise,
    score_words,
)
from grader.engine.result import Result

# Everything that Markdown or the HTML in it could take as markup; backslashes make it plain text (CommonMark 2.4).
SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&@:$^=])")


def escape(text: str) -> str:
    """Text on one line that no Markdown renderer takes as markup."""
    return SPECIAL.sub(r"\\\1", one_line(text, 2000))


def linked(text: str, links: Sequence[str]) -> str:
    """The same, with these addresses to click on."""
    pieces = apart(one_line(text, 2000), links)
    return "".join(f"<{piece}>" if is_link else SPECIAL.sub(r"\\\1", piece) for piece, is_link in pieces)


def code(text: str) -> str:
    """Lines in a fenced block that the text itself cannot close."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", text))])
    return f"{fence}text\n{text}\n{fence}"


def paragraph(text: str, links: Sequence[str]) -> str:
    """A text with its links; what has several lines is code and stays as it is."""
    if "\n" not in text:
        return linked(text, links)
    return code("\n".join(line[:300] for line in clean(text[:4000]).splitlines()[:12]))


def summary(result: Result) -> str:
    notice = practice_notice(result)
    lines = [escape(notice), ""] if notice else []
    lines += [f"# {score_words(result)}", ""]
    if words := headline(result):
        lines += [words[0].upper() + words[1:] + ".", ""]
    lines += ["| Part | Points |", "| --- | ---: |"]
    lines += [f"| {escape(p['name'].capitalize())} | {p['score']}/{p['max_score']} |" for p in result.parts]
    heading, texts = next_step(result)
    if not heading:
        heading, texts = praise(result)
    lines += ["", f"## {escape(heading)}", ""]
    for text in filter(None, texts):
        lines += [paragraph(text, result.links), ""]
    if result.prints.strip():
        tail = clean(result.prints[-20_000:]).rstrip().splitlines()[-8:]
        lines += ["Your code printed:", "", code("\n".join(line[:300] for line in tail)), ""]
    for title, text in result.sections.text(result.recorded):
        lines += [f"## {title}", "", code(text), ""]
    lines += ["## All checks", "", "| Check | Part | Status | Points |", "| --- | --- | --- | ---: |"]
    for check in result.checks:
        status = STATUS_WORDS[check.status]
        lines.append(f"| {escape(check.title)} | {escape(check.part)} | {status} | {check.score}/{check.max_score} |")
    for check in others(result):
        lines += ["", f"### {escape(check.place)}", ""]
        lines += [paragraph(text, result.links) + "\n" for text in check.texts]
    lines += ["", *(escape(note) + "\n" for note in result.submission.get("notes", []))]
    lines += [f"Seed {result.seed}, {result.seconds:.0f} s, isolation: {escape(isolation_words(result))}.", ""]
    return "\n".join(lines)
