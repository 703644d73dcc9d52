"""What Gradescope reads: /autograder/results/results.json.

The format is described under "Output format" in Gradescope's autograder documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grader.engine.printable import clean, one_line
from grader.engine.reports.markdown import code, escape, paragraph, summary
from grader.engine.reports.words import STATUS_WORDS, practice_notice, score_words
from grader.engine.result import SCHEMA, CheckResult, Result


def results_json(result: Result, visibility: Mapping[str, str] | None = None) -> dict[str, Any]:
    """results.json: one test per check, in report order.

    visibility: [visibility] of rubric.toml, {check id, part or "default": "visible", "hidden", ...}; the score is
    shown either way.
    """
    shown = visibility or {}
    first = result.next_step
    hidden = first is not None and seen_by(first, shown) != "visible"
    results: dict[str, Any] = {
        **({"score": result.score} if result.final else {}),  # without any score Gradescope asks for one by hand
        "execution_time": round(result.seconds),
        "output": score_alone(result) if hidden else overview(result),
        "output_format": "md",
        "test_output_format": "md",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [test(check, number, shown, result) for number, check in numbered(result)],
        "extra_data": {
            "schema": SCHEMA,
            "seed": result.seed,
            "digest": one_line(str(result.submission.get("digest", "")), 100),
        },
    }
    return results


def score_alone(result: Result) -> str:
    """What stands on top while the check of the next step is not to be seen."""
    notice = practice_notice(result)
    return "\n\n".join([*([escape(notice)] if notice else []), f"{score_words(result)}."])


def overview(result: Result) -> str:
    """The summary up to its table of checks, which Gradescope lists itself."""
    return summary(result).rsplit("\n## All checks", 1)[0] + "\n"


def numbered(result: Result) -> list[tuple[str, CheckResult]]:
    """(check's number, check): 1.1 is the first check of the first part."""
    places: dict[str, int] = {}
    parts = [part["name"] for part in result.parts]
    numbers = []
    for check in result.checks:
        places[check.part] = places.get(check.part, 0) + 1
        numbers.append((f"{parts.index(check.part) + 1}.{places[check.part]}", check))
    return numbers


def test(check: CheckResult, number: str, visibility: Mapping[str, str], result: Result) -> dict[str, Any]:
    return {
        "name": one_line(check.title, 200),
        "name_format": "text",
        "number": number,
        **({"score": check.score, "max_score": check.max_score} if result.final else {}),
        "status": "passed" if check.status == "passed" else "failed",
        "output": output(check, result.links),
        "output_format": "md",
        "tags": [check.part, f"TODO {check.todo}"],
        "visibility": seen_by(check, visibility),
        "extra_data": {"id": check.id, "status": check.status, "finding": one_line(check.finding or "", 100) or None},
    }


def seen_by(check: CheckResult, visibility: Mapping[str, str]) -> str:
    """Who sees a check: what is said of it, else of its part, else of all."""
    return visibility.get(check.id) or visibility.get(check.part) or visibility.get("default", "visible")


def output(check: CheckResult, links: Sequence[str]) -> str:
    if check.status == "passed":
        return ""
    paragraphs = [
        f"**{STATUS_WORDS[check.status]}** {escape(check.place)}",
        *(paragraph(text, links) for text in check.texts),
    ]
    if not check.quote and check.frames and check.frames[-1]["line"]:
        frame = check.frames[-1]
        paragraphs.append(code(clean(f"{frame['file']}, line {frame['line']}: {frame['text']}")[:400]))
    return "\n\n".join(text for text in paragraphs if text)
