"""Accuracy: the whole pipeline on secret digits, counted on the trusted side."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from grader.checks.accuracy.curve import reading
from grader.checks.accuracy.experiments import Changed, Exchanged, advice
from grader.checks.accuracy.recognise import match
from grader.checks.accuracy.tiers import facts as facts_of
from grader.checks.accuracy.tiers import percent, share, told
from grader.checks.secret_digits import secret_digits, secret_root
from grader.engine.answer import Answer
from grader.engine.check import check, fail
from grader.engine.endings import NotSeen, ProtocolBroken
from grader.engine.student import Student

WORST = 25  # confident mistakes kept for the report
USUAL = 0.985  # the best of the corpus' 200 right solutions, with more epochs than usual, stays below it
PACKED = 6_000  # bytes: what 200 right solutions of the corpus and 120 of strangers say, compressed, stays below 4,000
HISTORY = ("train_loss", "val_loss", "val_accuracy")
PIXELS, PICTURES = 28 * 28, 64  # of a picture; and so many pictures, at most, for the report
CHANCE = 0.15  # ten classes; 2,004 test digits: 0.10 + 6 standard deviations is 0.14
# of the pixels of all test images: 0..1 has mean 0.13 and deviation 0.31, -1..1 has -0.74 and 0.62; Normalize with mean
# and deviation exchanged gives -1.4 and 2.4
FAR, WIDE = 1.5, 2.0


CALLS = ("train.fit", "model.DigitClassifier", "data.make_loaders")
PROBE = "pipeline.train_and_score"
DEVICES = "training.devices"


def begin(student: Student) -> None:
    """The training takes longer than all other checks together, so it starts ahead of them."""
    student.begin(PROBE, root=secret_root(student))


@check("test-accuracy", part="accuracy", todo=7, calls=CALLS, begin=begin)
def test_accuracy(student: Student) -> None:
    """Your network recognises digits it has never seen"""
    secret = secret_digits(student)
    student.begin(DEVICES)  # beside the rest of the training: it is asked for once points are earned
    answer = student.observe(PROBE, root=secret_root(student))
    if "stopped" in answer:
        end_where_it_stopped(answer)
    total = len(secret.truth)
    scores, inputs = answer.array("scores", None), answer.array("inputs", (range(2 * total + 1), range(PIXELS + 1)))
    if scores.ndim != 2 or scores.shape[1:] != (10,) or len(scores) != len(inputs):
        fail("accuracy-score-shape", shape=str(scores.shape), expected=f"({total}, 10)")
    shown = secret.shown
    rng = student.rng("recognised")
    which = match(inputs, shown.test_images, shown.train_images, rng)  # (N,) the digit of each input, -1 for none
    guesses = np.where(np.isfinite(scores).all(axis=1), np.nan_to_num(scores).argmax(axis=1), -1)
    known = which >= 0
    right = np.zeros(total, bool)
    right[which[known]] = guesses[known] == secret.truth[which[known]]
    accuracy = round(float(right.mean()), 3)  # as every report shows it: what is read is what is judged
    record(student, answer, which, guesses, scores, accuracy, inputs)
    if accuracy >= student.rubric.tiers[-1].at:
        return
    answers = np.bincount(secret.to_true[guesses[guesses >= 0]], minlength=10)
    history = {key: answer.part("history").numbers(key) for key in HISTORY}
    curve = reading(history, dict(enumerate(answers.tolist())), accuracy)
    say_what_is_missing(student, accuracy, int(total - known.sum()), curve, bool(np.isfinite(scores).any()))


def say_what_is_missing(student: Student, accuracy: float, unseen: int, curve: str, finite: bool) -> NoReturn:
    """Name what keeps the accuracy below the highest tier.

    unseen: test images that were not scored; curve: a sentence about the training; finite: whether a score is a number
    """
    tiers = student.rubric.tiers
    part = share(accuracy, tiers)
    facts = {**facts_of(accuracy, tiers), "total": len(secret_digits(student).truth), "curve": curve}
    if unseen:
        fail("accuracy-images-missing", share=part, missing=unseen, **facts)
    found = advice(student, accuracy)
    if isinstance(found, Exchanged):
        repaired, spoilt = percent(found.repaired), percent(found.spoilt)
        fail(FAULTS[found.part], share=part, repaired=repaired, spoilt=spoilt, **facts)
    if isinstance(found, Changed):
        default, better, after = f"{found.default:.2g}", f"{found.better:.2g}", percent(found.reached)
        if found.what == "lr":
            name = "rate-too-large" if found.better < found.default else "rate-too-small"
            fell = f" The learning rate was {found.seen}." if found.seen else ""
            facts["curve"] = f"{curve}{fell}".strip()
            fail(name, share=part, default=default, better=better, reached=after, **facts)
        if found.what == "epochs":
            fail("epochs-too-few", share=part, default=default, better=better, reached=after, **facts)
        if found.what == "steady":
            fail("schedule-does-not-suit", share=part, rates=found.seen, reached=after, **facts)
        if found.what == "optimizer":
            fail("options-do-not-suit", share=part, options=found.seen, reached=after, **facts)
        fail("pixels-do-not-suit", share=part, todo=1, reached=after, **facts)
    if not finite:
        fail("accuracy-not-a-number", share=part, **facts)
    if accuracy < tiers[0].at:
        fail("accuracy-at-chance" if accuracy < CHANCE else "accuracy-low", share=part, **facts)
    fail("accuracy-below-threshold", share=part, **facts)


FAULTS = {
    "data": "fault-in-data",
    "network": "fault-in-network",
    "fit": "fault-in-fit",
    "epoch": "fault-in-epoch",
    "optimizer": "fault-in-optimizer",
}
# what the accuracy comes from, step by step: what it is to a student, and the file it stands in
STAGES = {
    "make_loaders": ("Calling make_loaders", "data.py"),
    "training loader": ("Taking all batches out of your training loader", "data.py"),
    "validation loader": ("Taking all batches out of your validation loader", "data.py"),
    "DigitClassifier": ("Calling DigitClassifier()", "model.py"),
    "fit": ("Training your network with fit", "train.py"),
    "scores": ("Giving the images of your test loader to your trained network", "model.py"),
}


def end_where_it_stopped(answer: Answer) -> NoReturn:
    """Ends the check with the student's own lines where there are some, else with the step that stopped."""
    raised = answer.raised("stopped")
    if raised is None or raised.frames:
        answer.end_if_raised("stopped")
        raise ProtocolBroken("something stopped, and nothing was raised")
    what, file = STAGES.get(answer.text("stage"), STAGES["fit"])
    fail("pipeline-stops", what=what, file=file, error=f"{raised.type}: {raised.message}")


def record(
    student: Student,
    answer: Answer,
    which: np.ndarray,
    guesses: np.ndarray,
    scores: np.ndarray,
    accuracy: float,
    inputs: np.ndarray,
) -> None:
    """Leave for the reports: accuracy, curves, confusion matrix, worst mistakes, samples, first layer."""
    secret = secret_digits(student)
    counted = (which >= 0) & (guesses >= 0)
    true = secret.true_labels[which[counted]]
    guessed = secret.to_true[guesses[counted]]
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (true, guessed), 1)
    spread = scores[counted].astype(np.float64)
    with np.errstate(over="ignore"):  # forged scores at both ends of what a number can be
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
    curves = {key: finite(history.numbers(key)) for key in HISTORY}
    unusual = remarks(student, answer, accuracy, inputs)
    student.record(
        accuracy={"remarks": unusual, "test": accuracy, **told(student.rubric.tiers)},
        confusion=confusion.tolist(),
        training=curves,
        evidence=evidence,
    )


def remarks(student: Student, answer: Answer, accuracy: float, inputs: np.ndarray) -> list[str]:
    """What a teacher may want to look at in a submission that earned points here: names in recorded.REMARKS."""
    history, passes, epochs = answer.part("history"), answer.number("passes"), answer.number("epochs")
    if accuracy < student.rubric.tiers[0].at:
        return []
    found = {
        "no-history": not any(history.numbers(key) for key in HISTORY),
        "too-few-passes": 0 <= passes < epochs,
        "above-the-usual": accuracy > USUAL,
        **devices_ignored(student),
        "tensors-in-history": answer.flag("tensors"),
        "pixels-far-from-standard": abs(inputs.mean(dtype=float)) > FAR or inputs.std(dtype=float) > WIDE,
        "holds-much": student.packed_bytes > PACKED,
    }
    return [name for name, applies in found.items() if applies]


def devices_ignored(student: Student) -> dict[str, bool]:
    """Remarks on functions whose images stay where they are when another `device` is given."""
    names = ("train_one_epoch", "evaluate", "fit")
    try:
        answer = student.observe(DEVICES)
        epoch, evaluation, fit = (answer.text(name) == "cpu" for name in names)
    except (NotSeen, ProtocolBroken):  # what is wrong there, another check says
        return {}
    return {
        "device-ignored": epoch,
        "device-ignored-in-evaluate": evaluation,
        "device-not-handed-on": fit and not epoch,
    }


def few(pictures: np.ndarray) -> np.ndarray:
    """Pictures for the report; none where there are more numbers than the probe sends."""
    return pictures if pictures.size <= PICTURES * PIXELS else np.zeros((0, 28, 28), np.float32)


def finite(values: list[float]) -> list[float]:
    """Numbers that JSON has; what is none of them is left out."""
    return [round(v, 5) for v in values if np.isfinite(v) and abs(v) < 1e9]
