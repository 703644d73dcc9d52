"""What the pages name exists: commands to type, pages to read, rooms to find."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from grader.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
MAP = ROOT / "grader" / "README.md"
PAGES = [ROOT / "README.md", MAP, ROOT / "grader" / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")),
         *sorted((ROOT / "templates").rglob("*.j2")), ROOT / "assignment" / "README.md"]  # fmt: skip


def test_every_command_that_a_page_names_exists():
    named = {
        (page.name, word) for page in PAGES for word in re.findall(r"python -m grader (\w+)", page.read_text("utf-8"))
    }
    assert named and {word for _, word in named} <= set(COMMANDS), named


def test_links_between_pages_lead_somewhere():
    for page in [page for page in PAGES if page.suffix == ".md"]:
        for link in re.findall(r"\]\(([^)#]+?)\)", page.read_text("utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), (page.name, link)


def first_column(page: Path) -> set[str]:
    """The paths in the first column of a page's tables: | `path` | ... or | `path`, `path` | ..."""
    cells = re.findall(r"^\| (`[^|]+`) \|", page.read_text("utf-8"), re.MULTILINE)
    return {path for cell in cells for path in re.findall(r"`([^`]+)`", cell) if re.search(r"[/.]", path)}


def test_the_map_of_the_grader_shows_every_room_and_no_other():
    shown = first_column(MAP)
    grader = ROOT / "grader"
    assert not [path for path in shown if not (grader / path).exists()]
    folders = {f"{path.parent.relative_to(grader).as_posix()}/" for path in grader.rglob("*.py")} - {"./"}
    assert {folder for folder in folders if "/" not in folder.strip("/")} <= shown
    assert {folder for folder in folders if folder.startswith("engine/")} <= shown
    loose = {path.name for path in grader.glob("*.*") if path.suffix in (".py", ".toml", ".json")}
    assert loose - {"__init__.py"} <= shown


WRITTEN = re.compile(r"(?:--report[= ]|--out[= ]|-m venv |grader try [\w-]+ )\"?([a-z.][\w.-]*)(?![\w./])")


def test_git_ignores_what_the_commands_on_the_pages_write():
    """Folders that the pages name, and those that commands take by themselves."""
    if not (ROOT / ".git").exists():
        pytest.skip("not run: this is no repository")
    pages = [ROOT / "README.md", MAP, ROOT / "assignment" / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {name for page in pages for name in WRITTEN.findall(page.read_text("utf-8")) if not name.startswith("..")}
    assert {"mine", "report", ".venv"} <= named
    named -= {"solution"}  # what is tried there, not what is written
    for name in sorted({*named, "selftest-out", "calibrate-out", "digits_grader.egg-info"}):
        done = subprocess.run(["git", "check-ignore", "-q", f"{name}/file"], cwd=ROOT)
        assert done.returncode == 0, name


def test_the_rooms_on_the_other_pages_exist():
    for page in (ROOT / "README.md", ROOT / "docs" / "house.md"):
        rooms = {path for path in first_column(page) if not path.startswith("--")}
        assert len(rooms) >= 7 and not [path for path in rooms if not (ROOT / path).exists()], page.name
    house = (ROOT / "docs" / "house.md").read_text("utf-8")
    for path in re.findall(r"`([a-z_]+/[\w/.]*)`", house):
        assert (ROOT / path).exists() or (ROOT / "grader" / path).exists(), path


def test_the_classroom_50_command_is_one_command():
    from grader.authoring.release import TARGETS

    page = next(content for path, content in TARGETS["classroom50"](ROOT).items() if path == "README.md").decode()
    block = next(block for block in page.split("```") if "gh teacher" in block).strip()
    lines = block.splitlines()
    assert all(line.endswith("\\") for line in lines[:-1]) and not lines[-1].endswith("\\"), block
    assert block.count("--allowed-files") >= 4
