"""The attacks of tests/attacks as trials of a selftest: an attack must not earn more than it does without its lines.

This is what a teacher's rubric can change. That nothing is written, read or left running is asked by
tests/test_attacks.py, which watches the machine as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from grader.contract import WEEK
from grader.corpus import attacks
from grader.corpus.attacks import Attack
from grader.corpus.entries import CorpusDamaged, DoesNotFit
from grader.corpus.trials import Row, Trial
from grader.engine.rubric import Rubric

HARMLESS = "(harmless) "
PLACES = ("grader", "root", "other", "canary", "temporary", "listening")
SHORT = {"import_seconds": 2, "check_seconds": 2, "output_bytes": 1_000_000}
LONG_SECONDS = 60


def load(folder: Path, names: Sequence[str] = ()) -> tuple[dict[str, Attack], list[str]]:
    """{name: attack} of a folder (or of these names only), and a sentence for each that does not fit the contract.

    Raises CorpusDamaged.
    """
    found, unfit = {}, []
    for path in sorted(folder.glob("*.toml")):
        if names and path.stem not in names:
            continue
        try:
            found[path.stem] = attacks.load(path)
        except DoesNotFit as error:
            unfit.append(str(error))
        except (KeyError, TypeError, ValueError, OSError, StopIteration) as error:
            raise CorpusDamaged(f"{path} is damaged: {type(error).__name__} {error}.") from error
    # An attack made of links cannot be told as text; tests/test_attacks.py has it.
    return {name: attack for name, attack in found.items() if not attack.links}, unfit


def trials(found: Iterable[Attack], scratch: Path) -> list[Trial]:
    """Each attack, and each base it stands on. scratch: stands for the places the attacks ask for."""
    places = {name: scratch / name for name in PLACES}
    made: dict[tuple[str, str], Trial] = {}
    for attack in found:
        files = {name: attacks.filled(text, places) for name, text in attack.files.items()}
        files |= {name: files.get(name, "") + "\n" * size for name, size in attack.sizes.items()}
        base = HARMLESS + " ".join(attack.parts)
        trial = Trial("attacks", base, "", 1, attack.parts, attack.base)
        made.setdefault((base, trial.source), replace(trial, base=trial.source))
        made[(attack.name, "")] = Trial("attacks", attack.name, "", 1, attack.parts, files)
    return list(made.values())


def short(rubric: Rubric) -> Rubric:
    """The rubric with short limits: many attacks cost their limit."""
    long = {f"{WEEK.part_of(WEEK.long)}_seconds": LONG_SECONDS} if WEEK.long else {}
    return replace(rubric, limits=dict(rubric.limits) | SHORT | long)


def complaints(rows: Sequence[Row], found: dict[str, Attack]) -> list[str]:
    """One line for each attack that gains, or ends as it should not."""
    earned = {(row.base, tuple(sorted(row.parts))): row.score for row in rows if row.entry.startswith(HARMLESS)}
    told = []
    for row in rows:
        if row.entry not in found:
            continue
        attack = found[row.entry]
        source = Trial("attacks", "", "", 1, (), attack.base).source
        harmless = earned.get((source, tuple(sorted(row.parts))))
        odd = sorted({status for status, _, _ in row.failed.values()} - set(attack.allowed))
        if harmless is not None and row.score > harmless:
            told.append(f"{row.entry}: earns {row.score}, {harmless} without its hostile lines. {attack.what}")
        elif odd:
            told.append(f"{row.entry}: ends {', '.join(odd)}. {attack.what}")
    return told
