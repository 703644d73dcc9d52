"""What the handout and the notebook are told: the course's own texts, and every number the grader uses."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound, TemplateSyntaxError

from grader.authoring.course import UNNAMED, load_course
from grader.contract import WEEK
from grader.engine.causes import load_causes
from grader.engine.hints import load_links
from grader.engine.printable import listed
from grader.engine.rubric import BadRubric, load_toml

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def context(root: Path) -> dict[str, Any]:
    """Everything a template may use: course.toml, the rubric, the contract, and the checks part by part.

    named: each part by its name; files: those that are handed in; todo_count: how many functions a student writes
    causes: the rows of hints/causes*.toml that the handout shows
    fetched: the repository that a notebook on its own fetches, "" while course.toml names none
    work: the folder that a student gets; bundled: folders in it that hold data; data: what they hold
    """
    course = load_course(root)
    bundle = WEEK.bundle(root / WEEK.work, course.get("data"))
    rubric = load_toml(root / "grader" / "rubric.toml")
    pages = load_links(root / "grader" / "hints")
    parts = [part(name, course["parts"][name], rubric["points"], pages) for name in WEEK.part_names]
    if unjudged := set(WEEK.todo).difference(*(one["todos"] for one in parts)):
        raise BadRubric(f"grader/contract.py has TODO {min(unjudged)}, and no check in grader/checks/ judges it.")
    return {
        **course,
        "rubric": rubric,
        "parts": parts,
        "named": {one["name"]: one for one in parts},
        "files": list(WEEK.files),
        "todo_count": len(WEEK.todos),
        "fetched": "" if UNNAMED in course["repository"] else course["repository"],
        "work": WEEK.work,
        "bundled": list(WEEK.bundled),
        "data": bundle.values,
        "bundle": bundle,
        "causes": [cause for cause in load_causes(root / "grader" / "hints") if cause.shown],
        "total": sum(rubric["points"].values()),
    }


def part(name: str, text: dict[str, Any], points: dict[str, int], pages: dict[str, str]) -> dict[str, Any]:
    """One part of the assignment: its text, its files and TODOs, its checks and what they are worth.

    pages: {name: address}; those to read before its TODOs are begun stand in the part's own "pages"
    """
    reading = dict.fromkeys(page for todo in WEEK.todos_of(name) for page in todo.read if page in pages)
    checks = [
        {"title": check.title, "todo": check.todo, "points": points[check.id]}
        for check in WEEK.checks
        if check.part == name
    ]
    return {
        **text,
        "name": name,
        "files": list(WEEK.files_of(name)),
        "todos": [todo.number for todo in WEEK.todos_of(name)],
        "checks": checks,
        "pages": [{"name": page.replace("_", " "), "address": pages[page]} for page in reading],
        "points": sum(check["points"] for check in checks),
    }


def in_words(number: int) -> str:
    """Small numbers as a sentence has them: seven, 13."""
    return NUMBERS[number] if 0 <= number < len(NUMBERS) else str(number)


def render(root: Path, template: str, values: dict[str, Any]) -> str:
    """A template of templates/, filled in. A name it does not know is an error, never an empty gap.

    Raises BadRubric.
    """
    environment = Environment(
        loader=FileSystemLoader(root / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the output is Markdown and Python, not HTML
    )
    environment.filters["shell"] = shlex.quote
    environment.filters["listed"] = listed
    environment.filters["in_words"] = in_words
    environment.filters["percent"] = lambda share: f"{100 * share:.10g} %"
    try:
        text = environment.get_template(template).render(values)
    except TemplateNotFound as error:
        raise BadRubric(f"templates/{error.name} is missing; put it back.") from error
    except UnicodeDecodeError as error:
        raise BadRubric(f"templates/{template}, or what it includes, is not UTF-8; save it as UTF-8.") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise BadRubric(f"templates/{template} cannot be filled in: {type(error).__name__}: {error}.") from error
    except TemplateError as error:
        line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        known = "What templates may use stands in course.toml, rubric.toml and contract.py."
        raise BadRubric(f"templates/{template}{line}: {error.message}. {known}") from error
    return text.replace("\r\n", "\n")
