"""What a run costs: `pytest grader/ --submission=solution` against two plain ways of doing the same.

    python tests/benchmarks/whole_process.py [RUNS]

(a) the reference's training alone: solution/train.py's functions with their defaults, torch on one thread
(b) the same assertions in a plain in-process pytest (tests/benchmarks/plain_pytest.py)

The three alternate, so a machine that slows down slows all of them. Wall and CPU seconds are of the whole process
tree (os.wait4); where a server is ended by a kill before it has waited for its children, theirs are missing. Peak
memory is the largest sum of the tree's proportional set sizes (PSS, shared pages counted once), sampled every 0.1 s in
a run of its own. Then: seconds from start to the first verdict shown, on a pseudo-terminal. Linux and macOS; PSS is
Linux only. peers.py adds other graders to the same table.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
TRAINING = "a: training alone"
FIRST_SHOWN = {"grader": b"1 of 7 checked", "b: plain pytest": b"."}  # what is on the screen after one verdict
LONGEST = 1800.0  # seconds of one command

Command = Sequence[str]
Environment = Mapping[str, str] | None  # what is added to the environment of a command


class DidNotRun(RuntimeError):
    """A command that took too long or ended with a status that it should not have; one sentence.

    seconds: (wall, CPU) that it took all the same
    """

    def __init__(self, why: str, seconds: tuple[float, float] = (0.0, 0.0)):
        super().__init__(why)
        self.seconds = seconds


def training(python: str, folder: Path | str) -> list[str]:
    """What trains the data.py, model.py and train.py of a folder, and does nothing else; run it in the course."""
    code = (
        f"import sys, torch; torch.set_num_threads(1); sys.path.insert(0, {str(folder)!r}); import data, model, train; "
        "loaders = data.make_loaders('assignment/digits'); net = model.DigitClassifier(); "
        "train.fit(net, *loaders[:2]); print(train.evaluate(net, loaders[2]))"
    )
    return [python, "-c", code]


def commands(python: str = sys.executable) -> dict[str, Command]:
    """What this file compares; all of it for the solution, and run in the course's folder."""
    plain = ["tests/benchmarks/plain_pytest.py", "-c", "tests/benchmarks/plain.ini"]
    return {
        "grader": [python, "-m", "pytest", "grader/", "--submission=solution", "--seed=1"],
        TRAINING: training(python, "solution"),
        "b: plain pytest": [python, "-m", "pytest", *plain],
    }


def surroundings(more: Environment) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"} | dict(more or {})


def timed(
    command: Command,
    cwd: Path = ROOT,
    env: Environment = None,
    statuses: Sequence[int] = (0,),
    longest: float = LONGEST,
) -> tuple[float, float]:
    """(wall, CPU) seconds of one run. longest: wall seconds that it may take. Raises DidNotRun."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=surroundings(env), stdout=said, stderr=subprocess.STDOUT)
        limit = threading.Timer(longest, process.kill)
        limit.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
        except KeyboardInterrupt:
            process.kill()
            raise
        finally:
            limit.cancel()
        cpu = usage.ru_utime + usage.ru_stime
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in statuses:
            said.seek(0)
            lines = said.read().decode("utf-8", "replace").strip().splitlines() or [""]
            telling = [line for line in lines if "error:" in line.lower()] or lines
            why = f"no end after {longest:.0f} s" if seconds >= longest else f"status {process.returncode}"
            raise DidNotRun(f"did not run ({why}): {telling[-1].strip()}", (seconds, cpu))
    return seconds, cpu


def peak_memory(command: Command, cwd: Path = ROOT, env: Environment = None) -> float:
    """MB: the largest PSS of the whole tree seen in one run."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=cwd, env=surroundings(env), stdout=quiet, stderr=quiet)
    peak = 0
    while process.poll() is None:
        total = 0
        for member in tree(process.pid):
            try:
                total += getattr(member.memory_full_info(), "pss", 0)
            except psutil.Error:  # it has just ended
                pass
        peak = max(peak, total)
        time.sleep(0.1)
    return peak / 1e6


def tree(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def first_verdict(command: Command, shown: bytes, cwd: Path = ROOT, env: Environment = None) -> float:
    """Seconds until the first check's verdict is on the terminal. Raises DidNotRun."""
    import pty

    ours, theirs = pty.openpty()
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, env=surroundings(env), stdout=theirs, stderr=theirs)
    os.close(theirs)
    seconds, screen = 0.0, b""
    try:
        while part := os.read(ours, 65536):
            screen += part
            if not seconds and shown in screen:
                seconds = time.perf_counter() - start
    except OSError:  # the other end is closed: the run is over
        pass
    os.close(ours)
    process.wait()
    if not seconds:
        raise DidNotRun(f"never showed {shown.decode()!r}")
    return seconds


def compare(wanted: Mapping[str, Command], runs: int, cwd: Path = ROOT, env: Environment = None) -> dict[str, float]:
    """Run each of them `runs` times in turn and print a table. The peak memory of each, in MB."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in wanted}
    broken: dict[str, str] = {}
    for _ in range(runs):
        for name in seconds:
            if name not in broken:
                try:
                    seconds[name].append(timed(wanted[name], cwd, env))
                except DidNotRun as error:
                    broken[name] = str(error)
    print(f"{os.cpu_count()} cores, {runs} alternating runs, medians")
    middle = {
        name: [statistics.median(column) for column in zip(*figures)]
        for name, figures in seconds.items()
        if name not in broken
    }
    peaks = {}
    for name, figures in seconds.items():
        if name in broken:
            print(f"{name:20} {broken[name]}")
            continue
        wall, cpu = middle[name]
        spread = f"{min(f[0] for f in figures):.1f} to {max(f[0] for f in figures):.1f}"
        peaks[name] = peak_memory(wanted[name], cwd, env)
        ratios = [f"this / training: wall {wall / middle[TRAINING][0]:.2f}"] if TRAINING in middle else []
        if "grader" in middle:
            ours = middle["grader"]
            ratios += [f"grader / this: wall {ours[0] / wall:.2f}, CPU {ours[1] / cpu:.2f}"]
        print(
            f"{name:20} wall {wall:5.1f} s ({spread})  CPU {cpu:5.1f} s  peak {peaks[name]:5.0f} MB", *ratios, sep="  "
        )
    for name, shown in FIRST_SHOWN.items():
        if name in middle:
            verdicts = [first_verdict(wanted[name], shown, cwd, env) for _ in range(runs)]
            range_of = f"{min(verdicts):.1f} to {max(verdicts):.1f}"
            print(f"{name:20} first verdict shown after {statistics.median(verdicts):.1f} s ({range_of})")
    return peaks


def main() -> None:
    compare(commands(), int(sys.argv[1]) if len(sys.argv) > 1 else 5)


if __name__ == "__main__":
    main()
