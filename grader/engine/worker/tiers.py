"""The two tiers of isolation, by the measures that were seen to hold."""

from __future__ import annotations

from collections.abc import Iterable

ESSENTIAL = ("files", "network", "signals", "memory of others", "no new privileges", "no privileges")


class NotConfined(RuntimeError):
    """The tier `confined` was asked for and is not available; the message says what is missing."""


def missing(measures: Iterable[str]) -> list[str]:
    """The essential measures that are not among these."""
    return [name for name in ESSENTIAL if name not in measures]
