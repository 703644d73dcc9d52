"""Another course out of this one, with everything changed that docs/make-it-yours.md allows, to run the tests in it.

    python tests/reconfigured.py ../other && cd ../other && python -m pytest

A copy with another week, title, deadline and address, other points, tiers, limits and visibility, other words in every
hint, and another network for a solution. Tests read the configuration, so they pass there as they do here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "*.egg-info", "*-out", "plots", ".*_cache")
COURSE = {
    "course": '"Digits & Networks"',
    "week": "55",
    "title": '"Read what people write"',
    "due": '"Friday noon"',
    "repository": '"https://github.com/our-school/nets-week55"',
}
TIERED = "test-accuracy"
TIERS = "tiers = [\n    { at = 0.65, points = 1 },\n    { at = 0.80, points = %s },\n]"
WORDS = re.compile(r'^(title|cause|question|why) = "', re.MULTILINE)
NETWORK = '''"""Part 2: the network."""

from torch import nn


class DigitClassifier(nn.Module):
    """Gives ten scores for each image."""

    def __init__(self):
        """Create the layers."""
        super().__init__()
        # BEGIN SOLUTION
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(16 * 6 * 6, 10),
        )
        # END SOLUTION

    def forward(self, images):
        """Images (B, 1, 28, 28) to raw scores (B, 10)."""
        # BEGIN SOLUTION
        return self.layers(images)
        # END SOLUTION
'''


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """The first place of each pattern, which must be there."""
    text = path.read_text(encoding="utf-8")
    for pattern, new in changes:
        found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
        assert found is not None, (path, pattern)
        text = text[: found.start()] + new + text[found.end() :]
    path.write_text(text, encoding="utf-8")


def make(root: Path) -> None:
    """Copy this repository to `root`, change it, and build."""
    shutil.copytree(ROOT, root, ignore=LEFT_OUT)
    edit(root / "templates/course.toml", *((rf"^{key} = .*?$", f"{key} = {new}") for key, new in COURSE.items()))
    rubric = root / "grader/rubric.toml"
    table = rubric.read_text(encoding="utf-8").split("[points]")[1].split("\n[")[0]
    had = {name: int(points) for name, points in re.findall(r"^([a-z-]+) = (\d+)$", table, re.MULTILINE)}
    ordered = sorted(had.keys() - {TIERED}, key=lambda name: (had[name], name))
    points = {name: had[name] + 1 for name in ordered[:3]} | {name: had[name] - 1 for name in ordered[-3:]}
    edit(
        rubric,
        *((rf"^{name} = \d+$", f"{name} = {now}") for name, now in points.items()),
        (r"tiers = \[.*?\n\]", TIERS.replace("%s", str(had[TIERED]))),
        (r"^check_seconds = \d+", "check_seconds = 45"),
        (r"(\n\[visibility\].*)?\Z", '\n[visibility]\naccuracy = "after_published"\n'),
    )
    for path in (root / "grader/hints").glob("*.toml"):
        path.write_text(WORDS.sub(r'\1 = "In our words: ', path.read_text(encoding="utf-8")), encoding="utf-8")
    (root / "solution/model.py").write_text(NETWORK, encoding="utf-8")
    for book in (root / "assignment").glob("*.ipynb"):
        book.unlink()
    subprocess.run([sys.executable, "-m", "grader", "build"], cwd=root, check=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
