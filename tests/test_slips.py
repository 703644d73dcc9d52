"""A teacher's slips, file by file: `build` and `release` say each in one sentence, and write nothing.

A slip is (what a regular expression finds in a file, what stands there instead, a piece of the sentence). Patterns name
keys, not values, so that the table holds whatever a course has written there.
"""

from __future__ import annotations

import argparse
import re
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grader.authoring import build, release
from grader.contract import WEEK
from grader.digits import FILES
from grader.engine.contract import Part, Todo
from grader.engine.rubric import load_rubric

ROOT = build.ROOT
RUBRIC = load_rubric(WEEK)
SETTINGS, POINTS = "templates/course.toml", "grader/rubric.toml"
HINTS, MODEL_HINTS, DATA_HINTS = (f"grader/hints/{name}.toml" for name in ("general", "model", "data"))
TOP = RUBRIC.tiers[-1]
MISSING = r"^\[file-missing\]\ntitle = .*?$"

SLIPS = {
    SETTINGS: [
        (r"^course = .*?$", "", 'course is missing or no text; write course = "..."'),
        (r"^week = .*?$", 'week = "three"', "week is a whole number, such as week = 3"),
        (r"^week = .*?$", "week = -1", "week is a whole number"),
        (r"^week = .*?$", "", "week is a whole number"),
        (r"^week = .*?$", "week = ", "is not valid TOML: "),
        (r"^title = .*?$", 'titel = "Digits"', "has an unknown titel; it knows course, title, due"),
        (r"^title = .*?$", 'title = "  "', "title is missing or no text"),
        (r"^title = .*?$", 'title = """Digits\nand more"""', "title has more than one line"),
        (r"^due = .*?$", "due = 2026-12-01", "due is missing or no text"),
        (r"^repository = .*?$", 'repository = "git@github.com:a/b.git"', "it must be the web address of a repository"),
        (r"^repository = .*?$", 'repository = "https://github.com/a/b/tree/main"', "https://github.com/OWNER/NAME, no"),
        (r"^install = .*?$", "", "install is missing or no text"),
        (r"^isolation = .*?$", 'isolation = "strict"', 'write isolation = "best" or isolation = "confined"'),
        (r"^isolation = ", "isolaton = ", "has an unknown isolaton"),
        (r"^\[links\]", "[other]", "has an unknown other"),
        (r"^kaggle = ", "keggle = ", "[links] lacks kaggle"),
        (r"^colab = .*?$", 'colab = "colab.research.google.com"', "[links] colab is 'colab.research.google.com'; it m"),
        (r"^\[\[videos\]\]\ntitle", "[[videos]]\nname", "[[videos]], number 1, lacks title"),
        (r"^url = .*?$", 'url = "youtu.be/abc"', "[[videos]], number 1, url is 'youtu.be/abc'; it must be a web addre"),
        (r"\n\[\[videos\]\].*?(?=\n\[todos\])", "\n[videos]\nfirst = 1\n", "every video is a table of its own"),
        (r"^4 = ", "four = ", "[todos] lacks 4"),
        (r"^4 = .*?$", '4 = ""', "[todos] 4 is missing or no text"),
        (r"^4 = .*?$", '4 = """two\nlines"""', "[todos] 4 has more than one line"),
        (r"^4 = ", '44 = "more"\n4 = ', "[todos] has 44, which grader/contract.py does not have"),
        (r"^\[parts\.model\]", "[parts.modle]", "[parts] lacks model"),
        (r"\Z", '\n[parts.extra]\nminutes = "5"\nobjective = "More."\n', "[parts] has extra, which grader/contract.py"),
        (r"^\[parts\.model\]\nminutes = .*?$", "[parts.model]", "[parts.model] lacks minutes"),
        (r"^\[parts\.model\]\nminutes = .*?$", "[parts.model]\nminutes = 30", "[parts.model] minutes is missing or no"),
        (r"^\[data\]", "[date]", "has an unknown date"),
        (r"^classes = .*?$", 'classes = ["a", "b"]', "[data] classes must be 10 names in quotation marks"),
        (r'^classes = \["\w+"', 'classes = ["9"', "[data] two classes are called '9'"),
        (r'^classes = \["\w+"', 'classes = ["a|b"', "[data] the class 'a|b' cannot be shown in a table"),
        (r"^licence = ", "license = ", "[data] licence is missing or no text"),
    ],
    POINTS: [
        (r"^transform = \d+", f"transform = {RUBRIC.points['transform'] + 1}", "the points sum to 101, they must sum"),
        (r"^transform = \d+", "transform = 2.5", "points are whole numbers, 0 or more; transform has 2.5"),
        (r"^transform = \d+", "transform = -4", "points are whole numbers, 0 or more; transform has -4"),
        (r"^transform = ", "transfrom = ", "[points] lacks ['transform'] and has unknown ['transfrom']"),
        (r"^transform = \d+", "transform = 1\ntransform = 3", "is not valid TOML: "),
        (r"^\[points\]", "[point]", "has an unknown [point]; it knows [points], [limits], [visibility] and [accuracy]"),
        (r"^check_seconds", "check_second", "[limits] lacks ['check_seconds'] and has unknown ['check_second']"),
        (r"^check_seconds = \d+", 'check_seconds = "long"', "[limits] are numbers"),
        (r"^check_seconds = \d+", "check_seconds = 0", "[limits] are numbers above 0; check_seconds is 0"),
        (r"^(tiers = \[\n.*?at = )[\d.]+", r"\g<1>84", "a tier is a fraction between 0 and 1, such as 0.84; one is 84"),
        (r"^(tiers = \[\n.*?at = )[\d.]+", r"\g<1>0.99", "[accuracy] tiers must rise, in `at` and in `points`"),
        (r"^tiers = ", "tier = ", "tiers is not a list of { at = ..., points = ... }: there is no 'tiers'"),
        (rf"points = {TOP.points} \}}", f"points = {TOP.points + 1} }}", "the highest tier must earn the points of te"),
        (r"(\n\[visibility\].*)?\Z", '\n[visibility]\nmodle = "hidden"\n', "[visibility] has an unknown modle; use a"),
        (r"(\n\[visibility\].*)?\Z", '\n[visibility]\nmodel = "secret"\n', "[visibility] model is one of visible, hid"),
        (r"(\n\[visibility\].*)?\Z", '\n[visibilty]\nmodel = "hidden"\n', "has an unknown [visibilty]"),
    ],
    HINTS: [
        (MISSING, '[file-missing]\ntitle = ""', "[file-missing] lacks title, or it is empty"),
        (MISSING, '[file-missing]\ntitel = "gone"', "[file-missing] lacks title, or it is empty"),
        (MISSING, '[file-missing]\ntitle = "x"\nlok = "y"', "[file-missing] has an unknown lok; the fields are title"),
        (MISSING, '[file-missing]\ntitle = "x', "is not valid TOML: "),
        (r"^\[file-missing\]", "[file-mising]", "[file-missing], and there is no such entry (unknown there: file-misi"),
        (MISSING, '[file-missing]\ntitle = "{fil} is"', "[file-missing] has {fil}, which grader/engine/endings.py, "),
        (MISSING, '[file-missing]\ntitle = "{where} is"', "does not fill in; it fills in {file}, {function}."),
        (MISSING, '[file-missing]\ntitle = "{file is"', "[file-missing] has a brace without its partner"),
        (MISSING, '[file-missing]\ntitle = "{file:.2f}"', "[file-missing] has {file} with more than a name in"),
        (MISSING, '[file-missing]\ntitle = "{} is"', "[file-missing] has {} with more than a name in"),
        (
            r"^\[file-missing\](.*?)\n\n",
            r"[file-missing]\1\n\n[file-lost]\1\n\n",
            "no check names [file-lost]; rename it as the check does, or remove it",
        ),
    ],
    DATA_HINTS: [
        (r"^docs = .*?$", 'docs = "seats"', 'has docs = "seats", which links.toml does not know'),
        (r"^\[loaders-none\]", "[fit-trains-nothing]", "stands in data.toml too; keep one of them"),
    ],
    MODEL_HINTS: [
        (r"^todo = \d", "todo = 33", "has todo = 33; the TODOs are 1, 2, 3"),
        (r"^todo = \d", 'todo = 3\nfile = ""', "has both todo and file; keep one of them"),
        (r"^file = .*?$", 'file = "modle.py"', 'has file = "modle.py"; the files are data.py, model.py and train.py'),
    ],
    "grader/hints/links.toml": [
        (r"https://", "", "must be a web address that begins with https://"),
        (r"https://", "http://", "must be a web address that begins with https://"),
    ],
    "templates/handout.md.j2": [
        (r"\{\{ week \}\}", "{{ weak }}", "templates/handout.md.j2: 'weak' is undefined"),
        (r"\{% for", "{% four", "templates/handout.md.j2, line "),
        (r"\{\{ week \}\}", "{{ week.first.word }}", "templates/handout.md.j2: 'int object' has no attribute 'first'"),
        (r"\{\{ week \}\}", "{{ week + title }}", "templates/handout.md.j2 cannot be filled in: TypeError"),
        (r"\A", '{% include "samples/none.txt" %}', "templates/samples/none.txt is missing; put it back"),
    ],
    "templates/notebook.py.j2": [
        (r"# %% exercises data.py", "# %% exercises date.py", '"# %% exercises date.py" is no kind of block'),
        (r"# %% code", "# %% cod", '"# %% cod" is no kind of block; there are "# %% [markdown]", "# %% code"'),
    ],
    "solution/model.py": [
        (r" *# END SOLUTION\n", "", "BEGIN SOLUTION inside the region that begins in line"),
        (r" *# BEGIN SOLUTION\n", "", "END SOLUTION without a BEGIN SOLUTION before it"),
        (r"# BEGIN SOLUTION", "# begin solution", "write a marker alone on its line"),
        (r"def forward\(", "def forwards(", "DigitClassifier.forwards is not a TODO of the contract"),
        (r"def forward\(", "def forward(()", "not valid Python"),
    ],
    "solution/train.py": [
        (r"^def evaluate\(.*?(?=^def fit)", "", "there is no evaluate in it, TODO 6 of grader/contract.py"),
        (
            r"(^def evaluate\(.*?)    # BEGIN SOLUTION\n(.*?)    # END SOLUTION\n",
            r"\1\2",
            "evaluate has no solution markers inside it, so students would get its solution",
        ),
    ],
    "solution/plots.py": [
        (r"\Z", "\n# BEGIN SOLUTION\nx = 1\n# END SOLUTION\n", "students get this file as it is, so markers hide noth"),
        (r"\Z", "\nx = (\n", "not valid Python"),
    ],
}  # fmt: skip
TABLE = [(file, *slip) for file, slips in SLIPS.items() for slip in slips]


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """What `build` reads, and what a release looks at before it makes anything."""
    for folder in ("solution", "templates", "grader/hints", "assignment/digits"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("plots", "__pycache__"))
    for file in ("grader/rubric.toml", "grader/digits.toml", "grader/score.schema.json", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def said_by_build(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence of a build that must stop and write nothing."""
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert build.run(argparse.Namespace(check=False), root=root) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("Nothing was built: ") and len(said.err.splitlines()) == 1, said
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return said.err.removeprefix("Nothing was built: ")


def said_by_release(root: Path, target: str, capsys: pytest.CaptureFixture[str], **options: bool) -> str:
    flags = {"dry_run": False, "overwrite": False} | options
    assert release.run(argparse.Namespace(out=root.parent / "released", target=target, **flags), root=root) == 2
    assert not (root.parent / "released").exists()
    said = capsys.readouterr()
    assert said.err.startswith("Nothing was released: ") and len(said.err.splitlines()) == 1, said
    return said.err.removeprefix("Nothing was released: ")


@pytest.mark.parametrize(("file", "pattern", "new", "told"), TABLE, ids=[f"{row[0]}-{row[3][:40]}" for row in TABLE])
def test_a_slip_is_one_sentence_for_build_and_release_alike(course, capsys, file, pattern, new, told):
    path = course / file
    text, count = re.subn(pattern, new, path.read_text("utf-8"), count=1, flags=re.MULTILINE | re.DOTALL)
    assert count == 1, pattern
    path.write_text(text, encoding="utf-8")
    said = said_by_build(course, capsys)
    assert told in said and (path.name in said or path.parent.name in said), said
    assert said_by_release(course, "gradescope", capsys) == said


def test_the_table_covers_every_file_that_a_teacher_edits():
    page = (ROOT / "docs" / "make-it-yours.md").read_text(encoding="utf-8")
    named = {
        name for name in ("rubric.toml", "course.toml", "handout.md.j2", "notebook.py.j2", "links.toml") if name in page
    }
    assert len(named) == 5 and named <= {Path(file).name for file in SLIPS} and len(TABLE) >= 70


def break_images(raw: Path) -> None:
    (raw / FILES["train_images"]).write_bytes((raw / FILES["train_images"]).read_bytes()[:-1])


def break_labels(raw: Path) -> None:
    """Another number of labels than images."""
    (raw / FILES["train_labels"]).write_bytes(struct.pack(">HBBI", 0, 8, 1, 5) + bytes(5))


def only_zeros(raw: Path) -> None:
    content = (raw / FILES["test_labels"]).read_bytes()
    (raw / FILES["test_labels"]).write_bytes(content[:8] + bytes(len(content) - 8))


def eleven_classes(raw: Path) -> None:
    content = (raw / FILES["test_labels"]).read_bytes()
    (raw / FILES["test_labels"]).write_bytes(content[:8] + bytes([10]) + content[9:])


def no_idx(raw: Path) -> None:
    (raw / FILES["train_images"]).write_bytes(b"PK" + bytes(100))


def no_file(raw: Path) -> None:
    (raw / FILES["test_images"]).unlink()


@pytest.mark.parametrize(("slip", "told"), [
    (break_images, "train-images-idx3-ubyte is damaged: "),
    (break_labels, "7,996 images and"),
    (only_zeros, "has the label 1 0 times; each of the 10 classes needs at least 10 images"),
    (eleven_classes, "has the label 10; labels"),
    (no_idx, "train-images-idx3-ubyte is not an IDX file"),
    (no_file, "t10k-images-idx3-ubyte cannot be read"),
])  # fmt: skip
def test_images_that_cannot_be_graded_with_are_refused(course, capsys, slip, told):
    slip(course / "assignment" / "digits" / "MNIST" / "raw")
    said = said_by_build(course, capsys)
    assert told in said, said
    assert said_by_release(course, "gradescope", capsys) == said


@pytest.mark.parametrize("target", ["github", "github-classroom", "classroom50", "gradescope"])
def test_every_release_refuses_what_build_refuses(course, capsys, target):
    edit = course / "grader" / "rubric.toml"
    edit.write_text(edit.read_text("utf-8") + '\n[visibilty]\nmodel = "hidden"\n', encoding="utf-8")
    assert said_by_release(course, target, capsys) == said_by_build(course, capsys)


@pytest.mark.parametrize("target", ["github", "gradescope"])
def test_images_that_build_has_not_recorded_are_not_released(course, capsys, target):
    raw = course / "assignment" / "digits" / "MNIST" / "raw" / FILES["train_images"]
    raw.write_bytes(raw.read_bytes()[:-1] + b"\x01")
    assert said_by_release(course, target, capsys).startswith(
        "grader/digits.toml is out of date; `python -m grader build`"
    )


def test_options_of_release_that_contradict_each_other(course, capsys):
    said = said_by_release(course, "github", capsys, dry_run=True, overwrite=True)
    assert said.startswith("--dry-run writes nothing, so there is nothing to --overwrite; leave one of them out.")


@pytest.mark.parametrize(("name", "told"), [
    ("solution/data.py", "solution/data.py:1: the file is missing; grader/contract.py names it"),
    ("templates/handout.md.j2", "templates/handout.md.j2 is missing; put it back"),
    ("templates/course.toml", "templates/course.toml is missing"),
    ("grader/rubric.toml", "grader/rubric.toml is missing"),
])  # fmt: skip
def test_a_file_that_is_gone_is_named(course, capsys, name, told):
    (course / name).unlink()
    said = said_by_build(course, capsys)
    assert told in said and said_by_release(course, "gradescope", capsys) == said


@pytest.mark.parametrize("name", ["solution/data.py", "templates/handout.md.j2", "templates/course.toml"])
def test_a_file_in_another_encoding_is_named(course, capsys, name):
    (course / name).write_bytes("# übrig\n".encode("latin-1"))
    said = said_by_build(course, capsys)
    assert name in said and ("UTF-8" in said or "utf-8" in said), said


def test_a_line_of_the_solution_in_a_text_for_students(course, capsys):
    line = "return self.output(x)  # as in the solution"
    model, handout = course / "solution" / "model.py", course / "templates" / "handout.md.j2"
    marker = "        # END SOLUTION\n"
    before, after = model.read_text("utf-8").rsplit(marker, 1)
    model.write_text(f"{before}        {line}\n{marker}{after}", encoding="utf-8")
    handout.write_text(handout.read_text("utf-8") + f"\nTry `{line.partition('  #')[0]}`.\n", encoding="utf-8")
    said = said_by_build(course, capsys)
    assert said == "a line of the solution is in a file for students: README.md: return self.output(x).\n"
    assert said_by_release(course, "gradescope", capsys) == said


@pytest.mark.parametrize(("fields", "told"), [
    ({"todos": (*WEEK.todos, Todo(WEEK.todos[-1].number, "train.py", "more"))}, "stands there twice."),
    ({"todos": (*WEEK.todos, Todo(99, "train.py", "fit"))}, "the function fit in train.py stands there twice."),
    ({"parts": (*WEEK.parts, WEEK.parts[0])}, "the part data stands there twice."),
])  # fmt: skip
def test_a_contract_that_says_something_twice_is_refused(fields, told):
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        replace(WEEK, **fields)
    assert str(caught.value).startswith("contract.py: ")


@pytest.mark.parametrize(("fields", "told"), [
    ({"tiered": "test-acuracy"}, "tiered names the check test-acuracy, and there is no such check."),
    ({"long": "fit"}, "long names the check fit, and there is no such check."),
    (
        {"parts": (*WEEK.parts, Part("extra", "more", "test_9_extra")), "run_order": (*WEEK.run_order, "extra")},
        "the part extra has its checks in checks/test_9_extra.py, and there is no such file.",
    ),
])  # fmt: skip
def test_a_contract_that_names_what_is_not_there_is_refused(fields, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        replace(WEEK, **fields).checks  # noqa: B018


def test_a_contract_that_contradicts_itself_is_one_sentence_at_the_front_doors(tmp_path):
    shutil.copytree(ROOT / "grader", tmp_path / "grader", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "grader_entry_point.py"):
        shutil.copy(ROOT / name, tmp_path)
    path = tmp_path / "grader" / "contract.py"
    path.write_text(re.sub(r'run_order=\("model", ', "run_order=(", path.read_text("utf-8")), encoding="utf-8")
    for command, status in ((["-m", "grader", "build"], 2), (["-m", "pytest", "grader/"], 4)):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=100)
        told = "grader/contract.py: run_order must name every part once: data, model, training, accuracy."
        assert (done.returncode, done.stdout.strip()) == (status, "") and told in done.stderr, done
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
