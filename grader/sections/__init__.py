"""What this week adds to the reports: curves, accuracy, confusion matrix, mistakes, first layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grader.engine.sections import FOR_THE_TEACHER, Evidence, Recorded
from grader.sections import recorded, texts


class DigitSections:
    """The week's answers to what a report asks: see grader.engine.sections.Sections."""

    schema: Mapping[str, Any] = recorded.SCHEMA

    @property
    def style(self) -> str:
        from grader.sections import page  # loads jinja2

        return page.style()

    def read(self, raw: Mapping[str, Any]) -> Recorded:
        return recorded.read(raw)

    def headline(self, recorded: Recorded) -> str:
        return texts.accuracy_words(recorded)

    def passed(self, recorded: Recorded) -> str:
        return texts.PASSED

    def remarks(self, recorded: Recorded) -> list[str]:
        return texts.remarks(recorded)

    def numbers(self, recorded: Recorded) -> Mapping[str, float | None]:
        accuracy = recorded.get("accuracy")
        return {"test_accuracy": None if accuracy is None else float(accuracy["test"])}

    def text(self, recorded: Recorded) -> list[tuple[str, str]]:
        found = {
            "Learning, epoch by epoch": texts.curve_lines(recorded),
            FOR_THE_TEACHER: texts.remark_lines(recorded),
        }
        return [(heading, "\n".join(lines)) for heading, lines in found.items() if lines]

    def html(self, recorded: Recorded, evidence: Evidence) -> str:
        from grader.sections import page

        return page.sections(recorded, evidence)
