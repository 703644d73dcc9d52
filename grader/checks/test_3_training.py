"""JUDGE train.py: TODO 5, 6 and 7, each with the grader's own parts around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from grader.checks.training import evaluate, fit, losses, steps
from grader.checks.training.epochs import observe_epochs, seen_in_updates
from grader.checks.training.fit_run import observe_fits
from grader.checks.training.stand_ins import end_if_raised
from grader.engine.answer import Answer
from grader.engine.check import Failed, check, fail, only_where, waits_for
from grader.engine.student import Student

TRAINING_SHARE = 2 / 3  # of the points for reported losses: what is left when only evaluate's are wrong


@check("step", part="training", todo=5, calls=("train.train_one_epoch",))
@only_where(seen_in_updates)
def test_step(student: Student) -> None:
    """Every batch updates the weights along its gradient"""
    epochs = observe_epochs(student)
    steps.name_batch_left_out(epochs)
    steps.stop_on_exception(epochs.first)
    steps.name_changed_rate(epochs)
    steps.name_own_optimizer(epochs)
    steps.name_unmoved(epochs)
    steps.name_repeats(epochs)
    steps.stop_on_exception(epochs.together, *epochs.alone, epochs.relabelled)
    steps.name_no_step(epochs)
    steps.name_wrong_gradient(epochs)
    steps.stop_on_exception(epochs.large, epochs.split)
    steps.name_missing_updates(epochs)
    steps.stop_on_exception(epochs.still, epochs.momentum, epochs.resumed, epochs.many)
    steps.name_not_finite(epochs.still, epochs.momentum)
    steps.name_ignored_state(epochs)
    steps.name_left_out(epochs)
    losses.name_raw_nll_in_training(student)


@check("fresh-gradients", part="training", todo=5, calls=("train.train_one_epoch",))
@only_where(seen_in_updates)
def test_fresh_gradients(student: Student) -> None:
    """Each update uses the gradient of its own batch only"""
    epochs = observe_epochs(student)
    steps.stop_on_exception(epochs.first)
    steps.name_unmoved(epochs)
    steps.name_repeats(epochs)
    steps.stop_on_exception(epochs.together, epochs.large, epochs.split, epochs.many, epochs.pieces, epochs.uncleared)
    steps.name_mixed_gradients(epochs)


@check("train-mode", part="training", todo=5, calls=("train.train_one_epoch",))
@only_where(seen_in_updates)
def test_train_mode(student: Student) -> None:
    """The network is in training mode while it learns"""
    epochs = observe_epochs(student)
    steps.stop_on_exception(epochs.first)
    modes = epochs.together.answer.flags("training") or epochs.first.answer.flags("training")
    if not modes:
        fail("model-not-used-in-loop")
    if not all(modes):
        fail("train-mode-missing", wrong=modes.count(False), passes=len(modes))


@check("mean-loss", part="training", todo=5, calls=("train.train_one_epoch",))
def test_mean_loss(student: Student) -> None:
    """The reported losses are means over images, also with a short last batch"""
    answer, groups = losses.observe_reported(student)
    try:
        losses.judge_training_losses(answer, groups)
    except Failed as failed:
        if failed.finding.id in losses.VAGUE and losses.changed(answer.parts("training", len(groups))):
            waits_for("only the optimizer changes the weights")  # `step` names what else does
        raise
    losses.name_unseen_counted(student, answer, groups, "train_one_epoch")
    try:
        losses.judge_evaluation_losses(answer, groups)
        losses.name_unseen_counted(student, answer, groups, "evaluate")
        losses.name_raw_nll_in_evaluation(student)
    except Failed as failed:
        raise Failed(replace(failed.finding, share=TRAINING_SHARE)) from None


@check("evaluate-accuracy", part="training", todo=6, calls=("train.evaluate",))
def test_evaluate_accuracy(student: Student) -> None:
    """The accuracy is the fraction of images classified correctly"""
    parts, groups = evaluate.observe_evaluations(student)
    evaluate.name_wrong_axis(parts)
    for part in parts:
        end_if_raised(part, "returned")
    got = [evaluate.accuracy_of(part.part("returned"), group) for part, group in zip(parts, groups)]
    true = [group.accuracy for group in groups]
    if all(abs(g - t) < losses.CLOSE for g, t in zip(got, true)):
        return
    evaluate.name_accuracy(got, groups, parts)


@check("evaluate-clean", part="training", todo=6, calls=("train.evaluate",))
@only_where(evaluate.seen_in_evaluations)
def test_evaluate_clean(student: Student) -> None:
    """Evaluating runs in evaluation mode, without gradients, and changes nothing"""
    rng = student.rng("clean")
    images = rng.normal(size=(14, 1, 28, 28)).astype(np.float32)
    answer = student.observe("training.clean_evaluation", images=images, labels=rng.integers(0, 10, 14), batch_size=4)
    if (raised := answer.raised("once")) is not None and evaluate.of_wrong_axis(raised):
        waits_for("predictions can be compared with labels")  # `evaluate-accuracy` names that
    end_if_raised(answer, "once", "again")
    modes, graphs = answer.flags("training"), answer.flags("graph")
    if not modes:
        fail("model-not-used-in-evaluate")
    if any(modes):
        fail("eval-mode-missing", wrong=modes.count(True), passes=len(modes))
    different = [tensor.text("name") for tensor in answer.parts("state") if changed(tensor)]
    if different:
        fail("evaluate-changes-model", names=", ".join(different[:3]))
    if not all(answer.flags("trainable")):
        fail("model-left-frozen")
    if answer.flag("thawed"):
        fail("frozen-weights-thawed")
    if any(graphs):
        fail("gradients-recorded-in-evaluate", wrong=graphs.count(True), passes=len(graphs))
    if not answer.flag("grad_left_on") and not answer.flag("still_trains"):
        fail("gradients-left-off")
    evaluate.name_not_repeatable(answer.part("once"), answer.part("again"))
    end_if_raised(answer, "later")
    evaluate.name_not_finite(*(answer.part(name) for name in ("once", "again", "later")))
    evaluate.name_remembered(answer.part("again"), answer.part("later"))


def changed(tensor: Answer) -> bool:
    before, after = (tensor.array(name, None, "fiub") for name in ("before", "after"))
    return bool(before.dtype != after.dtype or not np.array_equal(before, after))


def seen_in_history(student: Student) -> None:
    """Where numbers of the student's own loops stand in the history, these numbers must depend on what happens.
    `mean-loss` and `evaluate-accuracy` name what is wrong with them."""
    fits = observe_fits(student)
    if fits.several.reported or fits.one.reported:
        losses.seen_in_losses(student)
        evaluate.seen_in_evaluations(student)


@check("fit-history", part="training", todo=7, calls=("train.fit",))
@only_where(seen_in_history)
def test_fit_history(student: Student) -> None:
    """fit writes down what was measured, one number per epoch"""
    fits = observe_fits(student)
    for run, epochs, before in ((fits.several, fits.several.inputs["epochs"], None), (fits.one, 1, fits.several)):
        end_if_raised(run.answer, "history")
        fit.judge_history(run.history)
        try:
            fit.judge_numbers(run, epochs, before)
        except Failed:
            fit.name_validation_training(run)  # then the numbers are only a consequence
            raise
    end_if_raised(fits.worse.answer, "history")
    fit.judge_history(fits.worse.history)
    fit.judge_while_worse(fits.worse)


@check("fit-learns", part="training", todo=7, calls=("train.fit",))
def test_fit_learns(student: Student) -> None:
    """fit trains the given network with the given learning rate, on training images only"""
    fits = observe_fits(student)
    for run in (fits.several, fits.still):
        end_if_raised(run.answer, "history")
    fit.judge_training(fits)
    fit.judge_optimizer(fits.several)
    fit.name_standstill(fits.several)
    fit.name_few_images(fits.several)
