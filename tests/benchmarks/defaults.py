"""Which default lr and epochs of fit suit the most right choices of a beginner?

    python tests/benchmarks/defaults.py [SEEDS]

Trains each of {MLP, deeper MLP, CNN} x {SGD, SGD with momentum, Adam, AdamW} x {pixels 0..1, normalised, -1..1} on the
digits of a run, with each learning rate, and prints how many of the 36 choices stay below 0.90 after how many epochs;
then, per optimizer, the accuracy of its weakest choice. About 20 minutes of one processor per seed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from grader.digits import load, secret

RATES = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1)
EPOCHS = (5, 8, 10)
BATCH = 64
WANTED = 0.90
NETWORKS = {
    "MLP": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
    "deeper MLP": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    ),
    "CNN": lambda: nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10)),
    ),
}
OPTIMIZERS = {
    "SGD": lambda weights, lr: torch.optim.SGD(weights, lr=lr),
    "SGD with momentum": lambda weights, lr: torch.optim.SGD(weights, lr=lr, momentum=0.9),
    "Adam": lambda weights, lr: torch.optim.Adam(weights, lr=lr),
    "AdamW": lambda weights, lr: torch.optim.AdamW(weights, lr=lr),
}
PIXELS = {"0..1": (0.0, 1.0), "normalised": (0.1307, 0.3081), "-1..1": (0.5, 0.5)}
Reached = dict[tuple[str, str, str, float], dict[int, float]]


def accuracies(network: str, optimizer: str, pixels: str, lr: float, seed: int) -> dict[int, float]:
    """{number of epochs: test accuracy after so many}"""
    torch.manual_seed(seed)
    digits = secret(load(), np.random.default_rng([seed, 12]))
    mean, deviation = PIXELS[pixels]
    train, test = (
        ((torch.tensor(images).float() / 255 - mean) / deviation).unsqueeze(1)
        for images in (digits.shown.train_images[800:], digits.shown.test_images)
    )
    labels, truth = torch.tensor(digits.shown.train_labels[800:]).long(), torch.tensor(digits.truth).long()
    model = NETWORKS[network]()
    steps = OPTIMIZERS[optimizer](model.parameters(), lr)
    reached = {}
    for epoch in range(1, max(EPOCHS) + 1):
        for batch in torch.randperm(len(labels)).split(BATCH):
            steps.zero_grad()
            F.cross_entropy(model(train[batch]), labels[batch]).backward()
            steps.step()
        if epoch in EPOCHS:
            with torch.no_grad():
                scores = torch.cat([model(part) for part in test.split(500)])
            reached[epoch] = float((scores.argmax(dim=1) == truth).float().mean())
    return reached


def main() -> None:
    torch.set_num_threads(1)
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    found: Reached = {}
    for lr in RATES:
        for network in NETWORKS:
            for optimizer in OPTIMIZERS:
                for pixels in PIXELS:
                    runs = [accuracies(network, optimizer, pixels, lr, seed) for seed in range(seeds)]
                    found[network, optimizer, pixels, lr] = {e: min(run[e] for run in runs) for e in EPOCHS}
        print(f"lr {lr:g} done", file=sys.stderr, flush=True)
    choices = len(NETWORKS) * len(OPTIMIZERS) * len(PIXELS)
    print(f"choices of {choices} below {WANTED:.2f}\n\n| lr | " + " | ".join(f"{e} epochs" for e in EPOCHS) + " |")
    print("|---:|" + "---:|" * len(EPOCHS))
    for lr in RATES:
        below = {e: sum(r[e] < WANTED for key, r in found.items() if key[3] == lr) for e in EPOCHS}
        print(f"| {lr:g} | " + " | ".join(str(below[e]) for e in EPOCHS) + " |")
    weakest: dict[tuple[str, float], list[tuple[float, str]]] = defaultdict(list)
    for (network, optimizer, pixels, lr), reached in found.items():
        for epochs in EPOCHS:
            weakest[optimizer, lr].append((reached[epochs], f"{network}, {pixels}, {epochs} epochs"))
    for epochs in EPOCHS:
        print(f"\nweakest choice after {epochs} epochs\n\n| optimizer | " + " | ".join(f"{r:g}" for r in RATES) + " |")
        print("|---|" + "---:|" * len(RATES))
        for optimizer in OPTIMIZERS:
            cells = [
                min(value for value, name in weakest[optimizer, lr] if name.endswith(f" {epochs} epochs"))
                for lr in RATES
            ]
            print(f"| {optimizer} | " + " | ".join(f"{100 * cell:.1f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
