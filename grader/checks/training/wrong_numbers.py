"""Numbers that loops would give, right or with a known mistake, recomputed in numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Loss = Callable[[np.ndarray, np.ndarray], float]  # (scores (B, 10), labels (B,)) -> the loss of the batch
SMOOTHING = 0.3  # label smoothing up to here is a design choice


def log_softmax(scores: np.ndarray, axis: int = 1) -> np.ndarray:
    shifted = scores - scores.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def picked(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """values[i, labels[i]] for each i."""
    return np.take_along_axis(values, labels[:, None], axis=1)[:, 0]


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """One loss per image."""
    return -picked(log_softmax(scores), labels)


def spread(scores: np.ndarray) -> np.ndarray:
    """What label smoothing mixes in: the cross-entropy with all ten classes at once, one per image."""
    return np.asarray(-log_softmax(scores).mean(axis=1))


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.asarray(np.eye(10)[labels])


def sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


def _binary(probabilities: np.ndarray, labels: np.ndarray) -> float:
    hot, p = one_hot(labels), np.clip(probabilities, 1e-12, 1 - 1e-12)
    return float(-(hot * np.log(p) + (1 - hot) * np.log(1 - p)).mean())


def _mean_ce(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(cross_entropy(scores, labels).mean())


def _softmax(scores: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.asarray(np.exp(log_softmax(scores, axis)))


def _margin(scores: np.ndarray, labels: np.ndarray) -> float:
    gaps = np.maximum(0, 1 - picked(scores, labels)[:, None] + scores) * (1 - one_hot(labels))
    return float((gaps.sum(axis=1) / 10).mean())


# What a loss can be instead of cross-entropy: the finding it has, then how the batch's loss is computed.
OTHER_LOSSES: list[tuple[str, Loss]] = [
    ("softmax-before-loss", lambda s, y: _mean_ce(_softmax(s), y)),
    ("nll-of-probabilities", lambda s, y: float(-picked(_softmax(s), y).mean())),
    ("squared-error-loss", lambda s, y: float(((s - one_hot(y)) ** 2).mean())),
    ("squared-error-loss", lambda s, y: float(((_softmax(s) - one_hot(y)) ** 2).mean())),
    ("squared-error-loss", lambda s, y: float(((sigmoid(s) - one_hot(y)) ** 2).mean())),
    ("squared-error-loss", lambda s, y: float(((s.argmax(axis=1) - y) ** 2).mean())),
    ("binary-loss", lambda s, y: _binary(sigmoid(s), y)),
    ("binary-loss", lambda s, y: _binary(_softmax(s), y)),
    ("softmax-over-batch-in-loop", lambda s, y: _mean_ce(_softmax(s, 0), y)),
    ("softmax-over-batch-in-loop", lambda s, y: float(-picked(log_softmax(s, 0), y).mean())),
    ("squashed-before-loss", lambda s, y: _mean_ce(sigmoid(s), y)),
    ("squashed-before-loss", lambda s, y: _mean_ce(np.tanh(s), y)),
    ("squashed-before-loss", lambda s, y: _mean_ce(np.abs(s), y)),
    ("margin-loss", _margin),
]

# Labels that are not those of the images.
OTHER_LABELS: list[tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = [
    ("labels-from-the-model", lambda s, y: s.argmax(axis=1)),
    ("labels-changed", lambda s, y: (y + 1) % 10),
    ("labels-changed", lambda s, y: (y - 1) % 10),
    ("labels-changed", lambda s, y: 9 - y),
    ("labels-changed", lambda s, y: np.roll(y, 1)),
    ("labels-changed", lambda s, y: np.roll(y, -1)),
    ("labels-changed", lambda s, y: y[::-1]),
    ("labels-changed", lambda s, y: np.zeros_like(y)),
]


def gradient(loss: Loss, raw: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """d loss(log_softmax(raw)) / d raw by central differences: any loss will do, and batches are tiny."""
    result, h = np.zeros_like(raw), 1e-5
    for at in np.ndindex(*raw.shape):
        up, down = raw.copy(), raw.copy()
        up[at] += h
        down[at] -= h
        result[at] = (loss(log_softmax(up), labels) - loss(log_softmax(down), labels)) / (2 * h)
    return result


def fitted(target: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, float]:
    """Least squares: target = sum of factors * columns -> (factors, what is left as a share of target).

    (nan, infinite) where some number is not finite.
    """
    matrix = np.stack([np.ravel(c) for c in columns], axis=1)
    if not (np.isfinite(matrix).all() and np.isfinite(target).all()):
        return np.full(len(columns), np.nan), np.inf
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1
    factors, *_ = np.linalg.lstsq(matrix / scale, np.ravel(target), rcond=None)
    rest = np.linalg.norm(matrix / scale @ factors - np.ravel(target))
    return factors / scale, float(rest / max(np.linalg.norm(target), 1e-300))


def shares(change: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """How often each picture (N, pixels) is contained in each row of a change (M, pixels), by least squares: (M, N).

    By the products of the pictures, which point apart: a decomposition of all pixels takes threads, and a second where
    the other cores are busy.
    """
    return np.asarray(np.linalg.solve(pictures @ pictures.T, pictures @ change.T).T)


def two_layers(weights: list[np.ndarray], pixels: np.ndarray, labels: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """(mean cross-entropy, its gradients) of tanh(x W + b) V + c + d.

    weights: d (10, 1, 1, 1), W (H, P), b (H,), V (10, H), c (10,)
    """
    _, _, _, second, _ = weights
    hidden, scores = layers_of(weights, pixels)
    sent = (np.exp(log_softmax(scores)) - one_hot(labels)) / len(labels)
    back = sent @ second * (1 - hidden**2)
    return float(cross_entropy(scores, labels).mean()), [
        sent.sum(0).reshape(-1, 1, 1, 1),
        back.T @ pixels,
        back.sum(0),
        sent.T @ hidden,
        sent.sum(0),
    ]


def layers_of(weights: list[np.ndarray], pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What comes out of each of these two layers: (N, H) after tanh, and the scores (N, 10)."""
    offset, first, shift, second, bias = weights
    hidden = np.tanh(pixels @ first.T + shift)
    return hidden, hidden @ second.T + bias + offset.ravel()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b) / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300))


def batches_of(size: int, batch_size: int) -> list[np.ndarray]:
    return [np.arange(at, min(at + batch_size, size)) for at in range(0, size, batch_size)]


def averages(per_image: np.ndarray, batch_size: int) -> dict[str, float]:
    """Every wrong way to average a loss over an epoch, by the id of its finding; the first that matches is named."""
    parts = [per_image[b] for b in batches_of(len(per_image), batch_size)]
    means = np.array([p.mean() for p in parts])
    sizes = np.array([len(p) for p in parts])
    total = len(per_image)
    short = len(parts) - (1 if sizes[-1] < batch_size and len(parts) > 1 else 0)
    return {
        "mean-of-batch-means": float(means.mean()),
        "batch-means-over-images": float(means.sum() / total),
        "sum-of-batch-means": float(means.sum()),
        "loss-summed": float(per_image.sum()),
        "loss-of-last-batch": float(means[-1]),
        "loss-of-first-batch": float(means[0]),
        "loss-over-batches": float(per_image.sum() / len(parts)),
        "last-batch-weighed-full": float(means.sum() * batch_size / total),
        "last-batch-counted-full": float((means * sizes).sum() / (batch_size * len(parts))),
        "loss-of-first-batch-over-all": float(parts[0].sum() / total),
        "loss-of-last-batch-over-all": float(parts[-1].sum() / total),
        "loss-without-last-batch": float((means * sizes)[:short].sum() / sizes[:short].sum()),
        "loss-summed-twice": float((means * sizes * sizes).sum() / total),
    }


def accuracies(scores: np.ndarray, labels: np.ndarray, batch_size: int) -> dict[str, float]:
    """Every wrong way to count right answers, by the id of its finding; the first that matches is named."""
    parts = [(scores[b], labels[b]) for b in batches_of(len(labels), batch_size)]
    total, count = len(labels), len(parts)
    right = np.array([(s.argmax(axis=1) == y).sum() for s, y in parts], dtype=float)
    sizes = np.array([len(y) for _, y in parts], dtype=float)
    tables = np.array([(s.argmax(axis=1)[:, None] == y[None, :]).sum() for s, y in parts], dtype=float)
    true = right.sum() / total
    by_class = [(y[s.argmax(axis=0)] == np.arange(10)).sum() for s, y in parts]
    shares = [float((scores.argmax(axis=1) == labels)[labels == c].mean()) for c in np.unique(labels)]
    full = count - (1 if sizes[-1] < batch_size else 0)
    along = sum(
        float((s.argmax(axis=0)[: len(y)] == y[:10]).sum()) for s, y in parts if len(s) in (1, 10) or len(s) < 10
    )
    named = {
        "every-answer-counted": 1.0,
        "accuracy-in-percent": 100 * true,
        "mean-of-batch-accuracies": float((right / sizes).mean()),
        "mean-of-batch-accuracies:percent": float(100 * (right / sizes).mean()),
        "accuracy-is-a-count": right.sum(),
        "right-answers-over-batches": right.sum() / count,
        "last-batch-counted-as-full": right.sum() / (batch_size * count),
        "sum-of-batch-accuracies": float((right / sizes).sum()),
        "batch-accuracies-over-images": float((right / sizes).sum() / total),
        "first-batch-only": right[0] / sizes[0],
        "first-batch-only:over all": right[0] / total,
        "last-batch-only": right[-1] / sizes[-1],
        "last-batch-only:over all": right[-1] / total,
        "last-batch-left-out": right[:full].sum() / max(sizes[:full].sum(), 1),
        "last-batch-left-out:over all": right[:full].sum() / total,
        "broadcast-comparison": tables.sum() / total,
        "broadcast-comparison:mean": float((tables / sizes**2).mean()),
        "broadcast-comparison:weighted": float((tables / sizes).sum() / total),
        "argmax-over-batch": along / total,
        "softmax-over-batch-in-evaluate": np.mean(
            np.concatenate([_softmax(s, 0).argmax(axis=1) == y for s, y in parts])
        ),
        "largest-score-not-its-place": np.mean(scores.max(axis=1) == labels),
        "largest-score-not-its-place:whole": np.mean(np.trunc(scores.max(axis=1)) == labels),
        "mean-of-class-accuracies": np.mean(shares),
        "mean-of-class-accuracies:of ten": sum(shares) / 10,
        "smallest-score": np.mean(scores.argmin(axis=1) == labels),
        "error-rate": 1 - true,
        "error-rate:percent": 100 * (1 - true),
        "classes-off-by-one": np.mean(scores.argmax(axis=1) + 1 == labels),
        "classes-off-by-one:down": np.mean(scores.argmax(axis=1) - 1 == labels),
        "accuracy-rounded-down": float(np.floor(true)),
        "argmax-over-batch:by class": float(sum(by_class)) / total,
        "counted-only-above-a-half": np.mean(_softmax(scores)[np.arange(total), labels] > 0.5),
        "whole-batches-counted:right as a whole": (right == sizes).mean(),
        "whole-batches-counted:right as a whole, over images": (right == sizes).sum() / total,
        "whole-batches-counted:anything right": (right > 0).mean(),
        "whole-batches-counted:anything right, over images": (right > 0).sum() / total,
    } | {
        f"all-cells-counted:{how}": np.mean(cells == one_hot(labels))
        for how, cells in {
            "scores": scores > 0.5,
            "sigmoid": scores > 0,
            "softmax": _softmax(scores) > 0.5,
            "largest": one_hot(scores.argmax(axis=1)),
        }.items()
    }
    return {name: float(value) for name, value in named.items()}


def argmax_of_whole_batches(scores: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
    """The accuracy when argmax is asked for no axis: one place in the flattened (B, 10) table for a whole batch."""
    hits = [(scores[b].argmax() == labels[b]).sum() for b in batches_of(len(labels), batch_size)]
    return float(sum(hits) / len(labels))


def penalised(extra: np.ndarray, scores: Sequence[np.ndarray]) -> bool:
    """Whether what a loss has too much, for each example, is a penalty on the weights, which the scores are here."""
    sizes = [[float(np.abs(s).sum()), float((s**2).sum()), float(np.sqrt((s**2).sum()))] for s in scores]
    ratios = extra[:, None] / np.array(sizes)  # (N, kinds)
    return bool(extra.min() > 0 and (np.ptp(ratios, axis=0) < 0.01 * ratios.min(axis=0)).any())


# -- any sum, divided by anything


def sums(per_image: np.ndarray, batch_size: int) -> dict[str, float]:
    """What a loop may have added up, in words. per_image: (N,) the loss of each image, or 1 where it is right."""
    parts = [per_image[b] for b in batches_of(len(per_image), batch_size)]
    return {
        "the sum over all images": float(per_image.sum()),
        "the sum of the batches' means": float(sum(p.mean() for p in parts)),
        "the sum over the last batch": float(parts[-1].sum()),
        "the sum over the first batch": float(parts[0].sum()),
    }


def divisors(images: int, batch_size: int) -> dict[str, float]:
    """What it may have been divided by, in words."""
    batches = len(batches_of(images, batch_size))
    return {
        "the number of whole batches": images // batch_size,
        "the number of batches and one more": batches + 1,
        "the number of images and one more": images + 1,
        "the number of images less one": images - 1,
        "the number of images in whole batches": images // batch_size * batch_size,
        "the batch size": batch_size,
        "the size of the last batch": images - (batches - 1) * batch_size,
        "the number of batches times the size of the last one": batches * (images - (batches - 1) * batch_size),
        "the square of the number of images": images**2,
        "the number of images times ten": 10 * images,
    }


def quotient(
    got: Sequence[float], per_image: Sequence[np.ndarray], batch_sizes: Sequence[int], close: float
) -> tuple[str, str] | None:
    """(sum, divisor) in words: which of them give these numbers in every example, or a sum and one fixed divisor."""
    tops = [sums(*pair) for pair in zip(per_image, batch_sizes)]
    below = [divisors(len(one), size) for one, size in zip(per_image, batch_sizes)]
    for top in tops[0]:
        for name in below[0]:
            if all(abs(g - t[top] / max(d[name], 1)) < close for g, t, d in zip(got, tops, below)):
                return top, name
        if all(np.isfinite(got)) and all(g > 0 for g in got):
            fixed = np.array([t[top] / g for g, t in zip(got, tops)])
            if fixed.min() > 1 and np.ptp(fixed) < 5e-3 * fixed.min():
                return top, f"{fixed.mean():.3g}, whatever the number of images"
    times = np.array([g * len(one) / t["the sum of the batches' means"] for g, one, t in zip(got, per_image, tops)])
    if np.isfinite(times).all() and times.min() > 1 and np.ptp(times) < 5e-3 * times.min():
        return f"the sum of the batches' means, each times {times.mean():.3g}", "the number of images"
    return None


def raw_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """NLL of scores that were never turned into log-probabilities."""
    return float(-picked(scores, labels).mean())
