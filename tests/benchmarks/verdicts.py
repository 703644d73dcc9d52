"""Compares two runs of `python -m grader selftest`: which verdicts of the corpus changed?

    python -m grader selftest --only wheats --only chaffs --only attacks --seeds 1 --out before     # on one commit
    python -m grader selftest --only wheats --only chaffs --only attacks --seeds 1 --out after      # on another
    python tests/benchmarks/verdicts.py before/runs.sqlite after/runs.sqlite

A verdict is the points, and for every check that did not pass its status, finding and points lost. Exit status 1 when
some differ.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from grader.engine.many.store import read_told

Row = dict[str, Any]


def rows_of(path: str) -> dict[tuple[str, ...], Row]:
    rows = read_told(Path(path)).values()
    return {(row["kind"], row["entry"], "" if row["kind"] == "attacks" else row["base"]): row for row in rows}


def verdict(row: Row) -> Row:
    return {name: row[name] for name in ("score", "max_score", "first", "first_check", "failed")}


def main(before: str, after: str) -> int:
    old, new = rows_of(before), rows_of(after)
    common = sorted(set(old) & set(new))
    changed = [key for key in common if verdict(old[key]) != verdict(new[key])]
    for key in changed:
        print(f"{' '.join(filter(None, key))}:")
        for name, value in verdict(old[key]).items():
            if value != new[key][name]:
                print(f"    {name}: {value} -> {new[key][name]}")
    for title, keys in (("only before", set(old) - set(new)), ("only after", set(new) - set(old))):
        if keys:
            print(f"{title}: {', '.join(' '.join(filter(None, key)) for key in sorted(keys))}")
    told = Counter(key[0] for key in common)
    print(f"{len(common)} verdicts compared ({dict(told)}), {len(changed)} changed")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
