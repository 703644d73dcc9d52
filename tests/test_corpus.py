"""Who tests the grader? Correct solutions that look different must pass, wrong ones must be named.

Every day a sample of both, spread over the corpus; with `-m corpus` all of them. `python -m grader selftest`
does the same with seeds, crosses and a report.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.rubric import Tier, load_rubric

PARTS = {"data.py": "data", "model.py": "model", "train.py": "training"}
WHEATS, CHAFFS = corpus.load_all("wheats"), corpus.load_all("chaffs")
TO_THE_END = (  # correct variants that are also trained to the end
    "cnn-batchnorm", "nll-with-log-softmax-model", "adam-fit", "tensordataset", "minus-one-one", "early-stopping",
)  # fmt: skip


def touched(entry: corpus.Entry) -> set[str]:
    """The files in which an entry, or the wheat it stands on, differs from the reference."""
    base = touched(named(entry.base)) if entry.base else set()
    return base | {*entry.files, *(file for file, _, _ in entry.patches)}


@functools.cache
def named(name: str) -> corpus.Entry:
    return next(entry for entry in WHEATS if entry.name == name)


def spread(entries, every, keep=()):
    """Each entry as a parameter; all but every n-th and those to keep are left to `-m corpus`."""
    return [
        pytest.param(
            entry, id=entry.name, marks=[] if number % every == 0 or entry.name in keep else [pytest.mark.corpus]
        )
        for number, entry in enumerate(entries)
    ]


@pytest.mark.parametrize("wheat", spread(WHEATS, 20))
def test_a_correct_solution_loses_nothing(wheat, graded):
    result = graded(corpus.source_of(wheat), parts=["data", "model", "training"])
    wrong = [(check.id, check.status, check.message) for check in result.checks if check.status != "passed"]
    assert not wrong


@pytest.mark.corpus
@pytest.mark.parametrize("wheat", [e for e in WHEATS if e.name in TO_THE_END], ids=lambda entry: entry.name)
def test_a_correct_solution_reaches_the_accuracy(wheat, graded, worth):
    result = graded(corpus.source_of(wheat), parts=["accuracy"])
    assert (result.score, result.checks[0].status) == (worth("accuracy"), "passed"), result.checks[0].message


@pytest.mark.parametrize("chaff", spread(CHAFFS, 24))
def test_a_misconception_costs_points_and_is_named_first(chaff, graded):
    parts = chaff.parts or sorted({PARTS[file] for file in touched(chaff)})
    rubric = load_rubric(WEEK)
    top = rubric.points[WEEK.tiered]
    tiers = (Tier(0.70, top // 3), Tier(0.84, top))  # some chaffs learn too little: for these, not for any course's
    limits = dict(rubric.limits) | {"experiments": 10}  # on a busy machine, too, there is time to find the cause
    result = graded(corpus.source_of(chaff), replace(rubric, tiers=tiers, limits=limits), parts=parts)
    assert result.score < result.max_score
    first = next(check for check in result.checks if check.status in ("failed", "crashed", "timeout"))
    assert {first.finding, first.status} & set(chaff.findings), (first.id, first.finding, first.message)
    assert set(chaff.also) <= {check.finding for check in result.checks}
    for check in result.checks:
        text = check.message + check.hint
        assert "{" not in check.message or "}" not in check.message, "an unfilled placeholder"
        assert check.status in ("passed", "todo") or len(text) > 60


def test_the_corpus_is_large_and_every_entry_says_what_it_is():
    assert len(WHEATS) >= 45 and len(CHAFFS) >= 75
    for entry in [*WHEATS, *CHAFFS]:
        assert entry.what.endswith(".") and entry.source, entry.name
        corpus.source_of(entry)
    assert all(entry.findings for entry in CHAFFS)
