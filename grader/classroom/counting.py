"""Which of the looks at a submission count, and which are still to be done: pure, from what is kept.

The first look runs all checks. Others run the part that takes long again: where the rubric's tiers have changed and
only a run can tell, with other seeds for who is close below a tier, and to try what would help once all scores stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from grader.classroom.looks import EXPERIMENTS, Look, Looked, Looker
from grader.contract import WEEK
from grader.engine import VERSION
from grader.engine.check import Finding
from grader.engine.result import Result
from grader.engine.seen import Record, Seen, told
from grader.engine.submission.manifest import grader_digest
from grader.engine.submission.read import Submission
from grader.engine.wording import FAULTS

NEAR = 0.02  # how far below a tier an accuracy may be another day's luck, and is measured again
MOST_SEEDS = 100


@dataclass
class Settled:
    """What is known of a submission. record: None before the first look.

    wanted: looks without which its score does not stand; advice: the look that would give better words to it
    measured: every accuracy that was measured, the first one first
    """

    record: Record | None = None
    first: Looked | None = None
    wanted: list[Look] = field(default_factory=list)
    advice: Look | None = None
    measured: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Counting:
    """kept: gives the look that was done, None for none. given_up: keys of looks that this session tries no more.

    seeds: how often an accuracy close below a tier is measured
    """

    looker: Looker
    kept: Callable[[str], Looked | None]
    given_up: Mapping[str, object]
    seeds: int = 1

    def settle(self, submission: Submission) -> Settled:
        found = Settled()
        look = self.looker.look(submission)
        found.first = self.done(look, found)
        if found.first is None:
            return found
        record = self.with_tiers(submission, found.first.record, 0, found)
        number = 0
        if is_measured(record):
            record, number = self.best_of(submission, record, found)
        if not found.wanted:
            record = self.with_advice(submission, record, number, found)
        found.record = record
        return found

    def done(self, look: Look, found: Settled) -> Looked | None:
        kept = self.kept(look.key)
        if kept is None and look.key not in self.given_up:
            found.wanted.append(look)
        return kept

    def with_tiers(self, submission: Submission, record: Record, number: int, found: Settled) -> Record:
        """A record as it is with the rubric's tiers of now."""
        if not is_measured(record):
            return record
        old = long_of(record)
        judged = WEEK.judged_again(old.finding, record.recorded, self.looker.rubric.tiers)
        if judged is not None:
            status, finding, recorded = judged
            return replace(exchanged(record, replace(old, status=status, finding=finding)), recorded=recorded)
        again = self.done(self.looker.look(submission, number, (long_part(),), tiers=True), found)
        return record if again is None else with_part(record, again.record)

    def best_of(self, submission: Submission, record: Record, found: Settled) -> tuple[Record, int]:
        """The best of the measurements, and its number. What was measured in an earlier session counts too."""
        value = accuracy(record)
        found.measured = [value]
        if not any(tier.at - NEAR <= value < tier.at for tier in self.looker.rubric.tiers):
            return record, 0
        best, which = record, 0
        for number in range(1, MOST_SEEDS):
            look = self.looker.look(submission, number, (long_part(),))
            other = self.done(look, found) if number < self.seeds else self.kept(look.key)
            if other is None:
                if number >= self.seeds:
                    break
                continue
            again = self.with_tiers(submission, with_part(record, other.record), number, found)
            if not is_measured(again):
                continue
            found.measured.append(accuracy(again))
            if found.measured[-1] > accuracy(best):
                best, which = again, number
        return best, which

    def with_advice(self, submission: Submission, record: Record, number: int, found: Settled) -> Record:
        """What the experiments have found, in the place of words that say little. Points stay what they are."""
        old = long_of(record)
        faults = [one for one in record.seen if one.status in FAULTS and one.check != old.check]
        if faults or old.status != "failed" or not is_measured(record) or not self.looker.rubric.limits[EXPERIMENTS]:
            return record
        look = self.looker.look(submission, number, (long_part(),), experiments=True)
        kept = self.kept(look.key)
        if kept is None:
            found.advice = None if look.key in self.given_up else look
            return record
        new = long_of(kept.record).finding
        if new is None or old.finding is None:
            return record
        facts = {**new.facts, **old.finding.facts}  # the numbers are those of the run that counts
        return exchanged(record, replace(old, finding=Finding(new.id, facts, new.todo, old.finding.share)))

    def result(self, submission: Submission, found: Settled) -> Result | None:
        """The result of what is known by now, with the rubric and the hints of now; None before the first look."""
        if found.record is None or found.first is None:
            return None
        strays = found.first.strays
        notes = [*submission.notes, *spread(found.measured)]
        named = {**found.record.submission, "name": submission.name, "notes": notes}
        judged_by = {**found.record.grader, "version": VERSION, "digest": grader_digest(WEEK.folder)}
        record = replace(found.record, submission=named, grader=judged_by)
        return told(record, replace(submission, look=lambda: strays), self.looker.rubric, self.looker.hints)


def long_part() -> str:
    return WEEK.part_of(WEEK.tiered)


def long_of(record: Record) -> Seen:
    """How the check ended that earns its points in tiers."""
    return next((one for one in record.seen if one.check == WEEK.tiered), Seen(WEEK.tiered, "blocked"))


def is_measured(record: Record) -> bool:
    return WEEK.measured(record.recorded) is not None and long_of(record).status in ("passed", "failed")


def accuracy(record: Record) -> float:
    return WEEK.measured(record.recorded) or 0.0


def exchanged(record: Record, new: Seen) -> Record:
    return replace(record, seen=tuple(new if one.check == new.check else one for one in record.seen))


def with_part(record: Record, other: Record) -> Record:
    """A record with what another look at the long part saw."""
    recorded: dict[str, Any] = {**record.recorded, **other.recorded}
    evidence = {**record.evidence, **other.evidence}
    return replace(exchanged(record, long_of(other)), recorded=recorded, evidence=evidence)


def spread(measured: Sequence[float]) -> list[str]:
    """What a report says of several measurements."""
    if len(measured) < 2:
        return []
    values = ", ".join(f"{100 * value:.1f} %" for value in measured)
    return [f"The accuracy was measured {len(measured)} times, with other digits each time: {values}. The best counts."]
