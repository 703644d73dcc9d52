"""What a program does, whatever the checks think of it: two that give the same numbers are equivalent.

tests/behaviour.py calls the program; here it is run for many of them, each in a process of its own that has PyTorch
already where processes can be forked (0.5 s instead of 5 each), and what each did is kept.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from grader.corpus.entries import ROOT
from grader.corpus.trials import digest
from grader.digits import load, write_idx
from grader.engine.many.store import Store

PROGRAM = ROOT / "tests" / "behaviour.py"
KEPT = "behaviour.sqlite"
SECONDS = 60  # of one program
TRAINING, TEST = 300, 90  # digits it gets


@dataclass(frozen=True)
class Oracle:
    """digits: the folder of the digits; kept: the answers so far."""

    digits: Path
    kept: Store

    def __call__(self, files: Mapping[str, str]) -> str:
        """The digest of what these files do; "" when they stop, or do not end in time. Raises CannotKeep."""
        texts = [text for _, text in sorted(files.items())]
        key = digest(PROGRAM.read_text(encoding="utf-8"), f"{TRAINING} {TEST}", *texts)
        found = self.kept.get(key)
        if found is None:
            did = behaviour(files, self.digits)
            self.kept.put(key, {"did": did})
            return did
        return str(found[0]["did"])


def behaviour(files: Mapping[str, str], digits: Path) -> str:
    forked = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if forked else "spawn")
    if forked:
        context.set_forkserver_preload(["torchvision.datasets"])
    with tempfile.TemporaryDirectory(prefix="grader-mutant-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=in_child, args=(folder, str(digits), theirs), daemon=True)
        with ours:
            process.start()
            theirs.close()
            try:
                return str(ours.recv()) if ours.poll(SECONDS) else ""
            except EOFError:
                return ""
            finally:
                process.kill()
                process.join()


def in_child(folder: str, digits: str, answers: Connection) -> None:
    sys.path.insert(0, folder)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        did = runpy.run_path(str(PROGRAM))["did"](digits)
    answers.send(did)


def few_digits(folder: Path) -> Path:
    digits = load()
    write_idx(
        folder,
        digits.train_images[:TRAINING],
        digits.train_labels[:TRAINING],
        digits.test_images[:TEST],
        digits.test_labels[:TEST],
    )
    return folder
