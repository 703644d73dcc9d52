"""What the handout and the notebook are told: the course's own texts, and every number the grader uses."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError

from grader.authoring.course import load_course
from grader.contract import WEEK
from grader.engine.rubric import BadRubric, load_toml


def context(root: Path) -> dict[str, Any]:
    """Everything a template may use: course.toml, the rubric, and the checks part by part."""
    course = load_course(root)
    rubric = load_toml(root / "grader" / "rubric.toml")
    return {
        **course,
        "rubric": rubric,
        "parts": [part(name, course["parts"][name], rubric["points"]) for name in WEEK.part_names],
        "total": sum(rubric["points"].values()),
    }


def part(name: str, text: dict[str, Any], points: dict[str, int]) -> dict[str, Any]:
    """One part of the assignment: its text, its checks and what they are worth."""
    checks = [
        {"title": check.title, "todo": check.todo, "points": points[check.id]}
        for check in WEEK.checks
        if check.part == name
    ]
    return {**text, "name": name, "checks": checks, "points": sum(check["points"] for check in checks)}


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
    environment.filters["percent"] = lambda share: f"{100 * share:.10g} %"
    try:
        text = environment.get_template(template).render(values)
    except TemplateError as error:
        line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        known = "What templates may use stands in course.toml and rubric.toml."
        raise BadRubric(f"templates/{template}{line}: {error.message}. {known}") from error
    return text.replace("\r\n", "\n")
