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
NOT_INSTALLED = (
    "The grader could not be installed, so this submission has no score. "
    "That is not your fault: submit once more, and tell your teacher if it happens again."
)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        try:
            python = os.environ.get("GRADER_PYTHON") or installed(Path(folder) / "venv")
        except (subprocess.CalledProcessError, OSError) as error:
            return not_installed(error)
        reports = Path(folder) / "reports"
        let_code_be_confined()
        status = grade(python, reports)
        if status > 1:
            print(f"The grader ended with status {status}.", file=sys.stderr)
        publish = [python, "-m", "grader", "publish", str(reports), "--for", "classroom50", "--into", str(CHECKOUT)]
        return max(subprocess.run(publish, cwd=BUNDLE).returncode, status if status > 1 else 0)


def installed(venv: Path) -> str:
    """A fresh environment with the grader in it, and the CPU build of PyTorch; its interpreter.

    The versions are those of the release, for what is installed and for what builds it.
    """
    versions = str(BUNDLE / "constraints.txt")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(venv.parent / "uv"), "-c", versions, "uv"], check=True)
    uv = [sys.executable, "-m", "uv"]
    environment = {**os.environ, "PYTHONPATH": str(venv.parent / "uv")}
    subprocess.run([*uv, "venv", "--quiet", str(venv)], check=True, env=environment)
    install = [*uv, "pip", "install", "--quiet", "--python", str(venv), "--torch-backend", "cpu"]
    install += ["-c", versions, "-b", versions, "-e", f"{BUNDLE}[confined]"]
    subprocess.run(install, check=True, env=environment)
    return str(venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def not_installed(error: Exception) -> int:
    """Say so where a student looks; the status of trouble."""
    print(f"::error title=No score::{NOT_INSTALLED}")
    print(error, file=sys.stderr)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with open(output, "a", encoding="utf-8") as file:
            file.write(f"status=error\nsummary={NOT_INSTALLED}\n")
    return 3


def let_code_be_confined() -> None:
    """Ubuntu 24.04 forbids the namespaces that this takes; a machine of GitHub's, thrown away after this job, may
    permit them. Anywhere else, and where it fails, the report says what student code was not kept from."""
    if os.environ.get("RUNNER_ENVIRONMENT") == "github-hosted":
        permit = ["sudo", "-n", "sysctl", "-q", "-w", "kernel.apparmor_restrict_unprivileged_userns=0"]
        try:
            subprocess.run(permit, stdin=subprocess.DEVNULL, timeout=20)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"Namespaces could not be permitted: {error}", file=sys.stderr)


def grade(python: str, reports: Path) -> int:
    """Run the checks on the checkout; pytest's exit status. What student code prints is no command to GitHub."""
    fence = secrets.token_hex(16)
    print(f"::stop-commands::{fence}", flush=True)
    command = [python, "-m", "pytest", "-c", "pyproject.toml", "--rootdir", ".", "grader/", "--isolation=best"]
    command += [f"--submission={CHECKOUT}", f"--report={reports}"]
    clean = {name: value for name, value in os.environ.items() if name.upper() in KEPT}
    status = subprocess.run(command, cwd=BUNDLE, env=clean).returncode
    print(f"\n::{fence}::", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
