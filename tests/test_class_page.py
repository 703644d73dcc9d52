"""class.html: what stands in it of a class of any size, with any text, and how it is written."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grader.classroom.grades import REJECTED
from grader.classroom.page import changes as since
from grader.classroom.page.page import render, write
from grader.contract import WEEK
from tests.made_class import made_class, made_sources, written
from tests.made_rows import NOW, THEN, row
from tests.read_pages import Reader

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "\"'><script>document.title='taken'</script><img src=http://198.51.100.7/x onerror=alert(1)>\u202e{{ 7*7 }}"


def test_a_small_class_reads_as_one():
    rows = made_class(16, seed=5)
    words = " ".join(" ".join(Reader(render(rows, [], WEEK, sources=made_sources(rows))).plain).split())
    assert "Discrimination" not in words and "too few to say whether a check tells" in words
    whole = " ".join(Reader(render(made_class(60), [], WEEK)).plain)
    assert "Discrimination" in whole and "95 % interval" in whole
    for text in (words, whole):
        assert not re.search(r"\btiers?\b", text)
    alone = [row("a", "failed one"), row("b", "failed two"), row("c", "passed")]
    page = render(alone, [], WEEK)
    assert "No mistake is shared by two students; 1 of 3 has all points." in page
    assert page.count("width: 33.3%") == 2, "a bar is a share of the class"
    assert "No mistake is shared" not in render([*alone, row("d", "failed one")], [], WEEK)


def test_texts_of_others_stay_texts():
    nasty = row(HOSTILE, f"failed {HOSTILE.replace(' ', '')} {HOSTILE}", "passed", accuracy=0.89, name=HOSTILE)
    nasty = replace(nasty, keys={"email": f"{HOSTILE}@x"}, notes=(HOSTILE,), status=HOSTILE)
    rows = [nasty, replace(row(f"{HOSTILE}2", notes=(HOSTILE,)), status=REJECTED), *made_class(20)]
    rows[1] = replace(rows[1], notes=(HOSTILE,))
    sources = {one.id: {HOSTILE: HOSTILE, **written_by(n)} for n, one in enumerate(rows)}
    sources[rows[3].id] = sources[rows[2].id]
    before = replace(since.summary(rows), at=HOSTILE, findings={HOSTILE: 3})
    page = Reader(render(rows, [(HOSTILE, HOSTILE)], WEEK, before=before, sources=sources))
    assert page.tags.count("script") == 1 and "img" not in page.tags and "iframe" not in page.tags
    assert [name for _, name, _ in page.attributes if name.startswith("on")] == []
    assert [
        v for _, name, v in page.attributes if name == "href" and not re.match(r"#|data:,$|students/|https://", v)
    ] == []


def written_by(n: int) -> dict[str, str]:
    return written(random.Random(n))


@pytest.mark.parametrize("rows", [[], [row("a")], [row("a", "todo", "todo")], [row("a", "grader_error x Ours")], THEN])
@pytest.mark.parametrize("anonymous", [False, True])
def test_a_class_with_little_in_it_has_a_page(rows, anonymous, tmp_path):
    page = write(rows, [], WEEK, tmp_path, anonymous, sources={}).read_text("utf-8")
    assert "What needs a human" in page and "None" not in " ".join(Reader(page).plain)


ANOTHER = """
from pathlib import Path
from grader.classroom.grades import Row
from grader.classroom.page.page import write
from grader.contract import WEEK
from grader.engine.result import CheckResult, Result
made = tuple(CheckResult(c.id, c.title, c.part, c.todo, "failed", 0, 5, finding="x") for c in WEEK.checks)
write([Row("a", result=Result("", 0.0, 1, {}, {}, made), status="graded"), Row("b")], [], WEEK, Path("out"), sources={})
"""


def test_a_week_without_an_accuracy_has_a_page_too(tmp_path):
    shutil.copytree(ROOT / "tests" / "second_week", tmp_path, dirs_exist_ok=True)
    for name in ("engine", "classroom"):
        shutil.copytree(
            ROOT / "grader" / name, tmp_path / "grader" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "grader" / "__init__.py", tmp_path / "grader")
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "class.html").read_text("utf-8")
    assert "accuracy" not in " ".join(Reader(page).plain).lower() and "Week " in page


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    write(THEN, [], WEEK, tmp_path)
    old = (tmp_path / "class.html").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("grader.engine.submission.safe_files.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write(NOW, [], WEEK, tmp_path)
    assert (tmp_path / "class.html").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class.html", "class.json"]
