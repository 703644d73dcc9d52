"""One look at a submission: what is run for it, in whatever thread or process, and what is kept of that.

A look is known by a key made of everything that can change what is seen. Points and words are put to it afterwards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from grader.contract import WEEK
from grader.engine.check import GraderTrouble
from grader.engine.contract import Pool
from grader.engine.hints import Hint
from grader.engine.keys import Key
from grader.engine.many.judging import code_digest, demand_same
from grader.engine.many.warm import Warm
from grader.engine.rubric import Rubric
from grader.engine.run import look_at
from grader.engine.seen import Record
from grader.engine.servers import start_server as start_for
from grader.engine.submission.read import Submission
from grader.engine.submission.strays import Search, Stray
from grader.engine.worker.trusted.start import Server

EXPERIMENTS = "experiments"  # the limit that says for how long the grader may try what would help


@dataclass(frozen=True)
class Look:
    """Something to run. parts: None for all of them; experiments: whether the grader may try what would help.

    parcel: the submission as it travels
    """

    key: str
    seed: int
    parts: tuple[str, ...] | None
    experiments: bool
    parcel: Mapping[str, Any]


@dataclass(frozen=True)
class Looked:
    """What came of it, as it is kept: a record and the code that did not count in JSON, and the arrays."""

    told: Mapping[str, Any]
    evidence: Mapping[str, np.ndarray]

    @property
    def record(self) -> Record:
        return Record.from_json(self.told["record"], self.evidence)

    @property
    def strays(self) -> dict[int, Stray]:
        return {one["todo"]: Stray(**one) for one in self.told["strays"]}

    @property
    def in_trouble(self) -> bool:
        """Whether something in it was the grader's own fault."""
        return any(one["status"] == "grader_error" for one in self.told["record"]["seen"])


def is_in_trouble(looked: Looked) -> bool:
    return looked.in_trouble


def start_server(kind: str | None = None, isolation: str | None = None) -> Server:
    return start_for(WEEK, kind, isolation)


@dataclass(frozen=True)
class Looker:
    """Does looks, with the warm server of the thread it is called in.

    tier: of isolation, "confined" or "practice"; pool: a folder of data of the teacher's own, with its fingerprint
    """

    warm: Warm
    rubric: Rubric
    hints: Mapping[str, Hint]
    secret: Key
    tier: str
    pool: Path | None = None
    fingerprint: str = ""
    code: str = ""

    def __call__(self, look: Look) -> Looked:
        """What is our fault is tried again with a fresh server.

        Raises OtherGrader, GraderTrouble for a pool that is not there, and what Warm.do raises.
        """
        demand_same(WEEK.folder, self.code)
        pool = self.open_pool()
        submission = Submission(contract=WEEK, **look.parcel)
        rubric = self.rubric if look.experiments else without_experiments(self.rubric)

        def work(server: Server) -> Looked:
            record = look_at(
                submission, server, rubric, look.seed, parts=look.parts, key=self.secret, pool=pool, hints=self.hints
            )
            told = {"record": record.to_json(), "strays": [asdict(one) for one in submission.strays.values()]}
            return Looked(json.loads(json.dumps(told)), record.evidence)  # as it will be read again

        return self.warm.do(work, is_in_trouble)

    def open_pool(self) -> Pool | None:
        pool = pool_in(self.pool) if self.pool else None
        if pool is not None and pool.fingerprint != self.fingerprint:
            raise GraderTrouble(f"The pool {self.pool} holds other data for this worker: bring the same files there.")
        return pool

    def seed(self, submission: Submission, number: int = 0) -> int:
        """The same work and the same secret give the same seed. number: 0, or of a further measurement."""
        return self.secret.number(number, f"batch {submission.digest}", bits=48)

    def look(
        self,
        submission: Submission,
        number: int = 0,
        parts: tuple[str, ...] | None = None,
        experiments: bool = False,
        tiers: bool = False,
    ) -> Look:
        """tiers: whether what is seen depends on the rubric's tiers: words do that were not chosen yet."""
        seed = self.seed(submission, number)
        limits = dict((self.rubric if experiments else without_experiments(self.rubric)).limits)
        identity = {
            "code": self.code,
            "limits": limits,
            "todos": {name: hint.todo for name, hint in self.hints.items()},
            "key": self.secret.fingerprint,
            "pool": self.fingerprint,
            "isolation": self.tier,
            "submission": identity_of(submission),
            "seed": seed,
            "parts": parts,
            "tiers": [asdict(tier) for tier in self.rubric.tiers] if tiers else None,
        }
        text = json.dumps(identity, sort_keys=True, default=list)
        return Look(hashlib.sha256(text.encode("ascii")).hexdigest(), seed, parts, experiments, parcel(submission))


def without_experiments(rubric: Rubric) -> Rubric:
    limits = {name: 0.0 if name == EXPERIMENTS else value for name, value in rubric.limits.items()}
    return replace(rubric, limits=limits)


def parcel(submission: Submission) -> dict[str, Any]:
    """Its fields, but for the contract, which is where it arrives."""
    return {field.name: getattr(submission, field.name) for field in fields(submission) if field.name != "contract"}


def identity_of(submission: Submission) -> list[Any]:
    """All of a submission that can change what is seen of it."""
    look = submission.look
    around = hashlib.sha256(look.question if isinstance(look, Search) else b"").hexdigest()
    shown = submission.path.name if submission.is_notebook else ""  # its frames name the notebook
    return [submission.digest, submission.problems, shown, submission.cells, submission.beside, around]


@cache
def pool_in(folder: Path) -> Pool:
    """Read once in a process, because every look asks for it. Raises GraderTrouble."""
    return WEEK.pool(folder)


def code_here() -> str:
    return code_digest(WEEK.folder)
