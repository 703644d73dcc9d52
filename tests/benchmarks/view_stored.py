"""What somebody may store instead of learning, tried against the view: fingerprints and networks.

Every family takes what was stored beforehand and one run, and returns {row of the table: guessed labels}. A stored
answer is a digit; which label stands for it in this run is learnt from the run's training labels. No size limit is
kept: a network here has 100,000 weights, which fit into three files of 64 kB as 8-bit numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from view_features import FEATURES

from grader.view import PIXELS, SIZE, seen_through

ViewMaker = Callable[[np.random.Generator], np.ndarray]
PROBES = 600  # training digits of the run that a cheat looks at to learn the relabelling
SIMULATED = 8  # views that a cheat tries beforehand
HALF = (SIZE - 1) / 2
Guesses = dict[str, np.ndarray]
Images = np.ndarray | torch.Tensor


@dataclass
class Run:
    """What student code gets. Images float32 (N, 28, 28), 0 to 1; labels as relabelled."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray

    @cached_property
    def probes(self) -> tuple[np.ndarray, np.ndarray]:
        return self.train_images[:PROBES], self.train_labels[:PROBES]


@dataclass
class Stored:
    """What was known beforehand: upright training digits, the digits looked up at the end, the kind of view.

    networks: where trained networks are kept; small: trains less, for a first look
    """

    images: np.ndarray
    labels: np.ndarray
    looked_up: np.ndarray
    looked_up_labels: np.ndarray
    kind: str
    make_view: ViewMaker
    networks: Path
    small: bool

    @cached_property
    def features(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {name: (scaled(make(self.images)), scaled(make(self.looked_up))) for name, make in FEATURES.items()}

    @cached_property
    def simulated(self) -> list[tuple[dict[str, np.ndarray], np.ndarray]]:
        """Features of 1,000 digits through views of this kind, with their labels."""
        found = []
        for seed in range(2 if self.small else SIMULATED):
            chosen = slice(0, 1000)
            seen = through(self.make_view(np.random.default_rng([seed, 99])), self.images[chosen])
            found.append(({name: scaled(make(seen)) for name, make in FEATURES.items()}, self.labels[chosen]))
        return found

    def network(self, kind: str) -> nn.Sequential:
        """A convolutional network trained on upright digits, on slightly changed ones, or on views of this kind."""
        return kept(self.networks / f"{kind.replace(' ', '-')}.pt", convolutional, lambda: self.trained(kind))

    def trained(self, kind: str) -> nn.Sequential:
        if kind == "upright":
            return fitted(convolutional(), self.images, self.labels, None, 1 if self.small else 6)
        make = slightly_changed if kind == "tolerant" else self.make_view
        return fitted(convolutional(), self.images, self.labels, make, 2 if self.small else 20)


def through(view: np.ndarray, images: np.ndarray) -> np.ndarray:
    return seen_through(view, np.rint(images * 255).astype(np.uint8)).astype(np.float32) / 255


def scaled(features: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 over the digits at hand, so that what a view does to all of them is gone."""
    spread = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    return np.asarray(spread / np.sqrt(spread.shape[1]), np.float32)


def nearest(queries: np.ndarray, stored: np.ndarray) -> np.ndarray:
    return np.asarray(((stored**2).sum(axis=1) - 2 * queries @ stored.T).argmin(axis=1))


def votes(digits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How often (10, 10) a guessed digit stands beside a label of the run."""
    counted = np.zeros((10, 10))
    np.add.at(counted, (digits, labels), 1)
    return counted


def relabelled(digits: np.ndarray, probe_digits: np.ndarray, probe_labels: np.ndarray) -> np.ndarray:
    return np.asarray(votes(probe_digits, probe_labels).argmax(axis=1)[digits])


# -- fingerprints --------------------------------------------------------------------------------------------


def fingerprints(stored: Stored, run: Run) -> Guesses:
    """The label of the stored digit whose fingerprint is nearest."""
    count = len(run.test_images)
    both = np.concatenate([run.test_images, run.probes[0]])
    seen = {name: scaled(make(both)) for name, make in FEATURES.items()}
    sets = {f"fingerprint: {name}": (name,) for name in FEATURES} | {"all fingerprints together": tuple(FEATURES)}
    found = {}
    for row, names in sets.items():
        queries, train, looked_up = (
            together(seen, names),
            *(together({name: stored.features[name][part] for name in names}, names) for part in (0, 1)),
        )
        found[row] = matched(stored, run, queries, train, looked_up, count)
        if len(names) > 1:
            weigh = weights(np.stack([together(features, names) for features, _ in stored.simulated]))
            matched_ = matched(stored, run, queries @ weigh, train @ weigh, looked_up @ weigh, count)
            found[f"{row}, weighted by simulated views"] = matched_
    found["stored network on all fingerprints"] = on_features(stored, run, together(seen, tuple(FEATURES)), count)
    return found


def together(features: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([features[name] for name in names], axis=1)


def matched(
    stored: Stored, run: Run, queries: np.ndarray, train: np.ndarray, looked_up: np.ndarray, count: int
) -> np.ndarray:
    digits = stored.looked_up_labels[nearest(queries[:count], looked_up)]
    probe_digits = stored.labels[nearest(queries[count:], train)]
    return relabelled(digits, probe_digits, run.probes[1])


def weights(views: np.ndarray) -> np.ndarray:
    """From features (views, digits, width) to coordinates in which views of one digit lie equally far apart."""
    apart = (views - views.mean(axis=0)).reshape(-1, views.shape[-1])
    variance, axes = np.linalg.eigh(apart.T @ apart / len(apart))
    return np.asarray(axes / np.sqrt(np.maximum(variance, 0) + 0.02 * variance.mean() + 1e-9))


def on_features(stored: Stored, run: Run, queries: np.ndarray, count: int) -> np.ndarray:
    names = tuple(FEATURES)
    inputs = np.concatenate([together(f, names) for f, _ in stored.simulated] + [train_features(stored, names)])
    labels = np.concatenate([labels for _, labels in stored.simulated] + [stored.labels])
    width = inputs.shape[1]

    def build() -> nn.Sequential:
        return nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))

    path = stored.networks / f"on-features-{stored.kind}.pt"
    network = kept(path, build, lambda: fitted(build(), inputs * 20, labels, None, 2 if stored.small else 12))
    digits = answers(network, queries * 20)
    return relabelled(digits[:count], digits[count:], run.probes[1])


def train_features(stored: Stored, names: tuple[str, ...]) -> np.ndarray:
    return together({name: stored.features[name][0] for name in names}, names)


# -- stored networks -----------------------------------------------------------------------------------------


def convolutional() -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after, size, step in ((1, 24, 5, 2), (24, 48, 3, 2), (48, 64, 3, 1)):
        layers += [nn.Conv2d(before, after, size, step, size // 2), nn.BatchNorm2d(after), nn.ReLU()]
    head = [nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(64 * 16, 64), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(nn.Unflatten(1, (1, SIZE)), *layers, *head, nn.Linear(64, 10))


def slightly_changed(rng: np.random.Generator) -> np.ndarray:
    """A view close to upright, for a network that is to bear what a search leaves over."""
    angle, wave = np.deg2rad(rng.uniform(-20, 20)), rng.uniform(20, 40, (2, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    change = turn @ (np.eye(2) + rng.uniform(-0.2, 0.2, (2, 2)))
    bent = PIXELS + rng.uniform(0, 2, (2, 1)) * np.sin(2 * np.pi * PIXELS[::-1] / wave + rng.uniform(0, 6.3, (2, 1)))
    return np.asarray(change @ bent + rng.uniform(-1.5, 1.5, (2, 1)) + HALF)


def fitted(
    network: nn.Sequential, inputs: np.ndarray, labels: np.ndarray, make_view: ViewMaker | None, epochs: int
) -> nn.Sequential:
    """Trained with AdamW and one rise and fall of the rate; with a maker of views, a new view for each 64 digits."""
    torch.manual_seed(0)
    rng, size = np.random.default_rng(0), 64
    steps = epochs * (len(inputs) // size)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    network.train()
    for step in range(steps):
        if step % (len(inputs) // size) == 0:
            order = rng.permutation(len(inputs))
        batch = order[step % (len(inputs) // size) * size :][:size]
        images = inputs[batch] if make_view is None else through(make_view(rng), inputs[batch])
        loss = F.cross_entropy(network(torch.from_numpy(images)), torch.from_numpy(labels[batch]), label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return network.eval()


def kept(path: Path, build: Callable[[], nn.Sequential], train: Callable[[], nn.Sequential]) -> nn.Sequential:
    """The network in this file; trained and written there when there is none."""
    if not path.exists():
        torch.save(train().state_dict(), path)
    network = build()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


@torch.no_grad()
def answers(network: nn.Module, inputs: Images) -> np.ndarray:
    return np.asarray(network(torch.as_tensor(inputs)).argmax(dim=1))


def as_it_is(stored: Stored, run: Run) -> Guesses:
    """Stored networks that look at the run's digits directly."""
    found = {}
    for kind in ("upright", "tolerant"):
        network = stored.network(kind)
        found[f"stored network, {WORDS[kind]}"] = asked(network, run, run.test_images, run.probes[0])
    network = stored.network(stored.kind)
    found["stored network, trained on views of this kind"] = asked(network, run, run.test_images, run.probes[0])
    tuned = copy.deepcopy(network)
    for layer in tuned:
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
            layer.momentum = None  # the statistics of this run instead of those of training
            layer.reset_running_stats()
    answers(tuned, run.probes[0])
    tuned.eval()
    found["the same, its statistics taken from the run"] = asked(tuned, run, run.test_images, run.probes[0])
    hidden = tuned[:-1]
    with torch.no_grad():
        inputs = [hidden(torch.from_numpy(images)).numpy() for images in (run.train_images[:4000], run.test_images)]
    found["the same, its last layer learnt in the run"] = linear_scores(inputs[0], run.train_labels[:4000], inputs[1])
    found["the same, its last layer learnt in the run"] = found["the same, its last layer learnt in the run"].argmax(1)
    return found


WORDS = {"upright": "upright", "tolerant": "slightly turned and bent"}


def asked(
    network: nn.Module, run: Run, test: np.ndarray | torch.Tensor, probes: np.ndarray | torch.Tensor
) -> np.ndarray:
    return relabelled(answers(network, test), answers(network, probes), run.probes[1])


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def linear_scores(inputs: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Scores (N, 10) of a linear least-squares fit of the labels, slightly held back."""
    mean = inputs.mean(axis=0)
    inputs, queries = (inputs - mean).astype(np.float64), (queries - mean).astype(np.float64)
    held = inputs.T @ inputs / len(inputs) + 0.01 * np.eye(inputs.shape[1])
    return np.asarray(queries @ np.linalg.solve(held, inputs.T @ (np.eye(10)[labels] - 0.1) / len(inputs)))
