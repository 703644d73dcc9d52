"""What somebody may work out or learn from the run itself, tried against the view: maps, mean pictures, fits."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F
from view_stored import Guesses, Run, Stored, answers, asked, flat, linear_scores, nearest, relabelled, scaled, votes

from grader.view import PIXELS, SIZE


def pulled(images: torch.Tensor, affine: torch.Tensor, field: torch.Tensor | None = None) -> torch.Tensor:
    """Images (S, C, 28, 28) seen back through maps (S, 2, 3), and fields (S, 2, 784), upright to shown, in pixels."""
    places = torch.from_numpy(PIXELS.astype(np.float32)).expand(len(affine), -1, -1)
    places = places if field is None else places + field
    places = affine[:, :, :2] @ places + affine[:, :, 2:]
    grid = (places / (SIZE / 2)).flip(1).transpose(1, 2).reshape(-1, SIZE, SIZE, 2)
    return F.grid_sample(images, grid, align_corners=False)


def starts(scales: tuple[float, ...]) -> torch.Tensor:
    """Every 15 degrees, mirrored or not, at these scales: maps (S, 2, 3)."""
    found = []
    for scale in scales:
        for mirror in (1, -1):
            for angle in np.deg2rad(np.arange(0, 360, 15)):
                turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
                found.append(np.column_stack([scale * turn @ np.diag([1, mirror]), [0, 0]]))
    return torch.tensor(np.array(found), dtype=torch.float32)


def affine_search(stored: Stored, run: Run) -> Guesses:
    """The affine map under which a stored network agrees best with the run's labels: a grid, then small steps."""
    network, rng = stored.network("tolerant"), np.random.default_rng(0)
    images, labels = torch.from_numpy(run.probes[0][:200]), run.probes[1][:200]

    def agreement(affine: torch.Tensor) -> float:
        digits = answers(network, pulled(images[None], affine[None])[0])
        return float(votes(digits, labels).max(axis=1).sum())

    best = sorted(((agreement(one), n, one) for n, one in enumerate(starts((1.0, 1.25)))), reverse=True)[:6]
    steps = 30 if stored.small else 400
    for step in range(steps):
        if step == steps // 2:
            best = sorted(best, reverse=True)[:2]
        value, n, affine = best[step % len(best)]
        change = torch.from_numpy(np.column_stack([rng.normal(0, 0.08, (2, 2)), rng.normal(0, 0.6, 2)])).float()
        tried = torch.column_stack([affine[:, :2] + change[:, :2] @ affine[:, :2], affine[:, 2] + change[:, 2]])
        if (reached := agreement(tried)) >= value:
            best[step % len(best)] = (reached, n, tried)
    affine = max(best)[2][None]
    test, probes = (pulled(torch.from_numpy(x)[None], affine)[0] for x in (run.test_images, run.probes[0]))
    return {
        "stored network, search over affine maps": asked(network, run, test, probes),
        "stored pictures, search over affine maps": pictures(stored, run, test, probes),
    }


def pictures(stored: Stored, run: Run, test: torch.Tensor, probes: torch.Tensor) -> np.ndarray:
    """The label of the nearest stored picture."""
    digits = stored.looked_up_labels[nearest(flat(test.numpy()), flat(stored.looked_up))]
    probe_digits = stored.labels[nearest(flat(probes.numpy()), flat(stored.images))]
    return relabelled(digits, probe_digits, run.probes[1])


def worked_out(stored: Stored, run: Run) -> Guesses:
    """The view itself, fitted so that the run's mean pictures become the stored ones: gradient descent, 48 starts.

    First by mean and deviation of all training digits, then, for the best starts, by the means of the ten classes.
    """
    affine, field = fitted_view(stored, run)
    test, probes = (pulled(torch.from_numpy(x)[None], affine, field)[0] for x in (run.test_images, run.probes[0]))
    return {
        "view worked out from mean pictures, stored network": asked(stored.network("tolerant"), run, test, probes),
        "view worked out from mean pictures, stored pictures": pictures(stored, run, test, probes),
    }


def fitted_view(stored: Stored, run: Run) -> tuple[torch.Tensor, torch.Tensor]:
    shown, shown_classes = mean_pictures(run.train_images, run.train_labels)
    upright, upright_classes = mean_pictures(stored.images, stored.labels)
    affine, steps = starts((0.87,)).requires_grad_(), 20 if stored.small else 250
    amounts = torch.zeros(len(affine), 2, len(WAVES), requires_grad=True)
    rates = [{"params": [affine], "lr": 0.02}, {"params": [amounts], "lr": 0.05}]
    optimizer = torch.optim.Adam(rates)
    for step in range(steps):
        width = (5, 3, 1)[3 * step // steps]  # blurred first, so that a start far away finds its way
        seen = pulled(blurred(shown, width).expand(len(affine), -1, -1, -1), affine, amounts @ WAVES)
        apart = ((seen - blurred(upright, width)) ** 2).sum(dim=(1, 2, 3))
        descend(optimizer, apart.sum() + 0.002 * (amounts**2).sum())
    found = []
    for start in apart.detach().argsort()[:8].tolist():
        one, some = (x[start : start + 1].detach().clone().requires_grad_() for x in (affine, amounts))
        optimizer = torch.optim.Adam([{"params": [one], "lr": 0.01}, {"params": [some], "lr": 0.03}])
        for step in range(steps):
            seen = pulled(shown_classes, one, some @ WAVES)[0]
            if step % (steps // 2) == 0:
                stands_for = paired(seen.detach(), upright_classes[0])
            loss = ((seen - upright_classes[0][stands_for]) ** 2).sum()
            descend(optimizer, loss + 0.002 * (some**2).sum())
        found.append((float(loss.detach()), start, one.detach(), (some @ WAVES).detach()))
    return min(found)[2:]


def cosines(order: int = 6) -> torch.Tensor:
    """Low-frequency fields (K, 784) from which a displacement is put together."""
    waves = np.cos(np.pi * np.outer(np.arange(order), (np.arange(SIZE) + 0.5) / SIZE))
    pairs = [(i, j) for i in range(order) for j in range(order) if 0 < i + j <= order]
    return torch.tensor(np.array([np.outer(waves[i], waves[j]).ravel() for i, j in pairs]), dtype=torch.float32)


WAVES = cosines()


def mean_pictures(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation (1, 2, 28, 28), and the mean of each class (1, 10, 28, 28)."""
    classes = np.stack([images[labels == k].mean(axis=0) for k in range(10)])
    return torch.from_numpy(np.stack([images.mean(axis=0), images.std(axis=0)]))[None], torch.from_numpy(classes)[None]


def blurred(images: torch.Tensor, width: int) -> torch.Tensor:
    return F.avg_pool2d(images, width, 1, width // 2)


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def paired(seen: torch.Tensor, upright: torch.Tensor) -> torch.Tensor:
    """For each label's mean picture the digit it stands for: the closest pairs first, each once."""
    cost = ((seen[:, None] - upright[None]) ** 2).sum(dim=(2, 3))
    stands_for = torch.zeros(10, dtype=torch.long)
    for _ in range(10):
        label, digit = divmod(int(cost.argmin()), 10)
        stands_for[label] = digit
        cost[label], cost[:, digit] = torch.inf, torch.inf
    return stands_for


def learnt(stored: Stored, run: Run) -> Guesses:
    """Nearest neighbour, a linear fit, and the scores of that fit as the fingerprint of a stored digit.

    A smooth warp is a linear map of the pixels, and a linear fit follows it: its scores hardly change.
    """
    images, known = flat(run.train_images), flat(stored.images)
    here = linear_scores(images, run.train_labels, np.concatenate([flat(run.test_images), images]))
    there = linear_scores(known, stored.labels, np.concatenate([flat(stored.looked_up), known]))
    count, stored_count = len(run.test_images), len(stored.looked_up)
    stands_for = matching_columns(np.cov(here[count:].T), np.cov(there[stored_count:].T))
    found = nearest(scaled(here[:count]), scaled(there[:stored_count, stands_for]))
    return {
        "nearest neighbour among the run's training digits": run.train_labels[nearest(flat(run.test_images), images)],
        "linear fit to the run's training digits": here[:count].argmax(axis=1),
        "the scores of that fit as fingerprints": np.argsort(stands_for)[stored.looked_up_labels[found]],
    }


def matching_columns(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Which column of theirs each of ours is, by covariances (10, 10): swaps of two, from 40 random starts."""
    rng = np.random.default_rng(0)
    best = (np.inf, np.arange(10))
    for _ in range(40):
        order, cost, better = rng.permutation(10), np.inf, True
        while better:
            swaps = [swapped(order, i, j) for i in range(10) for j in range(i, 10)]
            costs = [float(((theirs[np.ix_(one, one)] - ours) ** 2).sum()) for one in swaps]
            better = min(costs) < cost
            cost, order = min(costs), swaps[int(np.argmin(costs))]
        best = min(best, (cost, order), key=lambda one: one[0])
    return best[1]


def swapped(order: np.ndarray, i: int, j: int) -> np.ndarray:
    order = order.copy()
    order[[i, j]] = order[[j, i]]
    return order
