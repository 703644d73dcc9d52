"""Whether a class that was killed again and again ends as one that was not:

    python tests/benchmarks/killed.py [--submissions N] [--kills N]

A class of real submissions is graded undisturbed, then with the same key into another folder, where `batch` and all
below it are ended by SIGKILL at random moments and started again. Then every file of both folders is compared, byte for
byte but for times and for how long something took.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from grader.engine.keys import LENGTH  # noqa: E402
from tests.classroom_forms import make  # noqa: E402
from tests.made_submissions import made_submissions  # noqa: E402

TIMES = (
    rb'"(started_at|seconds|at)": [^\n,}]*',
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z| UTC)?",
    rb"\b\d+(\.\d+)? (s|seconds|minutes)\b",
)
KEPT_APART = (".grading", "class.json")  # the store, whose rows have times; what is compared with the next run


def batch(given: Path, out: Path, key: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "grader", "batch", str(given), "--out", str(out), "--key", str(key)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet, start_new_session=True)


def without_times(content: bytes) -> bytes:
    for pattern in TIMES:
        content = re.sub(pattern, b"TIME", content)
    return content


def files(out: Path) -> dict[str, bytes]:
    found = sorted(path for path in out.rglob("*") if path.is_file())
    inside = {path.relative_to(out).as_posix(): path for path in found}
    return {name: without_times(path.read_bytes()) for name, path in inside.items() if not name.startswith(KEPT_APART)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--submissions", type=int, default=30)
    parser.add_argument("--kills", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        given = make("folders", [student for student, _ in made_submissions(args.submissions, 3)], folder / "class")
        key = folder / "key"
        key.write_text(secrets.token_hex(LENGTH), encoding="ascii")
        start = time.monotonic()
        status = batch(given, folder / "whole", key).wait()
        undisturbed = time.monotonic() - start
        print(f"{args.submissions} submissions, undisturbed: {undisturbed:.0f} s, status {status}")
        draw = random.Random()
        moments = sorted(draw.uniform(1, undisturbed) for _ in range(args.kills))
        for before, moment in zip([0.0, *moments], moments):
            process = batch(given, folder / "killed", key)
            time.sleep(2 + moment - before)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        ended = batch(given, folder / "killed", key).wait()
        print(f"killed after {', '.join(f'{moment:.0f}' for moment in moments)} s; then status {ended}")
        whole, again = files(folder / "whole"), files(folder / "killed")
        differ = [name for name in sorted(whole.keys() | again.keys()) if whole.get(name) != again.get(name)]
        print(f"{len(whole)} files; {len(differ)} differ{': ' if differ else '.'}{', '.join(differ[:10])}")
        sys.exit(bool(differ) or status != ended)


if __name__ == "__main__":
    main()
