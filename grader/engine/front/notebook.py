"""`%grade` in a notebook: the cells that were run last, graded in a process of their own.

This module runs in the notebook's kernel, beside whatever the student has made there. So it reads sources and no
objects, and does nothing but hand them on: to `python -m grader cells`, which grades them like any submission.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from grader.engine.contract import Contract
from grader.engine.printable import listed, one_line
from grader.engine.run_folders import private_folder, remove_folder, sweep_stale
from grader.engine.submission.read import NOTEBOOK_BYTES
from grader.engine.submission.read_notebook import NotANotebook, code_cells
from grader.engine.submission.run_cells import Document, Picked, pick
from grader.engine.submission.safe_files import Tree, read_regular, write_bytes
from grader.engine.worker.processes import bootstrap, kill_family

NOTEBOOK, REQUEST, HTML, TEXT = "notebook.ipynb", "request.json", "report.html", "report.txt"  # in a run's folder
ERRORS = "errors.txt"  # there too: why there is no report
DONE = "DONE"  # a line of the other process's: the run has ended
ALL_HINTS = "--all-hints"
COLAB_SECONDS = 5  # for Colab's page to send the notebook as it stands there
END_SECONDS = 15  # for a run to tidy up when it is stopped
NOTHING = "Nothing to grade yet: run the cells of your TODOs first, then this one again."
STOPPED = "Stopped: there is no score, and nothing is left running."


def register(shell: Any, contract: Contract) -> None:
    """Make `%grade` known to IPython."""
    grade = Grade(shell, contract)
    shell.register_magic_function(grade.magic, "line", "grade")
    shell.events.register("pre_run_cell", grade.note_time)


class Grade:
    """The magic. shell: IPython's, or what does as much."""

    def __init__(self, shell: Any, contract: Contract):
        self.shell, self.contract = shell, contract
        self.times: dict[str, float] = {}  # {source: when it was run last}
        self.runs = 0  # how many runs
        self.process: subprocess.Popen[bytes] | None = None  # grades; it stays warm between runs
        self.lines = queue.Queue[bytes | None]()  # what it prints
        self.errors: IO[bytes] | None = None  # what it prints on standard error
        self.is_live = False  # whether the live line of a run stands there, to be written over

    def note_time(self, info: Any) -> None:
        self.times[str(getattr(info, "raw_cell", "")).rstrip("\n")] = time.time()  # as IPython's history has it

    def magic(self, line: str) -> None:
        """%grade [PART ...] [--all-hints]: grade what the cells of this notebook have run."""
        words = [word.lower() for word in line.split("#")[0].split()]
        parts = [word for word in words if word in self.contract.part_names]
        if odd := [word for word in words if word not in (*parts, ALL_HINTS)]:
            known = f"it takes the parts {listed(self.contract.part_names)}, and {ALL_HINTS}"
            self.say(f"%grade does not know {one_line(odd[0], 60)}: {known}.")
            return
        try:
            document = self.document()
            picked = pick(self.contract, self.history(), document, self.times)
            if picked is None:
                self.say(NOTHING)
                return
            ran = {str(todo): number for todo, number in picked.runs.items()}
            request = {"parts": parts, "all_hints": ALL_HINTS in words, "notes": list(picked.notes), "ran": ran}
            self.grade(picked, request)
        except KeyboardInterrupt:  # before or after the run: there is nothing to stop
            self.say(STOPPED)

    # -- what is graded ----------------------------------------------------------------------------------------

    def history(self) -> list[str]:
        """The sources that were run, by their numbers; also where IPython writes no history to disk."""
        manager = getattr(self.shell, "history_manager", None)
        sources = getattr(manager, "input_hist_raw", None) or self.shell.user_ns.get("In", [])
        return [str(source) for source in sources]

    def document(self) -> Document | None:
        """The notebook as it stands on the page, where that can be asked (Colab), else as it was saved."""
        if (page := colab_page()) is not None:
            return page
        for path in self.saved_notebooks():
            content, problem = read_regular(path, NOTEBOOK_BYTES)
            if problem or not any(f'"{file}"'.encode() in content for file in self.contract.files):
                continue
            try:
                return Document(path.name, code_cells(content), path.stat().st_mtime)
            except (NotANotebook, OSError):
                continue
        return None

    def saved_notebooks(self) -> Iterator[Path]:
        """Where this notebook may be saved: as VS Code and Jupyter tell, else among the student's files."""
        for told in (self.shell.user_ns.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
            if isinstance(told, str) and told.endswith(".ipynb"):
                yield Path(told)
        work = self.contract.root / self.contract.work
        yield from (work / name for name in Tree(work).names() if name.endswith(".ipynb"))

    # -- grading ------------------------------------------------------------------------------------------------

    def grade(self, picked: Picked, request: Mapping[str, Any]) -> None:
        """Stage the cells in a folder of their own, grade them in a process of its own, and show what it says."""
        sweep_stale()
        folder = private_folder()
        try:
            write_bytes(folder / NOTEBOOK, picked.dumps())
            write_bytes(folder / REQUEST, json.dumps(request).encode("ascii"))
            status, told = self.run(folder)
            if (folder / HTML).is_file():
                text = (folder / TEXT).read_text(encoding="utf-8")
                self.say(text, (folder / HTML).read_text(encoding="utf-8"))
            else:
                self.say(trouble(status, told))
        finally:
            remove_folder(folder)

    def run(self, folder: Path) -> tuple[int, str]:
        """(exit status, why there is no report). Raises KeyboardInterrupt when nothing runs any more."""
        self.runs += 1
        try:
            if self.process is None or self.process.poll() is not None:
                self.start()
            status = self.follow(folder)
            if status is None:  # it ended
                status = self.process.wait() if self.process else 1
            told = (folder / ERRORS).read_text(encoding="utf-8") if (folder / ERRORS).is_file() else ""
            return status, told or self.printed()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """The process that grades, in the grader's own folder: what it imports is the grader's, and not a file here."""
        self.stop()
        module = f"{self.contract.package}.__main__"
        call = f"from {module} import main; sys.exit(main(['cells']))"
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            bootstrap(call),
            stdin=subprocess.PIPE,  # closed, by whatever end of this process, it tells the other to stop
            stdout=subprocess.PIPE,
            stderr=self.errors,
            cwd=self.contract.root,
            env=os.environ | {"MPLBACKEND": "Agg"},
            start_new_session=sys.platform != "win32",  # so that Ctrl-C comes to this process alone
        )
        self.lines = queue.Queue()
        threading.Thread(target=read_lines, args=(self.process, self.lines), daemon=True).start()

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)
            self.process = None

    def printed(self) -> str:
        """What the other process printed on standard error."""
        if self.errors is None:
            return ""
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")

    def follow(self, folder: Path) -> int | None:
        """Have a folder graded, and show how far that is, until it ends; None where the process ended instead.

        Short waits let Ctrl-C through on Windows.
        """
        assert self.process is not None and self.process.stdin is not None
        self.say_live("Grading: the grader is starting.")
        try:
            self.process.stdin.write(f"{folder}\n".encode())
            self.process.stdin.flush()
        except OSError:
            return None
        while True:
            try:
                line = self.lines.get(timeout=0.2)
            except queue.Empty:
                continue
            if line is None:
                return None
            text = one_line(line.decode("utf-8", "replace"))
            if text.startswith(f"{DONE} "):
                return int(text.split()[1])
            self.say_live(text)

    # -- showing ------------------------------------------------------------------------------------------------

    def say(self, text: str, html: str = "") -> None:
        """A sentence or a report, in the place of the live line if there is one."""
        self.publish({"text/plain": text} | ({"text/html": html} if html else {}), update=self.is_live)
        self.is_live = False

    def say_live(self, text: str) -> None:
        """One line that is written over. A terminal has no such line: there only the end is shown."""
        if getattr(self.shell, "kernel", None) is not None:
            self.publish({"text/plain": text}, update=self.is_live)
            self.is_live = True

    def publish(self, data: Mapping[str, str], update: bool) -> None:
        transient = {"display_id": f"grade-{os.getpid()}-{self.runs}"}
        self.shell.display_pub.publish(data=dict(data), metadata={}, transient=transient, update=update)


def read_lines(process: subprocess.Popen[bytes], lines: queue.Queue[bytes | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def end(process: subprocess.Popen[bytes]) -> None:
    """Let a run tidy up and end, and wait for that; what does not end is killed."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        kill_family(process.pid)
        process.wait()


def trouble(status: int, told: str) -> str:
    """One sentence about a run that ended without a report."""
    lines = [line for line in told.splitlines() if line.strip()]
    last = one_line(lines[-1], 400) if lines else f"it ended with status {status}"
    if missing := re.search(r"No module named '([\w.]+)'", last):
        name = missing[1]
        return f"The grader needs {name}, which is not installed: run `%pip install {name}`, then try again."
    return last if status == 2 else f"The grader could not finish, and that is not your fault: {last}"


def colab_page() -> Document | None:
    """The notebook as it stands on Colab's page; None elsewhere, and where the page does not answer."""
    if "google.colab" not in sys.modules:
        return None
    try:
        message = importlib.import_module("google.colab._message")
        page = message.blocking_request("get_ipynb", request="", timeout_sec=COLAB_SECONDS)["ipynb"]
        return Document("this notebook", code_cells(json.dumps(page).encode("utf-8")))
    except Exception:  # a private interface of Colab's: whatever it does, the run goes on without
        return None
