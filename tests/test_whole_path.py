"""The front door: `pytest grader/ ...` as a student types it, in a process of its own."""

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
from pathlib import Path

import jsonschema
import numpy as np
import psutil
import pytest

from grader import digits
from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.digits import FILES, write_idx
from grader.engine.reports import markdown
from grader.engine.reports.words import praise
from grader.pool import load_pool
from grader.sections.recorded import REMARKS

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "grader" / "score.schema.json").read_text(encoding="utf-8"))


def run(*arguments: str, cwd: Path = ROOT, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=300, **options)


def score_of(folder: Path) -> dict:
    score = json.loads((folder / "score.json").read_text(encoding="utf-8"))
    jsonschema.validate(score, SCHEMA)
    return score


def without_times(score: dict) -> dict:
    kept = {key: value for key, value in score.items() if key not in ("started_at", "seconds")}
    kept["checks"] = [{k: v for k, v in check.items() if k != "seconds"} for check in kept["checks"]]
    return kept


def copy_of(name: str, folder: Path) -> Path:
    shutil.copytree(ROOT / name, folder, ignore=shutil.ignore_patterns("__pycache__", "digits*", "plots"))
    return folder


def test_a_run_may_draw_its_digits_from_the_teachers_pool(tmp_path, worth):
    """The pool: all bundled digits, split anew. A stored digit of the test file may be one to train on."""
    known, rng = digits.load(), np.random.default_rng(5)
    images = np.concatenate([known.train_images, known.test_images])
    labels = np.concatenate([known.train_labels, known.test_labels])
    order, pool = rng.permutation(len(labels)), tmp_path / "pool"
    first, rest = order[:6000], order[6000:]
    write_idx(pool, images[first], labels[first], images[rest], labels[rest])
    asked = ("grader/", "-v", "--submission=solution", "--seed=7", "-m", "accuracy")
    done = run(*asked, f"--pool={pool}", f"--report={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    score = score_of(tmp_path)
    fingerprint = load_pool(pool).fingerprint
    assert (score["score"], score["grader"]["pool"]) == (worth("accuracy"), fingerprint)
    assert f"--pool with the same data, {fingerprint}" in " ".join(done.stdout.split())
    assert np.sum(score["confusion"], axis=1).tolist() != np.bincount(known.test_labels).tolist()
    (pool / "MNIST" / "raw" / FILES["test_labels"]).unlink()
    refused = run(*asked, f"--pool={pool}", f"--report={tmp_path / 'refused'}")
    assert refused.returncode == 4 and "not the file that belongs to it" in refused.stderr
    assert not (tmp_path / "refused" / "score.json").exists()


@pytest.mark.parametrize(
    ("old", "new", "remark"),
    [
        ("    return history\n", "    return None\n", "no-history"),
        ("in range(epochs):", "in range(epochs - 1):", "too-few-passes"),
        ("train_loader, optimizer, device)", "train_loader, optimizer)", "device-not-handed-on"),
        ("import torch\n", f"import torch\nSTORED = '{random.Random(1).randbytes(4_000).hex()}'\n", "holds-much"),
    ],
)
def test_the_teacher_is_told_how_an_accuracy_came_about(graded, worth, old, new, remark):
    files = corpus.reference()
    assert old in files["train.py"]
    files["train.py"] = files["train.py"].replace(old, new, 1)
    result = graded(files, parts=["accuracy"])
    assert result.recorded["accuracy"]["remarks"] == [remark] and result.score == worth("accuracy")
    assert REMARKS[remark] in markdown.summary(result)


def test_a_student_is_told_what_costs_no_points(graded):
    files = corpus.reference()
    line = "        images, labels = images.to(device), labels.to(device)\n"
    train = files["train.py"].replace(line, "        images.to(device), labels.to(device)\n", 1)
    train = train.replace("    model.eval()", "    device = 'cpu'\n    model.eval()")
    train = train.replace("return total_loss / total_images\n", "return torch.tensor(total_loss) / total_images\n")
    data = files["data.py"].replace("Normalize((MEAN,), (STD,))", "Normalize((STD,), (MEAN,))")
    result = graded(files | {"train.py": train, "data.py": data})
    assert result.score == result.max_score
    told = ["device-ignored", "device-ignored-in-evaluate", "tensors-in-history", "pixels-far-from-standard"]
    assert result.recorded["accuracy"]["remarks"] == told
    heading, (now, *remarks) = praise(result)
    assert heading == "Everything passes. Well done!" and "hand in" in now
    assert remarks == [f"This costs no points: {REMARKS[name]}." for name in told]


def test_the_reference_gets_everything(tmp_path, worth):
    done = run("grader/", "--submission=solution", f"--report={tmp_path}", "--seed=7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Score 100/100" in done.stdout and re.search(r"test accuracy \d\d", done.stdout)
    score = score_of(tmp_path)
    assert (score["score"], score["max_score"], score["seed"]) == (100, 100, 7)
    assert [part["score"] for part in score["parts"]] == [worth(part.name) for part in WEEK.parts]
    assert score["training"]["val_loss"] and sum(map(sum, score["confusion"])) == len(digits.load().test_labels)
    assert score["grader"]["pool"] == "bundled" and score["accuracy"]["remarks"] == []
    assert "100/100" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    again = run("grader/", "--submission=solution", f"--report={tmp_path / 'again'}", "--seed=7", "--worker=spawn")
    assert again.returncode == 0
    other = score_of(tmp_path / "again")
    assert other["grader"].pop("worker") != score["grader"].pop("worker") or sys.platform != "linux"
    for found in (other["grader"], score["grader"]):
        assert found.pop("isolation") in ("practice", "confined") and isinstance(found.pop("measures"), list)
    assert without_times(other) == without_times(score)


def test_a_fresh_skeleton_is_an_invitation(tmp_path):
    done = run("grader/", f"--report={tmp_path}")
    assert done.returncode == 1
    assert "Score 0/100" in done.stdout and "TODO 1" in done.stdout
    assert "Traceback" not in done.stdout and "Error" not in done.stdout
    assert len(done.stdout.splitlines()) < 25
    assert {check["status"] for check in score_of(tmp_path)["checks"]} == {"todo"}


def test_a_part_alone_counts_only_its_points(tmp_path, worth):
    done = run("grader/", "--submission=solution", "-m", "model", f"--report={tmp_path}")
    assert (
        done.returncode == 0
        and f"Score {worth('model')}/{worth('model')}" in done.stdout
        and "only model" in done.stdout
    )
    assert score_of(tmp_path)["max_score"] == worth("model")


def test_all_hints_shows_more_than_the_next_step(tmp_path):
    folder = copy_of("tests/base", tmp_path / "work")
    text = (folder / "model.py").read_text(encoding="utf-8")
    (folder / "model.py").write_text(text.replace("self.output(x)  #", "self.output(x).softmax(1).sum(1)  #"), "utf-8")
    text = (folder / "data.py").read_text(encoding="utf-8")
    (folder / "data.py").write_text(text.replace("shuffle=True", "shuffle=False"), "utf-8")
    short = run("grader/", f"--submission={folder}", "-m", "data or model")
    long = run("grader/", f"--submission={folder}", "-m", "data or model", "--all-hints")
    assert short.returncode == long.returncode == 1
    assert "--all-hints" in short.stdout and "TODO 4" not in short.stdout
    assert "TODO 2" in long.stdout and "TODO 4" in long.stdout


@pytest.mark.parametrize("shape", ["equals", "space"])
def test_configuration_inside_a_submission_has_no_effect(tmp_path, shape, worth):
    folder = copy_of("solution", tmp_path / "work")
    forged = "import pathlib, os\npathlib.Path(__file__).with_name('ran').write_text('x')\nos._exit(0)\n"
    for name in ("conftest.py", "sitecustomize.py", "pytest.py", "torch.py", "numpy.py"):
        (folder / name).write_text(forged, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n", encoding="utf-8")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-k nothing'\n", encoding="utf-8")
    flag = [f"--submission={folder}"] if shape == "equals" else ["--submission", str(folder)]
    done = run("grader/", *flag, "-m", "model")
    assert done.returncode == 0 and f"Score {worth('model')}/{worth('model')}" in done.stdout, done.stdout + done.stderr
    assert "Not used: conftest.py" in done.stdout
    assert not (folder / "ran").exists()


def test_a_submission_named_first_with_equals_has_no_effect_either(tmp_path, worth):
    folder = copy_of("solution", tmp_path / "work")
    (folder / "conftest.py").write_text("raise SystemExit('adopted')\n", encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n", encoding="utf-8")
    done = run(f"--submission={folder}", "grader/", "-m", "model")
    assert done.returncode == 0 and f"Score {worth('model')}/{worth('model')}" in done.stdout
    refused = run("--submission", str(folder), "grader/", "-m", "model")
    assert refused.returncode == 4 and "adopted" not in refused.stdout + refused.stderr


def test_wrong_use_is_one_sentence_and_no_score(tmp_path):
    for arguments in (["--submission=nowhere"], ["--submission=README.md"], ["--worker=magic"], ["--seed=x"]):
        done = run("grader/", *arguments, f"--report={tmp_path / 'out'}")
        assert done.returncode == 4, arguments
        assert "Traceback" not in done.stdout + done.stderr
        assert not (tmp_path / "out" / "score.json").exists()


def test_from_another_folder_and_read_only(tmp_path, worth):
    folder = copy_of("solution", tmp_path / "My Work ü")
    for path in [*folder.iterdir(), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = run(str(ROOT / "grader"), f"--submission={folder.name}", "-m", "model", cwd=tmp_path)
        assert done.returncode == 0 and f"Score {worth('model')}/{worth('model')}" in done.stdout, (
            done.stdout + done.stderr
        )
    finally:
        folder.chmod(0o755)


def test_damaged_digits_are_trouble_of_ours(tmp_path):
    copy = tmp_path / "repository"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", ".*", "*.egg-info", "tests"))
    (copy / "assignment/digits/MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01")
    code = "import sys; sys.path.insert(0, '.'); from grader import digits; digits.load()"
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True)
    assert "DigitsDamaged: The digits file" in done.stderr and "damaged" in done.stderr


def wait_for_children(pid: int) -> list[psutil.Process]:
    """The processes below this one, once it runs student code: on Linux two servers and a child of theirs."""
    fewest = 3 if sys.platform == "linux" else 1
    for _ in range(600):
        family = psutil.Process(pid).children(recursive=True)
        if len(family) >= fewest:
            return family
        time.sleep(0.1)
    raise AssertionError("no worker started within a minute")


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_nothing_behind(tmp_path, how):
    if how == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux ends a worker whose parent was killed at once")
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "grader/", "--submission=solution"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    family = wait_for_children(process.pid)
    process.send_signal(how)
    output = process.communicate(timeout=20)[0].decode("utf-8")
    _, alive = psutil.wait_procs(family, timeout=3)
    assert not alive
    if how != signal.SIGKILL:
        assert process.returncode == 2 and "Traceback" not in output
        assert not list(tmp_path.glob("grader-*"))


def test_reference_and_fixture_corpus_exist():
    assert len(corpus.load_all("wheats")) >= 45 and len(corpus.load_all("chaffs")) >= 75
