"""What is tried when the accuracy falls short: it chooses words, and nothing else. Examples of advice are chaffs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from grader.checks.accuracy import experiments
from grader.checks.accuracy.curve import reading
from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.answer import Answer
from grader.engine.rubric import load_rubric

GUESSES = dict.fromkeys(range(10), 10)


def with_rate(rate: str) -> dict[str, str]:
    files = corpus.reference()
    files["train.py"] = files["train.py"].replace("lr=0.01", f"lr={rate}")
    return files


def rubric(experiments: float = 10):
    """With more time for experiments than a student gets: a busy machine must not choose what is said."""
    whole = load_rubric(WEEK)
    return replace(whole, limits=dict(whole.limits) | {"experiments": experiments})


def test_an_experiment_changes_no_points(graded):
    """The same points with and without it; only then a sentence with a number that comes from a whole training."""
    plain = graded(with_rate("0.0001"), rubric(experiments=0), parts=["accuracy"])
    tried = graded(with_rate("0.0001"), rubric(), parts=["accuracy"])
    assert plain.score == tried.score and plain.recorded["accuracy"] == tried.recorded["accuracy"]
    assert plain.checks[0].finding in ("accuracy-low", "accuracy-below-threshold")
    assert (
        tried.checks[0].finding == "rate-too-small" and "instead of lr=0.0001 the same code" in tried.checks[0].message
    )


@pytest.mark.corpus
def test_a_better_value_that_is_named_is_one_that_helps(graded):
    message = graded(with_rate("5"), rubric(), parts=["accuracy"]).checks[0].message
    better = message.split("with lr=")[1].split()[0]
    promised = float(message.split("reaches ")[1].split()[0])
    again = graded(with_rate(better), rubric(experiments=0), parts=["accuracy"])
    assert again.recorded["accuracy"]["test"] == pytest.approx(promised / 100, abs=0.04)


def test_nothing_is_tried_when_another_check_has_named_a_fault(graded):
    files = with_rate("0.0001")
    files["train.py"] = files["train.py"].replace("loss.item() * len(labels)", "loss.item()", 1)
    result = graded(files, parts=["training", "accuracy"])
    assert result.checks[-1].finding in ("accuracy-low", "accuracy-below-threshold")
    assert "Put right first what was named above, which may be the cause" in result.checks[-1].message


@pytest.mark.corpus
@pytest.mark.parametrize(
    "line", ["while True: pass", "raise BaseException('only the second time')", "__import__('os')._exit(3)"]
)
def test_code_that_behaves_badly_in_an_experiment_keeps_its_plain_verdict(graded, line):
    """It behaves badly only when fit is called with a learning rate of the grader's."""
    files, first = with_rate("0.0001"), "    model.to(device)\n    optimizer"
    assert first in files["train.py"]
    files["train.py"] = files["train.py"].replace(first, f"    if lr != 0.0001:\n        {line}\n{first}")
    result = graded(files, rubric(experiments=1), parts=["accuracy"])
    assert result.checks[0].status == "failed" and result.final
    assert result.recorded["accuracy"]["test"] > 0.3


def curves(**given: list[float]) -> dict[str, list[float]]:
    return {"train_loss": [], "val_loss": [], "val_accuracy": []} | given


@pytest.mark.parametrize(
    ("history", "answers", "accuracy", "says"),
    [
        (curves(train_loss=[2.31, 2.30, 2.30]), GUESSES, 0.1, "stayed at 2.30"),
        (curves(train_loss=[1.0, float("nan"), float("nan")]), GUESSES, 0.1, "not a number any more in epoch 2"),
        (curves(train_loss=[2.0, 1.5, 1.1]), GUESSES, 0.6, "still falling: 1.50"),
        (curves(train_loss=[1.0, 0.2, 0.19], val_loss=[0.5, 0.9, 1.4]), GUESSES, 0.6, "rose again, from 0.50 to 1.40"),
        (curves(train_loss=[1.0, 0.2, 0.19], val_accuracy=[0.9, 0.99]), GUESSES, 0.6, "an accuracy of 99 %"),
        (curves(train_loss=[1.0, 3.0]), GUESSES, 0.1, "rose: 1.00"),
        (curves(train_loss=[1.9, 1.8]), {3: 95, 4: 5}, 0.1, "answers 3 for 95 %"),
        (curves(train_loss=[0.5, 0.30, 0.29], val_accuracy=[0.8]), GUESSES, 0.8, ""),
        (curves(), {}, 0.1, ""),
    ],
)
def test_a_curve_is_read_as_a_person_would(history, answers, accuracy, says):
    said = reading(history, answers, accuracy)
    assert says in said and bool(says) == bool(said)


@pytest.mark.parametrize(("told", "left"), [(float("nan"), 5.0), (-1.0, 5.0), (float("inf"), 5.0), (4.0, 6.0)])
def test_a_clock_that_lies_does_not_make_the_time_longer(monkeypatch, told, left):
    """What a child says of the time it took ends up between 0 and what it was given; no number means all of it."""
    answer = Answer({"used": told})
    monkeypatch.setattr(experiments, "secret_root", lambda student: "")
    monkeypatch.setattr(experiments.Laboratory, "read", lambda *_: [])
    laboratory = object.__new__(experiments.Laboratory)
    laboratory.student, laboratory.left, laboratory.code = SimpleNamespace(experiment=lambda *_, **__: answer), 10.0, []
    laboratory.run([{}], [{}], share=0.5)
    assert laboratory.left == left
