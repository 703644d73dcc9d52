"""The same probes and checks in one plain process: no server, no fork, no protection.

It is what a naive grader would do, so the benchmark compares with it; it is also handy while
writing a probe or a check:  python tests/benchmarks/in_process.py DIR [CHECK_ID ...]
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
import traceback
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from grader.contract import WEEK  # noqa: E402
from grader.digits import load, secret, write_idx  # noqa: E402
from grader.engine.check import Failed  # noqa: E402
from grader.engine.rubric import load_rubric  # noqa: E402
from grader.engine.worker.beside_student.probing import MissingName  # noqa: E402
from grader.engine.worker.raised import Raised  # noqa: E402


class Answer(dict):  # type: ignore[type-arg]
    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, Raised):
            raise RuntimeError(f"student code raised {value}")
        return value

    def raised(self, name: str) -> Raised | None:
        value = self.get(name)
        return value if isinstance(value, Raised) else None


class InProcess:
    """Stands where the engine's Student stands; the submission is imported right here."""

    def __init__(self, folder: Path, seed: int = 0):
        sys.path.insert(0, str(folder))
        self.seed = seed
        self.cache: dict[str, Answer] = {}
        self.temporary = tempfile.TemporaryDirectory()

    @property
    def rubric(self) -> Any:
        return load_rubric(WEEK)

    @cached_property
    def secret_digits(self) -> Any:
        return secret(load(), self.seed)

    def secret_root(self) -> str:
        shown = self.secret_digits.shown
        return self.digits(shown.train_images, shown.train_labels, shown.test_images, shown.test_labels)

    def once(self, name: str, make: Any) -> Any:
        return make()

    def record(self, **found: Any) -> None:
        pass

    def rng(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *name.encode()])

    def digits(self, train_images: Any, train_labels: Any, test_images: Any, test_labels: Any) -> str:
        root = Path(tempfile.mkdtemp(dir=self.temporary.name))
        write_idx(root, train_images, train_labels, test_images, test_labels)
        return str(root)

    def observe(self, name: str, **arguments: Any) -> Answer:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(self.seed)
        module, function_name = name.split(".")
        function = getattr(importlib.import_module(f"grader.probes.{module}"), function_name)
        names = {m: importlib.import_module(m) for m in function.modules}

        def fetch(module_name: str, attribute: str) -> Any:
            if not hasattr(names[module_name], attribute):
                raise MissingName(module_name, attribute, list(vars(names[module_name])))
            return getattr(names[module_name], attribute)

        student = SimpleNamespace(**names, function=fetch, progress=lambda **_: None)
        return Answer(function(student, **arguments))


def main() -> None:
    student = InProcess(Path(sys.argv[1]).resolve())
    for declared in WEEK.checks:
        if sys.argv[2:] and declared.id not in sys.argv[2:]:
            continue
        start = time.perf_counter()
        try:
            declared.function(student)
            outcome = "passed"
        except Failed as failed:
            outcome = f"FAILED {failed.finding}"
        except Exception:
            outcome = traceback.format_exc()
        print(f"{time.perf_counter() - start:6.2f}s  {declared.id:18} {outcome}")


if __name__ == "__main__":
    main()
