"""What GitHub Actions reads: the step summary, annotations on the student's own lines, notices and outputs.

Workflow commands and their escaping: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
and packages/core/src/command.ts in actions/toolkit. Everything here is one command per line, and every line begins with
a command of ours, so text from a submission is never read as one.
"""

import json
import re

from grader.engine.printable import clean, one_line
from grader.engine.reports.markdown import summary
from grader.engine.reports.words import NEEDS_ATTENTION, next_step
from grader.engine.result import CheckResult, Result

SUMMARY_BYTES = 1_000_000  # a step summary may have 1 MiB
PER_KIND = 10  # annotations of one kind that a step shows
LEVELS = {"failed": "warning", "crashed": "error", "timeout": "error", "grader_error": "error", "todo": "notice"}
FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.(?:py|ipynb)")


def step_summary(result: Result) -> str:
    """Markdown for $GITHUB_STEP_SUMMARY, less than 1 MiB as UTF-8."""
    return shortened(summary(result), SUMMARY_BYTES)


def shortened(text: str, limit: int) -> str:
    """Whole lines of `text`, at most `limit` bytes of UTF-8."""
    kept, size = [], 0
    for line in text.splitlines(keepends=True):
        size += len(line.encode("utf-8"))
        if size > limit:
            break
        kept.append(line)
    return "".join(kept)


def annotations(result: Result, folder: str = "assignment") -> str:
    """Workflow commands: one annotation per finding, at the student's own line, then the two notices about points.

    folder: where the submitted files lie in the student's repository, "" for its top. At most ten of a kind.
    """
    lines: list[str] = []
    room = {"error": PER_KIND, "warning": PER_KIND, "notice": PER_KIND - 2}
    seen = set()
    first = result.next_step
    for check in ([first] if first else []) + [c for c in result.checks if c.status in NEEDS_ATTENTION]:
        level = LEVELS.get(check.status, "notice")
        key = (check.finding, check.todo, check.frames[-1]["line"] if check.frames else 0)
        if key in seen or not room[level]:
            continue
        seen.add(key)
        room[level] -= 1
        lines.append(annotation(result, check, level, folder))
    return "\n".join([*lines, *points_notices(result)]) + "\n"


def annotation(result: Result, check: CheckResult, level: str, folder: str) -> str:
    properties = {"title": check.place}
    file = str(check.frames[-1]["file"]) if check.frames else ""
    if FILE.fullmatch(file) and check.status != "grader_error":
        properties["file"] = f"{folder}/{file}".lstrip("/")
        if check.frames[-1]["line"] > 0:
            properties["line"] = str(check.frames[-1]["line"])
    texts = check.texts
    if check is result.next_step:
        heading, texts = next_step(result)
        properties["title"] = heading
    return command(level, properties, "\n".join(clean(text)[:1000] for text in texts if text)[:4000] or check.title)


def points_notices(result: Result) -> list[str]:
    """The two notices that GitHub Classroom's reporter prints and its scores were read from; none without a score."""
    if not result.final:
        return []
    report = json.dumps({"totalPoints": result.score, "maxPoints": result.max_score}, separators=(",", ":"))
    return [
        command("notice", {"title": "Autograding complete"}, f"Points {result.score}/{result.max_score}"),
        command("notice", {"title": "Autograding report"}, report),
    ]


def command(level: str, properties: dict[str, str], message: str) -> str:
    """::level name=value,...::message, on one line."""
    given = ",".join(f"{name}={escape_property(one_line(value))}" for name, value in properties.items())
    return f"::{level} {given}::{escape_data(clean(message))}"


def escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def outputs(result: Result) -> str:
    """Lines for $GITHUB_OUTPUT: numbers and fixed words, nothing from a submission. score is empty while not final."""
    passed = str(all(check.status == "passed" for check in result.checks)).lower()
    score = str(result.score) if result.final else ""
    return f"score={score}\nmax_score={result.max_score}\npassed={passed}\nfinal={str(result.final).lower()}\n"
