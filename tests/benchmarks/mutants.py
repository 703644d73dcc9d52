"""Thousands of slightly wrong programs that nobody wrote: are they caught?

    python tests/benchmarks/mutants.py NUMBER [--wheats K] [--seed S] [--out FILE]

Takes K right solutions of the corpus, changes one thing at a time by the operators below (those of the field: statement
deletion, swap, duplication, relational, arithmetic and boolean operators, constants, variables, arguments, brackets,
indentation), and grades a random NUMBER of them: first the parts that judge the changed file, then the accuracy. Prints
how many were caught, by operator, and lists every survivor with its change, to be read: equivalent (nothing differs),
allowed (another right solution), or a gap. An oracle that does not look at the checks tells most of the equivalent ones
apart: the changed file, run with the same random numbers, gives the same numbers as before (`behaviour` below).
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import json
import queue
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from grader.contract import WEEK  # noqa: E402
from grader.corpus import entries as corpus  # noqa: E402
from grader.corpus.trials import KEY  # noqa: E402
from grader.engine.run import grade, start_server  # noqa: E402
from grader.engine.submission.read import read  # noqa: E402

SECONDS = 60  # for one look at the behaviour of a program
SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.GtE: ast.Lt,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip

# What a program does, on digits of noise and with fixed random numbers: one line of numbers, whatever the checks think.
BEHAVIOUR = """
import sys, hashlib, json
import torch, numpy as np
torch.set_num_threads(1)
folder, root = sys.argv[1:3]
sys.path.insert(0, folder)
import data, model, train
def seen(value):
    if isinstance(value, torch.Tensor): return hashlib.sha256(value.detach().numpy().tobytes()).hexdigest()[:12]
    if isinstance(value, dict): return {k: seen(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)): return [seen(v) for v in value]
    return repr(value)
def again(): torch.manual_seed(7); np.random.seed(7)
told = []
again(); loaders = data.make_loaders(root, batch_size=19, val_fraction=0.23, seed=5)
for loader in loaders:
    for turn in range(2):
        again(); told.append([seen(list(batch)) for batch in loader])
again(); net = model.DigitClassifier(); x = torch.randn(23, 1, 28, 28)
for mode in (True, False):
    net.train(mode); again(); told.append(seen(net(x)))
again(); told.append([n for n, p in net.named_parameters()])
pairs = [(torch.randn(n, 1, 28, 28), torch.randint(10, (n,))) for n in (8, 8, 8, 5)]
again(); net = model.DigitClassifier(); opt = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.5)
told += [seen(train.train_one_epoch(net, pairs, opt)), seen([p for p in net.parameters()]), net.training]
net.train(); told += [seen(train.evaluate(net, pairs)), net.training, torch.is_grad_enabled()]
for options in ({"epochs": 3, "lr": 0.02}, {}):
    again(); net = model.DigitClassifier()
    told += [seen(train.fit(net, pairs, pairs[:2], **options)), seen([p for p in net.parameters()])]
print("TOLD", hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest())
"""


@dataclass(frozen=True)
class Mutant:
    wheat: str
    file: str
    operator: str
    line: int
    before: str
    after: str
    text: str


def mutants(wheat: str, file: str, text: str) -> Iterator[Mutant]:
    """Every program that is one change away."""
    tree = ast.parse(text)
    plain = ast.unparse(tree)
    skipped = {inner for node in ast.walk(tree) if is_no_answer(node) for inner in ast.walk(node)}
    for number, node in enumerate(ast.walk(tree)):
        for operator, change in changes_of(node) if node not in skipped else ():
            changed = copy.deepcopy(tree)
            target = next(n for i, n in enumerate(ast.walk(changed)) if i == number)
            line = getattr(node, "lineno", 0)
            node_instead = change(target)
            if isinstance(node_instead, ast.expr):
                changed = Replace(target, node_instead).visit(changed)
            try:
                after = ast.unparse(ast.fix_missing_locations(changed))
                compile(after, file, "exec")
            except (SyntaxError, ValueError, AttributeError):
                continue
            if after != plain:
                old, new = difference(plain, after)
                yield Mutant(wheat, file, operator, line, old, new, after)


def is_no_answer(node: ast.AST) -> bool:
    """What is given beside the TODOs, or only prints."""
    if isinstance(node, ast.FunctionDef):
        return node.name == "main"
    if isinstance(node, ast.If):
        return "__name__" in ast.unparse(node.test)
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"


def difference(one: str, other: str) -> tuple[str, str]:
    lines = [line for line in difflib.ndiff(one.splitlines(), other.splitlines()) if line[0] in "+-"]
    sides = ([" ".join(line[2:].split()) for line in lines if line[0] == sign] for sign in "-+")
    old, new = (" / ".join(side)[:160] for side in sides)
    return old, new


def changes_of(node: ast.AST) -> Iterator[tuple[str, object]]:
    """(operator, function that changes such a node in place, or returns the one to put there)"""
    body = getattr(node, "body", None)
    if isinstance(body, list) and isinstance(node, (ast.FunctionDef, ast.For, ast.With, ast.If)):
        start = 1 if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else 0
        for at in range(start, len(body)):
            yield "delete", lambda n, at=at: n.body.__setitem__(at, ast.Pass())
            yield "duplicate", lambda n, at=at: n.body.insert(at, n.body[at])
            if at + 1 < len(body):
                yield "swap statements", lambda n, at=at: n.body.insert(at, n.body.pop(at + 1))
        for at, inner in enumerate(body):
            if isinstance(inner, (ast.For, ast.With)) and len(inner.body) > 1:
                yield "move out", lambda n, at=at: n.body.insert(at + 1, n.body[at].body.pop())
            if isinstance(inner, (ast.For, ast.With)) and at + 1 < len(body):
                yield "move in", lambda n, at=at: n.body[at].body.append(n.body.pop(at + 1))
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in SWAPPED:
        yield "operator", lambda n: setattr(n, "op", SWAPPED[type(n.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        yield "relation", lambda n: n.ops.__setitem__(0, SWAPPED[type(n.ops[0])]())
    if isinstance(node, ast.If):
        yield "negate", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "boolean", lambda n: setattr(n, "value", not n.value)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "one more", lambda n: setattr(n, "value", n.value + 1)
        yield "one less", lambda n: setattr(n, "value", n.value - 1)
        if node.value in (0, 1):
            yield "axis", lambda n: setattr(n, "value", 1 - n.value)
    elif isinstance(node, ast.Constant) and type(node.value) is float:
        yield "zero", lambda n: setattr(n, "value", 0.0)
        yield "tenfold", lambda n: setattr(n, "value", n.value * 10)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
            yield "drop brackets", lambda n: n.func
            yield "drop call", lambda n: n.func.value
        if len(node.args) > 1:
            yield "exchange arguments", lambda n: n.args.insert(0, n.args.pop(1))
        for at in range(len(node.keywords)):
            yield "drop keyword", lambda n, at=at: n.keywords.pop(at)
    if isinstance(node, ast.Subscript):
        yield "drop index", lambda n: setattr(n, "slice", ast.Slice(None, None, None))


class Replace(ast.NodeTransformer):
    """Puts a node in the place of another."""

    def __init__(self, target: ast.AST, node: ast.AST):
        self.target, self.node = target, node

    def visit(self, node: ast.AST) -> ast.AST:
        return self.node if node is self.target else self.generic_visit(node)


def behaviour(files: dict[str, str], root: Path) -> str:
    """A digest of what a program does; "" when it stops, or does not in time."""
    with tempfile.TemporaryDirectory() as folder:
        written(files, Path(folder))
        command = [sys.executable, "-c", BEHAVIOUR, folder, str(root)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        return next((line for line in done.stdout.splitlines() if line.startswith("TOLD")), "")


def written(files: dict[str, str], folder: Path) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def small_digits(folder: Path) -> Path:
    from grader.digits import load, write_idx

    digits = load()
    write_idx(
        folder, digits.train_images[:300], digits.train_labels[:300], digits.test_images[:90], digits.test_labels[:90]
    )
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", type=int)
    parser.add_argument("--wheats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a file for all survivors, as JSON lines")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    usual = [entry for entry in corpus.load_all("wheats") if not entry.weak]
    sources = {"reference": corpus.reference()}
    sources |= {entry.name: corpus.source_of(entry) for entry in rng.sample(usual, given.wheats - 1)}
    every = [m for name, files in sources.items() for file, text in files.items() for m in mutants(name, file, text)]
    chosen = rng.sample(every, min(given.number, len(every)))
    print(f"{len(every)} mutants of {len(sources)} right solutions, {len(chosen)} of them tried", flush=True)
    waiting: queue.Queue[Mutant] = queue.Queue()
    for one in chosen:
        waiting.put(one)
    caught: Counter[str] = Counter()
    survivors: list[Mutant] = []

    def work() -> None:
        server = start_server(WEEK)
        while True:
            try:
                mutant = waiting.get_nowait()
            except queue.Empty:
                server.close()
                return
            files = sources[mutant.wheat] | {mutant.file: mutant.text}
            with tempfile.TemporaryDirectory() as folder:
                submission = read(written(files, Path(folder)), WEEK, 64_000)
                parts = [part for part in WEEK.files[mutant.file] if part != "accuracy"]
                result = grade(submission, server, seed=1, key=KEY, parts=parts)
                if all(check.status == "passed" for check in result.checks):
                    result = grade(submission, server, seed=1, key=KEY, parts=["accuracy"])
            if all(check.status == "passed" for check in result.checks):
                survivors.append(mutant)
            else:
                caught[mutant.operator] += 1

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with tempfile.TemporaryDirectory() as folder:
        root = small_digits(Path(folder))
        plain = {
            name: behaviour({f: ast.unparse(ast.parse(t)) for f, t in files.items()}, root)
            for name, files in sources.items()
        }
        same = [m for m in survivors if behaviour(sources[m.wheat] | {m.file: m.text}, root) == plain[m.wheat] != ""]
    different = [m for m in survivors if m not in same]
    judged = sum(caught.values()) + len(different)
    print(f"{sum(caught.values())} caught, {len(same)} survive and do the same, {len(different)} survive and differ")
    print(f"caught among those that are not the same: {100 * sum(caught.values()) / max(judged, 1):.1f} %\n")
    for m in sorted(different, key=lambda m: (m.operator, m.wheat)):
        print(f"{m.operator}: {m.wheat}, {m.file}, line {m.line}\n  - {m.before}\n  + {m.after}")
    if given.out:
        given.out.write_text("".join(json.dumps(m.__dict__) + "\n" for m in survivors), encoding="utf-8")


if __name__ == "__main__":
    main()
