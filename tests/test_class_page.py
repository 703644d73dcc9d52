"""class.html: its figures on made-up rows with known answers, what stands in it for whom, and the page in a browser."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from grader.classroom.counting import spread
from grader.classroom.grades import NOTHING, REJECTED, Row
from grader.classroom.page import changes as since
from grader.classroom.page import figures, scores
from grader.classroom.page.attention import attention
from grader.classroom.page.page import render, skeleton, write
from grader.classroom.page.private import Quiet, own_places
from grader.classroom.page.similar import similar, tokens_of
from grader.contract import WEEK
from grader.engine.hints import Hint, links_of, load_hints
from grader.engine.result import CheckResult, Result
from grader.engine.rubric import Tier, load_rubric
from grader.engine.submission.manifest import CHANGED
from tests.made_class import made_class, made_sources, renamed, written

ROOT = Path(__file__).resolve().parents[1]
HINTS = load_hints(WEEK)
TIERS = (Tier(0.7, 10), Tier(0.84, 20), Tier(0.9, 30))
HOSTILE = "\"'><script>document.title='taken'</script><img src=http://198.51.100.7/x onerror=alert(1)>\u202e{{ 7*7 }}"


def hint(id: str, title: str = "Title") -> Hint:
    return Hint(id, title, "Seen", "Cause", "there", "Why?", f"Because of {id}")


def row(id: str, *checks: str, accuracy: float | None = None, notes: tuple[str, ...] = (), **more: Any) -> Row:
    """row("anna", "passed", "failed one", "failed two Its message", ...): checks a, b, ... with 10 points each."""
    made = []
    for n, told in enumerate(checks):
        status, finding, message = [*told.split(" ", 2), "", ""][:3]
        score = 10 if status == "passed" else int(message) if status == "failed" and message.isdecimal() else 0
        made.append(
            CheckResult(
                "abcdefgh"[n], f"Check {n}", WEEK.part_names[n // 2], n + 1, status, score, 10,  # type: ignore[arg-type]
                finding=finding or None, message=message, hint="Its cause\nLook here: train.py.\nIts question?",
            )
        )  # fmt: skip
    recorded = {} if accuracy is None else {"accuracy": {"test": accuracy, "floor": 0.9, "tiers": [], "remarks": []}}
    submission = {"name": id, "digest": "d", "notes": list(notes)}
    result = Result("2026-12-02T08:00:00Z", 1.0, 7, submission, {}, tuple(made), recorded, sections=WEEK.sections)
    return Row(id, result=result if checks else None, status="graded" if checks else NOTHING, **more)


# -- what the class misunderstood --------------------------------------------------------------------------------------


def test_misconceptions_are_ranked_by_first_causes_and_what_followed_is_apart():
    rows = [
        row("anna", "passed", "failed one", "failed two"),
        row("bela", "failed two", "failed one"),
        row("cora", "todo", "failed two"),  # what is begun comes before what is not
        row("dora", "passed", "crashed one"),
        row("emil", "blocked waits-for", "timeout two", "failed one", "failed one"),
        row("fred", "passed", "passed"),
        row("gina", "todo", "todo"),  # a skeleton has not begun
        row("hugo"),
        row("ines", "passed", "grader_error ours", "failed three"),
    ]
    quiet = Quiet(rows, own_places(WEEK, HINTS))
    found = figures.misconceptions(rows, {"one": hint("one", "A one"), "two": hint("two", "A two")}, quiet)
    assert [(m.id, [r.id for r in m.first], [r.id for r in m.followed]) for m in found] == [
        ("two", ["bela", "cora", "emil"], ["anna"]),
        ("one", ["anna", "dora"], ["bela", "emil"]),
        ("three", ["ines"], []),
    ]
    assert [m.share for m in found] == [3 / 7, 2 / 7, 1 / 7]
    assert [m.rank for m in found] == [1, 2, 3]
    assert [(m.title, m.why) for m in found] == [
        ("A two", "Because of two"),
        ("A one", "Because of one"),
        ("three", ""),  # no hint knows it
    ]
    assert (found[0].cause, found[0].look, found[0].question) == ("Its cause", "train.py.", "Its question?")


def test_who_share_a_count_share_a_rank():
    rows = [row(f"s{n}", f"failed {finding}") for n, finding in enumerate("aabbcdd")]
    found = figures.misconceptions(rows, {}, Quiet(rows))
    assert [(m.id, m.rank) for m in found] == [("a", 1), ("b", 1), ("d", 1), ("c", 4)]


def test_the_example_is_the_most_frequent_wording_and_names_nobody():
    title = {"one": hint("one", "A heading")}
    told = ["A heading. 3 of 4", "A heading. 2 of 4", "A heading. 2 of 4"]
    rows = [row(f"s{n}", f"failed one {text}") for n, text in enumerate(told)]
    assert figures.misconceptions(rows, title, Quiet(rows))[0].sentence == "2 of 4"
    rows = [
        row("a", "failed one A heading. Anna's file", name="Anna Y"),
        row("b", "failed one A heading. B's file", name="Cem"),
    ]
    assert figures.misconceptions(rows, title, Quiet(rows))[0].sentence == "B's file"
    rows = [row("a-77", "failed one A heading. Müller of A-77", name="Anna Müller", keys={"email": "am@x.org"})]
    assert figures.misconceptions(rows, title, Quiet(rows))[0].sentence == "[...] of [...]"


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


@pytest.mark.parametrize(("messages", "title"), [
    (["data.py is missing. Seen."], "data.py is missing"),
    (["data.py is missing. Seen.", "data.py is missing. Other."], "data.py is missing"),
    (["data.py is missing. Seen.", "train.py is missing. Seen."], "A file is missing"),
    (["Something else"], "A file is missing"),
])  # fmt: skip
def test_a_heading_has_its_facts_where_all_have_the_same(messages, title):
    assert figures.title_of("file-missing", HINTS["file-missing"], messages) == title


def test_where_students_stand():
    rows = [
        row("done", "passed", "passed"), row("wrong", "passed", "failed one"), row("next", "passed", "todo"),
        row("fresh", "todo", "todo"), row("none"), replace(row("bad"), status=REJECTED),
        row("ours", "passed", "grader_error"),
    ]  # fmt: skip
    stand = figures.standing(rows, WEEK)
    names = {step.todo: ([r.id for r in step.stuck], [r.id for r in step.ahead]) for step in stand.steps}
    assert names == {1: ([], []), 2: (["wrong"], ["next"]), **{n: ([], []) for n in range(3, 8)}}
    rest = [[r.id for r in group] for group in (stand.complete, stand.untouched, stand.nothing, stand.unknown)]
    assert rest == [["done"], ["fresh"], ["none"], ["bad", "ours"]]
    assert stand.steps[1].place == "TODO 2, make_loaders in data.py"


# -- what needs a human ------------------------------------------------------------------------------------------------


def test_what_needs_a_human_is_named_and_nothing_else():
    note = f"{CHANGED} (changed: grader/rubric.toml). It was not used."
    rows = [
        row("fine", "passed", "failed one", accuracy=0.95),
        row("fresh", "todo", "todo"),
        row("nothing"),
        row("ours", "passed", "grader_error ours The worker ended"),
        replace(row("encrypted"), status=REJECTED, notes=("the archive is encrypted",)),
        row("slip", "crashed syntax-error Python cannot read it", "blocked waits-for"),
        row("killed", "failed one It returns None", "crashed process-killed Ended by SIGSEGV.", notes=(note,)),
        row("half", "passed", "crashed out-of-memory It used up the memory."),
        row("lucky", "passed", "passed", accuracy=0.901, notes=tuple(spread([0.888, 0.901]))),
        row("unlucky", "passed", "passed", accuracy=0.889, notes=("a.py", *spread([0.889, 0.88, 0.87]))),
        row("near", "passed", "passed", accuracy=0.8888),
        row("changed", "passed", "passed", notes=("another note", note)),
    ]
    unusual = row("unusual", "passed", accuracy=0.95)
    recorded = {"accuracy": {**unusual.result.recorded["accuracy"], "remarks": ["holds-much"]}}
    rows.append(replace(unusual, result=replace(unusual.result, recorded=recorded)))
    groups = attention(rows, [("x.rar", "it cannot be opened")], WEEK, TIERS)
    told = [[(case.row.id if case.row else "", case.what, case.note) for case in group.cases] for group in groups]
    assert told == [
        [("ours", "Check 1: The worker ended", "")],
        [("encrypted", "", "the archive is encrypted")],
        [("", "", "x.rar: it cannot be opened")],
        [
            ("killed", "Ended by SIGSEGV. 0 of 20 points. Files of the grader were changed too.", note),
            ("half", "It used up the memory. 10 of 20 points.", ""),
        ],
        [("fresh", "", "")],
        [("slip", "Python cannot read it", "")],
        [("near", "88.88 %, 1.12 below 90 %: 20 points instead of 30", "")],
        [
            ("lucky", "88.8 %, 90.1 %. The best earns 30 points for its accuracy", ""),
            ("unlucky", "88.9 %, 88.0 %, 87.0 %. The best earns 20 points for its accuracy", ""),
        ],
        [("changed", "", note)],
        [
            (
                "unusual",
                "the files hold far more than a solution needs: look for stored answers or a stored network.",
                "",
            )
        ],
    ]
    advice = {case.row.id: group.advice for group in groups for case in group.cases if case.row}
    assert "--seeds 3" in advice["near"] and "--seeds" not in advice["unlucky"]
    assert attention([row("fine", "passed")], [], WEEK, TIERS) == ()


@pytest.mark.parametrize(("accuracy", "said"), [
    (0.699, "69.90 %, 0.10 below 70 %: 0 points instead of 10"), (0.68, "68.00 %, 2.00 below 70 %: 0 points"),
    (0.67, ""), (0.7, ""), (0.845, ""), (0.9, ""), (0.91, ""), (None, ""),
])  # fmt: skip
def test_only_those_just_below_a_tier_are_near_it(accuracy, said):
    groups = attention([row("a", "passed", accuracy=accuracy)], [], WEEK, TIERS)
    assert [case.what[: len(said)] for group in groups for case in group.cases] == ([said] if said else [])


def test_whoever_has_no_points_is_listed_once():
    rows = made_class(300)
    groups = attention(rows, [], WEEK, load_rubric(WEEK).tiers)
    listed = Counter(case.row.id for group in groups for case in group.cases)
    none = [one.id for one in rows if one.score == 0]
    assert len(none) > 5 and {listed[id] for id in none} == {1}


# -- points ------------------------------------------------------------------------------------------------------------


def test_a_check_is_judged_only_where_it_could_be():
    rows = [row("a", "passed", "failed one"), row("b", "passed", "failed one 5"), row("c", "passed", "blocked one"),
            row("d", "passed", "todo"), row("e", "passed", "passed"), row("f", "passed", "crashed one"),
            row("g", "passed", "grader_error"), row("h", "todo", "todo"), row("i")]  # fmt: skip
    _, second = scores.checks(rows, WEEK)
    assert (second.passed, second.judged, second.blocked, second.not_begun, second.trouble) == (1, 4, 1, 1, 1)
    assert second.pass_rate == 1 / 4
    assert second.difficulty == 1 - (0 + 0.5 + 1 + 0) / 4
    assert second.too_few and second.discrimination is None, "all have the same points elsewhere"


def test_discrimination_is_the_correlation_with_the_rest_and_its_interval():
    done = ["passed passed passed", "passed passed failed", "failed passed failed", "failed failed failed"] * 10
    rows = [
        row(f"s{n}", *[one + (" x" if one == "failed" else "") for one in line.split()]) for n, line in enumerate(done)
    ]
    first = scores.checks(rows, WEEK)[0]
    # own 1 1 0 0, rest 2 1 1 0: covariance 1/4 over deviations 1/2 and sqrt(1/2)
    assert first.discrimination.r == pytest.approx(0.25 / (0.5 * math.sqrt(0.5)))
    z, half = math.atanh(first.discrimination.r), 1.96 / math.sqrt(40 - 3)
    assert (first.discrimination.low, first.discrimination.high) == pytest.approx(
        (math.tanh(z - half), math.tanh(z + half))
    )
    assert not first.too_few
    assert all(check.too_few for check in scores.checks(rows[:29], WEEK))


@pytest.mark.parametrize(
    ("points", "bin"), [(0, 0), (1, 1), (5, 1), (6, 2), (10, 2), (11, 3), (15, 3), (16, 4), (19, 4), (20, 5)]
)
def test_points_of_a_part_fall_into_bins(class_row, points, bin):
    check = CheckResult("a", "A", WEEK.part_names[0], 1, "failed", points, 20)
    one = replace(class_row("a", 5), result=Result("", 0.0, 1, {}, {}, (check,)))
    first, second, *_ = scores.parts([one, class_row("b")], WEEK)
    assert first.counts == tuple(int(n == bin) for n in range(6))
    assert (first.students, first.mean, first.median, first.max_score) == (1, points, points, 20)
    assert (second.students, second.mean, second.median) == (0, None, None)


def test_the_whole_and_the_accuracy_beside_it(class_row):
    rows = [class_row("a", 0), class_row("b", 9), class_row("c", 10), class_row("d", 99), class_row("e", 100),
            class_row("f", 50, status="not final"), class_row("g")]  # fmt: skip
    spread, whole = scores.whole(rows), figures.overview(rows)
    assert spread.counts == (2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    assert (whole.listed, whole.handed_in, whole.graded, whole.complete) == (7, 6, 5, 1)
    assert (whole.mean, whole.median, whole.lowest, whole.highest) == (43.6, 10, 0, 100)
    bands = scores.bands([(0.3, 40), (0.7, 50), (0.75, 60), (0.95, 100), (1.0, 90)], TIERS)
    assert [(b.low, b.students, b.median, b.lowest, b.highest) for b in bands] == [
        (0.0, 1, 40, 40, 40), (0.7, 2, 55, 50, 60), (0.84, 0, None, None, None), (0.9, 2, 95, 90, 100),
    ]  # fmt: skip


# -- changes -----------------------------------------------------------------------------------------------------------

THEN = [row("a", "failed one", "passed"), row("b", "failed one", "passed"), row("c", "passed", "passed"), row("d")]
NOW = [
    row("a", "passed", "passed"),
    row("b", "failed two", "failed two"),
    row("c", "passed", "passed"),
    row("d", "passed"),
]


def test_changes_say_who_moved_and_which_misconceptions_went(tmp_path):
    found = since.changes(NOW, since.summary(THEN), {})
    assert [(m.row.id, m.before, m.now) for m in found.moves] == [("a", 10, 20), ("b", 10, 0)]
    assert ([r.id for r in found.arrived], found.same) == (["d"], 1)
    assert [(s.id, s.before, s.now) for s in found.shifts] == [("one", 2, 0), ("two", 0, 1)]


def test_the_second_page_in_a_folder_says_what_changed_and_says_so_when_written_again(tmp_path):
    first = write(THEN, [], WEEK, tmp_path).read_text("utf-8")
    assert "This is the first time" in first
    second = write(NOW, [], WEEK, tmp_path).read_text("utf-8")
    assert "2 scores changed" in second and "1 handed in for the first time" in second
    assert write(NOW, [], WEEK, tmp_path).read_text("utf-8") == second, "the same run again is no change"
    told = json.loads((tmp_path / "class.json").read_text("utf-8"))
    assert told["schema"] == "grader/class/v1" and told["now"]["scores"] == {"a": 20, "b": 0, "c": 20, "d": 10}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class.html", "class.json"]


BAD = '{"at": 1, "students": "x", "mean": 2, "findings": [], "scores": 5}'


@pytest.mark.parametrize("text", [
    "", "{", "[]", '{"schema": "x"}', '{"schema": "grader/class/v1"}',
    f'{{"schema": "grader/class/v1", "before": null, "now": {BAD}}}',
])  # fmt: skip
def test_a_damaged_summary_is_said_and_replaced(tmp_path, text):
    (tmp_path / "class.json").write_text(text, encoding="utf-8")
    page = write(NOW, [], WEEK, tmp_path).read_text("utf-8")
    assert "cannot be compared with: it is damaged" in page
    assert since.read(tmp_path / "class.json")[0] == since.summary(NOW)


# -- similar pairs -----------------------------------------------------------------------------------------------------


def handed_in(count: int, seed: int = 3) -> tuple[list[Row], dict[str, dict[str, str]]]:
    rows = [row(f"s{n}", "passed") for n in range(count)]
    return rows, made_sources(rows, seed, copies=0)


def found_pairs(rows: list[Row], sources: dict[str, dict[str, str]]) -> list[set[str]]:
    return [{pair.one.id, pair.other.id} for pair in similar(rows, sources, skeleton(WEEK)).pairs]


@pytest.mark.parametrize("count", [15, 60])
def test_a_copy_with_other_names_stands_out_and_nobody_else(count):
    rows, sources = handed_in(count)
    assert found_pairs(rows, sources) == []
    copy = {name: renamed(text) for name, text in sources["s3"].items()}
    sources["s7"] = copy | {"model.py": sources["s7"]["model.py"]}  # all but the network
    assert found_pairs(rows, sources) == [{"s3", "s7"}]
    pair = similar(rows, sources, skeleton(WEEK)).pairs[0]
    assert pair.shared > 20 and pair.z > 6 and pair.examples
    for example in pair.examples:
        assert example.text in sources["s3"][example.file] and example.other_text in sources["s7"][example.file]


def test_the_same_code_is_a_group_whatever_its_names_and_comments():
    rows, sources = handed_in(20)
    for n in (5, 6):
        sources[f"s{n}"] = {name: renamed(text) for name, text in sources["s4"].items()}
    found = similar(rows, sources, skeleton(WEEK))
    assert [[r.id for r in group] for group in found.identical] == [["s4", "s5", "s6"]]
    assert not found.pairs


def test_a_small_class_a_skeleton_and_unreadable_files_are_nothing_to_look_at():
    rows, sources = handed_in(14)
    sources["s1"] = sources["s2"]
    found = similar(rows, sources, skeleton(WEEK))
    assert found.too_few and not found.pairs and not found.identical
    rows, sources = handed_in(16)
    for n in (0, 1, 2):
        sources[f"s{n}"] = dict(skeleton(WEEK))
    for n, text in enumerate(["def f(:\n  x = '''", "\0", "if x:\n   y\n  z\n", "(" * 5000, "\ud800"]):
        sources[f"s{n + 3}"] = {"train.py": text}
    found = similar(rows, sources, skeleton(WEEK))
    assert not found.pairs and not found.identical
    assert similar([], {}, {}).submissions == 0


def test_names_texts_comments_and_docstrings_do_not_count():
    one = 'def f(a):\n    """What it does."""\n    # a comment\n    return a + "x" * 128\n'
    other = "def other(name):\n\n    return name + 'longer' * 128\n"
    assert [word for word, _ in tokens_of(one)] == [word for word, _ in tokens_of(other)]
    assert [word for word, _ in tokens_of(one)] != [word for word, _ in tokens_of(one.replace("128", "64"))]


def test_a_rare_finding_in_the_same_words_raises_a_pair():
    rows, sources = handed_in(20)
    half = {"model.py": sources["s3"]["model.py"]}
    sources["s7"] |= half
    before = similar(rows, sources, skeleton(WEEK)).nearest[-1]
    for n in (3, 7):
        rows[n] = row(f"s{n}", "failed one 3 of 7 images")
    assert similar(rows, sources, skeleton(WEEK)).nearest[-1] == pytest.approx(1.25 * before)


# -- the page ----------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Collects tags, attributes, and the texts that stand inside an element that is hidden until asked for."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[tuple[str, str]] = []
        self.plain: list[str] = []
        self.in_sight: list[str] = []  # texts and attributes outside every hidden element
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.open.append((tag, dict(attrs).get("class") or ""))
        if not self.hidden:
            self.in_sight += [value or "" for _, value in attrs]
        if tag in ("meta", "link", "input", "line", "rect", "circle"):
            self.open.pop()

    @property
    def hidden(self) -> bool:
        return bool({"name", "hidden-first"} & {name for _, names in self.open for name in names.split()})

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self.hidden and self.open:
            self.in_sight.append(data)
            if self.open[-1][0] not in ("script", "style"):
                self.plain.append(data)


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


def test_it_is_small_and_refers_to_nothing_outside(big):
    rows, page = big
    assert len(page.encode()) < 3_000_000
    links = links_of(HINTS)
    addresses = {value for _, name, value in Reader(page).attributes if name in ("href", "src", "action", "data")}
    known = re.compile(r"#[a-z-]+|data:,|students/[^/:]+/report\.html")
    assert [a for a in addresses if not known.fullmatch(a) and a not in links] == []
    assert set(re.findall(r"https?://[^\s<>\"')]+", page)) <= set(links)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp|innerHTML|eval\(", page)


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
