"""How fast `python -m grader watch` answers a save:  python tests/benchmarks/watch.py [--rounds N] [--idle SECONDS]

In one real session in a pseudo-terminal: a fault in each file is saved, then put right again. Told are the seconds from
the save to the first verdict, to all of them but the accuracy, and to the end; beside them the bare `fit` of the same
solution on as many digits, with one thread, run in turn with it. Then the memory of the whole session, and the part of
one processor that it takes while nothing happens.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from watched import Watched  # noqa: E402

from grader.corpus import entries as corpus  # noqa: E402

FAULTS = {  # file: what is exchanged in it
    "data.py": ("shuffle=True", "shuffle=False"),
    "model.py": ("self.output(x)  #", "self.output(x).softmax(dim=1)  #"),
    "train.py": ("        optimizer.zero_grad()\n", ""),
}
BARE = """
import sys, time, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import data, model, train
torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)  # imports what the first optimizer needs
loaders = data.make_loaders(sys.argv[2])
network, start = model.DigitClassifier(), time.perf_counter()
train.fit(network, loaders[0], loaders[1])
print(time.perf_counter() - start)
"""
COLUMNS = ("saved", "first verdict", "all but accuracy", "accuracy", "bare fit", "ratio to that")
ANSWERED = re.compile(r"Checking \.\.\. ([1-9]\d*) of (\d+)|Checked: |not run again")


def bare(folder: Path) -> float:
    """Seconds of `fit` alone."""
    command = [sys.executable, "-c", BARE, str(folder), str(ROOT / "assignment" / "digits")]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def timed(session: Watched, name: str, text: str) -> tuple[float, float, float]:
    """Seconds from a save to the first verdict, to all but the accuracy's, and to the end."""
    session.save(name, text)
    start = time.perf_counter()
    times: list[float] = []

    def reached(screen: str, last: int) -> bool:
        found = ANSWERED.search(screen)
        return found is not None and (found[1] is None or int(found[1]) >= (1 if last == 0 else int(found[2]) - 1))

    for stage in (0, 1):
        session.until(lambda screen, stage=stage: reached(screen, stage))
        times.append(time.perf_counter() - start)
    session.until_done()
    return times[0], times[1], time.perf_counter() - start


def family(session: Watched) -> list[psutil.Process]:
    root = psutil.Process(session.process.pid)
    return [root, *root.children(recursive=True)]


def memory(session: Watched) -> float:
    """Megabytes; shared pages count once."""
    return sum(getattr(one.memory_full_info(), "pss", one.memory_info().rss) for one in family(session)) / 1e6


def idle(session: Watched, seconds: float) -> float:
    """The part of one processor that all of it takes while nothing happens, in percent."""
    before = {one.pid: sum(one.cpu_times()[:2]) for one in family(session)}
    session.take(seconds)
    return 100 * sum(sum(one.cpu_times()[:2]) - before.get(one.pid, 0) for one in family(session)) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=float, default=60.0)
    parser.add_argument("--worker", choices=("fork", "spawn"), default=None)
    told = parser.parse_args()
    solution = corpus.reference()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "work")
        folder.mkdir()
        for name, text in solution.items():
            (folder / name).write_text(text, encoding="utf-8")
        arguments = ["--report", str(Path(place, "report"))] + (["--worker", told.worker] if told.worker else [])
        with Watched(folder, arguments) as session:
            session.until("Checked: ")
            print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; seconds, medians of {told.rounds}")
            print("".join(f"{heading:>18}" for heading in COLUMNS))
            for name, (old, new) in FAULTS.items():
                assert old in solution[name], name
                wrong: list[tuple[float, float, float]] = []
                right: list[tuple[float, float, float]] = []
                fits: list[float] = []
                for _ in range(told.rounds):
                    wrong.append(timed(session, name, solution[name].replace(old, new, 1)))
                    right.append(timed(session, name, solution[name]))
                    fits.append(bare(folder))
                for what, found in ((f"{name}, wrong", wrong), (f"{name}, right", right)):
                    first, quick, all_of_it = (statistics.median(column) for column in zip(*found))
                    fit = statistics.median(fits)
                    print(
                        f"{what:>18}" + "".join(f"{n:>18.2f}" for n in (first, quick, all_of_it, fit, all_of_it / fit))
                    )
            print(f"memory of the session: {memory(session):.0f} MB")
            if told.idle:
                print(f"idle for {told.idle:.0f} s: {idle(session, told.idle):.2f} % of one processor")


if __name__ == "__main__":
    main()
