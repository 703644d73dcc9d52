"""The channel takes only what it asked for, and survives any bytes."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.probes import Raised
from grader.result import BadScore, Result
from grader.worker.channel import MAGIC, PREFIX, BadFrame, Decoder, encode, read_npy


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
    assert len(frames) == 2 and not decoder.waiting
    got = frames[1].values
    assert np.array_equal(got.pop("a"), values.pop("a")) and got == values


@given(st.binary(max_size=400))
def test_any_bytes_are_a_frame_or_a_bad_frame(data):
    try:
        Decoder().feed(data)
        Decoder().feed(PREFIX.pack(MAGIC, len(data), 0) + data)
    except BadFrame:
        pass


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)))  # fmt: skip
def test_any_json_is_a_frame_or_a_bad_frame(value):
    for header in (value, {"kind": "answer", "values": value, "arrays": [], "raised": {}},
                   {"kind": "answer", "values": {}, "arrays": value, "raised": {}},
                   {"kind": "answer", "values": {}, "arrays": [], "raised": {"x": value}}):  # fmt: skip
        try:
            Decoder().feed(frame(header))
        except BadFrame:
            pass
        with pytest.raises(BadScore):
            Result.from_json(header)


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
