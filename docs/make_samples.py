"""Makes the sample outputs in the handout and the README from real runs:  python docs/make_samples.py

Writes docs/terminal.svg, the five findings in README.md and, where Chromium is installed,
templates/samples/report.png, which the handout shows; then run `python -m grader build`.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console, RenderableType

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from grader.contract import WEEK  # noqa: E402
from grader.corpus import entries as corpus  # noqa: E402
from grader.engine.reports import html, terminal  # noqa: E402
from grader.engine.reports.words import next_step  # noqa: E402
from grader.engine.result import Result  # noqa: E402
from grader.engine.run import grade  # noqa: E402
from grader.engine.servers import start_server  # noqa: E402
from grader.engine.submission.read import read  # noqa: E402
from grader.engine.submission.safe_files import write_text  # noqa: E402
from grader.engine.worker.trusted.start import Server  # noqa: E402

FINDINGS = ("no-zero-grad", "pytorch-quickstart", "broadcast-compare", "test-not-normalised", "squeeze-output")
MARKED = re.compile(r"(<!-- findings: docs/make_samples.py -->\n).*?(<!-- end -->)", re.DOTALL)
FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)  # the picture must not fetch a font from anywhere


def graded(server: Server, files: dict[str, str], seed: int = 2026) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        return grade(read(Path(folder), WEEK, 64_000, "work"), server, seed=seed)


def picture(report: RenderableType, title: str) -> str:
    console = Console(file=io.StringIO(), width=92, highlight=False, record=True, force_terminal=True)
    console.print(report, markup=False)
    return FONT.sub("", console.export_svg(title=title))


def photograph(page: str, path: Path) -> None:
    """A screenshot of the top of a report, made by headless Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print(f"{path} was not made: there is no Chromium here")
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "report.html").write_text(page, encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        size = ["--window-size=900,1300", f"--user-data-dir={folder}/profile", f"--screenshot={path}"]
        address = (Path(folder) / "report.html").as_uri()
        subprocess.run([chromium, *options, *size, address], check=True, timeout=120, capture_output=True)


def findings(server: Server) -> str:
    """The next step of five wrong solutions, as Markdown."""
    lines = []
    for name in FINDINGS:
        entry = corpus.load(ROOT / "tests" / "chaffs" / f"{name}.toml")
        heading, texts = next_step(graded(server, corpus.source_of(entry)))
        lines += [f"*{entry.what}*", ""]
        lines += [f"> {line}\n>" for line in (f"**{heading}**", *texts)]
        lines[-1] = lines[-1].removesuffix("\n>")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    done = corpus.reference()
    wrong = dict(done)
    wrong["train.py"] = wrong["train.py"].replace("        optimizer.zero_grad()\n", "")
    server = start_server(WEEK)
    try:
        samples = ROOT / "templates" / "samples"
        readme = ROOT / "README.md"
        shown = findings(server)
        text = MARKED.sub(lambda found: f"{found[1]}\n{shown}\n{found[2]}", readme.read_text(encoding="utf-8"))
        write_text(readme, text)
        result = graded(server, wrong)
        write_text(ROOT / "docs" / "terminal.svg", picture(terminal.report(result), "pytest grader/"))
        photograph(html.report(result), samples / "report.png")
    finally:
        server.close()


if __name__ == "__main__":
    main()
