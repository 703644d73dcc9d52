"""class.html names nobody until it is asked to, nobody at all where it is anonymous, and reaches nothing outside."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from grader.classroom.grades import Row
from grader.classroom.page import changes as since
from grader.classroom.page.page import render, write
from grader.classroom.page.private import Quiet, own_places
from grader.contract import WEEK
from grader.engine.hints import links_of
from grader.engine.submission.manifest import CHANGED
from tests.made_class import made_class, made_sources
from tests.made_rows import HINTS, row
from tests.read_pages import Reader


@pytest.mark.parametrize(("text", "shown"), [
    ("No such file: '/home/ada lovelace/my data.csv'", "No such file: [...]"),
    (r"No such file: C:\Users\ada\x.csv", "No such file: [...]"),
    ("train.py imports ada_nets.py, from ada/nets", "train.py imports [...], from [...]"),
    ("ask ada@uni.example.", "ask [...]."),
    ("x / 255 and 3/4 of data.py, `model` and (64, 10)", "x / 255 and 3/4 of data.py, `model` and (64, 10)"),
    ("said in Ada Byron's file, with 12 of 5", "said in [...]'s file, with 12 of 5"),
])  # fmt: skip
def test_paths_addresses_and_names_of_files_are_left_out_of_a_sentence(text, shown):
    rows = [row("s1"), row("s2", name="Ada Byron", keys={"participant": "12"})]
    assert Quiet(rows, own_places(WEEK, HINTS))(text, rows[0]) == shown


def test_the_words_of_the_week_are_not_taken_for_paths():
    quiet = Quiet([], own_places(WEEK, HINTS))
    texts = [text for one in HINTS.values() for text in (one.title, one.seen, one.cause, one.look, one.question)]
    assert [text for text in texts if quiet(text) != text] == []


def test_a_line_of_code_is_shown_without_its_texts_and_comments():
    line = """show("by Ada", x / 255, n='\\'a')  # Ada's"""
    assert Quiet([]).code(line) == """show("", x / 255, n='')"""


def told_of(rows: list[Row]) -> set[str]:
    """Everything that names somebody."""
    whole = {text for one in rows for text in (one.id, one.name, *one.keys.values())}
    return whole | {word for one in rows for word in one.name.split() if len(word) > 4}


@pytest.fixture(scope="module")
def big() -> tuple[list[Row], str]:
    """A class of 300 and its page, with everything on it."""
    before, rows = made_class(300), made_class(300, later=0.3)
    unusable = [("monday/homework-ada.rar", "it holds a kind of archive that cannot be opened.")]
    return rows, render(rows, unusable, WEEK, before=since.summary(before), sources=made_sources(rows))


def test_names_stand_only_where_they_are_hidden_until_asked_for(big):
    rows, page = big
    shown = " ".join(Reader(page).plain)
    assert [word for word in told_of(rows) if word in shown] == []
    assert all(one.name in page.replace("&#39;", "'") for one in rows) and "homework-ada" not in shown


def test_an_anonymous_page_beside_the_other_names_nobody(tmp_path):
    rows = made_class(60)
    rows[3] = replace(rows[3], notes=(f"{rows[3].name}.py was taken as model.py",))
    sources = made_sources(rows)
    sources[rows[0].id]["train.py"] += f"\nprint('{rows[0].name} made this', 1, 2, 3, 4, 5, 6)\n"
    write(rows, [(f"{rows[5].name}.zip", f"{rows[5].name} cannot be opened")], WEEK, tmp_path, sources=sources)
    path = write(
        made_class(60, later=0.4), [(f"{rows[5].name}.zip", "x")], WEEK, tmp_path, anonymous=True, sources=sources
    )
    text = path.with_name("class-anonymous.html").read_text("utf-8")
    assert [word for word in told_of(rows) if word in text] == []
    assert "@" not in re.sub(r"@media", "", text)


MARK, ELSE = "zqxj", "vkwq"  # ELSE: in paths and names of files, and in no name of a student


def marked(rows: list[Row]) -> list[Row]:
    """The same class, with the mark in everything that people and systems can call a student or a file."""
    made = []
    for n, one in enumerate(rows):
        keys = {kind: f"{MARK}{n}@{MARK}.example" if kind == "email" else f"{MARK}{n}" for kind in one.keys}
        note = f"two submissions: the newer one counts, {ELSE}.zip/{one.id}_{MARK}.py"
        changed = f"{CHANGED} (changed: {ELSE}/rubric.toml). It was not used."
        places = f"'/home/{ELSE}/a b.csv', C:\\{ELSE}\\x, {ELSE}{n}.py, {ELSE}.ipynb, {ELSE}{n}@{ELSE}.example"
        result = one.result
        if result is not None:
            submission = {**result.submission, "name": MARK, "notes": [changed if n % 9 == 0 else note]}
            checks = [
                replace(c, message=f"{c.message} {one.name} {MARK}{n}: {places}", hint=f"{c.hint}\nSee {places}?")
                if c.status not in ("passed", "todo") else c
                for c in result.checks
            ]  # fmt: skip
            result = replace(result, submission=submission, checks=tuple(checks))
        names = {"id": f"{MARK}{n}-{one.id}", "name": f"{one.name} {MARK}", "keys": keys, "notes": (note,)}
        made.append(replace(one, result=result, **names))
    return made


def test_what_can_name_somebody_stands_nowhere_while_names_are_hidden(tmp_path):
    before, rows = marked(made_class(150)), marked(made_class(150, later=0.3))
    sources = made_sources(rows)
    for one in rows[:6]:
        for file in sources[one.id]:
            lines = sources[one.id][file].splitlines()
            sources[one.id][file] = "\n".join(f"{line}  # {ELSE}, '{MARK}'" for line in lines)
    unusable = [(f"{MARK}/a.rar", f"{ELSE}.rar cannot be opened")]
    normal = render(rows, unusable, WEEK, before=since.summary(before), sources=sources)
    assert normal.count(MARK) > 500 and "Lines in which most of what they share begins" in normal
    assert [text for text in Reader(normal).in_sight if MARK in text or ELSE in text] == []
    write(before, unusable, WEEK, tmp_path, sources=sources)
    path = write(rows, unusable, WEEK, tmp_path, anonymous=True, sources=sources)
    page = path.with_name("class-anonymous.html").read_text("utf-8")
    assert MARK not in page and ELSE not in page
    assert "Lines in which most of what they share begins" in page and "Whose score changed" in page


def test_without_names_not_even_the_order_tells_who_it_is():
    rows = [row(f"s{n}", *["passed"] * (1 + n % 8)) for n in range(40)]
    scores_shown = {
        tuple(re.findall(r'</th><td class="number">(\d+)', render(rows, [], WEEK, anonymous=True))) for _ in range(3)
    }
    assert len(scores_shown) == 3


def test_it_is_small_and_refers_to_nothing_outside(big):
    rows, page = big
    assert len(page.encode()) < 3_000_000
    links = links_of(HINTS)
    addresses = {value for _, name, value in Reader(page).attributes if name in ("href", "src", "action", "data")}
    known = re.compile(r"#[a-z-]+|data:,|students/[^/:]+/report\.html")
    assert [a for a in addresses if not known.fullmatch(a) and a not in links] == []
    assert set(re.findall(r"https?://[^\s<>\"')]+", page)) <= set(links)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp|innerHTML|eval\(", page)
