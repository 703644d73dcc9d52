"""What an accuracy is worth: the rubric's tiers in the facts of a finding, and judged again when they have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from grader.engine.check import Finding
from grader.engine.result import Status
from grader.engine.rubric import Tier


def percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def reached(accuracy: float, tiers: Sequence[Tier]) -> Tier | None:
    """The highest tier of those that an accuracy has."""
    return next((tier for tier in reversed(tiers) if accuracy >= tier.at), None)


def share(accuracy: float, tiers: Sequence[Tier]) -> float:
    """The part of the points that an accuracy earns."""
    tier = reached(accuracy, tiers)
    return tier.points / tiers[-1].points if tier else 0.0


def facts(accuracy: float, tiers: Sequence[Tier]) -> dict[str, Any]:
    """What a finding says of an accuracy that falls short."""
    tier, best = reached(accuracy, tiers), tiers[-1]
    return {
        "accuracy": percent(accuracy),
        "first": percent(tiers[0].at),
        "needed": percent(best.at),
        "earned": f"{tier.points if tier else 0} of {best.points}",
    }


def told(tiers: Sequence[Tier]) -> dict[str, Any]:
    """What score.json says of the tiers."""
    return {"floor": tiers[-1].at, "tiers": [{"at": tier.at, "points": tier.points} for tier in tiers]}


def measured(recorded: Mapping[str, Any]) -> float | None:
    """The accuracy of a run, None where it did not come so far."""
    found = recorded.get("accuracy")
    return None if found is None else float(found["test"])


def judged_again(
    finding: Finding | None, recorded: Mapping[str, Any], tiers: Sequence[Tier]
) -> tuple[Status, Finding | None, dict[str, Any]] | None:
    """(status, finding, what is recorded) of a measured run, with these tiers; None where only another run can tell.

    finding: what came of it with the tiers of then
    """
    then, accuracy = recorded["accuracy"], measured(recorded)
    assert accuracy is not None
    now = {**recorded, "accuracy": {**then, **told(tiers)}}
    if (accuracy >= tiers[0].at) != (accuracy >= then["tiers"][0]["at"]):
        return None  # other words, and other remarks
    if accuracy >= tiers[-1].at:
        return "passed", None, now
    if finding is None:
        return None  # what it lacks was not looked for
    shown = {**finding.facts, **facts(accuracy, tiers)}
    return "failed", replace(finding, facts=shown, share=share(accuracy, tiers)), now
