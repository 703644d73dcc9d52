"""Records `python -m grader watch` from a real session:  python docs/record_watch.py [--check]

It plays a student in a pseudo-terminal: TODO 4 is written with a mistake, hints are asked for one by one, the mistake
is put right. Some of the frames become templates/samples/watch.svg, an animated picture without scripts, which README
and handout show; then run `python -m grader build`. --check plays it again and says where the frames in the picture
differ from what is printed now, times aside (exit status 1).
"""

from __future__ import annotations

import argparse
import difflib
import html
import io
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from grader.corpus import entries as corpus  # noqa: E402
from grader.engine.submission.safe_files import write_text  # noqa: E402
from tests.watched import Watched  # noqa: E402

PICTURE = ROOT / "templates" / "samples" / "watch.svg"
ROWS, COLUMNS = 30, 92
FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)  # the picture must not fetch a font from anywhere
SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
TOLD = re.compile(r"<desc>(.*?)</desc>", re.DOTALL)
SECONDS = re.compile(r"\d+\.\d s\b")
WRONG = ("self.output(x)  #", "self.output(x).softmax(dim=1)  #")

Frame = tuple[float, str, bytes]  # seconds for which it is shown, its text, what was printed


def played() -> list[Frame]:
    """The frames of the session, the same ones each time."""
    skeleton = {name: (ROOT / "assignment" / name).read_text(encoding="utf-8") for name in corpus.SUBMITTED}
    done = corpus.reference()
    wrong = done["model.py"].replace(*WRONG)
    stub = re.search(r'raise NotImplementedError\("TODO 4.*', skeleton["model.py"])
    assert wrong != done["model.py"] and stub is not None
    begun = re.sub(
        r"# BEGIN SOLUTION\n(?=(?:(?!# BEGIN).)*\Z).*# END SOLUTION", stub[0], done["model.py"], flags=re.DOTALL
    )
    frames: list[Frame] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "assignment")
        folder.mkdir()
        for name, text in {**skeleton, "data.py": done["data.py"], "model.py": begun}.items():
            (folder / name).write_text(text, encoding="utf-8")
        arguments = ["--report", str(Path(place, "report"))]
        with Watched(folder, arguments, ROWS, COLUMNS) as session:

            def keep(seconds: float) -> None:
                frames.append((seconds, session.seen[session.mark], session.frames[session.mark]))

            session.until_done()
            keep(2.5)
            for text, seconds in ((wrong, 3.0), (done["model.py"], 3.0)):
                session.save("model.py", text)
                session.until("model.py saved. Checking ...")
                keep(0.4)
                session.until_done()
                keep(seconds)
                for _ in range(3):
                    session.press("h")
                    session.until(lambda screen: True)
                    keep(2.5)
                    if "When you are ready" in session.seen[session.mark]:
                        break
            session.press("q")
            session.wait_for_end()
    return frames


def drawn(frame: Frame, number: int, start: float, whole: float) -> tuple[str, float, float]:
    """(the frame as a part of the picture, its width, its height). start, whole: seconds before it, and of the film."""
    seconds, text, printed = frame
    console = Console(file=io.StringIO(), width=COLUMNS, height=ROWS, record=True, force_terminal=True)
    shown = printed.decode("utf-8").replace("\r", "").removeprefix("\x1b[H\x1b[2J")
    lines = shown.split("\n")
    console.print(Text.from_ansi("\n".join([*lines, *[" "] * (ROWS - len(lines))])), end="")
    svg = FONT.sub("", console.export_svg(title="python -m grader watch", unique_id=f"frame{number}"))
    size = SIZE.search(svg)
    assert size is not None
    times = sorted({0.0, start / whole, (start + seconds) / whole})
    values = ["visible" if start / whole <= time < (start + seconds) / whole else "hidden" for time in times]
    animation = (
        f'<animate attributeName="visibility" calcMode="discrete" dur="{whole:g}s" repeatCount="indefinite" '
        f'keyTimes="{";".join(f"{time:.4f}" for time in times if time < 1)}" '
        f'values="{";".join(value for value, time in zip(values, times) if time < 1)}"/>'
    )
    visible = "visible" if number == 0 else "hidden"
    part = f'<g visibility="{visible}"><desc>{html.escape(text)}</desc>{animation}\n{svg}</g>'
    return part, float(size[1]), float(size[2])


def film(frames: list[Frame]) -> str:
    """One animated picture of all frames."""
    whole, start, parts, width, height = sum(seconds for seconds, _, _ in frames), 0.0, [], 0.0, 0.0
    for number, frame in enumerate(frames):
        part, width, height = drawn(frame, number, start, whole)
        parts.append(part)
        start += frame[0]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">'
    title = "<title>python -m grader watch: a mistake is saved, hints are asked for, it is put right</title>"
    return "\n".join([head, title, *parts, "</svg>", ""])


def plain(text: str) -> list[str]:
    """The lines of a frame without times and borders."""
    return [SECONDS.sub("N s", line.rstrip()) for line in text.strip().splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the picture is out of date")
    check = parser.parse_args().check
    frames = played()
    if not check:
        write_text(PICTURE, film(frames))
        print(f"Wrote {PICTURE.relative_to(ROOT)}, {len(frames)} frames; now run python -m grader build")
        return 0
    recorded = [html.unescape(text) for text in TOLD.findall(PICTURE.read_text(encoding="utf-8"))]
    old, new = ([line for text in texts for line in ["", *plain(text)]] for texts in (recorded, [f[1] for f in frames]))
    difference = "\n".join(difflib.unified_diff(old, new, "recorded", "printed now", lineterm=""))
    print(difference or f"{PICTURE.relative_to(ROOT)} is up to date")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
