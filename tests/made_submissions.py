"""A class of real submissions, drawn from the corpora: right, wrong, half done, notebooks, hostile, damaged.

    python -m tests.made_submissions 300 FOLDER --form "Canvas"     # one of tests/classroom_forms.py

Writes the class below FOLDER, as it would arrive, and what each student's row has to say as FOLDER/expected.json.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from grader.contract import WEEK
from grader.corpus import attacks
from grader.corpus import entries as corpus
from tests.classroom_forms import FORMS, NOON, NOTEBOOK, Student, make
from tests.made_class import FIRST, LAST
from tests.student_states import files_of, notebook_of

TESTS = Path(__file__).parent
ATTACKS = ("abort", "exit-zero", "fork-bomb", "kill-parent", "loop-import", "memory-bomb", "print-flood", "segfault")
SHARES = {"right": 45, "wrong": 28, "half done": 12, "notebook": 8, "hostile": 4, "damaged": 3}  # of each hundred

Files = dict[str, bytes]


@dataclass(frozen=True)
class Row:
    """What the teacher's table has to say. finding: "" for nobody knows; todo: the first that is not done."""

    kind: str
    name: str  # of the entry
    findings: tuple[str, ...] = ()
    todo: int | None = None


def encoded(files: dict[str, str]) -> Files:
    return {name: text.encode("utf-8") for name, text in files.items()}


@cache
def entries(kind: str) -> list[corpus.Entry]:
    return [one for one in corpus.load_all(kind) if not one.weak and not one.exotic]


def right(draw: random.Random) -> tuple[Files, Row]:
    one = draw.choice(entries("wheats"))
    return encoded(corpus.source_of(one)), Row("right", one.name)


def wrong(draw: random.Random) -> tuple[Files, Row]:
    """Some mistakes are made by many, most by few: the n-th of a shuffled list 1/n as often as the first."""
    chaffs = list(entries("chaffs"))
    random.Random(0).shuffle(chaffs)
    one = draw.choices(chaffs, [1 / n for n in range(1, len(chaffs) + 1)])[0]
    return encoded(corpus.source_of(one)), Row("wrong", one.name, one.findings)


def half_done(draw: random.Random) -> tuple[Files, Row]:
    done = draw.randrange(len(WEEK.todo))
    state = {"name": f"{done} TODOs done", "solved": list(WEEK.todo)[:done]}
    return encoded(files_of(state)), Row("half done", state["name"], todo=list(WEEK.todo)[done])


def notebook(draw: random.Random) -> tuple[Files, Row]:
    done = draw.choice([len(WEEK.todo), draw.randrange(len(WEEK.todo))])
    state = {"name": f"{done} TODOs done", "solved": list(WEEK.todo)[:done]}
    book = json.dumps(notebook_of(state, files_of(state))).encode("utf-8")
    return {NOTEBOOK: book}, Row("notebook", state["name"], todo=(*WEEK.todo, None)[done])


def hostile(draw: random.Random) -> tuple[Files, Row]:
    name = draw.choice(ATTACKS)
    return encoded(attacks.load(TESTS / "attacks" / f"{name}.toml").files), Row("hostile", name)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "an empty file": lambda content: b"",
    "half a file": lambda content: content[: len(content) * 2 // 3] + b'\n"""',
    "not UTF-8": lambda content: content + b"\n# \xff\xfe\n",
    "a NUL byte": lambda content: content + b"\nx = '\0'\n",
}


def damaged(draw: random.Random) -> tuple[Files, Row]:
    files, name = encoded(corpus.reference()), draw.choice(list(DAMAGES))
    file = draw.choice(list(files))
    return files | {file: DAMAGES[name](files[file])}, Row("damaged", f"{name}: {file}")


KINDS: dict[str, Callable[[random.Random], tuple[Files, Row]]] = {
    "right": right, "wrong": wrong, "half done": half_done, "notebook": notebook, "hostile": hostile, "damaged": damaged
}  # fmt: skip


def made_submissions(count: int, seed: int = 0) -> Iterator[tuple[Student, Row]]:
    """A class of `count`: as many of each kind as SHARES says, for any count, in a drawn order."""
    draw = random.Random(seed)
    wanted = [(kind, (n + draw.random()) / share) for kind, share in SHARES.items() for n in range(count)]
    kinds = [kind for kind, _ in sorted(wanted, key=lambda one: one[1])[:count]]
    draw.shuffle(kinds)
    names = draw.sample([(first, last) for first in FIRST.split() for last in LAST.split()], count)
    for place, (kind, (first, last)) in enumerate(zip(kinds, names)):
        files, row = KINDS[kind](draw)
        key = "".join(c for c in f"{first}-{last}".lower() if c.isascii() and (c.isalpha() or c == "-"))
        own = {name: content + signature(name, place) for name, content in files.items()}
        at = NOON + timedelta(minutes=7 * place)
        yield Student(f"{key}-{place}", f"{first} {last}", f"{key}{place}@uni.example", own, at), row


def signature(name: str, place: int) -> bytes:
    """Makes two students' files different, as they are: equal ones are graded once."""
    return b"\n" * (1 + place % 7) + b" " * (place // 7) if name.endswith(".ipynb") else f"\n# {place}\n".encode()


def expected_rows(made: Sequence[tuple[Student, Row]]) -> dict[str, dict[str, object]]:
    return {student.key: {"email": student.email, **asdict(row)} for student, row in made}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--form", choices=FORMS, default="folders")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    made = list(made_submissions(args.count, args.seed))
    args.folder.mkdir(parents=True, exist_ok=True)
    place = make(args.form, [student for student, _ in made], args.folder)
    (args.folder / "expected.json").write_text(json.dumps(expected_rows(made), indent=1), encoding="utf-8")
    print(place)


if __name__ == "__main__":
    main()
