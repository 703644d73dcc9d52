"""What crosses the line between the trusted side and student code: frames of small flat JSON and .npy blocks.

A frame is  b"GRD1" | length of the JSON, uint32 | length of the body, uint32 | JSON | body.
The JSON has exactly the keys "kind", "values", "arrays" and "raised"; "arrays" lists [path, number of bytes]
and the body holds these .npy blocks one after the other. Values are nested on both sides and flat in between,
with paths for names (nested.py). Everything is checked before anything is allocated for it: sizes, paths,
types, and that the shape and dtype a block claims are exactly its payload. Nothing is ever unpickled and no
name from a frame is looked up anywhere.
"""

from __future__ import annotations

import ast
import io
import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grader.engine.worker.nested import COUNT_LIMIT, BadPath, flatten, is_plain, nest
from grader.engine.worker.raised import Raised

MAGIC = b"GRD1"
PREFIX = struct.Struct(">4sII")
JSON_LIMIT = 1 << 20
BODY_LIMIT = 64 << 20
STRING_LIMIT = 20_000
LIST_LIMIT = 20_000
DTYPES = ("<f4", "<f8", "<i8", "|u1", "|b1")
NPY_START = b"\x93NUMPY\x01\x00"

Value = Any  # None | bool | int | float | str | list of these | np.ndarray | Raised | dict or list of Values


class BadFrame(ValueError):
    """The bytes are not a frame this module would have written."""


@dataclass(frozen=True)
class Frame:
    kind: str
    values: dict[str, Value] = field(default_factory=dict)


def encode(kind: str, values: dict[str, Value]) -> bytes:
    """One frame. Raises TypeError for a value that has no place in it."""
    plain: dict[str, Any] = {}
    raised: dict[str, Any] = {}
    arrays: list[tuple[str, bytes]] = []
    try:
        flat = flatten(values)
    except BadPath as error:
        raise TypeError(f"an answer does not cross the channel: {error}") from error
    for path, value in flat.items():
        if isinstance(value, np.ndarray):
            arrays.append((path, write_npy(value)))
        elif isinstance(value, Raised):
            raised[path] = {
                "type": value.type,
                "message": value.message,
                "frames": value.frames,
                "quote": value.quote,
            }
        elif isinstance(value, (list, tuple)):
            plain[path] = [_python(item) for item in value]
        else:
            plain[path] = _python(value)
    header = {"kind": kind, "values": plain, "arrays": [[n, len(b)] for n, b in arrays], "raised": raised}
    text = json.dumps(header).encode("ascii")
    body = b"".join(block for _, block in arrays)
    if len(text) > JSON_LIMIT or len(body) > BODY_LIMIT:
        raise TypeError(f"an answer of {len(text) + len(body)} bytes is too large")
    return PREFIX.pack(MAGIC, len(text), len(body)) + text + body


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def write_npy(array: np.ndarray) -> bytes:
    """A version 1.0 .npy block. Raises TypeError for a type that does not cross."""
    array = np.ascontiguousarray(array)
    if array.dtype.str not in DTYPES:
        raise TypeError(f"arrays of {array.dtype} do not cross the channel")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


class Decoder:
    """Takes bytes as they come and gives frames. Raises BadFrame; after that it takes no more.

    body_limit: bytes that the arrays of one frame may have
    """

    def __init__(self, body_limit: int = BODY_LIMIT) -> None:
        self._bytes, self.body_limit = bytearray(), body_limit

    def feed(self, data: bytes) -> list[Frame]:
        self._bytes += data
        frames = []
        while len(self._bytes) >= PREFIX.size:
            magic, text_length, body_length = PREFIX.unpack_from(self._bytes)
            if magic != MAGIC:
                raise BadFrame("the answer does not begin like an answer")
            if text_length > JSON_LIMIT or body_length > self.body_limit:
                raise BadFrame(f"the answer claims {text_length + body_length} bytes")
            end = PREFIX.size + text_length + body_length
            if len(self._bytes) < end:
                break
            text = bytes(self._bytes[PREFIX.size : PREFIX.size + text_length])
            body = bytes(self._bytes[PREFIX.size + text_length : end])
            del self._bytes[:end]
            frames.append(decode(text, body))
        return frames


def decode(text: bytes, body: bytes) -> Frame:
    """A frame from its JSON and its body; raises BadFrame for anything unexpected."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame("the answer's header is not JSON") from error
    if type(header) is not dict or set(header) != {"kind", "values", "arrays", "raised"}:
        raise BadFrame("the answer's header has other keys than it should")
    kind, plain, arrays, raised = header["kind"], header["values"], header["arrays"], header["raised"]
    if type(kind) is not str or type(plain) is not dict or type(raised) is not dict or type(arrays) is not list:
        raise BadFrame("the answer's header has other types than it should")
    if len(plain) + len(arrays) + len(raised) > COUNT_LIMIT:
        raise BadFrame("the answer has too many values")
    values: list[tuple[str, Value]] = [(path, _plain(value)) for path, value in plain.items()]
    values += [(path, _raised(value)) for path, value in raised.items()]
    position = 0
    for entry in arrays:
        if type(entry) is not list or len(entry) != 2 or type(entry[1]) is not int or entry[1] < 0:
            raise BadFrame("the answer's list of arrays is malformed")
        if position + entry[1] > len(body):
            raise BadFrame("an array is longer than the answer")
        values.append((entry[0], read_npy(body[position : position + entry[1]])))
        position += entry[1]
    if position != len(body):
        raise BadFrame("the answer has bytes that belong to no array")
    try:
        return Frame(kind, nest(values))
    except BadPath as error:
        raise BadFrame(f"the answer is not put together as it should be: {error}") from error


def read_npy(block: bytes) -> np.ndarray:
    """An array from a version 1.0 .npy block whose header must describe exactly the bytes that follow.

    The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    if not block.startswith(NPY_START) or len(block) < 10:
        raise BadFrame("an array does not begin like a .npy block")
    header_length = int.from_bytes(block[8:10], "little")
    if header_length > 1000 or len(block) < 10 + header_length:
        raise BadFrame("an array's header is too long")
    try:
        header = ast.literal_eval(block[10 : 10 + header_length].decode("ascii").strip())
        described, order, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise BadFrame("an array's header cannot be read") from error
    if type(described) is not str or described not in DTYPES or order is not False or type(shape) is not tuple:
        raise BadFrame("an array has a type that was not asked for")
    if len(shape) > 8 or any(type(n) is not int or not 0 <= n < 1 << 40 for n in shape):
        raise BadFrame("an array has an impossible shape")
    payload = memoryview(block)[10 + header_length :]
    if math.prod(max(n, 1) for n in shape) > 1 << 40:  # numpy refuses it, with a nought in it too
        raise BadFrame("an array has an impossible shape")
    if math.prod(shape) * np.dtype(described).itemsize != len(payload):
        raise BadFrame("an array's shape does not fit its bytes")
    return np.frombuffer(payload, dtype=described).reshape(shape)


def _plain(value: Any) -> Value:
    if type(value) is list and len(value) <= LIST_LIMIT and all(map(_is_small, value)):
        return value
    if _is_small(value) or type(value) is dict and not value:
        return value
    raise BadFrame("a value is of a kind that was not asked for")


def _is_small(value: Any) -> bool:
    if type(value) is int:
        return -(1 << 63) <= value < 1 << 63
    if type(value) is str:
        return len(value) <= STRING_LIMIT
    return is_plain(value)


def _raised(value: Any) -> Raised:
    if type(value) is not dict or set(value) != {"type", "message", "frames", "quote"}:
        raise BadFrame("an exception is malformed")
    kind, message, frames, quote = value["type"], value["message"], value["frames"], value["quote"]
    texts = all(type(text) is str for text in (kind, message, quote))
    if not texts or type(frames) is not list or len(frames) > 50:
        raise BadFrame("an exception is malformed")
    kept = []
    for frame in frames:
        if type(frame) is not dict or set(frame) != {"file", "line", "function", "text"}:
            raise BadFrame("an exception's frame is malformed")
        if type(frame["line"]) is not int or any(type(frame[k]) is not str for k in ("file", "function", "text")):
            raise BadFrame("an exception's frame is malformed")
        kept.append({k: v if k == "line" else v[:300] for k, v in frame.items()})
    return Raised(kind[:100], message[:2000], kept, quote[:2000])
