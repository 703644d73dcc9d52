"""What a run costs: `pytest grader/ --submission=solution` against two plain ways of doing the same.

    python tests/benchmarks/whole_process.py [RUNS]

(a) the reference's training alone: python solution/train.py's functions with its defaults, torch on one thread
(b) the same assertions in a plain in-process pytest (tests/benchmarks/plain_pytest.py)

The three alternate, so a machine that slows down slows all of them. Wall and CPU seconds are of the whole process
tree (os.wait4); the grader ends its servers by a kill, so what ran below them is missing from its CPU seconds: compare
wall time. Peak memory is the largest sum of the tree's proportional set sizes (PSS, shared pages counted once),
sampled every 0.1 s in runs of their own. Then: seconds from start to the first verdict shown, on a pseudo-terminal.
Linux and macOS; PSS is Linux only.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
TRAIN = (
    "import sys, torch; torch.set_num_threads(1); sys.path.insert(0, 'solution'); import data, model, train; "
    "loaders = data.make_loaders('assignment/digits'); net = model.DigitClassifier(); "
    "train.fit(net, *loaders[:2]); print(train.evaluate(net, loaders[2]))"
)
COMMANDS = {
    "grader": [PYTHON, "-m", "pytest", "grader/", "--submission=solution", "--seed=1"],
    "a: training alone": [PYTHON, "-c", TRAIN],
    "b: plain pytest": [PYTHON, "-m", "pytest", "tests/benchmarks/plain_pytest.py", "-c", "tests/benchmarks/plain.ini"],
}


def timed(command: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds of one run."""
    start = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def peak_memory(command: list[str]) -> float:
    """MB: the largest PSS of the whole tree seen in one run."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        total = 0
        try:
            for member in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                total += getattr(member.memory_full_info(), "pss", 0)
        except psutil.Error:
            pass
        peak = max(peak, total)
        time.sleep(0.1)
    return peak / 1e6


def first_verdict() -> float:
    """Seconds until the first check's verdict is on the terminal."""
    import pty

    ours, theirs = pty.openpty()
    start = time.perf_counter()
    process = subprocess.Popen(COMMANDS["grader"], cwd=ROOT, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"1 of 7 checked" not in shown:
        shown += os.read(ours, 65536)
    seconds = time.perf_counter() - start
    try:
        while os.read(ours, 65536):
            pass
    except OSError:  # the other end is closed: the run is over
        pass
    process.wait()
    return seconds


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            seconds[name].append(timed(command))
    print(f"{os.cpu_count()} cores, {runs} alternating runs, medians")
    ours = [statistics.median(column) for column in zip(*seconds["grader"])]
    for name, figures in seconds.items():
        wall, cpu = (statistics.median(column) for column in zip(*figures))
        spread = f"{min(f[0] for f in figures):.1f} to {max(f[0] for f in figures):.1f}"
        memory = peak_memory(COMMANDS[name])
        print(f"{name:20} wall {wall:5.1f} s ({spread})  CPU {cpu:5.1f} s  peak {memory:5.0f} MB", end="")
        print(f"   grader / this: wall {ours[0] / wall:.2f}, CPU {ours[1] / cpu:.2f}")
    verdicts = [first_verdict() for _ in range(runs)]
    print(f"first verdict shown after {statistics.median(verdicts):.1f} s ({min(verdicts):.1f} to {max(verdicts):.1f})")


if __name__ == "__main__":
    main()
