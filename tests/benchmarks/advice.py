"""What the experiments advise where the accuracy falls short, and what following the advice brings.

    python tests/benchmarks/advice.py [NAME ...]

Each program of advice.toml is graded on its accuracy alone. Then its advice is followed by machine: a number is
changed to the one that was named, pixels are scaled to 0..1, or the file that was named is put right. The table shows
the accuracy before and after, and what the experiments took, in times of the run that they belong to.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from grader.contract import WEEK  # noqa: E402
from grader.corpus import entries as corpus  # noqa: E402
from grader.corpus.trials import KEY  # noqa: E402
from grader.engine.result import Result  # noqa: E402
from grader.engine.rubric import load_toml  # noqa: E402
from grader.engine.run import grade  # noqa: E402
from grader.engine.servers import start_server  # noqa: E402
from grader.engine.submission.read import read  # noqa: E402

FILE = {"fault-in-data": "data.py", "fault-in-network": "model.py", "pixels-do-not-suit": "data.py"}
Files = dict[str, str]


def changed(files: Files, changes: list[list[str]]) -> Files:
    for file, old, new in changes:
        if files[file].count(old) < 1:
            raise SystemExit(f"{file} has no {old!r}")
        files = files | {file: files[file].replace(old, new)}
    return files


def following(files: Files, finding: str, message: str) -> Files:
    """The program with its advice followed; the same one where there was none."""
    named = re.search(r"with (?:lr=)?(\S+) (?:epochs )?instead of (?:lr=)?(\S+?),? the", message)
    if named and finding.startswith("rate"):
        line = re.search(r"def fit\(.*lr=[^,)]*", files["train.py"])[0]
        return files | {"train.py": files["train.py"].replace(line, re.sub(r"lr=\S+$", f"lr={named[1]}", line))}
    if named and finding.startswith("epochs"):
        return files | {"train.py": re.sub(r"epochs=\d+", f"epochs={named[1]}", files["train.py"], count=1)}
    if finding.startswith(("fault-in", "pixels-do-not-suit")):
        name = FILE.get(finding, "train.py")
        return files | {name: corpus.reference()[name]}
    return files


def main() -> None:
    server = start_server(WEEK)

    def run(files: Files) -> tuple[Result, float]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
            start = time.monotonic()
            return grade(read(Path(folder), WEEK, 64_000), server, seed=1, key=KEY, parts=["accuracy"]), (
                time.monotonic() - start
            )

    wanted = sys.argv[1:]
    print("| program | what is wrong | accuracy | finding | after following it | seconds before, with experiments |")
    print("|---|---|---:|---|---:|---:|", flush=True)
    for name, entry in load_toml(Path(__file__).with_suffix(".toml")).items():
        if wanted and name not in wanted:
            continue
        files = changed(corpus.reference(), entry["change"])
        result, seconds = run(files)
        check = result.checks[-1]
        after, plain = run(following(files, check.finding or "", check.message))
        accuracies = [
            f"{100 * r.recorded['accuracy']['test']:.1f}" if "accuracy" in r.recorded else "-" for r in (result, after)
        ]
        print(
            f"| {name} | {entry['fault']} | {accuracies[0]} | {check.finding} | {accuracies[1]} | "
            f"{plain:.1f}, {seconds:.1f} |",
            flush=True,
        )
    server.close()


if __name__ == "__main__":
    main()
