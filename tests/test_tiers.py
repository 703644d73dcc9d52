"""`--worker spawn` and `--worker fork` give the same result: reference (test_whole_path), skeleton, broken ones."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from grader.corpus import entries as corpus

PARTS = {"data.py": ["data"], "model.py": ["model"], "train.py": ["training"]}
ENDLESS = ("endless-loop-at-import", "endless-loop-in-evaluate", "endless-printing", "segfault", "waits-in-forward")
BROKEN = [entry for entry in corpus.load_all("broken") if entry.name not in ENDLESS]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no fork tier here to compare with")


def comparable(result):
    """What must agree: everything but times and what the worker says of itself."""
    return [replace(check, seconds=0) for check in result.checks], result.prints, result.submission


def test_the_skeleton_is_the_same_in_both(graded, spawned):
    files = {name: (corpus.ROOT / "assignment" / name).read_text(encoding="utf-8") for name in corpus.SUBMITTED}
    assert comparable(graded(files)) == comparable(graded(files, server=spawned))


@pytest.mark.parametrize("entry", BROKEN, ids=lambda entry: entry.name)
def test_a_broken_submission_is_the_same_in_both(entry, graded, spawned):
    files = corpus.source_of(entry)
    parts = PARTS[next(iter([*entry.files, *(file for file, _, _ in entry.patches)]))]
    forked, other = graded(files, parts=parts), graded(files, parts=parts, server=spawned)
    assert comparable(forked) == comparable(other), f"{forked.trouble}\n{other.trouble}"


@pytest.mark.parametrize("name", ["no-zero-grad", "softmax-output", "val-overlaps-train", "functional-dropout"])
def test_a_misconception_is_the_same_in_both(name, graded, spawned):
    entry = corpus.load(corpus.ROOT / "tests" / "chaffs" / f"{name}.toml")
    files, parts = corpus.source_of(entry), ["data", "model", "training"]
    assert comparable(graded(files, parts=parts)) == comparable(graded(files, parts=parts, server=spawned))


def test_what_one_probe_leaves_behind_does_not_reach_the_next(graded, spawned, worth):
    """model.py changes torch for good while it is imported; the next submission must not notice."""
    files = corpus.reference()
    poisoned = dict(files)
    poisoned["model.py"] += "\n\ntorch.Tensor.backward = lambda *a, **k: None\ntorch.set_default_dtype(torch.float64)\n"
    graded(poisoned, parts=["model"], server=spawned)
    assert graded(files, parts=["model", "training"], server=spawned).score == worth("model", "training")
