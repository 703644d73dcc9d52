"""Classroom 50 runs this once per submission, in the student's checkout; the grader lies beside it.

It writes result.json, release-body.md and report.html there and ends with 0 whatever the score. Another status is
trouble of the grader's own. GRADER_PYTHON names an interpreter that has the grader's dependencies already (a container
image, a self-hosted runner); without it they are installed, which takes about a minute.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

BUNDLE = Path(__file__).resolve().parent
CHECKOUT = Path.cwd()
# What the grader needs of the environment. The rest holds tokens and the files of this job, and student code is near.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        python = os.environ.get("GRADER_PYTHON") or installed(Path(folder) / "venv")
        reports = Path(folder) / "reports"
        status = grade(python, reports)
        if status > 1:
            print(f"The grader ended with status {status}.", file=sys.stderr)
        publish = [python, "-m", "grader", "publish", str(reports), "--for", "classroom50", "--into", str(CHECKOUT)]
        return max(subprocess.run(publish, cwd=BUNDLE).returncode, status if status > 1 else 0)


def installed(venv: Path) -> str:
    """A fresh environment with the grader in it, and the CPU build of PyTorch; its interpreter."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(venv.parent / "uv"), "uv>=0.7.14"], check=True)
    uv = [sys.executable, "-m", "uv"]
    environment = {**os.environ, "PYTHONPATH": str(venv.parent / "uv")}
    subprocess.run([*uv, "venv", "--quiet", str(venv)], check=True, env=environment)
    install = [*uv, "pip", "install", "--quiet", "--python", str(venv), "--torch-backend", "cpu", "-e", str(BUNDLE)]
    subprocess.run(install, check=True, env=environment)
    return str(venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def grade(python: str, reports: Path) -> int:
    """Run the checks on the checkout; pytest's exit status. What student code prints is no command to GitHub."""
    fence = secrets.token_hex(16)
    print(f"::stop-commands::{fence}", flush=True)
    command = [python, "-m", "pytest", "-c", "pyproject.toml", "--rootdir", ".", "grader/"]
    command += [f"--submission={CHECKOUT}", f"--report={reports}"]
    clean = {name: value for name, value in os.environ.items() if name.upper() in KEPT}
    status = subprocess.run(command, cwd=BUNDLE, env=clean).returncode
    print(f"\n::{fence}::", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
