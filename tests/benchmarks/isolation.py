"""What a confined child costs: python tests/benchmarks/isolation.py

Prints the median time from request to end of a child that does nothing but import an empty model.py, for every tier,
and the memory (PSS) of the whole worker at its peak with one child and with eight at once. Noise is about 15 %.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from grader.contract import WEEK  # noqa: E402
from grader.engine.servers import surroundings  # noqa: E402
from grader.engine.worker.trusted.fork_client import ForkServer  # noqa: E402
from grader.engine.worker.trusted.job import Limits, Request  # noqa: E402

ROUNDS = 40
MODEL = "class DigitClassifier:\n    pass\n"
HEAVY = """
import time
import torch

kept = torch.ones(5_000_000)  # 20 MB of its own
time.sleep(3)


class DigitClassifier:
    pass
"""


class Measured(ForkServer):
    def process_tree(self) -> psutil.Process:
        return psutil.Process(self.worker.pid)


def request(folder: Path, number: int, text: str) -> Request:
    stage, home = folder / f"stage{number}", folder / f"home{number}"
    stage.mkdir()
    home.mkdir()
    (stage / "model.py").write_text(text, encoding="utf-8")
    return Request("grader.probes.model:construct", "full", str(stage), str(home), 1, limits=Limits(60, 60))


def children(servers: dict[str, Measured], folder: Path) -> dict[str, list[float]]:
    """Seconds of one child after the other, the tiers in turn, so that other work on the machine hits them alike."""
    times: dict[str, list[float]] = {tier: [] for tier in servers}
    for number in range(ROUNDS + 3):
        for tier, server in servers.items():
            asked = request(folder / tier, number, MODEL)
            start = time.perf_counter()
            server.submit(asked).finished.wait(60)
            times[tier].append(time.perf_counter() - start)
    return {tier: sorted(found[3:]) for tier, found in times.items()}


def peak(server: ForkServer, folder: Path, children: int) -> float:
    """The largest sum of PSS over the worker's processes, in MB: shared pages count once."""
    jobs = [server.submit(request(folder, 1000 * children + number, HEAVY)) for number in range(children)]
    largest = 0.0
    while not all(job.finished.is_set() for job in jobs):
        total = 0
        for process in [server.process_tree(), *server.process_tree().children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                pass
        largest = max(largest, total / 1e6)
        time.sleep(0.2)
    return largest


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="grader-benchmark-"))
    servers: dict[str, Measured] = {}
    try:
        for asked in ("practice", None):
            name = asked or "best"
            (folder / name / "server").mkdir(parents=True)
            servers[name] = Measured(folder / name / "server", surroundings(WEEK), asked)
        for name, found in children(servers, folder).items():
            server = servers[name]
            quiet, median = found[len(found) // 10], statistics.median(found)
            print(f"{name}: {server.isolation} ({', '.join(server.measures())})")
            print(f"  one child: median {1000 * median:.1f} ms, quietest tenth {1000 * quiet:.1f} ms")
            for count in (1, 8):
                print(f"  {count} at once: peak PSS {peak(server, folder / name, count):.0f} MB")
    finally:
        for server in servers.values():
            server.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
