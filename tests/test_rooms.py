"""Which room knows what: the engine no week, checks no torch, probes no points. `lint-imports` holds the imports."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.contract import WEEK
from grader.engine.rubric import load_toml

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "grader" / "engine"
SOURCES = sorted(p for p in ENGINE.rglob("*") if p.suffix in (".py", ".j2"))

# -- words -----------------------------------------------------------------------------------------------------

SUBJECT = (
    "digit", "digits", "mnist", "image", "images", "pixel", "pixels", "label", "labels", "network", "confusion",
    "accuracy", "epoch", "epochs", "optimizer", "dataloader", "torch", "pytorch", "torchvision",
    "training", "28", "784", "28x28",
)  # fmt: skip
HERE_FOR_A_REASON = {
    ("worker/beside_student/describe.py", "pytorch"): "cuts one library's longest message, whatever the week",
    ("worker/walls/limits.py", "torch"): "one of the folders that libraries may name for their own files",
    ("worker/walls/seccomp.py", "28"): "a bit of a number of the kernel's",
    ("keys.py", "digits"): "hexadecimal digits",
    ("submission/manifest.py", "forward"): "forward slashes",
    ("submission/safe_files.py", "forward"): "forward slashes",
    ("watching/saves.py", "network"): "drives on a network",
    ("worker/tiers.py", "network"): "the computer's network",
    ("worker/walls/confine.py", "network"): "the computer's network",
    ("worker/walls/namespaces.py", "network"): "the computer's network",
}


def week_words() -> set[str]:
    """What only this week's contract, checks and hints call something, and its subject."""
    names = {*WEEK.files, *WEEK.given, *WEEK.steering}
    names |= {f"{name}.py" for name in WEEK.given}
    names |= {part for todo in WEEK.todos for part in todo.function.split(".") if len(part) > 3}  # not "fit"
    findings = {name for path in WEEK.hints_path.glob("*.toml") if path.stem != "general" for name in load_toml(path)}
    names |= {name for name in {*findings, *WEEK.check} if "-" in name}  # one word alone may be anybody's
    return {*SUBJECT, *(name.lower() for name in names if not name.startswith("__"))}


def found_in(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8").lower()
    return {word for word in week_words() if re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text)}


def test_the_engine_has_no_word_of_this_week():
    seen = {(path.relative_to(ENGINE).as_posix(), word) for path in SOURCES for word in found_in(path)}
    assert seen - set(HERE_FOR_A_REASON) == set()
    assert set(HERE_FOR_A_REASON) - seen == set(), "this is no longer there: take it out of the list"


def test_the_engine_numbers_no_todo_and_names_no_part():
    parts = "|".join(WEEK.part_names)
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert re.findall(rf"TODO \d+|[\"'](?:{parts})[\"']", text) == [], path


def test_the_words_would_be_seen(tmp_path):
    for text, word in (
        ('x = "data.py"', "data.py"), ("# as in make_loaders", "make_loaders"), ("28 * 28", "28"),
        ("MNIST digits", "mnist"), ('fail("scores-are-probabilities")', "scores-are-probabilities"),
        ('contract.check["test-accuracy"]', "test-accuracy"), ("DigitClassifier()", "digitclassifier"),
    ):  # fmt: skip
        (tmp_path / "module.py").write_text(text, encoding="utf-8")
        assert word in found_in(tmp_path / "module.py"), text


# -- imports ---------------------------------------------------------------------------------------------------

# what must not be imported, where
BREACHES = {
    "engine/printable.py": "grader.contract",
    "engine/publish.py": "grader.authoring.archives",
    "engine/front/calm_reporter.py": "grader.engine.worker.in_process",
    "engine/result.py": "grader.checks.secret_digits",
    "engine/reports/words.py": "grader.engine.reports.terminal",  # a circle
    "engine/worker/raised.py": "grader.engine.printable",
    "engine/worker/trusted/job.py": "grader.engine.worker.beside_student.importer",
    "engine/worker/beside_student/importer.py": "grader.engine.worker.trusted.job",
    "engine/worker/walls/libc.py": "grader.engine.worker.trusted.start",
    "checks/secret_digits.py": "torch",
    "checks/model/unusable.py": "grader.probes.model",
    "checks/data/pixels.py": "grader.engine.worker.channel",
    "probes/data.py": "grader.engine.rubric",
    "probes/model.py": "grader.checks.data.pixels",
    "probes/training.py": "grader.digits",
    "plugin.py": "grader.corpus.entries",
    "contract.py": "grader.authoring.build",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what `lint-imports` looks at."""
    shutil.copytree(ROOT / "grader", tmp_path / "grader", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def linted(root: Path) -> tuple[int, str]:
    """(exit status, output) of `lint-imports` in a folder."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=root, env=os.environ | {"COLUMNS": "300"}, capture_output=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_every_import_goes_down():
    status, told = linted(ROOT)
    assert status == 0 and re.search(r"[1-9]\d* kept, 0 broken", told), told


def test_an_import_that_goes_up_or_across_is_named(copy):
    for file, module in BREACHES.items():
        with (copy / "grader" / file).open("a", encoding="utf-8") as source:
            source.write(f"\n\ndef breach():\n    import {module}\n")
    status, told = linted(copy)
    assert status == 1
    assert " 0 kept" in told, told  # each contract is broken by one of them
    for file, module in BREACHES.items():
        name = "grader." + file.removesuffix(".py").replace("/", ".")
        short = f"- .{name.split('.')[-1]} -> .{module.split('.')[-1]} "  # how circles are shown
        assert re.search(rf"{re.escape(name)} -> {re.escape(module)}\b", told) or short in told, (name, module, told)


@pytest.mark.parametrize("room", ["grader", "grader/engine", "grader/engine/worker"])
def test_a_new_module_gets_its_place(copy, room):
    (copy / room / "attic.py").write_text('"""New here."""\n', encoding="utf-8")
    status, told = linted(copy)
    assert status == 1 and "attic" in told
