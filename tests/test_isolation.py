"""What the tiers promise: measures that hold, honest code unhurt, one submission's harm its own."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grader import digits as run_digits
from grader.contract import WEEK
from grader.corpus import attacks
from grader.corpus import entries as corpus
from grader.engine.rubric import load_rubric
from grader.engine.run import grade
from grader.engine.servers import start_server, surroundings
from grader.engine.submission.read import read
from grader.engine.worker.trusted.spawn_client import SpawnServer
from grader.engine.worker.trusted.start import Server
from grader.engine.worker.walls import confine, landlock
from grader.view import CENTRE, PIXELS

ROOT = Path(__file__).resolve().parents[1]
LINUX = sys.platform.startswith("linux")
linux = pytest.mark.skipif(not LINUX, reason="confinement is for Linux")


@pytest.fixture(scope="module")
def practice() -> Iterator[Server]:
    started = start_server(WEEK, isolation="practice")
    yield started
    started.close()


def written(files: dict[str, str], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def changed(**changes: tuple[str, str]) -> dict[str, str]:
    """The reference with one text replaced in each of the files named."""
    files = corpus.reference()
    for name, (old, new) in changes.items():
        assert files[f"{name}.py"].count(old) == 1, old
        files[f"{name}.py"] = files[f"{name}.py"].replace(old, new)
    return files


# -- the tiers -------------------------------------------------------------------------------------------------


def test_the_tier_and_its_measures_stand_in_the_result(graded, server):
    result = graded(corpus.reference(), parts=["model"])
    assert result.grader["isolation"] == server.isolation
    assert result.grader["measures"] == sorted(server.measures()) and "core" in result.grader["measures"]
    assert (server.isolation == "confined") == (not confine.missing(result.grader["measures"]))


def test_practice_has_limits_and_says_no_more(practice, tmp_path):
    folder = written(corpus.reference(), tmp_path / "work")
    result = grade(read(folder, WEEK, 64_000), practice, seed=1, parts=["model"])
    assert (result.score, result.grader["isolation"]) == (result.max_score, "practice")
    assert not {"files", "network"} & set(result.grader["measures"])


@linux
def test_a_landlocked_kernel_gives_the_confined_tier(server):
    """Where the parts are there, the whole must be: a tier that silently fell back would pass every other test."""
    if landlock.version() < 6:
        pytest.skip("this kernel's Landlock does not keep signals in")
    if "network" not in server.measures():
        pytest.skip("neither namespaces nor libseccomp here")
    assert server.isolation == "confined"


@linux
def test_confined_is_refused_clearly_where_it_cannot_be_had(tmp_path):
    command = [sys.executable, "-m", "pytest", "grader/", "--submission=solution", "--isolation=confined"]
    done = subprocess.run(
        [*command, "--worker=spawn", f"--report={tmp_path / 'out'}"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 4 and "confined is not available here" in done.stderr + done.stdout
    assert not (tmp_path / "out" / "score.json").exists() and "Traceback" not in done.stdout + done.stderr


@linux
def test_a_child_refuses_to_run_with_less_than_the_tier_it_was_promised(tmp_path):
    with pytest.raises(confine.NotConfined, match="network"):
        raise_without_network(tmp_path)


def raise_without_network(home: Path) -> None:
    """`confine` with the means for everything taken away, so that nothing is done to this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("prctl", "limit_self", "load_filter"):
            patch.setattr(confine, name, lambda *a, **k: [])
        patch.setattr(confine, "seen", lambda *a: ["files", "signals"])
        patch.setattr(confine, "worked", lambda step: False)
        patch.setattr(confine.os, "chdir", lambda path: None)
        patch.setattr(confine, "open_to_all", lambda path: None)
        confine.confine(confine.Policy("confined", str(home)), 1, 1)


# -- honest code is not hurt -----------------------------------------------------------------------------------

LOADER = "    test_loader = DataLoader(test_set, batch_size=batch_size)\n"
BEGIN = "        x = self.flatten(images)  # (B, 784)\n"
IMPORT = "import torch\n"
LOOP = "    for images, labels in loader:\n        images, labels = images.to(device), labels.to(device)\n\n"
BAR = "    from tqdm import tqdm\n    for images, labels in tqdm(loader):\n"
MAIN = IMPORT + "\nif __name__ == '__main__':\n    raise SystemExit\n"
WORKERS = LOADER.replace("batch_size)", "batch_size, num_workers=2)")
WRITES = """import tempfile
import torch

with tempfile.TemporaryFile() as file:
    file.write(b'x' * 1_000_000)
open('notes.txt', 'w').write('mine')
"""
CONTROLS = {
    "prints-60-kB": (["model"], changed(model=(BEGIN, "        print('x' * 60_000)\n" + BEGIN))),
    "two-threads": (["model", "training"], changed(model=(IMPORT, IMPORT + "\ntorch.set_num_threads(2)\n"))),
    "two-workers": (["data"], changed(data=(LOADER, WORKERS))),
    "if-name": (["model"], changed(model=(IMPORT, MAIN))),
    "tqdm": (["training"], changed(train=(LOOP, BAR))),
    "slow-but-right": (["model"], changed(model=(BEGIN, "        import time\n        time.sleep(0.15)\n" + BEGIN))),
    "a-file-of-its-own": (["model"], changed(model=(IMPORT, WRITES))),
}
BIG = """
import torch
from torch import nn


class DigitClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 32, 3, stride=2, padding=1)
        self.hidden = nn.Linear(32 * 14 * 14, 800)
        self.output = nn.Linear(800, 10)

    def forward(self, images):
        x = torch.relu(self.conv(images)).flatten(1)
        return self.output(torch.relu(self.hidden(x)))
"""
CONTROLS["five-million-parameters"] = (["model"], corpus.reference() | {"model.py": BIG})
QUICK_CONTROLS = ("prints-60-kB", "two-workers", "if-name", "a-file-of-its-own")


@pytest.mark.parametrize(
    "name", [n if n in QUICK_CONTROLS else pytest.param(n, marks=pytest.mark.corpus) for n in CONTROLS]
)
def test_honest_code_earns_the_same_in_every_tier(name, server, practice, tmp_path):
    parts, files = CONTROLS[name]
    folder = written(files, tmp_path / "work")
    results = [grade(read(folder, WEEK, 64_000), used, seed=1, parts=parts) for used in (server, practice)]
    assert [r.score for r in results] == [results[0].max_score] * 2, [
        (c.id, c.status, c.message) for r in results for c in r.checks if c.status != "passed"
    ]


# -- endings ---------------------------------------------------------------------------------------------------


def short(**limits: float):
    rubric = load_rubric(WEEK)
    return replace(rubric, limits=dict(rubric.limits) | limits)


@linux
def test_a_memory_bomb_costs_its_limit_once(graded):
    bomb = "        kept = []\n        while True:\n            kept.append(bytearray(1 << 26))\n"
    files = changed(model=(BEGIN, bomb + BEGIN))
    result = graded(files, short(memory_bytes=1_000_000_000), parts=["model"])
    kinds = [(c.status, c.finding) for c in result.checks if c.id != "builds"]
    assert kinds[0] == ("crashed", "out-of-memory") and {k[0] for k in kinds[1:]} == {"blocked"}


def test_the_long_training_is_not_waited_for_when_its_function_hangs(graded):
    hang = changed(train=('    history = {"train_loss"', '    while True:\n        pass\n    history = {"train_loss"'))
    result = graded(hang, short(check_seconds=2, accuracy_seconds=600), parts=["training", "accuracy"])
    last = result.checks[-1]
    assert (last.id, last.status) == ("test-accuracy", "blocked")
    assert result.seconds < 120


def test_a_second_frame_that_sets_the_clock_back_ends_the_job():
    from grader.engine.worker.channel import encode
    from grader.engine.worker.trusted.job import Job, Request

    job = Job(Request("p:f", "light", "", "", 1), None)
    job.feed(encode("started", {"measures": ["files"]}))
    job.feed(encode("started", {"measures": ["files", "network"]}))
    assert job.bad and job.measures == ("files",)


# -- one among many --------------------------------------------------------------------------------------------


@linux
@pytest.mark.corpus  # long: CI runs it with the corpus
def test_hostile_submissions_among_twenty_change_nothing_for_the_others(server, tmp_path):
    good = written(corpus.reference(), tmp_path / "good")
    names = ("fork-bomb", "kill-everybody", "memory-bomb", "double-fork")
    hostile = [attacks.load(ROOT / "tests" / "attacks" / f"{name}.toml") for name in names]
    places = {name: tmp_path for name in ("grader", "root", "other", "canary", "temporary")}
    for attack in hostile:
        written({name: attacks.filled(text, places) for name, text in attack.files.items()}, tmp_path / attack.name)

    def told(result):
        return [(c.id, c.status, c.score, c.finding) for c in result.checks]

    rubric = short(import_seconds=2, check_seconds=10, memory_bytes=1_000_000_000)
    want = told(grade(read(good, WEEK, 64_000), server, rubric, seed=3, parts=["model"]))
    for number in range(20):
        if number % 5 == 2:
            bad = tmp_path / hostile[number // 5].name
            assert grade(read(bad, WEEK, 64_000), server, rubric, seed=3, parts=["model"]).score == 0
        assert told(grade(read(good, WEEK, 64_000), server, rubric, seed=3, parts=["model"])) == want


# -- stored networks -------------------------------------------------------------------------------------------

STORED = """
import base64, io
import numpy as np
import torch
from torch import nn

WEIGHTS = {weights!r}


class DigitClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(256, 48), nn.ReLU(), nn.Linear(48, 10))
        raw = np.load(io.BytesIO(base64.b85decode(WEIGHTS)))
        for number, parameter in enumerate(self.net.parameters()):
            parameter.data = torch.from_numpy(raw[f"w{{number}}"].astype("float32") * raw["scale"][number])
        self.order = torch.arange(10)

    def forward(self, images):
        return self.net(images)[:, self.order]
"""
RELEARN = """
import torch


def train_one_epoch(model, loader, optimizer, device="cpu"):
    return 0.0


def evaluate(model, loader, device="cpu"):
    return 0.0, 0.0


def fit(model, train_loader, val_loader, epochs=10, lr=0.01, device="cpu"):
    table = torch.zeros(10, 10)
    with torch.no_grad():
        for images, labels in train_loader:
            for label, guess in zip(labels, model.net(images).argmax(1)):
                table[label, guess] += 1
    model.order = table.argmax(1)
    return {"train_loss": [1.0], "val_loss": [1.0], "val_accuracy": [0.1]}
"""


def stored_network() -> str:
    """model.py with a network trained on the bundled upright digits, in less than 64 kB."""
    import io

    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = run_digits.load()
    images = ((torch.from_numpy(data.train_images.copy()).float() / 255 - 0.1307) / 0.3081)[:, None]
    labels = torch.from_numpy(data.train_labels.copy()).long()
    net = nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 48), nn.ReLU(), nn.Linear(48, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(4):
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
    weights = [p.detach().numpy() for p in net.parameters()]
    scale = np.array([np.abs(w).max() / 127 for w in weights], np.float32)
    buffer = io.BytesIO()
    rounded = {f"w{i}": np.rint(w / s).astype(np.int8) for i, (w, s) in enumerate(zip(weights, scale))}
    np.savez_compressed(buffer, scale=scale, **rounded)
    text = STORED.format(weights=base64.b85encode(buffer.getvalue()).decode())
    assert len(text) < 64_000
    return text


@pytest.mark.attacks
def test_a_stored_network_that_relearns_the_labels_stays_below_the_first_tier(server, tmp_path, monkeypatch):
    files = corpus.reference() | {"model.py": stored_network(), "train.py": RELEARN}
    submission = read(written(files, tmp_path / "work"), WEEK, 64_000)
    reached = [grade(submission, server, seed=seed, parts=["accuracy"]).recorded["accuracy"]["test"] for seed in (1, 2)]
    upright = PIXELS + CENTRE
    monkeypatch.setattr(run_digits, "random_view", lambda rng: upright)
    without_view = grade(submission, server, seed=1, parts=["accuracy"]).recorded["accuracy"]["test"]
    print(json.dumps({"with view": reached, "without": without_view}))
    assert without_view > 0.9  # the attack is a real one
    assert max(reached) < 0.70  # the first tier as it was shipped


# -- sinks -----------------------------------------------------------------------------------------------------


def test_names_and_texts_cannot_steer_a_terminal(graded, tmp_path):
    name = "a\x1b[2J\u202eb\n=cmd()"
    files = changed(model=(BEGIN, "        raise ValueError('\\x1b]0;owned\\x07<b>\\u202e')\n" + BEGIN))
    result = graded(written(files, tmp_path / name) if LINUX else files, parts=["model"])
    shown = list(texts_in(result.to_json()))
    assert any("ValueError" in text for text in shown)
    assert not [text for text in shown if {"\x1b", "\u202e", "\x07"} & set(text)]


def texts_in(value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts_in([*value, *value.values()])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts_in(item)


def test_the_portable_worker_gives_each_child_a_home_of_its_own(spawned, tmp_path):
    home = tmp_path / "server"
    home.mkdir()
    server = SpawnServer(home, surroundings(WEEK))
    try:
        where = "import os, tempfile\nprint('HOME', os.environ['HOME'], tempfile.gettempdir())\nraise ValueError\n"
        files = corpus.reference() | {"model.py": where}
        result = grade(read(written(files, tmp_path / "work"), WEEK, 64_000), server, seed=1, parts=["model"])
        line = next(line for line in result.prints.splitlines() if line.startswith("HOME")).split()
        assert line[1] == line[2] and str(home) not in line
    finally:
        server.close()


def test_a_thread_that_threading_does_not_know_does_not_outlive_its_check(spawned, tmp_path):
    stays = "import _thread, time\ndef lurking():\n    time.sleep(60)\n_thread.start_new_thread(lurking, ())\n"
    looks = (
        "import sys\nif 'lurking' in [f.f_code.co_name for f in sys._current_frames().values()]:\n    raise OSError\n"
    )
    files = corpus.reference()
    files |= {"model.py": stays + files["model.py"], "train.py": looks + files["train.py"]}
    result = grade(read(written(files, tmp_path / "work"), WEEK, 64_000), spawned, seed=1, parts=["model", "training"])
    assert result.score == 50, [(c.id, c.status, c.message) for c in result.checks if c.status != "passed"]


def test_a_question_to_a_worker_that_was_closed_ends_at_once(tmp_path):
    home = tmp_path / "server"
    home.mkdir()
    server = SpawnServer(home, surroundings(WEEK), lambda folder: None)
    server.close()
    started = time.monotonic()
    files = written(corpus.reference(), tmp_path / "work")
    result = grade(read(files, WEEK, 64_000), server, seed=1, parts=["model"])
    assert {check.status for check in result.checks} == {"grader_error"} and time.monotonic() - started < 60


def test_a_file_in_the_digits_folder_is_named_and_one_beside_the_code_is_fine(server, graded):
    """A cache where the digits lie would outlive the check; a checkpoint beside train.py dies with it."""
    if server.isolation != "confined":
        pytest.skip("not run: this system cannot confine")
    files = corpus.reference()
    files["data.py"] = files["data.py"].replace(
        "    transform = make_transform()\n", '    open(f"{root}/cache", "w")\n    transform = make_transform()\n'
    )
    files["model.py"] += '\nopen(__file__ + ".note", "w").write("beside")\n'
    result = graded(files, parts=("data", "model"))
    found = {check.id: (check.status, check.finding) for check in result.checks}
    assert found["batches"] == ("crashed", "folder-not-writable") and found["builds"] == ("passed", None), found


@linux
def test_packages_that_are_links_are_found(tmp_path):
    cache, site = tmp_path / "cache", tmp_path / "site-packages"
    for name in ("whole", "by-files", "plain"):
        (cache / name).mkdir(parents=True)
        (cache / name / "__init__.py").touch()
    (site / "by-files").mkdir(parents=True)
    (site / "plain").mkdir()
    (site / "plain" / "__init__.py").touch()
    (site / "whole").symlink_to(cache / "whole")
    (site / "by-files" / "__init__.py").symlink_to(cache / "by-files" / "__init__.py")
    assert set(confine.linked(str(site))) == {str(cache / "whole"), str(cache / "by-files")}
