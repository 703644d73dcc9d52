"""What a run keeps secret follows from its seed and a key; the seed alone, or what a child sees, tells nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from grader.contract import WEEK
from grader.engine import keys
from grader.engine.front.pytest_session import BadSeed, seed_in
from grader.engine.keys import BadKey, Key, installation_key, make_key, passing_key, read_key
from grader.engine.run import grade
from grader.engine.submission.read import read

ROOT = Path(__file__).resolve().parents[1]
ONE, OTHER = Key(b"1" * 32), Key(b"2" * 32)


def test_the_same_key_seed_and_name_give_the_same_numbers_and_nothing_else_does():
    first = ONE.rng(7, "inputs").integers(0, 1 << 60, 4)
    assert np.array_equal(first, ONE.rng(7, "inputs").integers(0, 1 << 60, 4))
    for other in (OTHER.rng(7, "inputs"), ONE.rng(8, "inputs"), ONE.rng(7, "labels")):
        assert not np.array_equal(first, other.integers(0, 1 << 60, 4))
    assert 0 <= ONE.number(7, "student") < 1 << 31 != OTHER.number(7, "student")


def test_a_key_never_shows_itself():
    assert "31" * 8 not in repr(ONE) + str(ONE) + ONE.fingerprint and len(ONE.fingerprint) == 12


def test_a_key_is_made_once_readable_by_its_owner_alone(tmp_path):
    path = tmp_path / "deep" / "key"
    with ThreadPoolExecutor(8) as pool:
        made = {key.secret for key in pool.map(lambda _: make_key(path), range(8))}
    assert made == {read_key(path).secret} and [p.name for p in path.parent.iterdir()] == ["key"]
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"xyz", b"ab" * 31, b"\xff" * 64, b"ab" * 33])
def test_a_damaged_key_file_is_one_sentence(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BadKey, match="is not a key: it should hold 64 hexadecimal digits"):
        read_key(tmp_path / "key")


def test_without_a_writable_home_the_key_is_for_one_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr(keys, "key_path", lambda: tmp_path / "file" / "key")
    first, second = installation_key(), installation_key()
    assert not first.kept and first.secret != second.secret


def test_a_seed_remembers_its_key():
    assert seed_in("12", ONE) == seed_in(f"12@{ONE.fingerprint}", ONE) == 12
    with pytest.raises(BadSeed, match=f"used with the key {OTHER.fingerprint}, and this installation has"):
        seed_in(f"12@{OTHER.fingerprint}", ONE)
    for text in ("", "x", "-1", "1.5", "9" * 40, "١"):
        with pytest.raises(BadSeed, match="is not a seed"):
            seed_in(text, ONE)


def test_a_run_repeats_with_its_key_and_not_with_another(server):
    submission = read(ROOT / "solution", WEEK, 64_000)
    told = [grade(submission, server, seed=5, parts=["model"], key=key) for key in (ONE, ONE, OTHER)]
    assert [result.grader["key"] for result in told] == [ONE.fingerprint, ONE.fingerprint, OTHER.fingerprint]
    assert grade(submission, server, seed=5, parts=["model"], key=passing_key()).grader["key"] is None


def test_what_a_child_sees_does_not_tell_the_run(graded, server):
    """Student code knows its own seed; with the run's seed besides, it still has to know the key."""
    show = "import torch\nprint('SEED', torch.initial_seed())\nraise ValueError\n"
    seen = []
    for key in (ONE, OTHER):
        result = graded({"model.py": show}, seed=42, parts=["model"], key=key)
        seen.append(int(result.prints.split("SEED ")[1].split()[0]))
    assert seen == [ONE.number(42, "student"), OTHER.number(42, "student")]


@pytest.mark.corpus
def test_the_command_line_takes_a_key_and_says_when_it_is_another(tmp_path):
    (tmp_path / "key").write_text("ab" * 32, encoding="ascii")
    command = [sys.executable, "-m", "pytest", "grader/", "--submission=solution", "-m", "model"]

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))

    done = run("-v", "--seed=3", f"--key={tmp_path / 'key'}")
    printed = next(line for line in done.stdout.splitlines() if "To repeat this run" in line)
    seed = printed.split("--seed=")[1].split()[0]
    assert seed == f"3@{read_key(tmp_path / 'key').fingerprint}"
    refused = run(f"--seed={seed}")
    assert refused.returncode == 4 and "give that key with --key=FILE" in refused.stderr
    missing = run("--key=nowhere")
    assert missing.returncode == 4 and "The key file" in missing.stderr and "Traceback" not in missing.stderr
