"""What grading installs is pinned: one universal file of exact versions, made by a command, held by every release."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from grader.authoring import constraints, contents
from grader.engine.rubric import load_toml

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = (ROOT / constraints.PLACE).read_text(encoding="utf-8")
STAND_IN = """
import os, sys
from pathlib import Path
given = sys.stdin.read().split()
out = Path(sys.argv[sys.argv.index("--output-file") + 1])
before = out.read_text() if out.exists() else ""
Path(os.environ["ASKED"]).write_text("\\n".join([*sys.argv[1:], *given, "before:", before]))
if "fails" in os.environ:
    print("no versions fit", file=sys.stderr)
    raise SystemExit(1)
out.write_text(os.environ["FOUND"])
"""


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A repository to pin, and a uv that finds what it is told to find."""
    (tmp_path / "packages" / "uv").mkdir(parents=True)
    (tmp_path / "packages" / "uv" / "__init__.py").touch()
    (tmp_path / "packages" / "uv" / "__main__.py").write_text(STAND_IN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("FOUND", "numpy==2.0 ; python_version < '3.11'\nuv==1.0\n")
    root = tmp_path / "root"
    (root / "templates" / "repository").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def pin(root: Path, upgrade: bool = False) -> int:
    return constraints.run(argparse.Namespace(upgrade=upgrade), root=root)


def test_every_dependency_is_pinned_to_a_version_it_allows_on_every_system_and_python():
    project = load_toml(ROOT / "pyproject.toml")
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["confined"]]
    wanted += [*constraints.INSTALLERS, *project["build-system"]["requires"]]
    pins = [Requirement(line) for line in constraints.pins(SHIPPED)]
    for python in ("3.10.12", "3.12.3", "3.14.0"):
        for system in ("linux", "darwin", "win32"):
            here = default_environment() | {
                "python_full_version": python,
                "python_version": ".".join(python.split(".")[:2]),
                "sys_platform": system,
            }
            in_force = {
                p.name: str(p.specifier).removeprefix("==") for p in pins if not p.marker or p.marker.evaluate(here)
            }
            for text in wanted:
                need = Requirement(text)
                if need.marker is None or need.marker.evaluate(here):
                    assert need.specifier.contains(in_force[need.name]), (text, python, system)


def test_the_file_names_no_place_no_hash_and_no_build_of_one_machine():
    assert constraints.HEADER + constraints.checked(SHIPPED) == SHIPPED
    assert not re.search(r"https?:|--|\+|@|sha256|/", "".join(constraints.pins(SHIPPED)))
    names = [line.split("==")[0] for line in constraints.pins(SHIPPED)]
    assert names.count("torch") == names.count("torchvision") == 1, "the same everywhere"


@pytest.mark.parametrize(
    "line",
    ["torch==2.9.1+cpu", "--index-url https://example.org/simple", "numpy>=2", "numpy @ file:///tmp/numpy.whl",
     "numpy==2.0 --hash=sha256:00", "./here"],
)  # fmt: skip
def test_anything_but_a_plain_version_is_refused(line):
    with pytest.raises(constraints.NotPinned, match="no plain version"):
        constraints.checked(f"rich==1.0\n{line}\n")


def test_the_command_keeps_versions_unless_told_to_upgrade(repository, tmp_path, capsys):
    assert pin(repository) == 0
    place = repository / constraints.PLACE
    assert place.read_text("utf-8") == constraints.HEADER + "numpy==2.0 ; python_version < '3.11'\nuv==1.0\n"
    asked = (tmp_path / "asked").read_text("utf-8")
    assert "--universal" in asked and "--python-version\n3.10" in asked and "--extra\nconfined" in asked
    assert "uv>=0.7.14" in asked and "setuptools>=68" in asked and asked.endswith("before:\n")
    assert pin(repository) == 0 and "was up to date" in capsys.readouterr().out
    assert "numpy==2.0" in (tmp_path / "asked").read_text("utf-8").split("before:")[1]
    assert pin(repository, upgrade=True) == 0
    assert (tmp_path / "asked").read_text("utf-8").endswith("before:\n")


def test_what_cannot_be_pinned_changes_nothing(repository, monkeypatch, capsys):
    assert pin(repository) == 0
    before = (repository / constraints.PLACE).read_bytes()
    monkeypatch.setenv("FOUND", "torch==2.9.1+cpu\n")
    assert pin(repository) == 2 and "'torch==2.9.1+cpu' is no plain version" in capsys.readouterr().err
    monkeypatch.setenv("fails", "1")
    assert pin(repository) == 2 and "no versions fit" in capsys.readouterr().err
    monkeypatch.setattr(constraints.importlib.util, "find_spec", lambda name: None)
    assert pin(repository) == 2 and "pip install uv" in capsys.readouterr().err
    assert (repository / constraints.PLACE).read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="the same code, and slow there")
def test_every_release_holds_the_file(week):
    held = {
        "github": ["constraints.txt"],
        "github-classroom": ["constraints.txt"],
        "classroom50": ["template/constraints.txt", f"autograders/{week}/constraints.txt"],
    }
    for target, paths in held.items():
        files = contents.TARGETS[target](ROOT)
        assert all(files[path].decode() == SHIPPED for path in paths), target
    assert contents.grader_home(ROOT, contents.course(ROOT))["constraints.txt"].decode() == SHIPPED


def test_a_release_without_it_is_refused(tmp_path):
    with pytest.raises(contents.NotReleasable, match="python -m grader constraints"):
        contents.constraints(tmp_path)
