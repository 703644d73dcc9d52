"""Hostile code earns nothing and harms nothing: every attack of tests/attacks, in every tier that promises to stop it.

As an ordinary user, when you are root: python tests/ordinary_user.py -m pytest tests/test_attacks.py
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import psutil
import pytest

from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.corpus.attacks import ANY, Attack, filled, load
from grader.engine.result import STATUSES, Result
from grader.engine.rubric import Rubric, load_rubric
from grader.engine.run import grade
from grader.engine.servers import start_server
from grader.engine.submission.read import read
from grader.engine.worker.trusted.start import Server

ROOT = Path(__file__).resolve().parents[1]
ATTACKS = [load(path) for path in sorted((ROOT / "tests" / "attacks").glob("*.toml"))]
LINUX = sys.platform.startswith("linux")
SECRETS = {"GRADER_TOKEN": "sesame-opens", "GITHUB_TOKEN": "sesame-too", "GITHUB_ENV": "/tmp/sesame", "CI": "true"}


@dataclass(frozen=True)
class Ground:
    """Where attacks are let loose: a server of one tier, and things beside it that must stay as they are."""

    server: Server
    places: dict[str, Path]
    own: set[int]  # the server's own processes

    @property
    def pid(self) -> int:
        return int(self.server.worker.pid)  # type: ignore[attr-defined]

    def state(self) -> dict[str, str]:
        grader = self.places["grader"]
        hidden = ROOT / "assignment" / "digits"
        return digest(grader, hidden, self.places["other"], self.places["canary"])


def ground(tier: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    if not LINUX:
        pytest.skip("the fork server is for Linux")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    server = start_server(WEEK, "fork", isolation="practice" if tier == "practice" else None)
    if server.isolation != tier:
        server.close()
        pytest.skip(f"this system has no {tier} tier: {server.measures()}")
    other, canary = folder / "other", folder / "canary"
    other.mkdir()
    canary.mkdir()
    for name, text in corpus.reference().items():
        (other / name).write_text(text, encoding="utf-8")
    (canary / "secret").write_text("sesame", encoding="utf-8")
    places = {"grader": ROOT / "grader", "root": ROOT, "other": other, "canary": canary, "temporary": folder}
    if listener := listening():
        places["listening"] = Path(listener.getsockname())
    while not (server.full.ready and server.light.ready):  # type: ignore[attr-defined]
        time.sleep(0.05)  # before that there are children that only try things out
    own = {p.pid for p in psutil.Process(server.worker.pid).children(recursive=True)}  # type: ignore[attr-defined]
    try:
        yield Ground(server, places, own)
    finally:
        server.close()
        if listener:
            listener.close()
            places["listening"].unlink()


def listening() -> socket.socket | None:
    """A local socket with a name in a folder that is no temporary one: those are covered anyway."""
    for folder in (ROOT, ROOT.parent, Path.home()):
        try:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / f".listening-{os.getpid()}-{time.monotonic_ns()}"))
            listener.listen()
            os.chmod(listener.getsockname(), 0o777)
            return listener
        except OSError:  # not to be written, or too long a path
            listener.close()
    return None


@pytest.fixture(scope="module")
def confined(tmp_path_factory) -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        yield from ground("confined", tmp_path_factory.mktemp("confined"), patch)


@pytest.fixture(scope="module")
def practice(tmp_path_factory) -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        yield from ground("practice", tmp_path_factory.mktemp("practice"), patch)


@cache
def limits() -> Rubric:
    """Short limits: an attack costs its limit once."""
    rubric = load_rubric(WEEK)
    short = {"import_seconds": 1, "check_seconds": 1, "accuracy_seconds": 40, "output_bytes": 1_000_000}
    return replace(rubric, limits=dict(rubric.limits) | short | {"memory_bytes": 1_000_000_000})


def write(attack: Attack, folder: Path, places: dict[str, Path]) -> None:
    folder.mkdir()
    for name, text in attack.files.items():
        (folder / name).write_text(filled(text, places), encoding="utf-8")
    for name, target in attack.links.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(filled(target, places))
    for name, size in attack.sizes.items():
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write("\n" * size)


def digest(*folders: Path) -> dict[str, str]:
    """{path: SHA-256} of every file below the folders; compiled bytecode of our own is left out."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def survivors(server_pid: int, own: set[int]) -> list[int]:
    """Processes of student code that still run: below the server, or torn off from it and without a parent."""
    found = []
    try:
        command = psutil.Process(server_pid).cmdline()
        below = psutil.Process(server_pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return [server_pid]
    for process in [*below, *psutil.process_iter()]:
        try:
            torn_off = process.ppid() == 1 and process.cmdline() == command
            if process.pid not in own and (process in below or torn_off) and process.status() != "zombie":
                found.append(process.pid)
        except psutil.Error:
            pass
    return found


def let_loose(attack: Attack, ground: Ground, folder: Path) -> Result:
    write(attack, folder, ground.places)
    return grade(read(folder, WEEK, 64_000), ground.server, limits(), seed=5, parts=attack.parts)


def check_invariant(attack: Attack, ground: Ground, tmp_path: Path) -> None:
    if "listening" not in ground.places and any("{listening}" in text for text in attack.files.values()):
        pytest.skip("not run: there is no folder for a socket that this user may write")
    before = ground.state()
    result = let_loose(attack, ground, tmp_path / "attack")
    harmless = replace(attack, files=attack.base, links={}, sizes={})
    earned = base_points(harmless, ground, tmp_path / "base")
    assert result.score <= sum(earned.values()), [c for c in result.checks if c.score]
    changed = {path for path, value in ground.state().items() if before.get(path) != value}
    assert not changed
    deadline = time.monotonic() + 2
    while (left := survivors(ground.pid, ground.own)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left
    statuses = {check.status for check in result.checks if not earned[check.id]}
    assert statuses <= set(attack.allowed) <= set(STATUSES), result.checks
    assert set(attack.findings) <= {check.finding for check in result.checks}
    if attack.needs and attack.needs not in result.grader["measures"]:
        pytest.skip(f"not run: this system lacks the measure {attack.needs}")
    shown = "\n".join([result.prints, *(c.message + c.hint for c in result.checks)])
    assert not [text for text in attack.silent if text in shown]
    assert not [value for value in SECRETS.values() if len(value) > 4 and value in result.dumps()]
    assert psutil.pid_exists(ground.pid)


BASE_POINTS: dict[tuple[object, ...], dict[str, int]] = {}


def base_points(harmless: Attack, ground: Ground, folder: Path) -> dict[str, int]:
    """{check: points} of the same submission without its hostile lines."""
    key = (tuple(harmless.files.values()), harmless.parts, ground.server.isolation)
    if key not in BASE_POINTS:
        BASE_POINTS[key] = {check.id: check.score for check in let_loose(harmless, ground, folder).checks}
    return BASE_POINTS[key]


@pytest.mark.attacks
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_confined_an_attack_earns_and_changes_nothing(attack, confined, tmp_path):
    check_invariant(attack, confined, tmp_path)


@pytest.mark.attacks
@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.tier == "practice"], ids=lambda attack: attack.name)
def test_practice_an_attack_earns_and_changes_nothing(attack, practice, tmp_path):
    check_invariant(attack, practice, tmp_path)


@pytest.mark.attacks
def test_the_corpus_is_large_and_its_base_earns_nothing(confined, tmp_path):
    assert len(ATTACKS) >= 70
    harmless = replace(ATTACKS[0], files=ATTACKS[0].base, parts=("data", "model", "training", "accuracy"), allowed=ANY)
    result = let_loose(harmless, confined, tmp_path / "base")
    assert result.score == 0 and result.max_score == 100
