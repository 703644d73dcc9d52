"""`python -m grader selftest` on corpora of a few entries: what it says, keeps, and refuses."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from grader.contract import WEEK
from grader.corpus import selftest, trials
from grader.corpus import selftest_plan as plan
from grader.corpus import verdicts as matrix
from grader.corpus.entries import load_all, reference
from grader.corpus.trials import Row, Runs, Trial
from grader.engine.many.executor import each_done, threads
from grader.engine.many.judging import code_digest
from grader.engine.many.store import CannotKeep, read_told
from grader.engine.many.warm import Warm
from grader.engine.rubric import load_rubric

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = "return self.output(x)  #"
RUBRIC = ROOT / "grader" / "rubric.toml"


def entry(folder: Path, kind: str, name: str, old: str, new: str, finding: str = "", file: str = "model.py") -> None:
    text = f"what = 'it is {name}'\nsource = 'test'\n"
    text += f"finding = {finding!r}\n" if finding else ""
    text += f"[[patch]]\nfile = {file!r}\nold = {json.dumps(old)}\nnew = {json.dumps(new)}\n"
    path = folder / kind / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two wheats, and three chaffs: a named one, one expected to be something else, and one that is no fault."""
    folder = tmp_path / "corpus"
    entry(folder, "wheats", "log-softmax", OUTPUT, "return self.output(x).log_softmax(1)  #")
    entry(folder, "wheats", "commented", "class DigitClassifier", "# fine\nclass DigitClassifier")
    entry(folder, "chaffs", "probabilities", OUTPUT, "return self.output(x).softmax(1)  #", "scores-are-probabilities")
    entry(folder, "chaffs", "mistaken", OUTPUT, "return self.output(x).sigmoid()  #", "no-such-finding")
    entry(folder, "chaffs", "harmless", OUTPUT, "return self.output(x) * 1.0  #", "scores-are-probabilities")
    return folder


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    selftest.add_arguments(parser)
    return parser.parse_args(given)


def command(corpus: Path, out: Path, *more: str) -> list[str]:
    fixed = ["--corpus", str(corpus), "--out", str(out), "--parts", "model", "--jobs", "1"]
    fixed += [] if {"chaffs", "--cross"} & {*more} else ["--seeds", "1"]
    return [sys.executable, "-m", "grader", "selftest", *more, *fixed]


def run(corpus: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(corpus, out, *more), cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


def row(kind: str = "chaffs", name: str = "c", lost: int = 2, first: str = "f", **changes) -> Row:
    failed = {"raw-scores": ["failed", first, lost]} if first else {}
    made = Row("k", kind, name, "", 1, ["model"], 20 - lost, 20, first, "raw-scores", failed, [], None, 1.0)
    return replace(made, **changes)


def test_it_says_what_is_missed_and_misnamed_and_is_content_without_them(corpus, tmp_path):
    out = tmp_path / "out"
    done = run(corpus, out)
    assert done.returncode == 1, done.stdout + done.stderr
    report = (out / "selftest.md").read_text(encoding="utf-8")
    assert "2 correct solutions, 2 runs: 0 false alarms." in report
    assert "3 wrong solutions: 2 lose points (66.7%), and of 1 the first thing named is the mistake (33.3%)." in report
    assert "## Not caught (1)" in report and "it is harmless" in report
    assert "expected no\\-such\\-finding" in report
    assert "not caught   harmless" in done.stdout and "Traceback" not in done.stderr
    assert len(read_told(out / "runs.sqlite")) == 5
    for name in ("harmless", "mistaken"):
        (corpus / "chaffs" / f"{name}.toml").unlink()
    again = run(corpus, out, "--resume")
    assert again.returncode == 0, again.stdout
    assert "3 of 3 runs are finished already" in again.stdout  # nothing ran twice


@pytest.mark.parametrize(("options", "told"), [
    ("--sample 5", "--sample draws from the combinations of --cross; give both, or neither."),
    ("--cross --only wheats", "--cross puts chaffs on wheats, whatever --only says; leave one of them out."),
    ("--cross --seeds 2", "--seeds repeats the runs of wheats, and none are chosen; leave it out."),
    ("--only chaffs --seeds 2", "--seeds repeats the runs of wheats, and none are chosen; leave it out."),
    ("--only attacks --full", "attacks name their own; leave them out."),
    ("--only chaffs --accuracy", "--accuracy trains wheats, and chaffs with --full, and neither is chosen"),
    ("--accuracy --parts model", "--accuracy adds the part accuracy to all others, and --parts names the parts"),
    ("log-softmax --only chaffs", "Nothing is left to run: no entry is of the kind and the parts that you chose."),
])  # fmt: skip
def test_an_option_that_would_change_nothing_is_refused(options, told, corpus, tmp_path, capsys):
    given = arguments(*options.split(), "--corpus", str(corpus), "--out", str(tmp_path / "out"))
    assert selftest.run(given) == 2
    said = capsys.readouterr()
    assert told in said.err and len(said.err.splitlines()) == 1 and said.out == ""
    assert not (tmp_path / "out").exists()


def test_the_files_of_one_entry_can_be_had(tmp_path, capsys):
    there = tmp_path / "mine"
    assert selftest.run(arguments("lazy-layers", "--files", str(there))) == 0
    assert "LazyLinear" in (there / "model.py").read_text(encoding="utf-8") and (there / "train.py").is_file()
    for names, told in (
        (["lazy-layers"], "is there already; choose a new folder."),
        ([], "--files takes the NAME of one wheat or chaff."),
        (["lazy-layer"], "Did you mean lazy-layers?"),
    ):
        assert selftest.run(arguments(*names, "--files", str(there))) == 2
        assert capsys.readouterr().err.endswith(f"{told}\n")


def test_a_check_without_points_shows_what_was_lost(corpus, tmp_path):
    rubric = tmp_path / "rubric.toml"
    text = RUBRIC.read_text(encoding="utf-8")
    points = load_rubric(WEEK).points
    for name, now in (("raw-scores", 0), ("builds", points["builds"] + points["raw-scores"])):
        text = re.sub(rf"(?m)^{name} = \d+", f"{name} = {now}", text)
    rubric.write_text(text, encoding="utf-8")
    (corpus / "chaffs" / "harmless.toml").unlink()
    (corpus / "chaffs" / "mistaken.toml").unlink()
    out = tmp_path / "out"
    assert run(corpus, out, "--only", "chaffs").returncode == 0
    done = run(corpus, out, "--only", "chaffs", "--rubric", str(rubric))
    assert done.returncode == 1
    report = (out / "selftest.md").read_text(encoding="utf-8")
    assert "## Seen, but it costs nothing (1)" in report
    assert "probabilities\\: named before, not caught now" in report


def test_cross_tries_what_fits_and_counts_what_is_void(corpus, tmp_path):
    entry(corpus, "wheats", "other-output", "self.output = ", "self.last = self.output = ")
    done = run(corpus, tmp_path / "out", "--cross", "probabilities")
    # On log-softmax the patch does not fit; the two others are combinations of their own.
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 wrong solutions: 2 lose points (100.0%)" in done.stdout
    assert "1 do not fit, and 0 are void" in done.stdout
    made = plan.Plan()
    entries = {kind: {e.name: e for e in load_all(kind, corpus)} for kind in plan.KINDS}
    same = {"same": reference()}
    plan.cross(made, {"probabilities": entries["chaffs"]["probabilities"]}, same, arguments(), entries)
    assert (made.void, made.trials) == (1, [])


def test_bad_state_is_one_sentence(corpus, tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    cases = [(corpus, occupied, []), (tmp_path / "empty", tmp_path / "out", []), (corpus, tmp_path / "out", ["nobody"])]
    for folder, out, more in cases:
        done = run(folder, out, *more)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "There is no entry called nobody; the names are those of the files in wheats/, chaffs/" in done.stderr
    damaged = corpus / "chaffs" / "broken.toml"
    for content in ("what = ", "source = 'no what'", "what = 'w'\nfiles = 3\n[[patch]]\nfile = 'data.py'"):
        damaged.write_text(content, encoding="utf-8")
        done = run(corpus, tmp_path / "out")
        assert done.returncode == 2 and "broken.toml" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "out" / "runs.sqlite").exists()


def test_a_patch_that_no_longer_fits_is_reported_with_the_rest(corpus, tmp_path):
    entry(corpus, "chaffs", "stale", "this line is gone", "x", "f")
    entry(corpus, "chaffs", "homeless", OUTPUT, "x", "f")
    text = (corpus / "chaffs" / "homeless.toml").read_text(encoding="utf-8")
    (corpus / "chaffs" / "homeless.toml").write_text("base = 'nowhere'\n" + text, encoding="utf-8")
    entries = selftest.load_entries(arguments("--corpus", str(corpus)))
    made = selftest.planned(arguments("--corpus", str(corpus)), entries)
    assert len(made.unfit) == 2 and {t.entry for t in made.trials} >= {"harmless", "log-softmax"}
    assert not matrix.Matrix([], entries, load_rubric(WEEK), made.unfit).good


def test_a_chaff_runs_its_own_part_first_and_the_others_when_that_sees_nothing(corpus):
    entries = selftest.load_entries(arguments("--corpus", str(corpus)))
    made = selftest.planned(arguments("--corpus", str(corpus), "--only", "chaffs"), entries)
    assert {(t.parts, t.more) for t in made.trials} == {(("model",), ("data", "training"))}
    full = selftest.planned(arguments("--corpus", str(corpus), "--only", "chaffs", "--full"), entries)
    assert {(t.parts, t.more) for t in full.trials} == {(("data", "model", "training"), ())}
    other = selftest.planned(arguments("--corpus", str(corpus), "--only", "chaffs", "--parts", "data"), entries)
    assert not other.trials
    wheats = selftest.planned(arguments("--corpus", str(corpus), "--only", "wheats", "--accuracy"), entries)
    assert [t.parts for t in wheats.trials] == [("data", "model", "training", "accuracy")] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_stopped_in_the_middle_loses_nothing(corpus, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(corpus, out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    runs = out / "runs.sqlite"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not kept_in(runs):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    kept = kept_in(runs)
    assert process.returncode == 130 and "Traceback" not in errors
    assert f"{kept} of 5 runs are kept" in errors and 0 < kept < 5
    done = run(corpus, out, "--resume")
    assert f"{kept} of 5 runs are finished already" in done.stdout
    assert kept_in(runs) == 5


def kept_in(runs: Path) -> int:
    try:
        return len(read_told(runs))
    except CannotKeep:  # it is not there yet
        return 0


def test_without_resume_the_runs_are_those_of_before(tmp_path):
    runs = Runs(tmp_path, resume=False)
    runs.add(row(key="one"))
    runs.close()
    again = Runs(tmp_path, resume=True)
    assert list(again.rows) == ["one"] and not again.before
    again.close()
    for _ in range(2):  # what was stopped before its first run leaves those of before alone
        fresh = Runs(tmp_path, resume=False)
        assert not fresh.rows and [r.key for r in fresh.before] == ["one"]
        fresh.close()


def test_what_ends_in_trouble_is_tried_again_on_a_fresh_server(tmp_path, monkeypatch):
    started = []

    class Fake:
        kind = "fake"

        def __init__(self) -> None:
            self.closed = 0
            started.append(self)

        def close(self) -> None:
            self.closed += 1

    def perform(trial, server, rubric, grader):
        broken = trial.entry == "always" or (trial.entry == "once" and server is started[0])
        return row(name=trial.entry, key=trial.key(grader), trouble=["t: lost"] if broken else [])

    monkeypatch.setattr(trials, "perform", perform)
    runs, warm = Runs(tmp_path, resume=False), Warm(lambda kind, isolation: Fake())
    given = [Trial("chaffs", name, "", 1, ("model",), {}) for name in ("once", "always", "never")]
    work = trials.Grader(warm, load_rubric(WEEK), "g", code_digest(WEEK.folder))
    with threads(1, warm) as executor:
        for _, found in each_done(executor, work, given, 1):
            runs.add(found)
    runs.close()
    assert [bool(r.trouble) for r in runs.rows.values()] == [False, True, False]
    assert [s.closed for s in started] == [1, 1, 1]
    assert [t.entry for t in trials.open_trials(given, runs, "g")] == ["always"]
    assert trials.open_trials(given, runs, "another grader") == given


def test_a_full_disk_is_one_sentence(tmp_path, capsys, corpus, monkeypatch):
    def full(self, found):
        raise CannotKeep("the disk is full.")

    monkeypatch.setattr(trials.Runs, "add", full)
    monkeypatch.setattr(trials, "perform", lambda *_: row())
    monkeypatch.setattr(selftest, "start_server", lambda kind, isolation: argparse.Namespace(close=lambda: None))
    assert selftest.run(arguments("--corpus", str(corpus), "--out", str(tmp_path / "out"), "--jobs", "2")) == 2
    assert capsys.readouterr().err == "the disk is full.\n"


def test_figures_of_checks():
    entries = {"chaffs": {n: argparse.Namespace(findings=("f",), what="w") for n in "abc"}, "wheats": {}}
    both = {"raw-scores": ["failed", "f", 2], "builds": ["crashed", "f", 3], "gradients": ["blocked", "w", 3]}
    rows = [row(name="a"), row(name="b", failed=both, lost=8), row(name="c", lost=0, first="")]
    found = matrix.Matrix(rows, entries, load_rubric(WEEK), [])
    lines = {line.id: (line.caught, line.only) for line in matrix.check_lines(found)}
    assert lines["raw-scores"] == (2, 1) and lines["builds"] == (1, 0) and lines["gradients"] == (0, 0)
    assert [r.entry for r in found.missed] == ["c"] and not found.misnamed


def test_a_change_of_rubric_makes_earlier_runs_invalid_and_a_hint_does_not(tmp_path):
    other = tmp_path / "rubric.toml"
    other.write_text(RUBRIC.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert trials.judging_digest(RUBRIC) == trials.judging_digest(RUBRIC) != trials.judging_digest(other)


def test_rows_survive_the_file(tmp_path):
    runs = Runs(tmp_path, resume=False)
    written = row(name="ü\u2028x", accuracy=0.93)
    runs.add(written)
    runs.close()
    again = Runs(tmp_path, resume=True)
    again.close()
    assert list(again.rows.values()) == [written]
