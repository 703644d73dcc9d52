"""`python -m grader collect LIST --before TIME --out DIR`: the commit of each student that counts at the deadline.

DIR gets a folder for each student, with the files of that commit, and collected.csv, which says of everybody what was
found. A folder appears whole or not at all; collecting again brings everything up to date.

Git knows when a commit was made, as the computer of its author says, and not when it was pushed. What was fetched
soon after the deadline is the only proof of what was there then, so it is kept: what comes later does not count.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from grader.classroom import git, repositories
from grader.classroom.repositories import Entry, NoList
from grader.engine.contract import Contract
from grader.engine.printable import one_line, some
from grader.engine.submission.safe_files import write_bytes, write_text

COLLECTED, NOTHING, FAILED = "collected", "nothing before the deadline", "cannot be fetched"
COLUMNS = ("id", "repository", "commit", "committed_at", "status", "reason")
TABLE = "collected.csv"
STORE = ".repositories"  # in DIR: what was fetched, so that the next time only news is
HALF_MADE = "half-made"  # in there: folders on their way in or out
AT_ONCE = 4  # repositories
HONEST = (
    "Git knows when a commit was made, as its author's computer says, and not when it was pushed. "
    "Collect soon after the deadline: what is pushed later then never counts."
)


class BadTime(ValueError):
    """--before is no moment; the message is one sentence."""


class NothingThere(ValueError):
    """No commit is early enough; the message says what is there."""


@dataclass(frozen=True)
class Row:
    """What collected.csv says of one student."""

    entry: Entry
    status: str
    commit: git.Commit | None = None
    reason: str = ""

    def cells(self) -> list[str]:
        sha = self.commit.sha if self.commit else ""
        shown = (self.entry.id, self.entry.repository, sha, utc(self.commit), self.status, self.reason)
        return repositories.row([one_line(cell, 500) for cell in shown])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`python -m grader collect`"""
    parser.add_argument("list", type=Path, metavar="LIST", help="a text or CSV file, or a folder of clones")
    parser.add_argument("--before", required=True, metavar="TIME", help="such as 2026-12-01T23:59:59+01:00")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets a folder for each student")
    parser.add_argument("--branch", default="", help="the branch that counts (default: the repository's default one)")


def run(arguments: argparse.Namespace, contract: Contract | None = None) -> int:
    """Exit status: 0 done, 1 somebody's repository could not be fetched, 2 nothing could be begun."""
    try:
        if shutil.which("git") is None:
            raise OSError("it needs git, which is not installed.")
        before = moment(arguments.before)
        entries = repositories.read(arguments.list)
        out = made(arguments.out)
    except (BadTime, NoList, OSError) as error:
        print(f"Nothing was collected: {error}", file=sys.stderr)
        return 2
    if before > now():
        print(f"{utc_of(before)} is still to come: collect again after it.")
    rows = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for row in pool.map(lambda entry: collect(entry, before, out, arguments.branch), entries):
            rows.append(row)
            told = f"{row.entry.id}: {row.status}" + (f" ({row.reason})" if row.reason else "")
            print(one_line(f"{len(rows)} of {len(entries)} {told}", 400), flush=True)
    write_text(out / TABLE, table(rows))
    counts = [f"{sum(row.status == status for row in rows)} {status}" for status in (COLLECTED, NOTHING, FAILED)]
    print(f"{', '.join(counts)}: {out / TABLE}", HONEST, sep="\n")
    return 1 if any(row.status == FAILED for row in rows) else 0


def now() -> datetime:
    return datetime.now(timezone.utc)


def moment(text: str) -> datetime:
    """ISO 8601 with a time zone. Raises BadTime."""
    plain = re.sub(r"[zZ]$", "+00:00", text.strip())
    plain = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", plain)  # Python 3.10 wants the colon
    example = "write it like 2026-12-01T23:59:59+01:00, or 2026-12-01T22:59:59Z for UTC."
    try:
        found = datetime.fromisoformat(plain)
    except ValueError as error:
        raise BadTime(f"--before={text} is no time; {example}") from error
    if found.tzinfo is None:
        raise BadTime(f"--before={text} has no time zone; {example}")
    return found


def made(out: Path) -> Path:
    """The folder to collect into. Raises OSError for one with things in it that collect did not put there."""
    if out.is_dir() and any(out.iterdir()) and not (out / STORE).is_dir():
        raise OSError(f"{out} is not empty and was not made by collect; choose another folder.")
    shutil.rmtree(out / STORE / HALF_MADE, ignore_errors=True)  # of a run that was ended
    (out / STORE / HALF_MADE).mkdir(parents=True, exist_ok=True)
    return out


def collect(entry: Entry, before: datetime, out: Path, branch: str) -> Row:
    """One student's row, and folder. Never raises for what is wrong with one repository."""
    try:
        if entry.problem:
            return Row(entry, FAILED, reason=entry.problem)
        where = hashlib.sha256(f"{entry.source}\n{branch}".encode()).hexdigest()[:8]
        store = out / STORE / f"{entry.id}-{where}.git"
        note = fetched(entry, store, branch)
        counts, more = that_counts(store, int(before.timestamp()))
        note += more + put(store, counts.sha, out / entry.id, out / STORE / HALF_MADE)
        return Row(entry, COLLECTED, counts, "; ".join(note))
    except (git.NoBranch, NothingThere) as error:
        shutil.rmtree(out / entry.id, ignore_errors=True)
        return Row(entry, NOTHING, reason=str(error))
    except (git.GitFailed, OSError, ValueError) as error:
        return Row(entry, FAILED, reason=one_line(str(error), 300))


def fetched(entry: Entry, store: Path, branch: str) -> list[str]:
    """Bring the store up to date. Returns what is to be said about it; where the repository cannot be had now, what
    was fetched before counts, or a clone that lies here. Raises GitFailed."""
    try:
        git.fetch(entry.source, store, branch, int(now().timestamp()))
        return []
    except git.NoBranch:
        raise
    except git.GitFailed as error:
        if git.seen(store):
            return [f"cannot be fetched now, so what was fetched before counts ({error})"]
        if entry.clone is None or entry.source == os.path.abspath(entry.clone):
            raise
        git.fetch(os.path.abspath(entry.clone), store, branch, 0)  # nobody knows when that was so
        return [f"its origin cannot be fetched, so the clone as it lies here counts ({error})"]


def that_counts(store: Path, before: int) -> tuple[git.Commit, list[str]]:
    """The last commit up to `before` (seconds since 1970), and what is to be said about it. Raises NothingThere.

    Once the branch was looked at after the deadline, what came later does not count, whatever its commits say of
    their time.
    """
    looks = git.seen(store)
    look = next((moment for moment in looks if moment >= before), looks[-1])
    counts, older = last_up_to(git.commits(store, look), before)
    note = []
    if any(commit.time > before for commit in older):
        note.append("a commit below it is dated after the deadline: look at the history")
    if look != looks[-1] and (claims := last_up_to(git.commits(store, looks[-1]), before)[0]) != counts:
        said = f"{claims.sha[:8]} is dated {utc(claims)}" if claims else "the history was rewritten"
        seen = utc_of(datetime.fromtimestamp(look, timezone.utc))
        note.append(f"{said}, but was not there on {seen}, after the deadline: it does not count")
    if counts is None:
        first = git.commits(store, look)[-1]
        raise NothingThere("; ".join([f"the first commit is of {utc(first)}", *note]))
    return counts, note


def last_up_to(commits: list[git.Commit], before: int) -> tuple[git.Commit | None, list[git.Commit]]:
    """The first of these, the newest first, that is not later than `before`, and those below it."""
    place = next((n for n, commit in enumerate(commits) if commit.time <= before), None)
    return (None, []) if place is None else (commits[place], commits[place:])


def put(store: Path, sha: str, place: Path, half_made: Path) -> list[str]:
    """Write the files of a commit to `place`, whole or not at all. Returns what is to be said about them.

    half_made: an empty folder on the same disk.
    """
    blobs = git.blobs(store, sha)
    wanted = [b for b in blobs if b.kind == "file" and b.size <= git.LARGEST and git.is_safe(b.path)]
    left = sorted({blob.path for blob in blobs} - {blob.path for blob in wanted})
    with tempfile.TemporaryDirectory(dir=half_made) as folder:
        new, old = Path(folder) / "new", Path(folder) / "old"
        new.mkdir()
        for blob, content in git.contents(store, wanted):
            write_bytes(new / blob.path, content)
        if place.exists():
            place.rename(old)
        new.rename(place)
    return [f"left out (links, submodules, odd names, too large): {some(left, 5)}"] if left else []


def utc(commit: git.Commit | None) -> str:
    """When it was committed, "" for none. An author may write a time that no calendar has."""
    try:
        return utc_of(datetime.fromtimestamp(commit.time, timezone.utc)) if commit else ""
    except (ValueError, OverflowError, OSError):
        return "a time that is none"


def utc_of(time: datetime) -> str:
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def table(rows: list[Row]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    return stream.getvalue()
