"""What the pages tell people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

from grader.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "grader" / "README.md", *sorted((ROOT / "docs").glob("*.md")),
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


def test_the_classroom_50_command_is_one_command():
    from grader.authoring.release import TARGETS

    page = next(content for path, content in TARGETS["classroom50"](ROOT).items() if path == "README.md").decode()
    block = next(block for block in page.split("```") if "gh teacher" in block).strip()
    lines = block.splitlines()
    assert all(line.endswith("\\") for line in lines[:-1]) and not lines[-1].endswith("\\"), block
    assert block.count("--allowed-files") >= 4
