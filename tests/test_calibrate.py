"""`python -m grader calibrate`: the statistics, the rubric it writes, and one real calibration of two solutions."""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.contract import WEEK
from grader.corpus import calibrate, thresholds
from grader.corpus.thresholds import Measured
from grader.corpus.trials import Row, Runs, judging_digest
from grader.engine.rubric import BadRubric, Tier, load_rubric

ROOT = Path(__file__).resolve().parents[1]
RUBRIC = ROOT / "grader" / "rubric.toml"
TIERS = (Tier(0.70, 10), Tier(0.82, 20), Tier(0.90, 30))


def spread_about(mean: float, sd: float, n: int) -> Measured:
    """Two values with exactly this mean and standard deviation."""
    return Measured("w", (mean - sd / math.sqrt(2), mean + sd / math.sqrt(2)), n)


# -- the rule ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "threshold"), [(2_000, 0.898), (10_000, 0.906)])
def test_the_rule_gives_the_published_figures(n, threshold):
    assert spread_about(0.93, 0.005, n).lower() == pytest.approx(threshold, abs=0.001)


def test_close_to_one_wilson_takes_over():
    z2 = thresholds.SIGMAS**2
    assert Measured("w", (1.0, 1.0), 2004).lower() == pytest.approx(2004 / (2004 + z2))  # not 1.0
    p = 0.997
    low = Measured("w", (p, p), 2004).lower()
    assert low < p - thresholds.SIGMAS * math.sqrt(p * (1 - p) / 2004)


@settings(deadline=None)
@given(st.floats(0.3, 1.0), st.floats(0.0, 0.03), st.integers(500, 20_000))
def test_the_probability_of_missing_is_what_the_threshold_was_made_for(mean, sd, n):
    one = Measured("w", (mean - sd, mean + sd), n) if mean + sd <= 1 else Measured("w", (mean, mean), n)
    assert one.failure(one.lower()) == pytest.approx(NormalDist().cdf(-thresholds.SIGMAS), rel=0.01)
    chances = [one.failure(t / 100) for t in range(1, 100)]
    assert all(a <= b + 1e-12 for a, b in zip(chances, chances[1:])) and 0 <= chances[0] <= chances[-1] <= 1


def test_the_weakest_decides_whether_by_its_mean_or_by_its_spread():
    steady, low, wild = spread_about(0.95, 0.002, 2004), spread_about(0.92, 0.002, 2004), spread_about(0.95, 0.02, 2004)
    assert thresholds.weakest([steady, low]) is low
    assert thresholds.weakest([low, wild, steady]) is wild


def test_lower_tiers_stay_unless_the_top_comes_down_on_them():
    found = thresholds.proposals([spread_about(0.93, 0.002, 2004)], TIERS)
    assert [p.at for p in found] == [0.70, 0.82, 0.90]
    assert found[-1].failure <= 1.2e-5 and found[0].failure <= found[1].failure <= found[2].failure
    weaker = [p.at for p in thresholds.proposals([spread_about(0.88, 0.004, 2004)], TIERS)]
    assert weaker[-1] == pytest.approx(0.84) and weaker == sorted(weaker) and weaker[0] >= thresholds.STORED
    assert weaker[:2] == [0.70, 0.82]
    lowest = [p.at for p in thresholds.proposals([spread_about(0.80, 0.004, 2004)], TIERS)]
    assert lowest == pytest.approx([0.70, lowest[2] - 0.01, lowest[2]]) and lowest[2] < 0.82


def test_exotic_solutions_keep_the_tier_before_the_highest():
    usual, rare = spread_about(0.95, 0.002, 2004), Measured("rare", (0.90, 0.91), 2004, exotic=True)
    found = thresholds.proposals([usual, rare], TIERS)
    alone = thresholds.proposals([usual], TIERS)
    assert found[-1].at == alone[-1].at and found[0].at == 0.70
    assert found[1].at == thresholds.down(rare.lower()) < found[2].at
    assert found[1].failure <= 1.2e-5 and found[2].failure <= 1.2e-5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6))
def test_proposals_always_rise_and_stay_above_what_stored_answers_reach(values):
    try:
        found = [p.at for p in thresholds.proposals([Measured("w", tuple(values), 2004)], TIERS)]
    except ValueError as error:
        assert "too weak" in str(error)
        return
    assert thresholds.STORED <= found[0] < found[1] < found[2] < 1


# -- the rubric ----------------------------------------------------------------------------------------------


TOP = load_rubric(WEEK).points[WEEK.tiered]
LOW, MIDDLE = TOP // 3, 2 * TOP // 3
BLOCK = re.compile(r"tiers = \[.*?\n\]", re.DOTALL)
TIERED = zip((0.7, 0.82, 0.84), (LOW, MIDDLE, TOP))  # in the rubric as it is, three tiers of our own
SHIPPED = "".join(["tiers = [\n", *(f"    {{ at = {at}, points = {points} }},\n" for at, points in TIERED), "]"])


def rubric_in(folder: Path, layout: str = SHIPPED) -> Path:
    """rubric.toml with these tiers."""
    path = folder / "rubric.toml"
    path.write_text(BLOCK.sub(lambda _: layout, RUBRIC.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    return path


def test_only_the_three_numbers_change_in_the_rubric(tmp_path):
    path = rubric_in(tmp_path)
    before = path.read_text(encoding="utf-8").splitlines()
    thresholds.write_tiers(path, [0.61, 0.75, 0.87])
    after = path.read_text(encoding="utf-8").splitlines()
    changed = [(a, b) for a, b in zip(before, after) if a != b]
    assert len(before) == len(after) and len(changed) == 3
    assert all(re.sub(r"at = [0-9.]+", "", a) == re.sub(r"at = [0-9.]+", "", b) for a, b in changed)
    assert [tier.at for tier in load_rubric(WEEK, path).tiers] == [0.61, 0.75, 0.87]
    assert [p.name for p in tmp_path.iterdir()] == ["rubric.toml"]


def test_other_layouts_and_comments_survive(tmp_path):
    one_line = (
        f"tiers = [{{points={LOW}, at=0.7}}, {{at = 7.5e-1, points = {MIDDLE}}}, {{at=0.9,points={TOP}}}]"
        "  # at = 0.5, kept"
    )
    tables = "".join(
        f"[[accuracy.tiers]]\nat = {at} # once\npoints = {points}\n"
        for at, points in ((0.7, LOW), (0.8, MIDDLE), (0.9, TOP))
    )
    commented = (
        f"tiers = [\n  {{ at = 0.7, points = {LOW} }}, # once at = 0.6 [too low]\n  # {{ at = 0.75, points = 15 }},\n"
        f"  {{ at = 0.8, points = {MIDDLE} }},\n  {{ at = 0.9, points = {TOP} }},\n]"
    )
    for layout in (one_line, commented, tables):
        path = rubric_in(tmp_path, layout)
        thresholds.write_tiers(path, [0.61, 0.75, 0.87])
        assert [tier.at for tier in load_rubric(WEEK, path).tiers] == [0.61, 0.75, 0.87]
        for comment in re.findall(r"#.*", layout):
            assert comment in path.read_text(encoding="utf-8")


def test_a_rubric_that_cannot_be_edited_is_left_as_it_was(tmp_path):
    path = rubric_in(tmp_path, "tiers = 3")
    before = path.read_bytes()
    with pytest.raises(BadRubric, match="tiers is not a list"):
        thresholds.write_tiers(path, [0.6, 0.7, 0.8])
    assert path.read_bytes() == before
    text = rubric_in(tmp_path).read_text(encoding="utf-8")
    with pytest.raises(BadRubric, match="has 3 tiers, and 1"):
        thresholds.write_tiers(path, [0.9])
    with pytest.raises(BadRubric, match="rise"):
        thresholds.write_tiers(path, [0.8, 0.7, 0.9])
    assert path.read_text(encoding="utf-8") == text


# -- the command ---------------------------------------------------------------------------------------------


def corpus(folder: Path) -> Path:
    (folder / "wheats").mkdir(parents=True)
    for name, width in (("wide", 96), ("narrow", 24)):
        text = f"what = 'w'\n[files]\n'model.py' = '''{MODEL.replace('WIDTH', str(width))}'''\n"
        (folder / "wheats" / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


MODEL = """from torch import nn


class DigitClassifier(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))
"""


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    calibrate.add_arguments(parser)
    return parser.parse_args(given)


def kept(args: argparse.Namespace, reached: dict[str, float]) -> None:
    """A folder in which every run is finished already: no training is needed."""
    store, grader = Runs(args.out, resume=True), judging_digest(args.rubric)
    for trial in calibrate.trials_of(calibrate.solutions(args), args.seeds):
        accuracy = reached.get(trial.entry, reached[calibrate.REFERENCE]) + 0.002 * (trial.seed % 3)
        key = trial.key(grader)
        store.add(Row(key, "wheats", trial.entry, "", trial.seed, ["accuracy"], 30, 30, "", "", {}, [], accuracy, 1.0))
    store.close()


REACHED = {calibrate.REFERENCE: 0.945, "wide": 0.951, "narrow": 0.921}


def prepared(tmp_path: Path, *more: str) -> argparse.Namespace:
    rubric = rubric_in(tmp_path)
    folder = corpus(tmp_path / "corpus")
    out = tmp_path / "out"
    fixed = ["--corpus", str(folder), "--out", str(out), "--rubric", str(rubric), "--resume"]
    args = arguments(*fixed, *more)
    kept(args, REACHED)
    return args


def test_finished_runs_become_table_plot_and_thresholds(tmp_path, capsys):
    args = prepared(tmp_path)
    assert calibrate.run(args) == 0
    told = capsys.readouterr().out
    assert "narrow decides the highest" in told and "Nothing was changed" in told
    assert SHIPPED in args.rubric.read_text(encoding="utf-8")
    report = (args.out / "calibrate.md").read_text(encoding="utf-8")
    assert report.index("narrow |") < report.index("wide |")
    assert (args.out / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert "narrow" in told and "<svg" in (args.out / "accuracy.svg").read_text(encoding="utf-8")
    args.write = True
    assert calibrate.run(args) == 0
    tiers = load_rubric(WEEK, args.rubric).tiers
    assert tiers[-1].at == pytest.approx(0.89) and f"{tiers[-1].at:.0%}" in report


def test_only_the_weakest_are_trained_in_full(tmp_path, capsys):
    args = prepared(tmp_path, "--weakest", "1")
    assert calibrate.run(args) == 0
    assert "narrow decides" in capsys.readouterr().out
    (tmp_path / "other").mkdir()
    again = prepared(tmp_path / "other", "--weakest", "1", "--seeds", "3")
    assert calibrate.run(again) == 0
    assert "Only 3 seeds" in capsys.readouterr().out


def test_a_solution_that_learns_nothing_is_named_and_nothing_written(tmp_path, capsys):
    args = prepared(tmp_path, "--write")
    kept(args, REACHED | {"wide": 0.1})
    assert calibrate.run(args) == 1
    assert "wide is too weak to calibrate by" in capsys.readouterr().err
    assert SHIPPED in args.rubric.read_text(encoding="utf-8")


def test_without_tomlkit_nothing_is_trained_for_a_file_that_cannot_be_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(calibrate, "find_spec", lambda name: None)
    args = prepared(tmp_path, "--write")
    assert calibrate.run(args) == 2
    assert "needs the package tomlkit" in capsys.readouterr().err
    args.write = False
    assert calibrate.run(args) == 0


def test_bad_input_is_one_sentence(tmp_path, capsys):
    folder = corpus(tmp_path / "corpus")
    assert calibrate.run(arguments("--corpus", str(folder), "--wheats", "nobody", "--out", str(tmp_path / "o"))) == 2
    assert "no wheat called nobody; the names are those of the files in" in capsys.readouterr().err
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert calibrate.run(arguments("--corpus", str(folder), "--out", str(tmp_path / "file"))) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert calibrate.run(arguments("--weakest", "3", "--seeds", "2", "--out", str(tmp_path / "o"))) == 2
    assert capsys.readouterr().err.startswith("--weakest saves runs beyond the first 2 of each; with --seeds 2 leave")
    (tmp_path / "bad.toml").write_text("[points]\n", encoding="utf-8")
    assert calibrate.run(arguments("--rubric", str(tmp_path / "bad.toml"), "--out", str(tmp_path / "o"))) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.corpus
def test_a_real_calibration_through_the_front_door(tmp_path):
    folder = corpus(tmp_path / "corpus")
    command = [sys.executable, "-m", "grader", "calibrate", "--corpus", str(folder), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--wheats", "wide", "--seeds", "1", "--jobs", "2"],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    values = [float(text) for text in re.findall(r"^(?:wide|\(reference\)) +1 +([0-9.]+)%", done.stdout, re.MULTILINE)]
    assert len(values) == 2 and all(85 < value < 100 for value in values)
    assert "Only 1 seeds" in done.stdout
