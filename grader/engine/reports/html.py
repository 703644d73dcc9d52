"""report.html: the report a student opens. One file, offline, no scripts; every text in it is escaped.

The page's form stands in report.html.j2 and look.css; this module gathers what it shows. Below the checks the week puts
sections of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from grader.engine.printable import apart, clean
from grader.engine.reports.words import (
    STATUS_WORDS,
    SYMBOLS,
    headline,
    isolation_words,
    next_step,
    practice_notice,
    praise,
    score_words,
)
from grader.engine.result import CheckResult, Result

HERE = Path(__file__).resolve().parent
TEXT_LIMIT = 4000  # characters of any one text


def report(result: Result) -> str:
    """The whole page."""
    heading, texts = next_step(result)
    if not heading:
        heading, texts = praise(result)
    return page().render(
        result=result,
        parts=parts(result),
        score=score_words(result).replace("/", " of "),
        heading=heading,
        texts=texts,
        headline=headline(result),
        isolation=isolation_words(result),
        notice=practice_notice(result),
        prints=prints(result),
        look=Markup(look()),
        style=Markup(result.sections.style),
        sections=Markup(result.sections.html(result.recorded, result.evidence)),
    )


@cache
def page() -> jinja2.Template:
    return environment(HERE).get_template("report.html.j2")


@cache
def look() -> str:
    """The CSS that all pages share: colours, dark and light, tables, bars, print."""
    return (HERE / "look.css").read_text(encoding="utf-8")


def environment(folder: Path) -> jinja2.Environment:
    """What templates of a page are rendered with: every text escaped, printable and of bounded length."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=fit_to_show,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["linked"] = linked
    return made


def fit_to_show(value: Any) -> Any:
    """Texts without control characters and of bounded length; jinja escapes them after this."""
    if isinstance(value, str) and not isinstance(value, Markup):
        text = clean(value[: 2 * TEXT_LIMIT])
        return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + " ..."
    return value


def linked(text: str, links: Sequence[str]) -> Markup:
    """The text escaped, with these addresses as links and `code` as code; other addresses stay text, whoever wrote
    them."""
    anchor = Markup('<a href="{0}" rel="noreferrer">{0}</a>')
    pieces = apart(fit_to_show(text), links)
    return Markup("").join(anchor.format(piece) if is_link else with_code(piece) for piece, is_link in pieces)


def with_code(text: str) -> Markup:
    """The text escaped; what stands between two backticks on a line as code."""
    between = re.split(r"`([^`\n]+)`", text)
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(piece) if at % 2 else escape(piece) for at, piece in enumerate(between))


def parts(result: Result) -> list[dict[str, Any]]:
    """Each part with its checks, and each check with what the page says of it."""
    told: dict[tuple[Any, ...], str] = {}
    if first := result.next_step:
        told[finding_of(first)] = ""
    made = []
    for part in result.parts:
        entries = [shown(check, told) for check in result.checks if check.part == part["name"]]
        made.append(part | {"checks": entries, "passed": [entry for entry in entries if entry["kind"] == "good"]})
    return made


def finding_of(check: CheckResult) -> tuple[Any, ...]:
    return (check.finding, check.message, check.hint)


def shown(check: CheckResult, told: dict[tuple[Any, ...], str]) -> dict[str, Any]:
    """A check for the page. told: findings shown so far, so that the same words stand there once; "" as next step."""
    key = finding_of(check)
    same = told.get(key) if check.message else None
    told[key] = told.get(key) or check.title
    return {
        "check": check,
        "symbol": SYMBOLS[check.status],
        "word": STATUS_WORDS[check.status],
        "place": check.place,
        "same": same,
        "hints": [] if same is not None or check.status in ("todo", "blocked") else check.hint.splitlines(),
        "kind": "good" if check.status == "passed" else "rest" if check.status in ("todo", "blocked") else "attention",
    }


def prints(result: Result) -> str:
    tail = clean(result.prints[-20_000:]).rstrip().splitlines()[-12:]
    return "\n".join(line[:300] for line in tail)
