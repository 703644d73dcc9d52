"""Looking into text that somebody else wrote, in a process of its own with limits: it may hurt its reader."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from grader.engine.worker.processes import bootstrap
from grader.engine.worker.walls.limits import Caps, limit_self

SECONDS, MEMORY = 20, 1_000_000_000  # of computing, and bytes, to look into one submission
ANSWER_BYTES = 20_000_000


class NotRead(ValueError):
    """There is no answer; the message says why."""


READY: dict[str, subprocess.Popen[bytes]] = {}  # module -> a process that waits for a question


def ask(module: str, question: bytes) -> Any:
    """What `main()` of this module answers to a question, in a process of its own. Raises NotRead."""
    with READY.pop(module, None) or started(module) as process:
        try:
            answer, _ = process.communicate(question, timeout=4 * SECONDS)
        except subprocess.TimeoutExpired as error:
            raise NotRead("reading it takes too long") from error
        finally:
            process.kill()
    if process.returncode != 0 or len(answer) > ANSWER_BYTES:
        raise NotRead("reading it takes too much time or memory")
    return json.loads(answer)


def started(module: str) -> subprocess.Popen[bytes]:
    command = bootstrap(f"from {module} import main; main()")
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def make_ready(module: str) -> None:
    """Start a process for the next question now: it ends with that question, with `dismiss`, or with this process."""
    if module not in READY:
        READY[module] = started(module)


def dismiss() -> None:
    """End the processes that wait for a question."""
    while READY:
        _, process = READY.popitem()
        with process:
            process.kill()


def ask_ahead(module: str, question: bytes) -> Callable[[], Any]:
    """Ask now and do not wait: calling what is returned gives what `ask` would give, or raises it, OSError too."""
    asked = Future[Any]()

    def wait() -> None:
        try:
            asked.set_result(ask(module, question))
        except BaseException as error:
            asked.set_exception(error)

    threading.Thread(target=wait, daemon=True).start()  # no executor: its threads are waited for at the end
    return asked.result


def answer(reply: Callable[[bytes], Any]) -> None:
    """In the limited process: reply to the question on standard input, as JSON on standard output."""
    limit_self(Caps(cpu_seconds=SECONDS, memory_bytes=MEMORY))
    sys.stdout.write(json.dumps(reply(sys.stdin.buffer.read())))  # ASCII: lone surrogates of a text cross it too
