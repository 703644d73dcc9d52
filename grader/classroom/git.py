"""What is asked of git: fetch one branch, list its commits, read the files of one commit. Nothing is ever checked out.

Reading files as git stores them (ls-tree, cat-file) instead of checking them out keeps a student's .gitattributes,
filters, hooks, links and submodules without effect on this machine.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEEN = "refs/seen/"  # with the second since 1970 at which a branch was seen to end there
SECONDS = 600  # for one repository
LARGEST = 20_000_000  # bytes of one file
MOST = 200_000_000  # bytes of one commit's files
MOST_FILES = 20_000
UNSAFE = re.compile(r'[\\:\x00-\x1f\udc80-\udcff*?"<>|]')  # not for every system's names; \udc..: no UTF-8
QUIET = ["-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "fetch.fsckObjects=false"]


class GitFailed(RuntimeError):
    """git could not do it; the message is what it said, on one line."""


class NoBranch(GitFailed):
    """The repository has no such branch, or no commit at all."""


@dataclass(frozen=True)
class Commit:
    sha: str
    time: int  # when it was committed, seconds since 1970, as its author's machine had it


@dataclass(frozen=True)
class Blob:
    """A file of a commit. kind: "file", "link" or "submodule"."""

    path: str
    sha: str
    size: int
    kind: str


def run(*arguments: str, input: bytes | None = None) -> bytes:
    """git's standard output. Raises GitFailed. It asks no question: credentials are those it has."""
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:ssh:file", "LC_ALL": "C"}
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        environment.pop(name, None)
    try:
        done = subprocess.run(
            ["git", *QUIET, *arguments], input=input or b"", capture_output=True, env=environment, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise GitFailed(f"it took longer than {SECONDS} seconds") from error
    if done.returncode != 0:
        raise GitFailed(last_words(done.stderr.decode("utf-8", "replace")))
    return done.stdout


def last_words(said: str) -> str:
    """What git says in the end, without the advice around it and without passwords in addresses."""
    lines = said.splitlines()
    lines = [line for line in lines if line.lower().startswith(("fatal: ", "error: "))] or lines
    text = " ".join(line.partition(": ")[2] or line for line in lines[:2]).strip() or "git said nothing"
    return re.sub(r"://[^/@\s]+@", "://", text)


def fetch(source: str, store: Path, branch: str, now: int) -> None:
    """Bring one branch of `source` into the bare repository `store`, which remembers that it was so at `now`.

    branch: "" for the default one. Raises GitFailed, NoBranch.
    """
    if not (store / "HEAD").is_file():
        run("init", "--quiet", "--bare", "--template=", str(store))
    wanted = f"refs/heads/{branch}" if branch else "HEAD"
    options = ["--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--force"]
    try:
        run("--git-dir", str(store), "fetch", *options, "--", source, f"+{wanted}:{SEEN}{now}")
    except GitFailed as error:
        if "couldn't find remote ref" not in str(error):
            raise
        heads = run("ls-remote", "--heads", "--", source).decode("utf-8", "replace").splitlines()
        names = [line.partition("refs/heads/")[2] for line in heads]
        there = f"it has {', '.join(names[:5])}; choose one with --branch" if names else "it is empty"
        raise NoBranch(f"there is no {f'branch {branch}' if branch else 'default branch'}: {there}") from error


def seen(store: Path) -> list[int]:
    """When the branch was looked at, the earliest first."""
    if not (store / "HEAD").is_file():
        return []
    names = run("--git-dir", str(store), "for-each-ref", "--format=%(refname)", SEEN).decode("ascii").split()
    return sorted(int(name.removeprefix(SEEN)) for name in names)


def commits(store: Path, seen: int) -> list[Commit]:
    """The commits of the branch as it was then, the newest first: its own, not what was merged into it."""
    text = run("--git-dir", str(store), "log", "--first-parent", "--format=%H %ct", f"{SEEN}{seen}", "--")
    return [Commit(line.split()[0], int(line.split()[1])) for line in text.decode("ascii").splitlines()]


def blobs(store: Path, sha: str) -> list[Blob]:
    """Every file of a commit. Raises GitFailed for more than anybody would hand in."""
    listing = run("--git-dir", str(store), "ls-tree", "-r", "-z", "-l", "--full-tree", sha)
    kinds = {"120000": "link", "160000": "submodule"}
    found = []
    for line in filter(None, listing.split(b"\0")):
        told, _, path = line.partition(b"\t")
        mode, _, blob, size = told.decode("ascii").split()
        kind = kinds.get(mode, "file")
        found.append(Blob(os.fsdecode(path), blob, int(size) if size != "-" else 0, kind))
    files = [blob for blob in found if blob.kind == "file"]
    if len(files) > MOST_FILES or sum(blob.size for blob in files) > MOST:
        raise GitFailed(f"the commit has {len(files)} files and {sum(b.size for b in files) / 1e6:.0f} MB, too much")
    return found


def contents(store: Path, wanted: list[Blob]) -> Iterator[tuple[Blob, bytes]]:
    """The bytes of these files, as git stores them."""
    names = "".join(f"{blob.sha}\n" for blob in wanted).encode("ascii")
    answer = memoryview(run("--git-dir", str(store), "cat-file", "--batch", input=names))
    start = 0
    for blob in wanted:
        end = start + bytes(answer[start : start + 200]).index(b"\n")
        size = int(bytes(answer[start:end]).split()[2])
        yield blob, bytes(answer[end + 1 : end + 1 + size])
        start = end + size + 2


def is_safe(path: str) -> bool:
    """Whether a path of a commit stays inside its folder, on every system."""
    parts = path.split("/")
    odd = {"", ".", ".."} & set(parts) or any(part.casefold().rstrip(". ") == ".git" for part in parts)
    return not odd and not UNSAFE.search(path)
