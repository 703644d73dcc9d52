"""Nested values as flat ones with paths for names, and back: {"alone": [{"lr": 0.1}]} is {"alone.0.lr": 0.1}.

A list of plain values stays one value; any other list becomes one path per item, and so does a dict. Both directions
take only short plain names, few levels and few values, and the way back only paths that `flatten` could have made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

DEPTH_LIMIT = 8  # names in a path
COUNT_LIMIT = 2000  # values in a frame
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_:-]{0,79}")
INDEX = re.compile(r"0|[1-9][0-9]{0,3}")
PATH_LIMIT = DEPTH_LIMIT * 81


class BadPath(ValueError):
    """Values with a name, or on a level, that is not allowed."""


class Branch(dict[str, Any]):
    """A dict or list that is being put together. An empty dict that arrived is a value, and no Branch."""


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """{path: value}. Raises BadPath."""
    flat = {path: leaf for name, value in values.items() for path, leaf in walked(value, (named(name),))}
    if len(flat) > COUNT_LIMIT:
        raise BadPath("there are too many values")
    return flat


def walked(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """(path, value) of everything inside the value that stands at `path`."""
    if len(path) > DEPTH_LIMIT:
        raise BadPath("values are nested too deeply")
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from walked(item, (*path, named(name)))
    elif isinstance(value, (list, tuple)) and not all(map(is_plain, value)):
        for index, item in enumerate(value):
            yield from walked(item, (*path, str(index)))
    else:
        yield ".".join(path), value


def named(name: Any) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadPath("a value has an odd name")
    return name


def is_plain(value: Any) -> bool:
    """Whether a list may hold it and still be one value."""
    return value is None or isinstance(value, (bool, int, float, str, np.generic))


def nest(flat: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The nested values of (path, value) pairs from anywhere. Raises BadPath."""
    root = Branch()
    for path, value in flat:
        *branches, last = segments(path)
        place = root
        for name in branches:
            place = place.setdefault(name, Branch())
            if not isinstance(place, Branch):
                raise BadPath("a value stands where there are others")
        if last in place:
            raise BadPath("a value came twice")
        place[last] = value
    return {named(name): settled(value) for name, value in root.items()}


def segments(path: Any) -> list[str]:
    if type(path) is not str or len(path) > PATH_LIMIT:
        raise BadPath("a value has an odd name")
    names = path.split(".")
    if len(names) > DEPTH_LIMIT:
        raise BadPath("values are nested too deeply")
    if not all(NAME.fullmatch(name) or INDEX.fullmatch(name) for name in names):
        raise BadPath("a value has an odd name")
    return names


def settled(node: Any) -> Any:
    """A branch as a dict, or as a list where its names are 0, 1, 2, ..."""
    if not isinstance(node, Branch):
        return node
    if not any(map(INDEX.fullmatch, node)):
        return {name: settled(item) for name, item in node.items()}
    indices = [str(index) for index in range(len(node))]
    if set(node) != set(indices):
        raise BadPath("the items of a list are not numbered as they should be")
    return [settled(node[index]) for index in indices]
