"""A class whose looks are made up: what `batch` does around them can be watched in milliseconds.

A submission says in its data.py what a look at it shall see: `# accuracy = 0.87`, `# fails = raw-scores`,
`# ends = trouble` (grader_error), `once` (that, but only on the first server), `error`, `stop` (Ctrl-C, as
soon as the file `# after = ...` is there).
As a script it grades such a class: python made_looks.py SECONDS ARGUMENTS...
"""

from __future__ import annotations

import _thread
import argparse
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from grader.checks.accuracy import tiers
from grader.classroom import batch, looks
from grader.contract import WEEK
from grader.engine import reports
from grader.engine.check import Finding
from grader.engine.seen import Record, Seen
from grader.engine.submission.strays import Search

LONG = WEEK.part_of(WEEK.long)
CURVES = {"train_loss": [1.0, 0.5], "val_loss": [1.0, 0.5], "val_accuracy": [0.5, 0.9]}


class Servers:
    """Starts servers that are none."""

    def __init__(self) -> None:
        self.started: list[Servers.One] = []

    class One:
        closed = False

        def close(self) -> None:
            self.closed = True

    def __call__(self, kind: str | None = None, isolation: str | None = None) -> One:
        self.started.append(self.One())
        return self.started[-1]


class Looking:
    """Stands for run.look_at. ran: (name, parts, whether experiments were allowed) of each look, in order."""

    def __init__(self, servers: Servers, seconds: float = 0.0):
        self.servers, self.seconds = servers, seconds
        self.ran: list[tuple[str, tuple[str, ...] | None, bool]] = []

    def __call__(self, submission: Any, server: Any, rubric: Any, seed: int, **more: Any) -> Record:
        text = submission.files["data.py"].decode()
        wanted: Mapping[str, str] = dict(re.findall(r"^# (\w+) = (.*)$", text, re.MULTILINE))
        parts, tries = more["parts"], rubric.limits[looks.EXPERIMENTS] > 0
        self.ran.append((submission.name, parts, tries))
        time.sleep(self.seconds)
        ends = wanted.get("ends", "")
        if ends == "stop":
            while not Path(wanted["after"]).exists():
                time.sleep(0.01)
            _thread.interrupt_main()
            while not server.closed:
                time.sleep(0.01)
        if ends == "error":
            raise RuntimeError("this is a made-up fault")
        broken = ends in ("trouble", "stop") or (ends == "once" and server is self.servers.started[0])
        seen, recorded, evidence = [], {}, {}
        for check in WEEK.checks:
            if parts is not None and check.part not in parts:
                continue
            if check.id != WEEK.tiered:
                fault = Finding("scores-are-probabilities", {}) if check.id in wanted.get("fails", "").split() else None
                seen.append(Seen(check.id, "failed" if fault else "passed", fault, seconds=0.01))
                continue
            accuracy = round(
                float(wanted.get("accuracy", 0.95)) + (seed % 5) / 1000 * (parts is not None and not tries), 3
            )
            finding = None
            if accuracy < rubric.tiers[-1].at:
                facts = {**tiers.facts(accuracy, rubric.tiers), "total": 2004, "curve": ""}
                extra = {"default": "4e-05", "better": "0.001", "reached": "95.0 %"} if tries else {}
                name = "rate-too-small" if tries else "accuracy-below-threshold"
                finding = Finding(name, {**facts, **extra}, share=tiers.share(accuracy, rubric.tiers))
            seen.append(Seen(check.id, "failed" if finding else "passed", finding, seconds=1.5))
            told = {"test": accuracy, "remarks": [], **tiers.told(rubric.tiers)}
            recorded = {"accuracy": told, "training": CURVES, "confusion": np.eye(10, dtype=int).tolist()}
            evidence = {"worst_true": np.full(3, seed % 10)}
        if broken:
            seen[0] = Seen(seen[0].check, "grader_error", Finding("grader-broken", {"detail": "made up"}))
        grader = {"isolation": "confined", "measures": [], "worker": "fork", "key": None, "pool": "bundled"}
        handed_in = {"name": submission.name, "digest": submission.digest, "notes": []}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return Record(now, 1.23, seed, handed_in, grader, tuple(seen), recorded, evidence=evidence)


def made_up(seconds: float = 0.0) -> tuple[Looking, dict[tuple[Any, str], Any]]:
    """(the looking, {(where, name): what is to stand there})"""
    servers = Servers()
    looking = Looking(servers, seconds)
    return looking, {
        (looks, "look_at"): looking,
        (looks, "start_server"): servers,
        (Search, "__call__"): lambda self: {},
        (reports, "page"): lambda result: f"<title>{result.score}</title>",
    }


def hand_in(folder: Path, **submissions: str) -> Path:
    """hand_in(folder, ada="accuracy = 0.87; fails = raw-scores"): a folder a student."""
    for name, wanted in submissions.items():
        (folder / name).mkdir(parents=True)
        lines = [f"# {line.strip()}\n" for line in wanted.split(";") if line.strip()]
        texts = {"data.py": "".join(["# data\n", *lines]), "model.py": "pass\n", "train.py": "pass\n"}
        for file, text in texts.items():
            (folder / name / file).write_text(text + "\n", encoding="utf-8")
    return folder


def arguments(*given: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    batch.add_arguments(parser)
    return parser.parse_args([str(one) for one in given])


def main(seconds: str, *given: str) -> int:
    for (where, name), stands in made_up(float(seconds))[1].items():
        setattr(where, name, stands)
    return batch.run(arguments(*given))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
