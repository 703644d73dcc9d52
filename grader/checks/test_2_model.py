"""Part 2, the network: judged by what it does with random images, never by how it is written.

Numbers come from three states: fresh, after a few steps, and with weights made large. A fault that
hides in one (a head that starts at zero, sigmoids that look straight while small) shows in another.
"""

from __future__ import annotations

import numpy as np

from grader.checks.model.companions import judge_companions, judge_sizes
from grader.checks.model.scores import NOISE, ROUNDING, before_output_function, bend_of, close, repeats, sums_to_one
from grader.checks.model.states import (
    follow_images,
    hardly_changed,
    judge_raw,
    observe_response,
    seen_in_scores,
    states,
    usual_states,
)
from grader.checks.model.unusable import BATCH, CLASSES, SCORES, judge_form, network_of, random_images, ready
from grader.checks.model.weights import NAMES_SHOWN, judge_registered, judge_weights, weights_of
from grader.engine.check import check, fail, only_where, waits_for
from grader.engine.printable import some
from grader.engine.student import Student

CALLS = ("model.DigitClassifier",)


@check("builds", part="model", todo=3, calls=CALLS)
def test_builds(student: Student) -> None:
    """DigitClassifier() builds a network"""
    ready(student)
    if names := student.observe("model.construct").texts("contained"):
        fail("layers-in-list", names=some(names, NAMES_SHOWN))


@check("score-shape", part="model", todo=4, calls=CALLS)
@only_where(seen_in_scores)
def test_score_shape(student: Student) -> None:
    """Any batch of images gives ten scores per image"""
    ready(student)
    judge_form(student)


@check("registered", part="model", todo=3, calls=CALLS)
@only_where(seen_in_scores)
def test_registered(student: Student) -> None:
    """PyTorch knows every layer of the network"""
    ready(student)
    judge_registered(student)


@check("gradients", part="model", todo=4, calls=CALLS)
@only_where(seen_in_scores)
def test_gradients(student: Student) -> None:
    """Every layer can learn"""
    ready(student)
    rng = student.rng("gradients")
    images, labels = random_images(rng, BATCH), rng.integers(0, CLASSES, BATCH)
    inputs = {"images": images, "alike": hardly_changed(rng, images), "others": random_images(rng, BATCH)}
    network = network_of(student, student.observe("model.learn", **inputs, labels=labels))
    weights = weights_of(network.part("tensors"))
    if not weights:
        judge_registered(student)
        return
    judge_weights(weights, network.flag("attached"))
    if not follow_images(network.parts("states", range(4)), chance=True):
        fail("scores-ignore-image", when=", in training mode")


@check("non-linear", part="model", todo=4, calls=CALLS)
def test_non_linear(student: Student) -> None:
    """The network can bend: it is more than one straight-line function"""
    network = observe_response(student)
    bends, undone = None, ""
    for given in states(network, "lines"):
        scores = before_output_function(given)
        if scores is None:
            continue
        undone = undone if scores is given else ", before the function at the end squeezes them"
        bend, spread = bend_of(scores)
        if spread <= NOISE * np.abs(scores).max():
            continue  # nothing depends on the image here, so nothing can be said
        if bends := bend > 1e-3 * spread + ROUNDING * np.abs(scores).max():
            break
    if not follow_images(usual_states(network)):
        fail("scores-ignore-image", when="")
    if bends is None:
        waits_for("the scores are raw numbers")  # `raw-scores` names what squeezes them
    if not bends:
        fail("no-activation", undone=undone)


@check("raw-scores", part="model", todo=4, calls=CALLS)
@only_where(seen_in_scores)
def test_raw_scores(student: Student) -> None:
    """Scores are raw numbers, not probabilities"""
    network = observe_response(student)
    telling = [s for s in states(network, "scores") if np.ptp(s, axis=0).max() > 0]  # a head of zeros tells nothing yet
    if not telling:
        fail("scores-ignore-image", when="")
    judge_raw(telling, averaged=network.flag("averaged"))
    if "training" in network:
        training = network.array("training", SCORES)
        if np.isfinite(training).all() and sums_to_one(training, axis=1):
            fail("scores-are-probabilities", row_sum=float(training[0].sum()))
        dropped, otherwise = float((training == 0).mean()), max(float((s == 0).mean()) for s in telling)
        if otherwise < 0.01 and 0.02 < dropped < 0.98:
            fail("dropout-on-scores", zeros=f"{100 * dropped:.0f} %")
        grown = [
            s.astype(np.float64) for s in network.arrays("training_grown", SCORES, range(3)) if np.isfinite(s).all()
        ]
        if grown := [s for s in grown if np.ptp(s, axis=0).max() > 0]:
            judge_raw(grown, averaged=network.flag("averaged"))


@check("independent", part="model", todo=4, calls=CALLS)
@only_where(seen_in_scores)
def test_independent(student: Student) -> None:
    """The same image always gets the same scores, whatever stands beside it"""
    ready(student)
    rng = student.rng("independent")
    images, others = 0.3 + random_images(rng, BATCH), 2 * random_images(rng, BATCH)  # not centred: a kept average shows
    order, changed = rng.permutation(BATCH), [0, 7, BATCH // 2, BATCH - 1]
    labels = rng.integers(0, CLASSES, BATCH)
    # ten images with ten scores each: a matrix that may be the wrong way round
    sizes = [CLASSES, *(int(size) for size in sorted(rng.choice(np.arange(CLASSES + 1, BATCH), 2, replace=False)))]
    answer = student.observe(
        "model.companions", images=images, labels=labels, others=others, order=order, changed=changed, sizes=sizes
    )
    network = network_of(student, answer)
    after = network.array("after", images.shape)
    if not np.array_equal(after, images):
        fail("input-changed", off=float(np.abs(after - images).max()))
    one, two = network.arrays("chance_goes_on", SCORES, 2)
    if not np.isfinite(one).all():
        fail("scores-not-finite")
    if not repeats(*network.arrays("same_chance", one.shape, 2)) or not repeats(*network.arrays("grown", one.shape, 2)):
        fail("state-carried", message="the same images, shown twice, got different scores")
    if not close(one, two):
        if created := answer.texts("created"):
            fail("layer-in-forward", names=some(created, NAMES_SHOWN))
        fail("random-in-evaluation", off=float(np.abs(one - two).max()))
    judge_companions(network, order, changed)
    judge_sizes(network, sizes)
