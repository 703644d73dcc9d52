"""`python -m grader batch`: a class is graded once, resumed from anywhere, and told again without running."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from grader.classroom import batch, looks
from grader.classroom.folder import Folder
from grader.contract import WEEK
from grader.engine.hints import Hint, load_hints
from grader.engine.many.store import CannotKeep, Store
from grader.engine.rubric import Rubric, Tier, load_rubric
from grader.engine.worker.tiers import NotConfined
from tests.made_looks import LONG, arguments, hand_in, made_up

ROOT = Path(__file__).resolve().parents[1]
POINTS = load_rubric(WEEK).points[WEEK.tiered]
TIERS = (Tier(0.70, POINTS // 3), Tier(0.84, 2 * POINTS // 3), Tier(0.90, POINTS))
REST = 100 - POINTS


@pytest.fixture
def looking(monkeypatch):
    """Looks are made up, and the rubric has tiers that these tests know."""
    made, stand_ins = made_up()
    for (where, name), stands in stand_ins.items():
        monkeypatch.setattr(where, name, stands)
    with_rubric(monkeypatch)
    monkeypatch.setattr(batch, "load_hints", lambda contract: known_hints())  # reading them takes a second
    return made


@cache
def known_hints() -> dict[str, Hint]:
    return load_hints(WEEK)


def with_rubric(monkeypatch: pytest.MonkeyPatch, **changes: object) -> Rubric:
    rubric = replace(load_rubric(WEEK), **{"tiers": TIERS, **changes})
    monkeypatch.setattr(batch, "load_rubric", lambda contract: rubric)
    return rubric


def grade(folder: Path, out: Path, *more: object) -> int:
    return batch.run(arguments(folder, "--out", out, "--jobs", 1, *more))


def score(out: Path, student: str) -> dict:
    return json.loads((out / "students" / student / "score.json").read_text(encoding="utf-8"))


def named(out: Path, student: str) -> dict[str, str]:
    return {check["id"]: check["finding"] for check in score(out, student)["checks"] if check["status"] != "passed"}


def content(out: Path) -> dict[str, bytes]:
    """All that students get, but for times."""
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted((out / "students").rglob("*.*"))}
    took = rb'"seconds": [0-9.]+|<dt>time</dt><dd>[0-9.]+ s|, \d+ s, isolation'
    when = rb'"started_at": "[^"]*"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?( UTC|Z)?'
    return {name: re.sub(took + b"|" + when, b"", found) for name, found in files.items()}


def test_a_class_is_graded_and_then_stands(looking, tmp_path, capsys):
    folder = hand_in(tmp_path / "class", ada="", bob="accuracy = 0.87; fails = raw-scores", eve="accuracy = 0.3")
    (folder / "zoe").mkdir()
    out = tmp_path / "out"
    assert grade(folder, out) == 1  # zoe handed in nothing
    said = capsys.readouterr()
    lost = load_rubric(WEEK).points["raw-scores"]
    assert [score(out, name)["score"] for name in ("ada", "bob", "eve")] == [100, REST + TIERS[1].points - lost, REST]
    assert "3 of 4 graded" in said.out and "zoe" in said.out and not said.err
    assert {"score.json", "report.html", "summary.md"} <= {path.name for path in (out / "students" / "ada").iterdir()}
    before, ran = content(out), len(looking.ran)
    assert grade(folder, out) == 1 and len(looking.ran) == ran and content(out) == before
    assert "nothing had to be run" in capsys.readouterr().out
    shutil.rmtree(folder / "zoe")
    hand_in(folder, fay="")
    assert grade(folder, out) == 0 and [name for name, _, _ in looking.ran[ran:]] == []  # fay's work is ada's
    assert score(out, "fay")["submission"]["name"] == "fay" and score(out, "fay")["seed"] == score(out, "ada")["seed"]
    (out / "students" / "bob" / "report.html").unlink()
    assert grade(folder, out) == 0 and (out / "students" / "bob" / "report.html").is_file()
    assert len(looking.ran) == ran


def test_who_cannot_be_graded_any_more_keeps_no_report_of_before(looking, tmp_path):
    folder, out = hand_in(tmp_path / "class", ada="", bob="accuracy = 0.87"), tmp_path / "out"
    assert grade(folder, out) == 0
    before = content(out)
    (folder / "bob" / "data.py").write_text("# data\n# ends = error\n", encoding="utf-8")
    assert grade(folder, out) == 1
    assert [path.name for path in (out / "students" / "bob").iterdir()] == ["no-score.txt"]
    hand_in(tmp_path / "again", bob="accuracy = 0.87")
    shutil.copy(tmp_path / "again" / "bob" / "data.py", folder / "bob")
    ran = len(looking.ran)
    assert grade(folder, out) == 0 and content(out) == before and len(looking.ran) == ran


def test_the_same_work_and_secret_give_the_same_result_and_another_secret_does_not(looking, tmp_path):
    folder = hand_in(tmp_path / "class", ada="", bob="accuracy = 0.5")
    first, second, third = (tmp_path / name for name in "abc")
    assert grade(folder, first) == 0
    key = first / ".grading" / "key"
    assert sys.platform == "win32" or key.stat().st_mode & 0o777 == 0o600
    assert grade(folder, second, "--key", key) == 0 and grade(folder, third) == 0
    assert content(second) == content(first) and not (second / ".grading" / "key").exists()
    assert score(third, "ada")["seed"] != score(first, "ada")["seed"] != score(first, "bob")["seed"]
    ran = len(looking.ran)
    assert grade(folder, second) == 0 and len(looking.ran) == 2 * ran // 3 + 2 * ran // 3  # its own key: all again


def test_points_and_words_are_put_to_what_was_seen_and_nothing_runs(looking, tmp_path, monkeypatch):
    folder = hand_in(tmp_path / "class", ada="", bob="fails = raw-scores")
    out = tmp_path / "out"
    assert grade(folder, out) == 0
    ran, was = len(looking.ran), load_rubric(WEEK).points
    points = {**was, "raw-scores": was["raw-scores"] + 3, "builds": was["builds"] - 3}
    with_rubric(monkeypatch, points=points)
    hints = known_hints()
    other = replace(hints["scores-are-probabilities"], question="What does a probability sum to?")
    monkeypatch.setattr(batch, "load_hints", lambda contract: {**hints, "scores-are-probabilities": other})
    assert grade(folder, out) == 0 and len(looking.ran) == ran
    assert score(out, "ada")["score"] == 100 and score(out, "bob")["score"] == 100 - points["raw-scores"]
    assert "What does a probability sum to?" in (out / "students/bob/score.json").read_text(encoding="utf-8")
    limits = {**load_rubric(WEEK).limits, "check_seconds": 31.0}
    with_rubric(monkeypatch, points=points, limits=limits)  # that can change what is seen
    assert grade(folder, out) == 0 and len(looking.ran) == ran + 2


def test_other_tiers_run_only_who_needs_other_words(looking, tmp_path, monkeypatch):
    limits = {**load_rubric(WEEK).limits, looks.EXPERIMENTS: 0.0}
    with_rubric(monkeypatch, limits=limits)
    folder = hand_in(tmp_path / "class", top="accuracy = 0.95", was="accuracy = 0.905", mid="accuracy = 0.85")
    out = tmp_path / "out"
    assert grade(folder, out) == 0
    assert [score(out, name)["score"] for name in ("top", "was", "mid")] == [100, 100, REST + TIERS[1].points]
    looking.ran.clear()
    now = (TIERS[0], Tier(0.86, TIERS[1].points), Tier(0.92, POINTS))
    with_rubric(monkeypatch, limits=limits, tiers=now)
    assert grade(folder, out) == 0
    assert looking.ran == [("was", (LONG,), False)]
    assert [score(out, name)["score"] for name in ("top", "was", "mid")] == [
        100,
        REST + now[1].points,
        REST + now[0].points,
    ]
    long = next(check for check in score(out, "mid")["checks"] if check["id"] == WEEK.tiered)
    assert "92.0 %" in long["message"] and score(out, "mid")["accuracy"]["floor"] == 0.92
    with_rubric(monkeypatch, limits=limits)
    assert grade(folder, out) == 0 and len(looking.ran) == 1  # all was seen before
    assert score(out, "was")["score"] == 100


def test_what_would_help_is_tried_after_all_scores_stand(looking, tmp_path, capsys):
    folder = hand_in(
        tmp_path / "class",
        ada="accuracy = 0.85",
        bob="accuracy = 0.85; fails = raw-scores",
        eve="",
        low="accuracy = 0.5",
    )
    out = tmp_path / "out"
    assert grade(folder, out) == 0
    assert looking.ran[4:] == [("ada", (LONG,), True), ("low", (LONG,), True)]  # bob's fault has a name already
    assert not any(tries for _, _, tries in looking.ran[:4])
    assert named(out, "ada") == {WEEK.tiered: "rate-too-small"}
    assert named(out, "bob")[WEEK.tiered] == "accuracy-below-threshold"
    long = next(check for check in score(out, "ada")["checks"] if check["id"] == WEEK.tiered)
    assert "85.0 %" in long["message"] and long["score"] == TIERS[1].points
    assert score(out, "ada")["accuracy"]["test"] == 0.85


def test_an_accuracy_close_below_a_tier_is_measured_again_and_the_best_counts(looking, tmp_path):
    folder = hand_in(tmp_path / "class", ada="accuracy = 0.899", bob="accuracy = 0.879", eve="accuracy = 0.95")
    out = tmp_path / "out"
    assert grade(folder, out, "--seeds", 8) == 0
    again = [name for name, parts, tries in looking.ran if parts and not tries]
    assert again == ["ada"] * 7  # bob is not near enough
    found = score(out, "ada")
    assert found["score"] == 100 and found["accuracy"]["test"] > 0.899
    assert any("measured 8 times" in note and "89.9 %" in note for note in found["submission"]["notes"])
    assert not score(out, "bob")["submission"]["notes"]
    ran = len(looking.ran)
    assert grade(folder, out) == 0 and score(out, "ada")["score"] == 100  # without --seeds: never lowered
    assert len(looking.ran) == ran


def test_our_own_trouble_is_tried_again_and_then_said(looking, tmp_path, capsys):
    folder = hand_in(tmp_path / "class", once="ends = once", ours="ends = trouble", worse="ends = error", zoe="")
    out = tmp_path / "out"
    assert grade(folder, out) == 1
    told = capsys.readouterr().out
    assert score(out, "once")["final"] and score(out, "once")["score"] == 100
    assert not score(out, "ours")["final"] and score(out, "ours")["score"] is None
    assert "this is a made-up fault" in (out / "students/worse/no-score.txt").read_text(encoding="utf-8")
    assert "2 of 4 graded" in told and "2 need a look" in told and "made-up fault" in told and "\nours: " in told
    assert [name for name, _, _ in looking.ran] == ["once", "once", "ours", "ours", "worse", "zoe"]
    looking.ran.clear()
    assert grade(folder, out) == 1
    assert [name for name, _, _ in looking.ran] == ["ours", "ours", "worse"]  # what stands is not run again


def test_ctrl_c_says_how_to_go_on(looking, tmp_path, capsys):
    out = tmp_path / "out"
    bob = f"accuracy = 0.5; ends = stop; after = {out / 'students' / 'ada' / 'score.json'}"
    folder = hand_in(tmp_path / "class", ada="", bob=bob, eve="accuracy = 0.6")
    assert grade(folder, out) == 130
    assert "Stopped: 1 of 3 have a result in" in capsys.readouterr().err
    assert not (out / "students" / "bob").exists()  # what was cut short is no verdict
    (folder / "bob" / "data.py").write_text("# accuracy = 0.5\n", encoding="utf-8")
    looking.ran.clear()
    assert grade(folder, out) == 0 and "ada" not in {name for name, _, _ in looking.ran}


def test_a_gradebook_gives_names_and_is_filled_or_it_is_said_at_the_end(looking, tmp_path, capsys):
    folder = hand_in(tmp_path / "class", ada="", bob="accuracy = 0.91")
    out, book = tmp_path / "out", tmp_path / "book.csv"
    book.write_text("username,name,Week 3\nada,Ada L.,\nbob,Bob B.,\neve,Eve E.,\n", encoding="utf-8")
    assert grade(folder, out, "--fill", book) == 0
    said = capsys.readouterr().out
    assert "No score yet, so nothing was filled in: Eve E. (nothing handed in)." in said
    assert (out / "filled" / "book.csv").read_text(encoding="utf-8").count("100") >= 1
    assert "Ada L." in (out / "grades.csv").read_text(encoding="utf-8-sig")
    assert grade(folder, out, "--fill", book, "--column", "Week 9") == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == 'The gradebook was not filled: book.csv has no column "Week 9"; say --column with one of "Week 3".'
    assert not (out / "filled" / "book.csv").exists(), "one of an earlier run looks like this one's"


def test_who_was_late_is_said(looking, tmp_path, capsys):
    folder = hand_in(tmp_path / "class", ada="", bob="accuracy = 0.91")
    for name in ("ada", "bob"):
        for file in (folder / name).iterdir():
            os.utime(file, (1_700_000_000 + 100_000 * (name == "bob"),) * 2)
    assert grade(folder, tmp_path / "out", "--due", "2023-11-15T00:00:00+01:00") == 0
    assert "Late: 1 of 2 (bob)." in capsys.readouterr().out
    assert "handed in 2023-11-16 03:00, late by 1 day, 3:00:00" in (tmp_path / "out" / "grades.csv").read_text(
        "utf-8-sig"
    )


def test_a_full_disk_ends_with_a_sentence_and_goes_on(looking, tmp_path, capsys, monkeypatch):
    folder = hand_in(tmp_path / "class", ada="", bob="accuracy = 0.91", eve="accuracy = 0.92")
    out, put = tmp_path / "out", Store.put

    def full(self, key, *more):
        if len(self.told()) >= 3:
            raise CannotKeep("results.sqlite takes no more results.")
        put(self, key, *more)

    monkeypatch.setattr(Store, "put", full)
    assert grade(folder, out) == 2
    assert capsys.readouterr().err == "results.sqlite takes no more results.\n"
    monkeypatch.setattr(Store, "put", put)
    looking.ran.clear()
    assert grade(folder, out) == 0 and "ada" not in {name for name, _, _ in looking.ran}

    def no_room(*_):
        raise OSError(28, "No space left on device")

    hand_in(folder, fay="accuracy = 0.93")
    monkeypatch.setattr("grader.engine.reports.write", no_room)
    assert grade(folder, out) == 2
    assert "students/fay cannot be written (No space left on device): make room" in capsys.readouterr().err


def test_bad_state_is_one_sentence(looking, tmp_path, capsys, monkeypatch):
    folder = hand_in(tmp_path / "class", ada="")
    out = tmp_path / "out"
    assert grade(folder, out) == 0
    about = out / ".grading" / "course.json"
    other = json.loads(about.read_text(encoding="utf-8")) | {"course": "Biology"}
    (tmp_path / "other" / ".grading").mkdir(parents=True)
    (tmp_path / "other" / ".grading" / "course.json").write_text(json.dumps(other), encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("", encoding="utf-8")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "bad-key").write_text("short", encoding="utf-8")
    capsys.readouterr()
    cases = [
        ((folder, tmp_path / "other"), "holds the results of 'Biology' week 3, and this is"),
        ((folder, tmp_path / "full"), "is not empty and was not made by batch; give another --out."),
        ((folder, folder / "ada" / "data.py"), "is a file; give another --out."),
        ((tmp_path / "nothing", tmp_path / "new"), "No submission was found in"),
        ((tmp_path / "nowhere", tmp_path / "new"), "No submission was found in"),
        ((folder, tmp_path / "new", "--key", tmp_path / "bad-key"), "is not a key"),
        ((folder, tmp_path / "new", "--pool", tmp_path / "nothing"), "The pool"),
        ((folder, tmp_path / "new", "--cluster", "locally"), "--cluster=locally is no cluster"),
    ]
    for given, told in cases:
        assert grade(*given) == 2, told
        said = capsys.readouterr().err
        assert told in said and len(said.splitlines()) == 1, said
    busy = Folder(out, WEEK)
    assert grade(folder, out) == 2 and "Another run is writing to" in capsys.readouterr().err
    busy.close()
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert grade(folder, tmp_path / "new", "--cluster", "local") == 2
    assert "needs the package distributed" in capsys.readouterr().err


def test_without_confinement_nothing_is_graded_unless_it_is_allowed(looking, tmp_path, capsys, monkeypatch):
    folder = hand_in(tmp_path / "class", ada="")
    servers = looks.start_server

    def start(kind=None, isolation=None):
        if isolation == "confined":
            raise NotConfined("The isolation tier confined is not available here (files, network).")
        return servers(kind, isolation)

    monkeypatch.setattr(looks, "start_server", start)
    assert grade(folder, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "not available here (files, network)" in said and "--isolation=practice" in said
    assert len(said.splitlines()) == 1
    assert grade(folder, tmp_path / "out", "--isolation", "practice") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.corpus)])
def test_killed_at_any_moment_it_misses_nothing(tmp_path, kills):
    """The final files are those of a run that nobody disturbed, byte for byte but for times."""
    wanted = {f"s{n:02}": f"accuracy = {0.7 + n / 100}" for n in range(4 * kills)}
    folder = hand_in(tmp_path / "class", **wanted)
    key = tmp_path / "key"
    key.write_text("5e" * 32, encoding="ascii")
    command = [sys.executable, str(ROOT / "tests" / "made_looks.py"), "0.03", str(folder), "--key", str(key)]
    command += ["--jobs", "2", "--seeds", "2", "--out"]
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    assert subprocess.run([*command, str(calm)], stdout=subprocess.DEVNULL).returncode == 0
    for _ in range(kills):
        process = subprocess.Popen([*command, str(wild)], stdout=subprocess.DEVNULL)
        deadline, results = time.monotonic() + 60, wild / ".grading" / "results.sqlite"
        while time.monotonic() < deadline and not results.exists() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(random.uniform(0, 1.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert subprocess.run([*command, str(wild)], stdout=subprocess.DEVNULL).returncode == 0
    assert content(wild) == content(calm)


def test_a_real_class_through_the_front_door(tmp_path, server):
    """A skeleton, a file that Python cannot read, and somebody who is half way: no training."""
    folder = tmp_path / "class"
    for name in ("skeleton", "odd", "half"):
        (folder / name).mkdir(parents=True)
        for file in WEEK.files:
            shutil.copy(ROOT / "assignment" / file, folder / name)
    (folder / "odd" / "data.py").write_text("def make_transform(:\n", encoding="utf-8")
    shutil.copy(ROOT / "solution" / "model.py", folder / "half")
    command = [sys.executable, "-m", "grader", "batch", str(folder), "--out", str(tmp_path / "out")]
    command += [f"--isolation={server.isolation}", "--jobs=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {name: score(tmp_path / "out", name) for name in ("skeleton", "odd", "half")}
    assert found["skeleton"]["score"] == 0 and {c["status"] for c in found["skeleton"]["checks"]} == {"todo"}
    assert found["odd"]["checks"][0]["finding"] == "syntax-error"
    assert found["half"]["parts"][1] == {"name": "model", "score": 20, "max_score": 20}
    assert all(one["grader"]["isolation"] == server.isolation for one in found.values())
    assert "</html>" in (tmp_path / "out" / "students" / "half" / "report.html").read_text(encoding="utf-8")


@pytest.mark.corpus
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_worker_of_a_cluster_that_is_killed_loses_nothing(tmp_path, server):
    """And a cluster gives the results that this machine gives alone."""
    distributed = pytest.importorskip("distributed")
    folder = tmp_path / "class"
    for name in ("good", "other"):
        (folder / name).mkdir(parents=True)
        for file in WEEK.files:
            shutil.copy(ROOT / "solution" / file, folder / name)
    with (folder / "other" / "model.py").open("a", encoding="utf-8") as file:
        file.write("\n# another one\n")
    key = tmp_path / "key"
    key.write_text("5e" * 32, encoding="ascii")
    more = ("--key", key, "--isolation", server.isolation)
    assert grade(folder, tmp_path / "alone", *more) == 0
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, memory_limit=None) as made:
        command = [sys.executable, "-m", "grader", "batch", folder, "--out", tmp_path / "out", *more]
        process = subprocess.Popen([*map(str, command), f"--cluster={made.scheduler_address}"], cwd=ROOT)
        time.sleep(15)
        os.kill(made.workers[0].pid, signal.SIGKILL)
        assert process.wait(600) == 0
    assert content(tmp_path / "out") == content(tmp_path / "alone")
