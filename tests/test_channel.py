"""The channel takes only what it asked for, and survives any bytes."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.contract import WEEK
from grader.engine.endings import NotSeen, finding_of
from grader.engine.hints import load_hints
from grader.engine.result import STATUSES, BadScore, CheckResult, Result
from grader.engine.submission.read import Submission
from grader.engine.worker.channel import MAGIC, PREFIX, BadFrame, Decoder, encode, read_npy, write_npy
from grader.engine.worker.raised import Raised
from grader.engine.worker.trusted.job import ENDINGS, Job, Request

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


def frame(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return PREFIX.pack(MAGIC, len(text), len(body)) + text + body


def test_what_is_sent_arrives_however_it_is_cut():
    error = Raised("ValueError", "no", [{"file": "model.py", "line": 3, "function": "forward", "text": "x"}])
    values = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": 3, "s": "text", "l": [1, 2.5, None], "e": error}
    sent = encode("answer", values) * 2
    decoder, frames = Decoder(), []
    for byte in sent:
        frames += decoder.feed(bytes([byte]))
    assert len(frames) == 2
    got = frames[1].values
    assert np.array_equal(got.pop("a"), values.pop("a")) and got == values


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)
NESTED = st.recursive(
    LEAVES | st.lists(LEAVES, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex("[a-z_][a-z0-9_]{0,5}", fullmatch=True),
                                                                inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)  # other work on the machine is no fault
@given(st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), NESTED, max_size=3))
def test_what_is_nested_arrives_as_it_was(values):
    try:
        sent = encode("answer", values)
    except TypeError as error:
        assert "nested too deeply" in str(error)
        return
    assert Decoder().feed(sent)[0].values == values


def test_arrays_and_exceptions_keep_their_places():
    error = Raised("ValueError", "no")
    sent = {"runs": [{"weight": np.ones(3), "loss": 0.5}, {"weight": np.zeros((2, 0)), "loss": error}], "none": {}}
    got = Decoder().feed(encode("answer", sent))[0].values
    assert np.array_equal(got["runs"][0]["weight"], np.ones(3)) and got["runs"][1]["weight"].shape == (2, 0)
    assert got["runs"][1]["loss"] == error and got["none"] == {} and len(got["runs"]) == 2


@pytest.mark.parametrize("values", [
    {"a": 1, "a.b": 2},  # a value where there are others
    {"a.b": 2, "a": 1},
    {"a.0": 1, "a.2": 2},  # a list with a gap
    {"a.0": 1, "a.b": 2},  # a list that is a dict
    {"a.00": 1},
    {"a.99999": 1},
    {"0": 1},
    {"0.a": 1},
    {"": 1},
    {"a.": 1},
    {"a..b": 1},
    {"a b": 1},
    {"a" * 81: 1},
    {".".join("a" * 9): 1},
    {"a": {"b": 1}},
    {"a": [{}]},
])  # fmt: skip
def test_paths_that_nobody_would_have_written_are_refused(values):
    with pytest.raises(BadFrame):
        Decoder().feed(frame({"kind": "answer", "values": values, "arrays": [], "raised": {}}))


def test_a_value_that_comes_twice_is_refused():
    block = write_npy(np.ones(1))
    error = {"type": "E", "message": "", "frames": [], "quote": ""}
    with pytest.raises(BadFrame, match="twice"):
        Decoder().feed(
            frame({"kind": "answer", "values": {"a": 1}, "arrays": [["a", len(block)]], "raised": {}}, block)
        )
    with pytest.raises(BadFrame, match="twice"):
        Decoder().feed(frame({"kind": "answer", "values": {"a": 1}, "arrays": [], "raised": {"a": error}}))


@pytest.mark.parametrize("values", [
    {"a b": 1}, {"a.b": 1}, {"0": 1}, {"a": {"0": 1}}, {"a": {3: 1}}, {"a": [[[[[[[[[1]]]]]]]]]},
    {"a": [{"b": n} for n in range(2001)]},
], ids=str)  # fmt: skip
def test_names_and_levels_that_do_not_cross_are_our_own_mistake(values):
    with pytest.raises(TypeError):
        encode("answer", values)


@settings(deadline=None)  # other work on the machine is no fault
@given(st.binary(max_size=400))
def test_any_bytes_are_a_frame_or_a_bad_frame(data):
    try:
        Decoder().feed(data)
        Decoder().feed(PREFIX.pack(MAGIC, len(data), 0) + data)
    except BadFrame:
        pass


@settings(deadline=None)  # other work on the machine is no fault
@given(ANYTHING)
def test_any_json_is_a_frame_or_a_bad_frame(value):
    for header in (value, {"kind": "answer", "values": value, "arrays": [], "raised": {}},
                   {"kind": "answer", "values": {}, "arrays": value, "raised": {}},
                   {"kind": "answer", "values": {}, "arrays": [], "raised": {"x": value}}):  # fmt: skip
        try:
            Decoder().feed(frame(header))
        except BadFrame:
            pass
        with pytest.raises(BadScore):
            Result.from_json(header, WEEK.sections)


def test_lengths_are_refused_before_anything_is_allocated():
    with pytest.raises(BadFrame):
        Decoder().feed(struct.pack(">4sII", MAGIC, 2**32 - 1, 2**32 - 1))
    deep = b"[" * 100_000
    with pytest.raises(BadFrame):
        Decoder().feed(PREFIX.pack(MAGIC, len(deep), 0) + deep)


@pytest.mark.parametrize("header", [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 10)}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    "{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
    "__import__('os').getcwd()",
    "{" * 900,
])  # fmt: skip
def test_lying_array_headers_are_refused(header):
    block = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + b"\0\0\0\0"
    with pytest.raises(BadFrame):
        read_npy(block)


def test_objects_do_not_cross():
    with pytest.raises(TypeError):
        encode("answer", {"x": np.array([object()], dtype=object)})


KINDS = (*ENDINGS, "started", "importing", "imported", "progress", "idle", "x")
KEYS = ("todo", "module", "name", "found", "error", "why", "measures")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)


@settings(deadline=None)  # other work on the machine is no fault
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(KEYS), PLAIN, max_size=3)), max_size=5)
)
def test_any_frames_end_a_job_with_an_outcome_a_check_can_name(frames):
    """Whatever is sent, nothing is raised on the trusted side, and no ending reads as the grader's own fault."""
    job = Job(Request("p:f", "light", "", "", 1), None)
    job.feed(encode("started", {"measures": []}))
    for kind, values in frames:
        job.feed(frame({"kind": kind, "values": values, "arrays": [], "raised": {}}))
    job.end(job.final.kind if job.final is not None else "protocol" if job.bad else "died", 0, detail=job.bad)
    status, finding = (
        finding_of(NOBODY, CHECK, NotSeen(job.outcome)) if job.outcome.kind != "answer" else ("passed", None)
    )
    assert status in STATUSES and status != "grader_error"
    assert finding is None or finding.id in HINTS


NOBODY = Submission("nobody", Path("."), WEEK, {})
HINTS = load_hints(WEEK)
CHECK = next(c for c in WEEK.checks if c.id == "raw-scores")
SCORE = Result("2026-01-01T00:00:00Z", 1.0, 5, {"name": "a", "digest": "", "notes": []}, {"isolation": "practice"},
               (CheckResult("builds", "t", "model", 3, "passed", 3, 3),), sections=WEEK.sections).to_json()  # fmt: skip


@settings(deadline=None)  # other work on the machine is no fault
@given(st.sampled_from([*SCORE, *(f"checks.{key}" for key in SCORE["checks"][0])]), PLAIN)
def test_a_score_with_one_value_changed_is_read_or_refused(place, value):
    changed = json.loads(json.dumps(SCORE))
    target, key = (changed["checks"][0], place[7:]) if place.startswith("checks.") else (changed, place)
    target[key] = value
    try:
        result = Result.from_json(changed, WEEK.sections)
    except BadScore:
        return
    assert 0 <= result.score <= result.max_score
    result.to_json()
