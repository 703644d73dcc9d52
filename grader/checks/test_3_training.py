"""JUDGE train.py: TODO 5, 6 and 7, each with the grader's own parts around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from grader.checks.training import evaluate as accuracy
from grader.checks.training import fit, losses, steps
from grader.engine.check import Failed, check, fail
from grader.engine.student import Student

TRAINING_SHARE = 2 / 3  # of the points for reported losses: what is left when only evaluate's are wrong


@check("step", part="training", todo=5, calls=("train.train_one_epoch",))
def test_step(student: Student) -> None:
    """Every batch updates the weights along its gradient"""
    seen, given = steps.observe_epochs(student)
    steps.stop_on_exception(seen, "alone_1_raised")
    steps.name_changed_rate(seen)
    steps.name_own_optimizer(seen, given)
    steps.name_unmoved(seen, given)
    steps.name_repeats(seen)
    steps.name_wrong_gradient(seen, given)
    steps.stop_on_exception(seen, "together_raised", "large_raised", "split_raised")
    steps.name_missing_updates(seen, given)
    steps.name_ignored_state(seen, given)
    losses.name_raw_nll_in_training(student)


@check("fresh-gradients", part="training", todo=5, calls=("train.train_one_epoch",))
def test_fresh_gradients(student: Student) -> None:
    """Each update uses the gradient of its own batch only"""
    seen, given = steps.observe_epochs(student)
    steps.stop_on_exception(seen, "alone_1_raised")
    steps.name_unmoved(seen, given)
    steps.name_repeats(seen)
    steps.stop_on_exception(seen, "together_raised", "large_raised", "split_raised")
    steps.name_mixed_gradients(seen, given)


@check("train-mode", part="training", todo=5, calls=("train.train_one_epoch",))
def test_train_mode(student: Student) -> None:
    """The network is in training mode while it learns"""
    seen, _ = steps.observe_epochs(student)
    steps.stop_on_exception(seen, "alone_1_raised")
    modes = list(seen["together_training"]) or list(seen["alone_1_training"])
    if not modes:
        fail("model-not-used-in-loop")
    if not all(modes):
        fail("train-mode-missing", wrong=modes.count(False), passes=len(modes))


@check("mean-loss", part="training", todo=5, calls=("train.train_one_epoch",))
def test_mean_loss(student: Student) -> None:
    """The reported losses are means over images, also with a short last batch"""
    seen, groups = losses.observe_reported(student)
    steps.stop_on_exception(seen, *(f"train_{at}_raised" for at in range(len(groups))))
    losses.judge_training(student, seen, groups)
    try:
        losses.judge_evaluation(seen, groups)
        losses.name_raw_nll_in_evaluation(student)
    except Failed as failed:
        raise Failed(replace(failed.finding, share=TRAINING_SHARE)) from None


@check("evaluate-accuracy", part="training", todo=6, calls=("train.evaluate",))
def test_evaluate_accuracy(student: Student) -> None:
    """The accuracy is the fraction of images classified correctly"""
    groups = accuracy.accuracy_groups(student.rng("accuracies"))
    seen = student.observe("training.evaluations", **losses.flat(groups))
    accuracy.name_wrong_axis(seen, len(groups))
    steps.stop_on_exception(seen, *(f"group_{at}_raised" for at in range(len(groups))))
    got = [accuracy.accuracy_of(seen, at, group) for at, group in enumerate(groups)]
    true = [group.accuracy for group in groups]
    if all(abs(g - t) < losses.ROUNDING for g, t in zip(got, true)):
        return
    accuracy.name_accuracy(got, groups)


@check("evaluate-clean", part="training", todo=6, calls=("train.evaluate",))
def test_evaluate_clean(student: Student) -> None:
    """Evaluating runs in evaluation mode, without gradients, and changes nothing"""
    rng = student.rng("clean")
    images = rng.normal(size=(14, 1, 28, 28)).astype(np.float32)
    seen = student.observe("training.clean_evaluation", images=images, labels=rng.integers(0, 10, 14), batch_size=4)
    steps.stop_on_exception(seen, "once_raised", "again_raised")
    modes, graphs = list(seen["training"]), list(seen["graph"])
    if not modes:
        fail("model-not-used-in-evaluate")
    if any(modes):
        fail("eval-mode-missing", wrong=modes.count(True), passes=len(modes))
    different = [
        str(seen[f"name_{at}"])
        for at in range(seen["tensors"])
        if not same_tensor(seen[f"before_{at}"], seen[f"after_{at}"])
    ]
    if different:
        fail("evaluate-changes-model", names=", ".join(different[:3]))
    if not all(seen["trainable"]):
        fail("model-left-frozen")
    if any(graphs):
        fail("gradients-recorded-in-evaluate", wrong=graphs.count(True), passes=len(graphs))
    if not seen["grad_left_on"] and not seen["still_trains"]:
        fail("gradients-left-off")
    accuracy.name_not_repeatable(seen)


def same_tensor(before: Any, after: Any) -> bool:
    return bool(before.dtype == after.dtype and np.array_equal(before, after))


@check("fit-history", part="training", todo=7, calls=("train.fit",))
def test_fit_history(student: Student) -> None:
    """fit writes down what was measured, one number an epoch"""
    seen, given = fit.observe_fits(student)
    for run, epochs in (("three", 3), ("one", 1)):
        steps.stop_on_exception(seen, f"{run}_raised")
        fit.judge_form(seen, run)
        try:
            fit.judge_numbers(seen, given, run, epochs)
        except Failed:
            fit.name_validation_training(fit.Run(seen, given, run))  # then the numbers are only a consequence
            raise


@check("fit-learns", part="training", todo=7, calls=("train.fit",))
def test_fit_learns(student: Student) -> None:
    """fit trains the given network with the given learning rate, on training images only"""
    seen, given = fit.observe_fits(student)
    steps.stop_on_exception(seen, "three_raised", "still_raised")
    fit.judge_training(seen, given)
    fit.judge_optimizer(seen, given)
