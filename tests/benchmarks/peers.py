"""The same submissions graded by this project, by otter-grader and by nbgrader, in one sitting on one machine.

    python tests/benchmarks/peers.py [--submissions N] [--tools NAME ...] [--runs N] [--environment DIR]

One cold run of one submission, the solution (--runs times, alternating), and then a class (--submissions):

  batch     python -m grader batch
  pytest    pytest grader/, one submission after the other
  otter     otter run, one after the other. `otter grade` starts containers, and is not measured
  nbgrader  nbgrader autograde on the whole course folder, one after the other as it is
  training  the yardstick: each submission's own make_loaders, fit and evaluate with their defaults, on one torch thread

Otter's and nbgrader's tests are the assertions of plain_pytest.py: the same checks, in the process of the notebook's
kernel (plain_checks.py), with the grader's probes. Only the accuracy is tested as a teacher would write it: the
student's own `fit` on the student's own loaders. (The grader's probe keeps the batches in memory.) Their
submissions are notebooks in which three cells write data.py, model.py and train.py, so that nothing of the student's
runs twice. A test gives all of its points or none.

Submissions are wheats and chaffs (tests/), half and half, evenly spread. One whose own training does not end well has
no yardstick, and the next one is taken. All that is measured runs in one new environment, with one torch, on a copy
of the course in which `experiments = 0`: nobody else has them. Linux and macOS; no figure is for a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from whole_process import LONGEST, ROOT, TRAINING, DidNotRun, commands, compare, peak_memory, timed, training

sys.path.append(str(ROOT))

from grader.contract import WEEK
from grader.corpus.entries import DoesNotFit, load_all, source_of
from grader.engine.rubric import load_rubric

PINS = {"otter": "otter-grader==7.0.0", "nbgrader": "nbgrader==0.9.6"}
TOOLS = ("batch", "pytest", "otter", "nbgrader")
REFERENCE = "pytest"  # whose verdicts the others are compared with
ONE, ASSIGNMENT = "solution", "week3"
MEASURED = ("grader", "grader_entry_point.py", "pyproject.toml", "README.md", "LICENSE", "solution", "assignment")
BENCHMARK = ("plain_checks.py", "plain_pytest.py", "plain.ini")
SLOWEST = 10  # times the solution's own training: what takes longer is not taken
SCORED = (0, 1)  # exit statuses of ours: all points, or not
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
POINTS = load_rubric(WEEK).points
VERSIONS = """
import platform
from importlib.metadata import distributions
found = {one.name: one.version for one in distributions()}
names = [name for name in ("torch", "otter-grader", "nbgrader") if name in found]
print(", ".join([f"Python {platform.python_version()}"] + [f"{name} {found[name]}" for name in names]))
"""
READ_GRADES = """
import json, sys
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    print(json.dumps({
        one.student.id: {grade.name: grade.auto_score for notebook in one.notebooks for grade in notebook.grades}
        for one in book.assignment_submissions(sys.argv[1])
    }))
"""

Files = Mapping[str, str]
Seconds = tuple[float, float]  # wall, CPU


@dataclass
class Said:
    """What a tool said of one submission. passed: {check: whether it passed}"""

    score: float
    passed: Mapping[str, bool]


@dataclass
class Graded:
    """What came of a whole class. trouble: why there is nothing."""

    seconds: Seconds = (0.0, 0.0)
    said: dict[str, Said] = field(default_factory=dict)
    trouble: str = ""


class Bench:
    """An environment, a copy of the course in it, and one form of the submissions for each tool."""

    def __init__(self, folder: Path):
        self.course, self.work, venv = folder / "course", folder / "work", folder / "venv"
        for old in (self.course, self.work):
            shutil.rmtree(old, ignore_errors=True)
        self.work.mkdir(parents=True)
        copy_course(self.course)
        say("making the environment")
        check(sys.executable, "-m", "venv", venv)
        self.python = str(venv / "bin" / "python")
        self.pip("-e", self.course)
        self.env = {  # an environment that is active, its own kernel, no settings from outside; where the checks are
            "PATH": os.pathsep.join([str(venv / "bin"), os.environ.get("PATH", "")]),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTER_CONFIG_DIR": str(self.work / "no-settings"),
            "PYTHONPATH": os.pathsep.join(map(str, (self.course, self.course / "tests/benchmarks"))),
        }
        self.missing: dict[str, str] = {}

    def pip(self, *what: str | Path) -> None:
        check(self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what)

    def run(self, *command: str | Path, statuses: Sequence[int] = (0,), longest: float = LONGEST) -> Seconds:
        return timed([self.python, *map(str, command)], self.course, self.env, statuses, longest)

    def source(self, name: str) -> Path:
        return self.course / ONE if name == ONE else self.work / "submissions" / name

    def files(self, name: str) -> Files:
        return {file: (self.source(name) / file).read_text(encoding="utf-8") for file in WEEK.files}

    # -- the yardstick -----------------------------------------------------------------------------------------

    def train(self, name: str, longest: float = LONGEST) -> Seconds:
        return self.run(*training(self.python, self.source(name))[1:], longest=longest)

    def trained_again(self, name: str, before: Seconds) -> Seconds:
        """Where it stops this time, what it took before: a long run is not lost for that."""
        try:
            return self.train(name)
        except DidNotRun as error:
            say(f"{name} {error}")
            return before

    # -- this project ------------------------------------------------------------------------------------------

    def batch(self, names: Sequence[str]) -> Graded:
        out = self.work / "graded"
        seconds = self.run(*self.batch_command(names, out), statuses=SCORED)
        return Graded(seconds, {name: scored(out / "students" / name / "score.json") for name in names})

    def batch_command(self, names: Sequence[str], out: Path) -> list[str | Path]:
        shutil.rmtree(out, ignore_errors=True)
        return ["-m", "grader", "batch", *map(self.source, names), "--out", out]

    def pytest(self, names: Sequence[str]) -> Graded:
        def grade(name: str, out: Path) -> Seconds:
            command = ["-m", "pytest", "grader/", f"--submission={self.source(name)}", "--seed=1", f"--report={out}"]
            return self.run(*command, statuses=SCORED)

        return self.one_by_one(names, grade, lambda out: scored(out / "score.json"))

    # -- otter -------------------------------------------------------------------------------------------------

    def prepare_otter(self, names: Sequence[str]) -> None:
        folder = self.work / "otter"
        folder.mkdir()
        with zipfile.ZipFile(folder / "autograder.zip", "w") as archive:
            for number, id in enumerate(WEEK.check):  # it takes them by their file names
                archive.writestr(f"tests/{number:02}-{id}.py", otter_test(id))
        for name in names:
            cells = [new_code_cell(f"%%writefile {file}\n{text}") for file, text in self.files(name).items()]
            (folder / name).mkdir()
            nbformat.write(new_notebook(cells=cells, metadata=KERNEL), folder / name / f"{ASSIGNMENT}.ipynb")

    def otter_command(self, name: str, out: Path) -> list[str | Path]:
        folder = self.work / "otter"
        options = ["-a", folder / "autograder.zip", "-o", out, "--no-logo"]
        return ["-m", "otter", "run", *options, folder / name / f"{ASSIGNMENT}.ipynb"]

    def otter(self, names: Sequence[str]) -> Graded:
        return self.one_by_one(names, lambda name, out: self.run(*self.otter_command(name, out)), otter_said)

    # -- nbgrader ----------------------------------------------------------------------------------------------

    def prepare_nbgrader(self, names: Sequence[str]) -> None:
        """The assignment released as a teacher does it, and handed in with the three cells filled."""
        root = self.work / "nbgrader"
        cells = [nbgrader_cell(f"%%writefile {file}\n", file, solution=True) for file in WEEK.files]
        cells += [nbgrader_cell(test_of(id), id, points=POINTS[id]) for id in WEEK.check]
        source = root / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
        source.parent.mkdir(parents=True)
        nbformat.write(new_notebook(cells=cells, metadata=KERNEL), source)
        self.run("-m", "nbgrader", "generate_assignment", ASSIGNMENT, f"--CourseDirectory.root={root}")
        for name in names:
            released = nbformat.read(root / "release" / ASSIGNMENT / source.name, as_version=4)
            for cell, (file, text) in zip(released.cells, self.files(name).items()):
                cell.source = f"%%writefile {file}\n{text}"
            handed_in = root / "submitted" / name / ASSIGNMENT / source.name
            handed_in.parent.mkdir(parents=True)
            nbformat.write(released, handed_in)

    def nbgrader_command(self, *students: str) -> list[str | Path]:
        """students: none for everybody; who was graded before is graded again."""
        options = [f"--CourseDirectory.root={self.work / 'nbgrader'}", "--force"]
        options += ["--Execute.timeout=1200"]  # seconds of a cell; its 30 are too few for a training
        return ["-m", "nbgrader", "autograde", ASSIGNMENT, *options, *(f"--student={name}" for name in students)]

    def nbgrader(self, names: Sequence[str]) -> Graded:
        root = self.work / "nbgrader"
        shutil.move(root / "submitted" / ONE, root)  # it takes all that is there
        seconds = self.run(*self.nbgrader_command(), statuses=(0, 1))  # 1: something was odd with somebody
        asked = [self.python, "-c", READ_GRADES, ASSIGNMENT]
        answer = subprocess.run(asked, cwd=root, capture_output=True, text=True, encoding="utf-8", check=True)
        grades = json.loads(answer.stdout)
        return Graded(seconds, {name: from_points(grades.get(name, {})) for name in names})

    # -- all of them -------------------------------------------------------------------------------------------

    def prepare(self, tool: str, names: Sequence[str]) -> None:
        """Install a tool, and lay out the assignment and the submissions as it wants them."""
        try:
            say(f"installing {PINS[tool]}")
            self.pip(PINS[tool], "ipykernel")  # which otter does not bring
            getattr(self, f"prepare_{tool}")(names)
        except DidNotRun as error:
            self.missing[tool] = f"{PINS[tool]} {error}"

    def grade(self, tool: str, names: Sequence[str]) -> Graded:
        """The whole class by one tool; a sentence where that tool does not do it."""
        if tool in self.missing:
            return Graded(trouble=self.missing[tool])
        say(f"{tool}: {len(names)} submissions")
        try:
            return getattr(self, tool)(names)
        except DidNotRun as error:
            return Graded(trouble=str(error))
        except (OSError, KeyError, ValueError, subprocess.CalledProcessError) as error:
            return Graded(trouble=f"its results cannot be read: {type(error).__name__}: {error}")

    def one_by_one(
        self, names: Sequence[str], grade: Callable[[str, Path], Seconds], said: Callable[[Path], Said]
    ) -> Graded:
        """One that a tool gives up counts with the time that took, and passes nothing."""
        found = Graded()
        for name in names:
            out = Path(tempfile.mkdtemp(dir=self.work))
            try:
                wall, cpu = grade(name, out)
                found.said[name] = said(out)
            except DidNotRun as error:
                wall, cpu = error.seconds
                found.said[name] = from_points({})
                say(f"{name} {error}")
            found.seconds = found.seconds[0] + wall, found.seconds[1] + cpu
        return found

    def cold(self, tools: Sequence[str], runs: int) -> dict[str, float]:
        """The solution alone, from cold, by each tool. Peak memory by tool, in MB."""
        say(f"the solution alone, {runs} times")
        wanted = commands(self.python)
        peers = {"otter": self.otter_command(ONE, self.work), "nbgrader": self.nbgrader_command(ONE)}
        for tool in peers:
            if tool in tools and tool not in self.missing:
                wanted[tool] = [self.python, *map(str, peers[tool])]
        peaks = compare(wanted, runs, self.course, self.env)
        for tool, why in self.missing.items():
            print(f"{tool:20} {why}")
        return {"pytest" if name == "grader" else name: peak for name, peak in peaks.items()}


# -- making -----------------------------------------------------------------------------------------------------


def say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def check(*command: str | Path) -> None:
    """Raises DidNotRun with what the command said last."""
    timed([*map(str, command)])


def copy_course(folder: Path) -> None:
    for name in MEASURED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "plots"))
        else:
            folder.mkdir(exist_ok=True, parents=True)
            shutil.copy(source, folder)
    (folder / "tests/benchmarks").mkdir(parents=True)
    for name in BENCHMARK:
        shutil.copy(ROOT / "tests/benchmarks" / name, folder / "tests/benchmarks")
    rubric = folder / "grader" / "rubric.toml"
    lines = rubric.read_text(encoding="utf-8").splitlines(keepends=True)
    lines = ["experiments = 0\n" if line.startswith("experiments = ") else line for line in lines]
    rubric.write_text("".join(lines), encoding="utf-8")


def test_of(id: str) -> str:
    if id == WEEK.tiered:
        return "import sys\n\nfrom plain_checks import demand_accuracy\n\nsys.path.insert(0, '.')\ndemand_accuracy()"
    return f"from plain_checks import demand\n\ndemand({id!r})"


def otter_test(id: str) -> str:
    """A file in otter's exception-based format."""
    body = textwrap.indent(test_of(id), "    ")
    head = f"from otter.test_files import test_case\n\nOK_FORMAT = False\nname = {id!r}\npoints = {POINTS[id]}\n"
    return f"{head}\n\n@test_case()\ndef test():\n{body}\n"


def nbgrader_cell(text: str, name: str, points: int | None = None, solution: bool = False) -> nbformat.NotebookNode:
    """A cell for an answer, or a locked one that is a test."""
    marks = {"grade_id": name.replace(".", "-"), "schema_version": 3, "task": False}
    marks |= {"solution": solution, "grade": not solution, "locked": not solution}
    return new_code_cell(text, metadata={"nbgrader": marks if points is None else marks | {"points": points}})


def candidates(kind: str, count: int) -> Iterator[Iterator[tuple[str, Files]]]:
    """For each of `count` places, evenly spread: {file: text} of the entry there, and of those up to the next place."""
    entries = [entry for entry in load_all(kind) if not entry.weak]
    for place in range(count):
        yield submissions(kind, entries[place * len(entries) // count : (place + 1) * len(entries) // count])


def submissions(kind: str, entries: Sequence) -> Iterator[tuple[str, Files]]:
    for entry in entries:
        try:
            yield f"{kind.removesuffix('s')}-{entry.name}", source_of(entry)
        except DoesNotFit:
            pass


def chosen(bench: Bench, count: int) -> dict[str, Seconds]:
    """Those to grade, written down, with what their own training takes."""
    if not count:
        return {}
    limit = SLOWEST * bench.train(ONE)[0]
    found = {}
    for kind, of_kind in (("wheats", count - count // 2), ("chaffs", count // 2)):
        for place in candidates(kind, of_kind):
            for name, files in place:
                bench.source(name).mkdir(parents=True)
                for file, text in files.items():
                    (bench.source(name) / file).write_text(text, encoding="utf-8")
                try:
                    found[name] = bench.train(name, limit)
                    break
                except DidNotRun as error:
                    say(f"{name} is not taken: its training {error}")
    return found


# -- reading what was said --------------------------------------------------------------------------------------


def scored(path: Path) -> Said:
    result = json.loads(path.read_text(encoding="utf-8"))
    return Said(result["points_so_far"], {check["id"]: check["status"] == "passed" for check in result["checks"]})


def otter_said(out: Path) -> Said:
    tests = json.loads((out / "results.json").read_text(encoding="utf-8"))["tests"]
    return from_points({test["name"]: test["score"] for test in tests if "score" in test})


def from_points(points: Mapping[str, float | None]) -> Said:
    """points: {check: points}; a check that is missing, or has None, has not passed."""
    return Said(sum(filter(None, points.values())), {id: points.get(id) == POINTS[id] for id in WEEK.check})


def differing(one: Mapping[str, Said], other: Mapping[str, Said]) -> list[str]:
    """Each verdict in which two tools differ, as "submission: check"."""
    return [f"{name}: {id}" for name in one for id in WEEK.check if one[name].passed[id] != other[name].passed[id]]


# -- the table --------------------------------------------------------------------------------------------------


def class_table(bench: Bench, tools: Sequence[str], before: Mapping[str, Seconds], peaks: Mapping[str, float]) -> None:
    """before: those to grade, with what their own training took at the start."""
    names = [*before]
    found = {tool: bench.grade(tool, names) for tool in tools}
    say("their own training once more")
    again = {name: bench.trained_again(name, before[name]) for name in names}
    wall, cpu = ((total(before, place) + total(again, place)) / 2 / len(names) for place in (0, 1))
    if "batch" in tools and not found["batch"].trouble:
        some = bench.batch_command(names[: 2 * (os.cpu_count() or 1)], bench.work / "again")
        peaks = {**peaks, "batch": peak_memory([bench.python, *map(str, some)], bench.course, bench.env)}

    print(f"\n{len(names)} submissions on {os.cpu_count()} cores: {', '.join(names)}")
    first, last = total(before, 0) / len(names), total(again, 0) / len(names)
    print(f"Their own training, before and after: {first:.1f} and {last:.1f} s.")
    print("Seconds and points are of one submission.\n")
    print("| | wall s | of training | CPU s | of training | peak MB | points | verdicts |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    print(f"| training | {wall:.2f} | 1.00 | {cpu:.2f} | 1.00 | {memory(peaks, TRAINING)} | | |")
    reference = found[REFERENCE].said if REFERENCE in found else {}
    for tool, graded in found.items():
        if graded.trouble:
            print(f"| {tool} | {graded.trouble} |")
            continue
        own_wall, own_cpu = (seconds / len(names) for seconds in graded.seconds)
        mean = sum(said.score for said in graded.said.values()) / len(names)
        figures = f"{own_wall:.2f} | {own_wall / wall:.2f} | {own_cpu:.2f} | {own_cpu / cpu:.2f}"
        told = agreement(reference, graded.said, len(names)) if reference and tool != REFERENCE else ""
        print(f"| {tool} | {figures} | {memory(peaks, tool)} | {mean:.1f} | {told} |")
    print()
    for tool, graded in found.items():
        if graded.said and reference and (odd := differing(reference, graded.said)):
            print(f"{tool} says otherwise than {REFERENCE} of {', '.join(odd)}")
    if "batch" in found and (ours := found["batch"].seconds[0]):
        for tool in tools:
            if tool != "batch" and not found[tool].trouble:
                print(f"batch is {found[tool].seconds[0] / ours:.1f} times as fast as {tool}")


def total(seconds: Mapping[str, Seconds], place: int) -> float:
    return sum(one[place] for one in seconds.values())


def memory(peaks: Mapping[str, float], name: str) -> str:
    return f"{peaks[name]:.0f}" if name in peaks else ""


def agreement(reference: Mapping[str, Said], said: Mapping[str, Said], count: int) -> str:
    alike = count * len(WEEK.check) - len(differing(reference, said))
    same = sum(reference[name].score == said[name].score for name in said)
    return f"{alike} of {count * len(WEEK.check)} as {REFERENCE}, {same} of {count} scores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=20, metavar="N", help="in the class (default 20; 0: none)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="cold runs of each (default 5; 0: none)")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS, metavar="NAME", help=", ".join(TOOLS))
    parser.add_argument("--environment", type=Path, metavar="DIR", help="kept for the next time (default: none)")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # in order with what standard error says meanwhile
    with tempfile.TemporaryDirectory(prefix="grader-peers-") as folder:
        compare_all(args, (args.environment or Path(folder)).resolve())


def compare_all(args: argparse.Namespace, folder: Path) -> None:
    try:
        bench = Bench(folder)
        say(f"choosing {args.submissions} submissions by their own training")
        before = chosen(bench, args.submissions)
    except DidNotRun as error:
        raise SystemExit(f"Nothing can be compared: {error}") from error
    for tool in PINS:
        if tool in args.tools:
            bench.prepare(tool, [ONE, *before])
    print(f"{subprocess.check_output([bench.python, '-c', VERSIONS], text=True).strip()}\n")
    peaks = bench.cold(args.tools, args.runs) if args.runs else {}
    if before:
        class_table(bench, args.tools, before, peaks)


if __name__ == "__main__":
    main()
