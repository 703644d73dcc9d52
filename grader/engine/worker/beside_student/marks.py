"""Telling whether student code has changed something that the next probe would feel."""

from __future__ import annotations

from types import ModuleType


def names_of(thing: ModuleType | type) -> int:
    """One number for all (name, object) pairs of a module or class; lazily imported submodules do not count."""
    skipped = ("__builtins__", "__warningregistry__", "_")
    pairs = ((n, id(v)) for n, v in vars(thing).items() if not isinstance(v, ModuleType) and n not in skipped)
    return hash(frozenset(pairs))
