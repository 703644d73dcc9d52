"""Accuracy: the whole pipeline on secret digits, counted on the trusted side."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.checks.accuracy.recognise import match
from grader.checks.secret_digits import secret_digits, secret_root
from grader.engine.answer import Answer
from grader.engine.check import check, fail
from grader.engine.rubric import Tier
from grader.engine.student import Student

WORST = 25  # confident mistakes kept for the report
PIXELS, PICTURES = 28 * 28, 64  # of a picture; and so many pictures, at most, for the report
CHANCE = 0.15  # ten classes; 2,004 test digits: 0.10 + 6 standard deviations is 0.14


CALLS = ("train.fit", "model.DigitClassifier", "data.make_loaders")
PROBE = "pipeline.train_and_score"


def begin(student: Student) -> None:
    """The training takes longer than all other checks together, so it starts ahead of them."""
    student.begin(PROBE, root=secret_root(student))


@check("test-accuracy", part="accuracy", todo=7, calls=CALLS, begin=begin)
def test_accuracy(student: Student) -> None:
    """Your network recognises digits it has never seen"""
    secret = secret_digits(student)
    answer = student.observe(PROBE, root=secret_root(student))
    total = len(secret.truth)
    scores, inputs = answer.array("scores", None), answer.array("inputs", (range(2 * total + 1), range(PIXELS + 1)))
    if scores.ndim != 2 or scores.shape[1:] != (10,) or len(scores) != len(inputs):
        fail("accuracy-score-shape", shape=list(scores.shape), expected=f"({total}, 10)")
    if not np.isfinite(scores).any():
        student.record(accuracy=summary(student, 0.0))
        fail("accuracy-not-a-number", accuracy="0 %")
    which = match(inputs, secret.shown.test_images)  # (N,) index of the digit each input is, -1 where none
    guesses = np.where(np.isfinite(scores).all(axis=1), np.nan_to_num(scores).argmax(axis=1), -1)
    known = which >= 0
    right = np.zeros(total, bool)
    right[which[known]] = guesses[known] == secret.truth[which[known]]
    accuracy = float(right.mean())
    record(student, answer, which, guesses, scores, accuracy)
    tiers = student.rubric.tiers
    reached = [tier for tier in tiers if accuracy >= tier.at]
    if len(reached) == len(tiers):
        return
    best = tiers[-1]
    facts: dict[str, Any] = {
        "accuracy": percent(accuracy),
        "first": percent(tiers[0].at),
        "needed": percent(best.at),
        "total": total,
    }
    if known.sum() < total:
        fail("accuracy-images-missing", share=share(reached, best), missing=int(total - known.sum()), **facts)
    if not reached:
        fail("accuracy-at-chance" if accuracy < CHANCE else "accuracy-low", **facts)
    earned = f"{reached[-1].points} of {best.points}"
    fail("accuracy-below-threshold", share=share(reached, best), earned=earned, **facts)


def share(reached: list[Tier], best: Tier) -> float:
    return reached[-1].points / best.points if reached else 0.0


def percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def summary(student: Student, accuracy: float) -> dict[str, Any]:
    tiers = student.rubric.tiers
    return {
        "test": round(accuracy, 4),
        "floor": tiers[-1].at,
        "tiers": [{"at": tier.at, "points": tier.points} for tier in tiers],
    }


def record(
    student: Student, answer: Answer, which: np.ndarray, guesses: np.ndarray, scores: np.ndarray, accuracy: float
) -> None:
    """Leave for the reports: accuracy, curves, confusion matrix, worst mistakes, samples, first layer."""
    secret = secret_digits(student)
    counted = (which >= 0) & (guesses >= 0)
    true = secret.true_labels[which[counted]]
    guessed = secret.to_true[guesses[counted]]
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (true, guessed), 1)
    spread = scores[counted].astype(np.float64)
    spread = np.exp(spread - spread.max(axis=1, keepdims=True))
    sureness = spread.max(axis=1) / spread.sum(axis=1)
    worst = sorted(np.flatnonzero(true != guessed), key=lambda i: -sureness[i])[:WORST]
    evidence = {
        "worst_images": secret.upright[which[counted]][worst],
        "worst_true": true[worst].astype(np.int64),
        "worst_guessed": guessed[worst].astype(np.int64),
        "worst_sureness": sureness[worst].astype(np.float64),
    }
    samples, history = answer.part("samples"), answer.part("history")
    evidence["sample_images"] = few(samples.array("images", None))
    if "first_layer" in answer:
        evidence["first_layer"] = few(answer.array("first_layer", None))
    labels = samples.array("labels", None, "i")
    if labels.ndim == 1 and labels.size and labels.min() >= 0 and labels.max() <= 9:
        evidence["sample_labels"] = secret.to_true[labels].astype(np.int64)
    curves = {key: finite(history.numbers(key)) for key in ("train_loss", "val_loss", "val_accuracy")}
    student.record(
        accuracy=summary(student, accuracy), confusion=confusion.tolist(), training=curves, evidence=evidence
    )


def few(pictures: np.ndarray) -> np.ndarray:
    """Pictures for the report; none where there are more numbers than the probe sends."""
    return pictures if pictures.size <= PICTURES * PIXELS else np.zeros((0, 28, 28), np.float32)


def finite(values: list[float]) -> list[float]:
    """Numbers that JSON has; what is none of them is left out."""
    return [round(v, 5) for v in values if np.isfinite(v) and abs(v) < 1e9]
