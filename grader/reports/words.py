"""Sentences that several reports share."""

from __future__ import annotations

from collections.abc import Sequence

from grader.checks import TODOS
from grader.result import CheckResult, Result
from grader.worker.confine import missing

NEEDS_ATTENTION = ("failed", "crashed", "timeout", "grader_error")
BLOCKS = "▁▂▃▄▅▆▇█"
CURVES = {"train_loss": "training loss", "val_loss": "validation loss", "val_accuracy": "validation accuracy"}
STATUS_WORDS = {
    "passed": "passed",
    "failed": "not yet",
    "todo": "to do",
    "blocked": "waits",
    "timeout": "too slow",
    "crashed": "stopped",
    "grader_error": "grader's fault",
}


def place(check: CheckResult) -> str:
    """Where a check's TODO stands: "TODO 4, forward in model.py". What fails on import belongs to no TODO."""
    outside = [frame for frame in check.frames if frame["function"] in ("", "<module>")]
    if outside and outside[0] is check.frames[0]:
        return f"{outside[-1]['file']}, which cannot be imported"
    file, function = TODOS.get(check.todo, ("", ""))
    return f"TODO {check.todo}, {function.split('.')[-1]} in {file}"


def part_words(checks: Sequence[CheckResult]) -> str:
    """A whole part in a few words, or "" when its checks differ and are better listed."""
    statuses = {check.status for check in checks}
    if statuses == {"passed"}:
        return f"all {len(checks)} checks pass" if len(checks) > 1 else "passed"
    if statuses == {"blocked"} and not any("until TODO" in check.message for check in checks):
        return "waits for the next step below"
    if statuses <= {"todo", "blocked"}:
        todos = sorted({check.todo for check in checks})
        return "to do: TODO " + ", ".join(map(str, todos))
    return ""


def accuracy_words(result: Result) -> str:
    if result.accuracy is None:
        return ""
    test, floor = float(result.accuracy["test"]), float(result.accuracy["floor"])
    return f"test accuracy {100 * test:.1f} % (all points from {100 * floor:.0f} %)"


def isolation_words(result: Result) -> str:
    """The tier of isolation, and in practice mode what the graded code was not kept from."""
    if result.grader.get("isolation") == "confined":
        return "confined"
    open_to_it = [name for name in missing(result.grader.get("measures") or []) if not name.startswith("no ")]
    return f"practice (the graded code was not kept from: {', '.join(open_to_it)})" if open_to_it else "practice"


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """A curve as one line of blocks, from its lowest to its highest value; at most `width` of them."""
    if not values:
        return ""
    step = max(1.0, len(values) / width)
    shown = [values[min(int(i * step), len(values) - 1)] for i in range(min(width, len(values)))]
    low, high = min(values), max(values)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * scale)] for value in shown)


def curve_lines(result: Result) -> list[str]:
    """The learning curves as lines of text: name, first and last value, picture; [] when there are none."""
    lines = []
    for key, name in CURVES.items():
        values = list((result.training or {}).get(key) or [])
        if values:
            lines.append(f"{name:<20} {values[0]:>9.3f} -> {values[-1]:<9.3f} {sparkline(values)}")
    return lines


def next_step(result: Result) -> tuple[str, list[str]]:
    """The heading and the paragraphs of the one thing to do next; ("", []) when there is none."""
    check = result.next_step
    broken = next((c for c in result.checks if c.status == "grader_error"), None)
    if broken is not None and check is None:
        return "The grader has a problem, so this score is not final", [broken.message, *broken.hint.splitlines()]
    if check is None:
        return "", []
    if result.untouched:
        return "Everything is still to do, and that is how it starts", [
            f"Begin with {place(check)}. Its docstring says what it takes and what it gives back.",
            "Run the grader as often as you like: it shows one next step at a time.",
        ]
    if check.status == "todo":
        return f"Next step: {place(check)}", ["It is waiting for you; its docstring says what it takes and gives back."]
    return f"Next step: {place(check)}", [check.message, *check.hint.splitlines()]


def others(result: Result) -> list[CheckResult]:
    """What else needs attention beside the next step, each finding once."""
    first = result.next_step
    seen = {first.finding} if first else set()
    rest = []
    for check in result.checks:
        if check.status in NEEDS_ATTENTION and check is not first and check.finding not in seen:
            seen.add(check.finding)
            rest.append(check)
    return rest
