"""From solution/ to assignment/: nothing stale, nothing leaked, and files a student can start from."""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.authoring import build as building
from grader.authoring.markers import CONTRACT, MarkerError, leaks, solution_lines, student_version
from grader.contract import WEEK
from grader.engine.submission.read_notebook import without_magics

ROOT = building.ROOT
INVITATIONS = {str(number): "your turn." for number in WEEK.todo}


@pytest.fixture(scope="module")
def outputs() -> dict[str, bytes]:
    return building.build()


@pytest.fixture(scope="module")
def cells(outputs: dict[str, bytes]) -> list[dict]:
    return json.loads(outputs[notebook_in(outputs)])["cells"]


def notebook_in(outputs: dict[str, bytes]) -> str:
    return next(name for name in outputs if name.endswith(".ipynb"))


# ---- what is generated


def test_assignment_is_up_to_date(outputs):
    assert building.stale(outputs, ROOT / "assignment") == [], "run: python -m grader build"


def test_no_line_of_a_solution_reaches_a_student(outputs):
    solutions = building.read_solution(ROOT)
    assert sum(len(solution_lines(name, solutions[name])) for name in WEEK.files) > 30
    assert leaks(solutions, outputs) == []


def test_a_leak_would_be_seen(outputs):
    solutions = building.read_solution(ROOT)
    line = sorted(solution_lines("train.py", solutions["train.py"]), key=len)[-1]
    for name in outputs:
        assert leaks(solutions, {name: outputs[name] + f'  "see {line}\\n",\n'.encode()}) == [f"{name}: {line}"]


def test_building_twice_gives_the_same_bytes(outputs):
    assert building.build() == outputs
    for name, content in outputs.items():
        if name.endswith(".png"):
            continue
        assert b"\r" not in content and content.endswith(b"\n"), name
        assert not re.search(rb"\{\{|\}\}|\{%", content) or name.endswith(".py"), name


def test_every_stub_announces_its_number(outputs):
    announced = []
    for name in WEEK.files:
        for node in ast.walk(ast.parse(outputs[name])):
            if isinstance(node, ast.Raise):
                announced.append((name, node.exc.args[0].value))
    wanted = [(f, f"TODO {n}: {function}") for (f, function), n in CONTRACT.items() if function != "DigitClassifier"]
    assert announced == wanted


def test_every_stub_raises_when_called(tmp_path, outputs):
    building.write(outputs, tmp_path)
    script = """
import data, model, train
calls = [data.make_transform, lambda: data.make_loaders("x"), model.DigitClassifier,
         lambda: model.DigitClassifier.forward(None, None), lambda: train.train_one_epoch(None, [], None),
         lambda: train.evaluate(None, []), lambda: train.fit(None, [], [])]
for number, call in enumerate(calls, start=1):
    try:
        call()
    except NotImplementedError as error:
        assert str(error).startswith(f"TODO {number}: "), error
        print(number)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == list("1234567"), done.stderr


def test_the_handout_states_every_threshold(outputs):
    text = outputs["README.md"].decode()
    rubric = building.context(ROOT)["rubric"]
    for tier in rubric["accuracy"]["tiers"]:
        assert re.search(rf"\| {100 * tier['at']:.10g} % \| {tier['points']} \|", text)
    for points in rubric["points"].values():
        assert f"| {points} |" in text


def test_the_handout_is_read_in_twelve_minutes(outputs):
    """200 words a minute; tables, examples and samples count, addresses do not."""
    text = re.sub(r"\]\([^)]*\)", "]", outputs["README.md"].decode())
    assert sum(bool(re.search(r"\w", word)) for word in text.split()) <= 12 * 200


def test_the_examples_of_the_handout_run_and_print_what_they_say(outputs, tmp_path):
    examples = re.findall(r"```python\n(.*?)```", outputs["README.md"].decode(), re.DOTALL)
    assert len(examples) == len([part for part in WEEK.parts if WEEK.todos_of(part.name)])
    (tmp_path / "examples.py").write_text("\n\n".join(examples), encoding="utf-8")
    done = subprocess.run([sys.executable, "examples.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for said in ("torch.Size([100, 2]) torch.float32 torch.int64", "torch.Size([5, 2])", "slope 3.00, start 1.00"):
        assert f"  # {said}\n" in "".join(examples) and f"{said}\n" in done.stdout


def test_writing_touches_only_what_changed(tmp_path, outputs):
    (tmp_path / "mine.txt").write_text("mine")
    assert sorted(building.write(outputs, tmp_path)) == sorted(outputs)
    assert building.write(outputs, tmp_path) == []
    (tmp_path / "model.py").write_bytes(outputs["model.py"].replace(b"\n", b"\r\n"))
    assert building.stale(outputs, tmp_path) == []
    (tmp_path / "model.py").write_text("old")
    assert building.write(outputs, tmp_path) == ["model.py"]
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == sorted([*outputs, "mine.txt"])


# ---- another teacher's solution

CNN = '''"""Week 3, part 2: the network."""

# BEGIN SOLUTION
import torch.nn.functional as F

# END SOLUTION
from torch import nn

# BEGIN SOLUTION
CHANNELS = 16


def block(channels_in, channels_out):
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3), nn.BatchNorm2d(channels_out), nn.ReLU())


# END SOLUTION


class DigitClassifier(nn.Module):
    def __init__(self):
        """Create the layers."""
        super().__init__()
        # BEGIN SOLUTION
        self.first, self.second = block(1, CHANNELS), block(CHANNELS, 32)
        # END SOLUTION

    def forward(self, images):
        ### BEGIN SOLUTION
        x = F.max_pool2d(self.second(self.first(images)), 2)
        return x.flatten(1)[:, :10]
        ### END SOLUTION
'''


@pytest.fixture
def other_course(tmp_path):
    """A copy of what build reads, with a convolutional network for a solution."""
    for folder in ("solution", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("plots", "__pycache__"))
    (tmp_path / "grader").mkdir()
    shutil.copytree(ROOT / "assignment" / "digits", tmp_path / "assignment" / "digits")
    for name in ("rubric.toml", "digits.toml"):
        shutil.copy(ROOT / "grader" / name, tmp_path / "grader")
    shutil.copytree(ROOT / "grader" / "hints", tmp_path / "grader" / "hints")
    (tmp_path / "solution" / "model.py").write_text(CNN, encoding="utf-8")
    return tmp_path


def run_build(root: Path, *options: str) -> int:
    parser = argparse.ArgumentParser()
    building.add_arguments(parser)
    return building.run(parser.parse_args(list(options)), root=root)


def test_another_solution_builds_and_does_not_leak(other_course, capsys):
    assert run_build(other_course, "--check") == 1
    assert run_build(other_course) == 0
    assert run_build(other_course, "--check") == 0
    assert capsys.readouterr().err == ""
    made = (other_course / "assignment" / "model.py").read_text(encoding="utf-8")
    assert not re.search("CHANNELS|block|Conv|functional|max_pool", made)
    assert 'raise NotImplementedError("TODO 4: DigitClassifier.forward")' in made


def test_build_says_what_to_mend_and_writes_nothing(other_course, capsys):
    (other_course / "solution" / "model.py").write_text(CNN.replace("        ### END SOLUTION\n", ""), encoding="utf-8")
    assert run_build(other_course) == 2
    assert "solution/model.py:29: BEGIN SOLUTION is never closed" in capsys.readouterr().err
    assert not (other_course / "assignment" / "model.py").exists()


def test_a_template_that_asks_for_an_unknown_name_is_an_error(other_course, capsys):
    (other_course / "templates" / "handout.md.j2").write_text("{{ nobody }}", encoding="utf-8")
    assert run_build(other_course) == 2
    told = capsys.readouterr().err
    assert "templates/handout.md.j2: 'nobody' is undefined" in told and len(told.splitlines()) == 1


# ---- markers


SOURCE = '''"""Week 3."""

def make_transform():
    """Docstring."""
    # BEGIN SOLUTION
    return 1
    # END SOLUTION
'''


@pytest.mark.parametrize("hashes", ["#", "###"])
def test_a_region_becomes_a_stub_at_its_indentation(hashes):
    made = student_version("data.py", SOURCE.replace("#", hashes), INVITATIONS)
    assert made.endswith('    # TODO 1: your turn.\n    raise NotImplementedError("TODO 1: make_transform")\n')
    assert "return 1" not in made


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("    # END SOLUTION\n", "", 5, "never closed"),
        ("    # BEGIN SOLUTION\n", "", 6, "without a BEGIN"),
        ("    return 1\n", "    # BEGIN SOLUTION\n    return 1\n", 6, "inside the region that begins in line 5"),
        ("# BEGIN SOLUTION", "# begin solution", 5, "alone on its line"),
        ("# END SOLUTION", "# END SOLUTION here", 7, "alone on its line"),
        ("make_transform", "helper", 5, "not a TODO of the contract"),
        ("    # BEGIN SOLUTION\n    return 1\n    # END SOLUTION\n", "    return 1\n", 3, "no solution markers"),
        ("    return 1\n", "    return (\n", 6, "not valid Python"),
    ],
)
def test_markers_that_make_no_sense_name_file_and_line(old, new, line, says):
    with pytest.raises(MarkerError, match=says) as caught:
        student_version("data.py", SOURCE.replace(old, new), INVITATIONS)
    assert str(caught.value).startswith(f"data.py:{line}: ")


def test_a_helper_in_a_region_leaves_nothing_behind():
    """A teacher may solve it quite differently: a helper class, a method and an import of the solution's own."""
    text = """import torch
# BEGIN SOLUTION
import math
class Block:
    def forward(self): return math.pi
# END SOLUTION

class DigitClassifier:
    def __init__(self):
        # BEGIN SOLUTION
        self.block = Block()
        # END SOLUTION
        self.given = 1
        # BEGIN SOLUTION
        # only a comment
        # END SOLUTION

    # BEGIN SOLUTION
    def helper(self): return 2
    # END SOLUTION

    def forward(self, images):
        # BEGIN SOLUTION
        for image in images:
            yield image
        # END SOLUTION
"""
    made = student_version("model.py", text, INVITATIONS)
    assert "Block" not in made and "helper" not in made and "math" not in made
    assert made.count("TODO 3: DigitClassifier.__init__") == 2 and "self.given = 1" in made
    assert made.count("TODO 4: DigitClassifier.forward") == 1


# ---- the notebook


def test_the_notebook_is_valid(outputs):
    nbformat = pytest.importorskip("nbformat")
    book = nbformat.reads(outputs[notebook_in(outputs)].decode(), as_version=4)
    nbformat.validate(book)
    assert (book.nbformat, book.nbformat_minor) == (4, 5)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.execution_count is None and cell.outputs == []
            compile(without_magics(cell.source), cell.id, "exec")


@pytest.mark.parametrize("name", WEEK.files)
def test_tagged_cells_make_up_the_file(name, outputs, cells):
    joined = "\n\n\n".join("".join(c["source"]) for c in cells if name in c["metadata"].get("tags", []))
    body = ast.parse(outputs[name]).body[1:]  # without the docstring
    kept = [node for node in body if not isinstance(node, ast.If) and getattr(node, "name", "") != "main"]
    assert ast.dump(ast.parse(joined)) == ast.dump(ast.Module(body=kept, type_ignores=[]))


def test_exercises_stand_in_order(cells):
    exercises = [c for c in cells if "exercise" in c["metadata"].get("tags", [])]
    numbers = re.findall(r"# TODO (\d)", "".join("".join(c["source"]) for c in exercises))
    assert numbers == list("1234567")
    assert all(len(set(c["metadata"]["tags"]) & set(WEEK.files)) == 1 for c in exercises)
