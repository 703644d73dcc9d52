"""What the experiments advise where the accuracy falls short, and what following the advice brings.

    python tests/benchmarks/advice.py [--seeds N] [NAME ...]

Each program of advice.toml (or each of these, wheats too) is graded on its accuracy alone. Then its advice is followed
by machine: a number is changed to the one that was named, pixels are scaled to 0..1, or the file that was named is put
right; where that did not bring all points, what is advised then is followed too. The table shows the accuracies and the
seconds of each run, with its experiments. Where all points were earned at once there is nothing to follow.
"""

from __future__ import annotations

import argparse
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

STEPS = 2  # how often the advice is followed
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
    if finding.startswith("fault-in") or finding.endswith("-not-suit"):
        name = FILE.get(finding, "train.py")
        return files | {name: corpus.reference()[name]}
    return files


def programs(names: list[str]) -> dict[str, tuple[str, Files]]:
    """{name: (what is wrong, its files)}"""
    entries = load_toml(Path(__file__).with_suffix(".toml"))
    found = {}
    for name in names or entries:
        if name in entries:
            found[name] = entries[name]["fault"], changed(corpus.reference(), entries[name]["change"])
        else:
            wheat = corpus.load(ROOT / "tests" / "wheats" / f"{name}.toml")
            found[name] = "exotic" if wheat.exotic else "usual", corpus.source_of(wheat)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    server = start_server(WEEK)

    def run(files: Files, seed: int) -> tuple[Result, float]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
            start = time.monotonic()
            return grade(read(Path(folder), WEEK, 64_000), server, seed=seed, key=KEY, parts=["accuracy"]), (
                time.monotonic() - start
            )

    print("| program | seed | what is wrong | accuracy | finding | after following it | seconds of each run |")
    print("|---|---:|---|---:|---|---:|---:|", flush=True)
    for name, (fault, files) in programs(arguments.names).items():
        for seed in range(1, arguments.seeds + 1):
            results, seconds, code, told = [], [], files, []
            for _ in range(1 + STEPS):
                result, took = run(code, seed)
                results.append(percent(result))
                seconds.append(f"{took:.1f}")
                check = result.checks[-1]
                advised = following(code, check.finding or "", check.message)
                if check.status == "passed" or len(results) > STEPS:
                    break
                told.append(check.finding or check.status)
                if advised == code:
                    break
                code = advised
            words = f"{', '.join(told) or 'all points'} | {', '.join(results[1:]) or '-'} | {', '.join(seconds)}"
            print(f"| {name} | {seed} | {fault} | {results[0]} | {words} |", flush=True)
    server.close()


def percent(result: Result) -> str:
    return f"{100 * result.recorded['accuracy']['test']:.1f}" if "accuracy" in result.recorded else "-"


if __name__ == "__main__":
    main()
