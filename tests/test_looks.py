"""One look at a submission: what a process does once for all the looks it is asked for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from grader.classroom import looks
from grader.contract import WEEK
from grader.engine.keys import passing_key
from grader.engine.many.warm import Warm
from grader.engine.rubric import load_rubric
from grader.engine.submission.read import read
from tests.made_looks import hand_in, made_up


def test_a_pool_is_read_once_however_many_looks_are_made_with_it(monkeypatch, tmp_path):
    made, stand_ins = made_up()
    for (where, name), stands in stand_ins.items():
        monkeypatch.setattr(where, name, stands)
    pools = {tmp_path / name: SimpleNamespace(fingerprint=name) for name in ("mnist", "own")}
    opened, handed = [], []

    def open_pool(folder):
        opened.append(folder)
        return pools[folder]

    def look_at(*given, pool, **more):
        handed.append(pool)
        return made(*given, **more)

    monkeypatch.setattr(looks, "WEEK", replace(WEEK, open_pool=open_pool))
    monkeypatch.setattr(looks, "look_at", look_at)
    students = hand_in(tmp_path / "class", ada="", bob="fails = raw-scores")
    submissions = [read(folder, WEEK, 64_000) for folder in sorted(students.iterdir())]
    for folder, pool in pools.items():
        for _ in range(2):  # as it arrives with every look that another process is asked for
            looker = looks.Looker(
                Warm(looks.start_server), load_rubric(WEEK), {}, passing_key(), "confined", folder, pool.fingerprint,
                looks.code_here(),
            )  # fmt: skip
            for one in submissions:
                looker(looker.look(one))
    assert opened == list(pools)
    assert handed == [pool for pool in pools.values() for _ in range(4)]
