"""Made classes for tests and pictures: real findings of grader/hints, seeded numbers, names that nobody has."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

from grader.classroom.grades import GRADED, NOT_FINAL, REJECTED, Row
from grader.contract import WEEK
from grader.engine.check import Finding
from grader.engine.hints import load_hints
from grader.engine.result import CheckResult, Result, Status
from grader.engine.rubric import load_rubric
from grader.engine.submission.manifest import CHANGED
from grader.engine.wording import check_result, point_to_cause, with_reading
from grader.sections.recorded import REMARKS

WAYS = Path(__file__).with_name("made_sources.txt")
FIRST = """
    Amira Anna Aylin Bashir Beatriz Chen Chidi Clara Dalia Daniel Elif Emeka Farah Felix Giulia Hana Hugo Ines Ivan
    Jana Jonas José Kaito Kofi Lars Leila Lena Luca Mai María Mehmet Mina Nadia Ngozi Noah Olga Omar Paula Priya
    Quentin Rania Sofía Søren Tariq Thảo Tomás Ulrike Václav Wanjiru Xiomara Yusuf Zeynep Zoë
"""
LAST = """
    Abdi Almeida Andersen Bauer Benali Castillo Chaudhry Dubois Eze Ferrari Fischer García Haddad Ivanova Jansen
    Kowalska Kuznetsov Lindqvist Martins Mbeki Müller Nakamura Nguyễn Novák Nowak O'Brien Okafor Öztürk Park Petrov
    Quispe Rahman Ramírez Rossi Saito Schneider Silva Tanaka Torres Üstün Vargas Weber Wójcik Yamada Yılmaz Zhang
"""

Facts = Mapping[str, Any]
HALF = {"images": 14, "size": 4, "batches": 4}

# (finding, its check, weight, facts): a list is one to choose from for each student, a pair of floats a range
FINDINGS: Sequence[tuple[str, str, int, Facts]] = (
    ("pixels-not-scaled", "transform", 7, {"where": "make_transform", "black": 0, "white": 255}),
    ("picture-flattened", "transform", 2, {"shape": "(784,)"}),
    ("normalised-before-tensor", "transform", 2, {}),
    ("last-batch-dropped", "batches", 3, {"loader": ["validation", "test"], "missing": [8, 20, 32], "size": [32, 64]}),
    ("prepared-differently", "preparation", 3, {
        "odd": "test", "loader": "training", "black": -0.42, "white": 2.82, "odd_black": 0, "odd_white": 1}),
    ("split-not-from-seed", "splits", 9, {"seed": 0, "same": [78, 81, 90, 97], "total": 799}),
    ("validation-is-test", "splits", 3, {"count": [799, 800], "total": 800}),
    ("train-not-reshuffled", "reshuffle", 6, {"order": "5, 0, 4, 1, 9, 2 and so on"}),
    ("super-init-missing", "builds", 2, {}),
    ("layers-in-list", "registered", 3, {"names": ["self.layers", "self.blocks"]}),
    ("layer-sizes-do-not-fit", "score-shape", 4, {
        "layer": "Linear(in_features=3136, out_features=128)", "expects": 3136, "gets": [1568, 6272, 12544],
        "source": ""}),
    ("batch-axis-lost-for-one", "score-shape", 2, {"sign": "gives scores of shape (10,)"}),
    ("class-count", "score-shape", 1, {"classes": [9, 2], "batch": 5, "shape": "(5, 9)"}),
    ("no-activation", "non-linear", 5, {}),
    ("scores-are-probabilities", "raw-scores", 22, {"row_sum": 1.0}),
    ("softmax-before-loss", "step", 5, {"function": "train_one_epoch"}),
    ("no-step", "step", 2, {}),
    ("gradients-add-up", "fresh-gradients", 15, {"first": 3, "middle": 2, "last": 1}),
    ("train-mode-missing", "train-mode", 6, {"wrong": [2, 3], "passes": 3}),
    ("mean-of-batch-means", "mean-loss", 14, HALF | {
        "function": "train_one_epoch", "got": (2.1, 2.6), "expected": (2.27, 2.31)}),
    ("last-batch-weighed-full", "mean-loss", 3, HALF | {
        "function": "train_one_epoch", "got": (2.5, 2.7), "expected": (2.27, 2.31)}),
    ("loss-keeps-graph", "mean-loss", 2, {"function": "train_one_epoch"}),
    ("mean-of-batch-accuracies", "evaluate-accuracy", 12, HALF | {
        "right": [5, 6, 8], "got": (0.4, 0.6), "expected": (0.35, 0.55)}),
    ("accuracy-in-percent", "evaluate-accuracy", 4, HALF | {
        "right": [5, 6, 8], "got": (35.0, 55.0), "expected": (0.35, 0.55)}),
    ("accuracy-is-a-count", "evaluate-accuracy", 2, HALF | {"right": 6, "got": 6.0, "expected": 0.4286}),
    ("eval-mode-missing", "evaluate-clean", 10, {"wrong": [3, 4], "passes": 4}),
    ("gradients-recorded-in-evaluate", "evaluate-clean", 6, {"wrong": 4, "passes": 4}),
    ("history-keys", "fit-history", 3, {
        "missing": "val_accuracy", "found": ['"train_loss", "val_loss", "val_acc"', '"loss", "acc"']}),
    ("epochs-count", "fit-history", 2, {"asked": 3, "done": [2, 4, 5], "entries": "5, 5, 5"}),
    ("optimizer-rebuilt", "fit-learns", 3, {"count": 3, "epochs": 3}),
)  # fmt: skip
HARD = ("raises", "name-without-self", "syntax-error", "file-missing")  # what stops everything
ERROR = "NameError: name 'fc1' is not defined. Did you mean: 'self.fc1'?"
HARD_FACTS: Facts = {
    "error": ERROR, "word": "fc1", "other": "", "file": "model.py", "detail": "'(' was never closed (model.py, line 23)"
}  # fmt: skip


@cache
def texts() -> tuple[Any, Any]:
    return load_hints(WEEK), load_rubric(WEEK)


def made_class(count: int, seed: int = 0, later: float = 0.0) -> list[Row]:
    """Rows of `count` students. later: how many of the faults (0..1) are mended since the same class's earlier run."""
    draw = random.Random(seed)
    names = draw.sample([(first, last) for first in FIRST.split() for last in LAST.split()], count)
    return [student(random.Random(f"{seed} {n}"), first, last, later) for n, (first, last) in enumerate(names)]


def student(draw: random.Random, first: str, last: str, later: float) -> Row:
    plain = "".join(c for c in f"{first}-{last}".lower() if c.isascii() and (c.isalpha() or c == "-"))
    keys = {"email": f"{plain.replace('-', '.')}@students.example.edu", "sid": str(draw.randrange(10**6, 10**7))}
    row = Row(f"{plain}-{draw.randrange(100):02d}", f"{first} {last}", keys)
    fate, mending = draw.random(), draw.random()
    if fate < 0.04 and mending >= later:
        return row
    if fate < 0.05:
        return replace(row, status=REJECTED, notes=("the archive is encrypted, so nothing in it can be read",))
    result = run(draw, fate, later)
    if fate > 0.985:
        note = f"{CHANGED} (changed: grader/rubric.toml). It was not used: the course's own copy gave this score."
        result = replace(result, submission={**result.submission, "notes": [note]})
    at = datetime(2026, 12, 6, 22, tzinfo=timezone.utc) + timedelta(minutes=draw.randint(-4000, 130))
    return replace(
        row, result=result, status=GRADED if result.final else NOT_FINAL, seed=result.seed,
        digest=result.submission["digest"], submitted_at=at, late=at > datetime(2026, 12, 6, 23, tzinfo=timezone.utc),
        notes=("model (2).py was taken as model.py",) if draw.random() < 0.05 else (),
    )  # fmt: skip


def run(draw: random.Random, fate: float, later: float) -> Result:
    """The result of one student: faults drawn by weight, more for those who are less able."""
    hints, rubric = texts()
    able = draw.betavariate(3, 1.6)
    stopped = draw.choice(HARD) if fate < 0.08 and draw.random() >= later else ""
    done = (
        0 if fate < 0.10 and draw.random() >= later else 7 if draw.random() < 0.5 + 0.6 * able else draw.randint(1, 6)
    )
    done = min(7, done + round(6 * later * draw.random()))
    faults: dict[str, tuple[str, Facts]] = {}
    if done:
        for finding, check, weight, facts in FINDINGS:
            if draw.random() < weight / 100 * 2.2 * (1.15 - able) and draw.random() >= later * draw.random() * 1.6:
                faults.setdefault(check, (finding, drawn(draw, facts)))
    checks = [check_of(draw, check, hints, rubric, faults, done, stopped) for check in WEEK.checks]
    accuracy = accuracy_drawn(draw, checks, able) if done == 7 and not stopped else None
    if accuracy is not None:
        checks[-1] = accuracy_check(draw, accuracy, hints, rubric)
    if fate > 0.992:
        checks[-1] = replace(
            checks[-1], status="grader_error", score=0, finding=None, hint="",
            message="The worker ended without an answer, twice.",
        )  # fmt: skip
    begun = point_to_cause(with_reading(checks, WEEK, {}), WEEK.consequence)
    remarks = [draw.choice(list(REMARKS))] if draw.random() < 0.04 else []
    seen = {
        "test": accuracy,
        "floor": rubric.tiers[-1].at,
        "tiers": [vars(t) for t in rubric.tiers],
        "remarks": remarks,
    }
    recorded = {} if accuracy is None else {"accuracy": seen}
    return Result(
        "2026-12-07T06:12:44Z", 4.2, draw.randrange(10**6), {"name": "", "digest": f"{draw.getrandbits(64):016x}"},
        {"version": "0.1.0", "digest": "0", "isolation": "confined"}, tuple(begun), recorded, sections=WEEK.sections,
    )  # fmt: skip


def drawn(draw: random.Random, facts: Facts) -> Facts:
    def one(value: Any) -> Any:
        if isinstance(value, list):
            return draw.choice(value)
        return f"{draw.uniform(*value):.4g}" if isinstance(value, tuple) else value

    return {name: one(value) for name, value in facts.items()}


def check_of(
    draw: random.Random, check: Any, hints: Any, rubric: Any, faults: Mapping[str, Any], done: int, stopped: str
) -> CheckResult:
    """One check of somebody who has done the TODOs up to `done`."""
    status: Status = "passed"
    finding = None
    if check.todo > done:
        status = "todo"
    elif stopped and WEEK.todo[check.todo].file != "data.py":
        first = check.id == "builds"
        status, finding = ("crashed", Finding(stopped, dict(HARD_FACTS))) if first else ("blocked", None)
    elif check.id in faults:
        name, facts = faults[check.id]
        share = 0.67 if check.id == "mean-loss" and draw.random() < 0.3 else 0.0
        status, finding = "failed", Finding(name, dict(facts), share=share)
    elif check.part == "training" and "builds" in faults and draw.random() < 0.5:
        status = "blocked"
    return check_result(WEEK, check, rubric.points[check.id], status, finding, hints, draw.random())


def accuracy_drawn(draw: random.Random, checks: Sequence[CheckResult], able: float) -> float:
    harm = sum(check.status not in ("passed",) for check in checks[:-1])
    top = 0.935 - 0.02 * draw.random() - (0.06 * harm * draw.random() if harm else 0)
    if draw.random() < 0.16 * (1.3 - able):
        top -= draw.uniform(0.03, 0.4)
    return round(max(top, draw.uniform(0.08, 0.14)), 4)


def accuracy_check(draw: random.Random, accuracy: float, hints: Any, rubric: Any) -> CheckResult:
    check, points = WEEK.check[WEEK.tiered], rubric.points[WEEK.tiered]
    earned = max((tier.points for tier in rubric.tiers if accuracy >= tier.at), default=0)
    if earned == points:
        return check_result(WEEK, check, points, "passed", None, hints, 3.0)
    name = (
        "accuracy-at-chance" if accuracy < 0.2 else draw.choice(["rate-too-small", "rate-too-large", "epochs-too-few"])
    )
    first, needed = (f"{100 * rubric.tiers[n].at:g} %" for n in (0, -1))
    facts = {
        "accuracy": f"{100 * accuracy:.1f} %", "total": 2004, "earned": earned, "first": first, "needed": needed,
        "curve": "The training loss goes from 2.29 to 0.61.", "reached": "91.8 %",
    }  # fmt: skip
    usual = {"rate-too-large": [0.5, 1.0, 3.0], "rate-too-small": [0.001, 0.0001], "epochs-too-few": [2, 3, 5]}
    tried = {"better": 20 if name == "epochs-too-few" else 0.05, "default": draw.choice(usual.get(name, [0]))}
    return check_result(WEEK, check, points, "failed", Finding(name, facts | tried, share=earned / points), hints, 3.0)


# -- what they handed in -----------------------------------------------------------------------------------------------


def made_sources(rows: Sequence[Row], seed: int = 0, copies: int = 3) -> dict[str, dict[str, str]]:
    """Files of those who began, by tests/made_sources.txt; the first `copies` have those of the next with other names.

    Two who write everything for themselves share only the usual ways to write a line.
    """
    handed_in = [row for row in rows if row.result is not None]
    sources = {row.id: written(random.Random(f"{seed} {n}")) for n, row in enumerate(handed_in)}
    for n in range(min(copies, len(handed_in) // 2)):
        one, other = handed_in[2 * n], handed_in[2 * n + 1]
        sources[other.id] = {name: renamed(text) for name, text in sources[one.id].items()}
        if n:  # the first is a copy from end to end
            sources[other.id]["model.py"] += (
                f"\n\ndef count(model):\n    return {n} + sum(p.numel() for p in model.parameters())\n"
            )
    return sources


def written(draw: random.Random) -> dict[str, str]:
    """{file: text} of one student."""
    files: dict[str, list[str]] = {}
    for line in WAYS.read_text(encoding="utf-8").splitlines()[2:]:
        if line.startswith("==="):
            lines = files.setdefault(line.split()[1], [])
            continue
        indent = line[: len(line) - len(line.lstrip())]
        ways = [way.strip() for way in line.split("||")]
        way = draw.choices(ways, [3.0, 2.0, *[1.0] * len(ways)][: len(ways)])[0]
        if way != ".":
            size = str(draw.choice([2, 5, 8, 32, 50, 64, 100, 128, 200, 256, 300, 512]))
            lines.append(indent + way.replace("#", size))
        if draw.random() < 0.04 and way.endswith(")"):
            lines.append(f"{indent}print({draw.choice(['x', 'len(x)', 'x.shape', '1'])}, {draw.randint(2, 99)})")
    return {name: "\n".join(lines) + "\n" for name, lines in files.items()}


def renamed(text: str) -> str:
    """As somebody hides where it comes from: other names, other comments."""
    for old, new in (("images", "pics"), ("labels", "ys"), ("loss", "err"), ("total", "acc_sum"), ("x", "inp")):
        text = re.sub(rf"\b{old}\b", new, text)
    return "# my own work\n" + text.replace("\n\n", "\n\n# next\n")
