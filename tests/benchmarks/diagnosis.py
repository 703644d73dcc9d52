"""Worker time of the whole diagnosis without accuracy, for a whole submission. Aim: under 3 s.

python tests/benchmarks/diagnosis.py [--repeats N] [WHEAT_OR_CHAFF ...]

The server is warm, as in a watch loop or a batch. Wall: from the request of a probe to the end of its child, summed
over all probes of a submission. CPU: what the worker's processes used meanwhile, forks and imports of student code
included (where the system tells it). Whole: what the host waits, judging in numpy included.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from grader.contract import WEEK  # noqa: E402
from grader.corpus.entries import load, reference, source_of  # noqa: E402
from grader.engine.run import grade  # noqa: E402
from grader.engine.servers import start_server  # noqa: E402
from grader.engine.submission.read import read  # noqa: E402

PARTS = ("data", "model", "training")
AIM = 3.0
ENTRIES = ("wheats/cnn-batchnorm", "chaffs/softmax-output", "chaffs/no-zero-grad")


class Recording:
    """A server that remembers its jobs."""

    def __init__(self, server: Any):
        self.server, self.kind = server, server.kind
        self.jobs: list[Any] = []

    def submit(self, *arguments: Any) -> Any:
        self.jobs.append(self.server.submit(*arguments))
        return self.jobs[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.server, name)


def cpu_seconds() -> float:
    """CPU seconds of everything below this process, ended children included."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0)
    return total


def measure(folder: Path, server: Any, seed: int) -> tuple[float, float, float, int]:
    """(wall seconds in the worker, its CPU seconds, seconds in all, probes)."""
    recording, cpu, start = Recording(server), cpu_seconds(), time.perf_counter()
    result = grade(read(folder, WEEK, 64_000), recording, seed=seed, parts=PARTS)
    whole = time.perf_counter() - start
    if any(check.status == "grader_error" for check in result.checks):
        raise SystemExit(f"{folder.name}: the grader itself is in trouble; nothing was measured.")
    seconds = [job.outcome.seconds for job in recording.jobs if job.outcome is not None]
    return sum(seconds), cpu_seconds() - cpu, whole, len(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("entries", nargs="*", default=ENTRIES, metavar="KIND/NAME")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    known = [e for e in args.entries if (ROOT / "tests" / f"{e}.toml").exists()]
    sources = {"reference": reference()} | {e: source_of(load(ROOT / "tests" / f"{e}.toml")) for e in known}
    load_average = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"Median of {args.repeats} runs, warm server, {os.cpu_count()} cores{load_average}; seconds.")
    print(f"{'submission':28} {'wall':>6} {'CPU':>6} {'whole':>6} {'probes':>6}")
    server = start_server(WEEK)
    try:
        for name, files in sources.items():
            with tempfile.TemporaryDirectory() as folder:
                for file, text in files.items():
                    (Path(folder) / file).write_text(text, encoding="utf-8")
                measure(Path(folder), server, 0)  # warms the server up
                runs = [measure(Path(folder), server, seed) for seed in range(1, args.repeats + 1)]
            wall, cpu, whole, probes = (statistics.median(column) for column in zip(*runs))
            over = "" if cpu < AIM else f"   CPU over the aim of {AIM:.0f} s"
            print(f"{name:28} {wall:6.2f} {cpu:6.2f} {whole:6.2f} {probes:6.0f}{over}")
    finally:
        server.close()


if __name__ == "__main__":
    main()
