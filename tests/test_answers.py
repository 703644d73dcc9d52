"""An answer is read as what a check expects, or the check ends as crashed: whatever student code puts in its place."""

from __future__ import annotations

import copy
import math
import random
import time
import tracemalloc
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest

from grader.checks.secret_digits import secret_digits
from grader.checks.test_4_accuracy import PROBE
from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.answer import LIST, NUMBERS, SOME, TEXT, Answer
from grader.engine.check import Check, Failed, Waits
from grader.engine.endings import NotSeen, ProtocolBroken
from grader.engine.run import ODD_ANSWER, Run
from grader.engine.student import Notes
from grader.engine.submission.read import read
from grader.engine.worker.channel import BadFrame, Decoder, encode
from grader.engine.worker.raised import Raised
from grader.engine.worker.trusted.job import Outcome

ERROR = Raised("ValueError", "no")
ANSWER = Answer({
    "lr": 0.5, "count": 3, "name": "x", "on": True, "broken": ERROR, "weight": np.ones((2, 3)), "ids": np.arange(4),
    "runs": [{"loss": 1.0}, {"loss": ERROR}], "one": {"deep": {"loss": float("nan")}}, "mixed": [1, 2.5], "none": [],
    "pair": [np.zeros((2, 2)), np.ones((2, 2))],
})  # fmt: skip


def test_what_was_asked_for_is_given():
    assert (ANSWER.number("lr"), ANSWER.number("count"), ANSWER.integer("count")) == (0.5, 3.0, 3)
    assert (ANSWER.text("name"), ANSWER.flag("on"), ANSWER.numbers("mixed", 2)) == ("x", True, [1.0, 2.5])
    assert ANSWER.texts("none") == [] and ANSWER.flags("none", range(5)) == [] and ANSWER["name"] == "x"
    assert ANSWER.array("weight", (2, None)).shape == ANSWER.array("weight", (SOME, range(2, 4))).shape == (2, 3)
    assert ANSWER.array("ids", None, "fi").tolist() == [0, 1, 2, 3] and len(ANSWER.arrays("pair", (2, 2), 2)) == 2
    assert np.isnan(ANSWER.part("one").part("deep").number("loss")) and ANSWER["runs"][0].number("loss") == 1.0
    assert ANSWER.get("missing") is None and "missing" not in ANSWER and ANSWER.get("lr") == 0.5


@pytest.mark.parametrize("ask", [
    lambda a: a["missing"],
    lambda a: a.number("missing"),
    lambda a: a.number("on"),  # True is no number
    lambda a: a.number("name"),
    lambda a: a.integer("lr"),
    lambda a: a.integer("on"),
    lambda a: a.text("count"),
    lambda a: a.flag("count"),
    lambda a: a.part("runs"),
    lambda a: a.parts("one"),
    lambda a: a.parts("runs", 3),
    lambda a: a.texts("mixed"),
    lambda a: a.integers("mixed"),
    lambda a: a.numbers("mixed", range(2)),
    lambda a: a.array("lr", None),
    lambda a: a.array("ids", None),  # no floats
    lambda a: a.array("weight", (2,)),
    lambda a: a.array("weight", (2, 4)),
    lambda a: a.array("weight", (2, range(3))),
    lambda a: a.arrays("pair", (2, 3), 2),
    lambda a: a.part("one").part("deep").text("lost"),
])  # fmt: skip
def test_anything_else_is_no_answer(ask):
    with pytest.raises(ProtocolBroken):
        ask(ANSWER)


def test_what_is_missing_is_named_with_its_place():
    with pytest.raises(ProtocolBroken, match=r"lacks one\.deep\.lost"):
        ANSWER.part("one").part("deep").text("lost")


@pytest.mark.parametrize("ask", [
    lambda a: a["broken"],
    lambda a: a.get("broken"),
    lambda a: a.number("broken"),
    lambda a: a.array("broken", None),
    lambda a: a.end_if_raised("broken"),
    lambda a: a.parts("runs")[1].number("loss"),
])  # fmt: skip
def test_reading_what_raised_ends_the_check(ask):
    with pytest.raises(NotSeen) as ending:
        ask(ANSWER)
    assert ending.value.outcome.raised == ERROR


def test_what_raised_can_be_looked_at_first():
    assert ANSWER.raised("broken") == ERROR == ANSWER.parts("runs")[1].raised("loss")
    assert ANSWER.raised("lr") is None and ANSWER.raised("missing") is None
    ANSWER.end_if_raised("lr")
    ANSWER.end_if_raised("missing")


# --- every check of the week, asked with answers that no probe would give

FORGED: tuple[Any, ...] = (
    None, True, -1, 0, 10**18, float("nan"), float("inf"), "x", "", [], [None], ["x", "y"], [1, 2, 3], {}, {"x": 1},
    ERROR, np.zeros(0), np.zeros((64, 0), np.float32), np.full((64, 10), np.nan), np.array(7),
)  # fmt: skip
SAMPLE = 25  # forged answers per check and probe


@pytest.fixture(scope="module")
def asked(server, tmp_path_factory) -> Iterator[tuple[Run, dict[str, dict[str, dict[str, Any]]]]]:
    """The reference's run, and what its probes answered to each check: {check id: {probe: values}}."""
    folder = tmp_path_factory.mktemp("reference")
    for name, text in corpus.reference().items():
        (folder / name).write_text(text, encoding="utf-8")
    run = Run(read(folder, WEEK, 64_000), server, seed=1)
    answers: dict[str, dict[str, dict[str, Any]]] = {}
    real = run.asking.observe

    def observe(check: Check, probe: str, arguments: Any) -> Outcome:
        outcome = real(check, probe, arguments)
        answers.setdefault(check.id, {})[probe] = outcome.values
        return outcome

    run.asking.observe = observe
    for check in WEEK.checks:
        if check.id != WEEK.long:
            assert run.check(check).status == "passed"
    answers[WEEK.long] = {PROBE: trained(run)}
    yield run, answers
    run.close()


def trained(run: Run) -> dict[str, Any]:
    """What the long probe answers, without the training: scores at random for the digits of the run."""
    images = secret_digits(run.student(WEEK.check[WEEK.long])).shown.test_images.astype(np.float32) / 255
    scores = np.random.default_rng(1).normal(size=(len(images), 10)).astype(np.float32)
    return {
        "inputs": images.reshape(len(images), -1),
        "scores": scores,
        "history": {"train_loss": [2.0, 1.0], "val_loss": [2.1, 1.1], "val_accuracy": [0.3, 0.5]},
        "samples": {"images": images[:8, None], "labels": np.arange(8)},
        "first_layer": np.ones((4, 28, 28), np.float32),
    }


def places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside, branches too."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, value in items:
        yield (*path, name)
        if isinstance(value, dict) or isinstance(value, list) and any(isinstance(v, (dict, np.ndarray)) for v in value):
            yield from places(value, (*path, name))


def forgeries(values: dict[str, Any], rng: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what was done, the answer), in random order: each value left out, and replaced by everything else."""
    todo = [(place, forged) for place in places(values) for forged in (*FORGED, "leave out", "spoil")]
    rng.shuffle(todo)
    for (*path, last), forged in todo:
        answer = copy.deepcopy(values)
        holder: Any = answer
        for name in path:
            holder = holder[name]
        if isinstance(forged, str) and forged == "leave out":
            del holder[last]
        elif isinstance(forged, str) and forged == "spoil":
            if not isinstance(holder[last], np.ndarray):
                continue
            holder[last] = -3 * holder[last].astype(np.float64) + np.nan
        else:
            holder[last] = forged
        yield f"{'.'.join(map(str, (*path, last)))} = {forged!r}", answer


def judge(run: Run, check: Check, answers: dict[str, dict[str, Any]], told: bool = False) -> None:
    """Run a check on these answers of its probes. A verdict must come out; told: ProtocolBroken comes out too."""
    shared = {name: value for name, value in run.notes.memory.items() if name != "data.passes"}
    student = run.student(check)
    student._notes = Notes(memory=shared)
    student._asking = type("Asking", (), {
        "observe": lambda self, check, probe, arguments: Outcome("answer", answers[probe]),
        "begin": lambda self, check, probe, arguments: None,
        "folder": run.asking.folder,
    })()  # fmt: skip
    try:
        check.function(student)
    except (Failed, NotSeen, Waits):
        pass
    except ProtocolBroken:
        if told:
            raise


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy speaks of the nan and inf in forged arrays
@pytest.mark.corpus
@pytest.mark.parametrize("check", WEEK.checks, ids=lambda check: check.id)
def test_a_forged_answer_gets_a_verdict(check, asked):
    run, answers = asked
    every = {probe: values for of_check in answers.values() for probe, values in of_check.items()}
    rng = random.Random(check.id)
    judged = 0
    for probe, values in answers[check.id].items():
        for what, forged in islice(forgeries(values, rng), SAMPLE):
            sent = Decoder().feed(encode("answer", forged))[0].values  # nothing that could not have come
            try:
                judge(run, check, every | answers[check.id] | {probe: sent})
            except Exception as error:
                raise AssertionError(f"{check.id}: {probe} with {what}: {error!r}") from error
            judged += 1
    assert judged >= SAMPLE


# --- and with the largest answers that their bounds allow

SECONDS, BYTES = 2.5, 200_000_000  # on a quiet machine all stay below 1 s


class Reads:
    """What a check asks of an answer: {path: how long it may be}, and the path that was asked for last."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.lists: dict[str, Any] = {}
        self.arrays: dict[str, Any] = {}
        self.last = ""
        real_list, real_array = Answer._list, Answer._array

        def listed(answer: Answer, name: str, length: Any) -> list[object]:
            self.last = f"{answer._place}{name}"
            self.lists[self.last] = length
            return real_list(answer, name, length)

        def arrayed(answer: Answer, value: object, name: str, shape: Any, kind: str) -> np.ndarray:
            self.last = f"{answer._place}{name}"
            self.arrays[self.last] = shape
            return real_array(answer, value, name, shape, kind)

        patch.setattr(Answer, "_list", listed)
        patch.setattr(Answer, "_array", arrayed)

    def enlarged(self, values: dict[str, Any], path: str) -> dict[str, Any] | None:
        """The values with more of the same at a path, as much as is allowed; None when that changes nothing."""
        changed = copy.deepcopy(values)
        *way, last = path.split(".")
        holders: list[Any] = [changed]
        for name in way:
            holders.append(holders[-1][int(name) if isinstance(holders[-1], list) else name])
        holder = holders[-1]
        old = holder[last] if isinstance(holder, dict) and last in holder else None
        if path in self.arrays and isinstance(old, np.ndarray) and old.size:
            shape = largest_shape(old.shape, self.arrays[path])
            if shape == old.shape:
                return None
            lengthen(holders[-2:][0], old.shape[0], shape[0])
            holder[last] = np.resize(old, shape)
            return changed
        if path in self.lists and isinstance(old, list):
            count = largest(self.lists[path], LIST)
            holder[last] = [copy.copy(item) for item, _ in zip(cycle(old or ["x" * TEXT]), range(count))]
            return changed if count != len(old) else None
        return None


def lengthen(values: Any, now: int, wanted: int) -> None:
    """What stands beside an array and has a row for each of its rows, or numbers that sum up to them, grows with it."""
    for name, value in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(value, (dict, list)) and not (value and isinstance(value, list) and isinstance(value[0], int)):
            lengthen(value, now, wanted)
        elif isinstance(value, np.ndarray) and value.shape[:1] == (now,) and 0 < value.size // now * wanted <= NUMBERS:
            values[name] = np.resize(value, (wanted, *value.shape[1:]))
        elif isinstance(value, list) and value and value[0] > 0 and sum(value) == now and wanted < LIST * value[0]:
            values[name] = [*value, *([value[0]] * ((wanted - now) // value[0])), (wanted - now) % value[0]]


def largest(length: Any, most: int) -> int:
    return most if length is None else min(most, length[-1]) if isinstance(length, range) else length


def largest_shape(now: tuple[int, ...], asked: Any) -> tuple[int, ...]:
    """The largest shape a check takes: axes of a known length first, the open ones share what is left."""
    asked = asked if asked is not None else (None, *now[1:])
    shape: list[int] = []
    for at, length in enumerate(asked):
        rest = [
            n if isinstance(n, int) else now[later] for later, n in enumerate(asked) if later > at and later < len(now)
        ]
        left = NUMBERS // max(1, math.prod(shape) * math.prod(rest))
        shape.append(largest(length, max(1, left)))
    return tuple(shape)


def cost(run: Run, check: Check, answers: dict[str, dict[str, Any]]) -> tuple[float, int]:
    """CPU seconds, and bytes at the peak, of one judgement."""
    seconds = math.inf
    for _ in range(5):  # numpy's threads spend time waiting for each other where others use the machine too
        start = time.thread_time()
        judge_oddly(run, check, answers)
        seconds = min(seconds, time.thread_time() - start)
        if seconds < SECONDS:
            break
    tracemalloc.start()
    judge_oddly(run, check, answers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak


def judge_oddly(run: Run, check: Check, answers: dict[str, dict[str, Any]]) -> None:
    try:
        judge(run, check, answers)
    except ODD_ANSWER:  # which the engine takes for an odd answer too
        pass


def settled(run: Run, check: Check, answers: dict[str, Any], probe: str, values: dict[str, Any], reads: Reads) -> Any:
    """The values with everything else made to fit what was enlarged: as long as the check refuses, it says what of."""
    for _ in range(10):
        try:
            judge(run, check, answers | {probe: values}, told=True)
        except ProtocolBroken:
            fitting = reads.enlarged(values, reads.last)
            if fitting is None:
                return values
            values = fitting
        else:
            return values
    return values


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.corpus
@pytest.mark.parametrize("check", WEEK.checks, ids=lambda check: check.id)
def test_the_largest_answer_costs_little(check, asked, monkeypatch):
    run, answers = asked
    every = {probe: values for of_check in answers.values() for probe, values in of_check.items()} | answers[check.id]
    rng = random.Random(check.id)
    tried: set[str] = set()
    for probe, values in answers[check.id].items():
        for what, start in [("", values), *islice(forgeries(values, rng), 4)]:  # a fault leads to other questions
            reads = Reads(monkeypatch)
            judge_oddly(run, check, every | {probe: start})
            for name in {path.rpartition(".")[2] for path in (*reads.arrays, *reads.lists)} - tried:
                grown = start
                for path in [p for p in (*reads.arrays, *reads.lists) if p.rpartition(".")[2] == name]:
                    more = reads.enlarged(grown, path) if in_answer(grown, path) else None
                    grown = more if more is not None and crosses(more) else grown
                if grown is start:
                    continue
                tried.add(name)
                grown = settled(run, check, every, probe, grown, reads)
                grown = grown if crosses(grown) else start
                for kind in ("more of the same", "noise"):  # which nobody recognises
                    sent = grown if kind != "noise" else noisy(grown, name)
                    seconds, peak = cost(run, check, every | {probe: sent})
                    told = f"{probe} {name} {what} {kind}: {seconds:.2f} s, {peak / 1e6:.0f} MB"
                    assert seconds < SECONDS and peak < BYTES, told
            monkeypatch.undo()


def noisy(values: Any, name: str) -> Any:
    """The values with noise in all arrays of that name."""
    if isinstance(values, dict):
        return {n: noisy(v, name) if n != name else noisy(v, "") for n, v in values.items()}
    if isinstance(values, list):
        return [noisy(value, name) for value in values]
    if isinstance(values, np.ndarray) and not name and values.dtype.kind == "f":
        return np.random.default_rng(0).normal(size=values.shape).astype(values.dtype)
    return values


def crosses(values: dict[str, Any]) -> bool:
    """Whether one answer can carry it."""
    try:
        return bool(Decoder().feed(encode("answer", values)))
    except (TypeError, BadFrame):
        return False


def in_answer(values: Any, path: str) -> bool:
    for name in path.split("."):
        if isinstance(values, list) and name.isdigit() and int(name) < len(values):
            values = values[int(name)]
        elif isinstance(values, dict) and name in values:
            values = values[name]
        else:
            return False
    return True
