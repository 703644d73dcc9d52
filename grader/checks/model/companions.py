"""Do the scores of an image depend on the images beside it?"""

from __future__ import annotations

import numpy as np

from grader.checks.model.scores import close, moved_rows, sums_to_one
from grader.checks.model.unusable import BATCH, SCORES
from grader.engine.answer import Answer
from grader.engine.check import fail


def judge_companions(network: Answer, order: np.ndarray, changed: list[int]) -> None:
    """Nothing random is left: do the scores of an image depend on the other images, and in which pattern?"""
    half = BATCH // 2
    same = network.arrays("same_chance", SCORES, 2)[0]
    ordered, beside_others = (network.array(name, same.shape) for name in ("ordered", "beside_others"))
    with_others = dict(zip(changed, network.arrays("changed", same.shape, len(changed))))
    touched = {i: moved_rows(scores, same) for i, scores in with_others.items()}
    strangers = any(rows - {i} for i, rows in touched.items())
    off = max(
        float(np.abs(beside_others[:half] - same[:half]).max()),
        float(np.abs(ordered - same[order]).max()),
        *(float(np.abs(scores - same)[np.arange(BATCH) != i].max()) for i, scores in with_others.items()),
    )
    depends = strangers or not close(beside_others[:half], same[:half], same)
    columns = same.astype(np.float64)
    if depends and (sums_to_one(columns, axis=0) or sums_to_one(np.exp(np.minimum(columns, 1)), axis=0)):
        fail("softmax-over-batch")
    if depends and close(ordered, same[order]):
        fail("batch-statistics", sign=f"the scores of an image change by up to {off:.2g} with the images beside it")
    if depends and all(min(rows, default=i) >= i for i, rows in touched.items()):
        fail("batch-read-as-time", off=off)
    if depends:
        fail("images-mixed", off=off)
    calm, loud = (network.array(name, same.shape) for name in ("calm", "beside_loud"))
    if not close(loud[:-1], calm[:-1], calm):
        off = float(np.abs(loud - calm)[:-1].max())
        fail("batch-statistics", sign=f"beside an image with larger numbers, the scores change by up to {off:.2g}")
    if not close(ordered, same[order]):
        places = sorted(moved_rows(ordered, same[order]))
        fail("place-in-batch-matters", place=places[0] + 1, places=len(places), batch=BATCH)
    judge_alone(network, same)


def judge_alone(network: Answer, same: np.ndarray) -> None:
    """An image that comes alone must get the scores that it gets in a batch."""
    in_batch = same[:1]
    alone = network.array("alone", (1, None)) if "alone" in network else in_batch
    if alone.shape == in_batch.shape and not close(alone, in_batch, same):
        off = float(np.abs(alone - in_batch).max())
        fail("batch-statistics", sign=f"the scores of an image change by {off:.2g} when it comes alone")


def judge_sizes(network: Answer, sizes: list[int]) -> None:
    """The first images must get the same scores in a smaller batch; usual sizes are judged elsewhere."""
    same = network.arrays("same_chance", SCORES, 2)[0]
    for size, batch in zip(sizes, network.parts("smaller", len(sizes))):
        raised = batch.raised("scores")
        if raised is not None:
            fail("fixed-batch-size", works=str(BATCH), fails=str(size), message=raised.message)
        if batch["scores"] is None:
            fail("fixed-batch-size", works=str(BATCH), fails=str(size), message="there is not one row for each image")
        scores = batch.array("scores", (size, same.shape[1]))
        if not close(scores, same[:size], same):
            message = "the same images get other scores"
            fail("fixed-batch-size", works=str(BATCH), fails=str(size), message=message)
