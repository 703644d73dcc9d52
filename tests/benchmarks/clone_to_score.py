"""From `git clone` of a student repository to its score: python tests/benchmarks/clone_to_score.py

Makes every release, says how large each is, then does what a new machine does with the one for GitHub: clone, a fresh
environment, `pip install -e .`, one import of what the grader needs, and a run with the reference solution in it.
Installing depends on the network; the other figures on the machine alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from grader.authoring import release  # noqa: E402
from grader.authoring.contents import TARGETS  # noqa: E402


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def packed(folder: Path) -> float:
    """The folder as one .tar.gz, in MB: what a download of it costs."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            archive.add(folder, arcname=folder.name)
        return file.tell() / 1e6


def timed(what: str, *command: str | Path, cwd: Path, statuses: tuple[int, ...] = (0,)) -> str:
    start = time.perf_counter()
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, encoding="utf-8")
    if done.returncode not in statuses:
        raise SystemExit(f"{what} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    print(f"  {what:<34}{time.perf_counter() - start:8.1f} s")
    return done.stdout


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="grader-benchmark-"))
    try:
        for target in TARGETS:
            release.run(argparse.Namespace(out=folder / target, target=target, dry_run=False, overwrite=False), ROOT)
            print(f"  {target}: {megabytes(folder / target):.1f} MB, packed {packed(folder / target):.2f} MB")
        origin, clone, environment = folder / "github", folder / "clone", folder / "venv"
        git = ("git", "-c", "user.name=teacher", "-c", "user.email=teacher@example.org")
        for command in (("init", "--quiet"), ("add", "-A"), ("commit", "--quiet", "-m", "release")):
            subprocess.run([*git, *command], cwd=origin, check=True)
        programs = environment / ("Scripts" if os.name == "nt" else "bin")
        print("from clone to score:")
        timed("git clone", "git", "clone", "--quiet", origin, clone, cwd=folder)
        timed("python -m venv", sys.executable, "-m", "venv", environment, cwd=folder)
        timed("pip install -e .", programs / "python", "-m", "pip", "install", "--quiet", "-e", ".", cwd=clone)
        for file in ("data.py", "model.py", "train.py"):
            shutil.copy(ROOT / "solution" / file, clone / "assignment")
        timed("first import of torch, torchvision", programs / "python", "-c", "import torch, torchvision", cwd=clone)
        timed("import again", programs / "python", "-c", "import torch, torchvision", cwd=clone)
        told = timed("pytest grader/", programs / "pytest", "grader/", cwd=clone, statuses=(0, 1))
        print(next(line for line in told.splitlines() if line.startswith("Score")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
