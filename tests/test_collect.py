"""`collect`: from a list of repositories to the commit of each student that counts, on repositories made here."""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.authoring import contents
from grader.classroom import collect, git, repositories

ROOT = Path(__file__).resolve().parents[1]
DEADLINE = "2026-12-01T23:59:59+01:00"  # 22:59:59 UTC
EARLY, ON_TIME, LATE = "2026-11-30T12:00:00+00:00", "2026-12-01T22:59:59+00:00", "2026-12-01T23:00:00+00:00"


def at(time: str) -> dict[str, str]:
    return {"GIT_AUTHOR_DATE": time, "GIT_COMMITTER_DATE": time}


def sh(folder: Path, *arguments: str, input: bytes | None = None, **environment: str) -> str:
    settings = ["-c", "user.name=A Student", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    settings += ["-c", "protocol.file.allow=always"]
    done = subprocess.run(
        ["git", *settings, *arguments], cwd=folder, env=os.environ | environment, input=input, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Student:
    """A student's machine and the bare repository that it pushes to."""

    def __init__(self, home: Path, name: str):
        self.work, self.bare = home / "machines" / name, home / "server" / f"{name}.git"
        self.work.mkdir(parents=True)
        self.bare.parent.mkdir(exist_ok=True)
        sh(home, "init", "-q", "--bare", str(self.bare))
        sh(self.work, "init", "-q")
        sh(self.work, "remote", "add", "origin", str(self.bare))

    def commit(self, text: str, time: str, path: str = "assignment/data.py", push: bool = True) -> str:
        (self.work / path).parent.mkdir(parents=True, exist_ok=True)
        (self.work / path).write_text(text, encoding="utf-8")
        sh(self.work, "add", "-A")
        sh(self.work, "commit", "-q", "-m", "work", **at(time))
        if push:
            sh(self.work, "push", "-q", "origin", "HEAD")
        return sh(self.work, "rev-parse", "HEAD").strip()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """clock(time) sets when collect runs; it begins before the deadline."""

    def set_to(time: str) -> None:
        monkeypatch.setattr(collect, "now", lambda: collect.moment(time))

    set_to("2026-11-30T00:00:00Z")
    return set_to


@pytest.fixture
def student(tmp_path):
    return lambda name="alice": Student(tmp_path, name)


def run(
    tmp_path: Path, *lines: object, before: str = DEADLINE, branch: str = ""
) -> tuple[int, dict[str, dict[str, str]]]:
    """(exit status, {id: row of collected.csv}); lines: of the list, or one folder of clones."""
    if len(lines) == 1 and isinstance(lines[0], Path) and not lines[0].name.endswith(".git"):
        listed = lines[0]
    else:
        listed = tmp_path / "list.csv"
        listed.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    out = tmp_path / "out"
    status = collect.run(argparse.Namespace(list=listed, before=before, out=out, branch=branch))
    if not (out / "collected.csv").is_file():
        return status, {}
    with (out / "collected.csv").open(encoding="utf-8", newline="") as file:
        return status, {row["id"]: row for row in csv.DictReader(file)}


def files(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in folder.rglob("*") if p.is_file()}


# ---- the commit that counts


def test_the_last_commit_at_the_deadline_counts(student, tmp_path, capsys):
    alice = student()
    alice.commit("early", EARLY)
    sha = alice.commit("on time", ON_TIME)
    alice.commit("late", LATE)
    status, rows = run(tmp_path, f"alice,{alice.bare}")
    assert status == 0 and list(rows) == ["alice"]
    assert rows["alice"] == {
        "id": "alice",
        "repository": str(alice.bare),
        "commit": sha,
        "committed_at": "2026-12-01T22:59:59Z",
        "status": "collected",
        "reason": "",
    }
    assert files(tmp_path / "out" / "alice") == {"assignment/data.py": "on time"}, "and no .git"
    said = capsys.readouterr().out
    assert "1 of 1 alice: collected" in said and "not when it was pushed" in said


def test_what_was_merged_after_the_deadline_does_not_count(student, tmp_path):
    """A commit of a side branch was made early, but its branch came into main too late."""
    alice = student()
    main = alice.commit("main", EARLY)
    sh(alice.work, "checkout", "-q", "-b", "side")
    alice.commit("side", "2026-12-01T10:00:00+00:00", "side.py", push=False)
    sh(alice.work, "checkout", "-q", "main")
    sh(alice.work, "merge", "-q", "--no-ff", "-m", "merge", "side", **at(LATE))
    sh(alice.work, "push", "-q", "origin", "main")
    _, rows = run(tmp_path, f"alice,{alice.bare}")
    assert rows["alice"]["commit"] == main


def test_nothing_before_the_deadline_is_a_row_and_no_folder(student, tmp_path):
    late, empty, other = student("late"), student("empty"), student("other")
    late.commit("late", LATE)
    other.commit("work", EARLY, push=False)
    sh(other.work, "push", "-q", "origin", "HEAD:refs/heads/solution")
    lines = [f"{one.bare},{name}" for name, one in {"late": late, "empty": empty, "other": other}.items()]
    status, rows = run(tmp_path, *lines)
    assert status == 0 and {row["status"] for row in rows.values()} == {"nothing before the deadline"}
    assert rows["late"]["reason"] == "the first commit is of 2026-12-01T23:00:00Z"
    assert "it is empty" in rows["empty"]["reason"]
    assert "it has solution; choose one with --branch" in rows["other"]["reason"]
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == [".repositories"]
    _, rows = run(tmp_path, *lines, branch="solution")
    assert {name: row["status"] for name, row in rows.items()} == {
        "late": "nothing before the deadline",
        "empty": "nothing before the deadline",
        "other": "collected",
    }


def test_a_history_whose_times_go_backwards_is_pointed_out(student, tmp_path):
    alice = student()
    alice.commit("a", LATE)
    alice.commit("b", EARLY)
    _, rows = run(tmp_path, f"alice,{alice.bare}")
    assert rows["alice"]["status"] == "collected" and "dated after the deadline" in rows["alice"]["reason"]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-12-01T23:59:59+01:00", "2026-12-01T22:59:59Z"),
        ("2026-12-01T23:59:59Z", "2026-12-01T23:59:59Z"),
        ("2026-12-01 23:59+0530", "2026-12-01T18:29:00Z"),
    ],
)
def test_times_with_a_zone(text, utc):
    assert collect.utc_of(collect.moment(text)) == utc


@pytest.mark.parametrize("text", ["2026-12-01T23:59:59", "2026-12-01", "yesterday", "", "1.12.2026 23:59"])
def test_a_time_without_a_zone_is_refused_in_one_sentence(text, student, tmp_path, capsys):
    alice = student()
    status, rows = run(tmp_path, f"alice,{alice.bare}", before=text)
    said = capsys.readouterr().err
    assert status == 2 and rows == {} and not (tmp_path / "out").exists()
    assert said.count("\n") == 1 and "write it like 2026-12-01T23:59:59+01:00" in said


# ---- one bad line is one row


def test_one_bad_line_is_one_row(student, tmp_path, capsys):
    alice, bob = student("alice"), student("bob")
    alice.commit("a", EARLY)
    bob.commit("b", EARLY)
    marker = tmp_path / "ran"
    (tmp_path / "no-repository").mkdir()
    status, rows = run(
        tmp_path,
        "# the class of 2026",
        "id,repository",
        f"alice,{alice.bare}",
        f"gone,{tmp_path / 'server' / 'gone.git'}",
        f"command,ext::touch {marker}",
        "option,--upload-pack=touch",
        "plain,http://127.0.0.1:9/x/y",
        "nothing,",
        f"none,{tmp_path / 'no-repository'}",
        f"Alice,{bob.bare}",
        f"bob,file://{bob.bare}",
    )
    assert status == 1 and not marker.exists()
    assert {name for name, row in rows.items() if row["status"] == "collected"} == {"alice", "bob"}
    bad = {name: row["reason"] for name, row in rows.items() if row["status"] == "cannot be fetched"}
    assert set(bad) == {"gone", "command", "option", "plain", "nothing", "none", "Alice"} and all(bad.values())
    assert "stands in the list twice" in bad["Alice"] and "https or ssh" in bad["plain"]
    assert "2 collected, 0 nothing before the deadline, 7 cannot be fetched" in capsys.readouterr().out
    assert files(tmp_path / "out" / "alice") == {"assignment/data.py": "a"}


def test_lists_that_are_none(tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("# nobody\n", encoding="utf-8")
    (tmp_path / "other.txt").write_bytes("r\xe9po".encode("latin-1"))
    (tmp_path / "folder").mkdir()
    for name, words in {
        "empty.txt": "names no repository",
        "other.txt": "not UTF-8",
        "folder": "holds no clones",
        "missing.csv": "cannot be read",
    }.items():
        arguments = argparse.Namespace(list=tmp_path / name, before=DEADLINE, out=tmp_path / "out", branch="")
        assert collect.run(arguments) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada/week3\n\n# no\nhttps://github.com/Our-School/week3-bob.git/\n",
         [("ada-week3", "https://github.com/ada/week3"),
          ("Our-School-week3-bob", "https://github.com/Our-School/week3-bob.git/")]),
        ("ada;ada/week3\nbob;bob/week3\n",
         [("ada", "https://github.com/ada/week3"), ("bob", "https://github.com/bob/week3")]),
        ("git@github.com:our-school/week3-ada.git\tAda L\u00f6velace\n",
         [("Ada_L\u00f6velace", "git@github.com:our-school/week3-ada.git")]),
        ("assignment_name,github_username,roster_identifier,student_repository_url\n"
         "week3,ada,4711,https://github.com/our-school/week3-ada\n",
         [("ada", "https://github.com/our-school/week3-ada")]),
        ("Repository,Student\n\"ada/week3\",\"Lovelace, Ada\"\nbob/week3,\n",
         [("Lovelace_Ada", "https://github.com/ada/week3"), ("bob-week3", "https://github.com/bob/week3")]),
    ],
)  # fmt: skip
def test_forms_of_a_list(text, expected, tmp_path):
    (tmp_path / "list.csv").write_text(text, encoding="utf-8-sig")
    assert [(one.id, one.source) for one in repositories.read(tmp_path / "list.csv")] == expected


@pytest.mark.parametrize(
    ("name", "folder"),
    [("../../etc", "etc"), ("con", "_con"), ("", "_"), (".git", "git"), ("a/b\\c:d", "a_b_c_d"), ("a@b.org", "a@b.org"),
     ("x" * 300, "x" * 100), ("NUL.txt", "_NUL.txt"), ("\u202e\x1b[2J", "2J")],
)  # fmt: skip
def test_names_of_folders(name, folder):
    assert repositories.folder_name(name) == folder


def test_no_password_and_no_formula_in_the_table(student, tmp_path, capsys):
    run(tmp_path, "+x@y,https://me:secret-token@127.0.0.1:9/a/b")
    table = (tmp_path / "out" / "collected.csv").read_text("utf-8")
    assert "secret" not in table + "".join(capsys.readouterr()) and "\n'+x@y,https://127.0.0.1:9/a/b," in table


# ---- files as git stores them


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_no_link_no_submodule_no_filter_and_no_attribute_has_an_effect(student, tmp_path, monkeypatch):
    alice = student()
    settings = tmp_path / "gitconfig"
    evil = f'[filter "evil"]\n\tclean = cat\n\tsmudge = touch {tmp_path / "ran"}\n\trequired = true\n'
    settings.write_text(evil, encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    alice.commit("raw\n", EARLY, push=False)
    (alice.work / "link.py").symlink_to("/etc/hostname")
    (alice.work / "folder").symlink_to("assignment")
    sh(alice.work, "add", "-A")
    attributes = "*.py filter=evil\nassignment/data.py export-ignore eol=crlf\n"
    (alice.work / ".gitattributes").write_text(attributes, encoding="utf-8")
    sh(alice.work, "add", ".gitattributes")
    tip = sh(alice.work, "rev-parse", "HEAD").strip()
    sh(alice.work, "update-index", "--add", "--cacheinfo", f"160000,{tip},module")
    sh(alice.work, "commit", "-q", "-m", "odd", **at(EARLY))
    sh(alice.work, "push", "-q", "origin", "HEAD")
    status, rows = run(tmp_path, f"alice,{alice.bare}")
    assert status == 0 and not (tmp_path / "ran").exists()
    assert files(tmp_path / "out" / "alice") == {"assignment/data.py": "raw\n", ".gitattributes": attributes}
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]
    assert rows["alice"]["reason"].endswith(": folder, link.py, module")


def test_a_tree_that_leads_out_of_its_folder_stays_inside(student, tmp_path):
    alice = student()
    alice.commit("work", EARLY, push=False)
    blob = sh(alice.work, "rev-parse", "HEAD:assignment/data.py").strip()
    entries = {".": b"100644 data.py", "..": b"100644 evil.py", ".git": b"100644 config", ".GIT ": b"100644 config"}
    tree = ["hash-object", "-t", "tree", "-w", "--literally", "--stdin"]
    data, root = bytes.fromhex(blob), b""
    for name, line in sorted(entries.items()):
        inner = bytes.fromhex(sh(alice.work, *tree, input=line + b"\0" + data).strip())
        root += b"40000 " + name.encode() + b"\0" + inner
    root += b"100644 back\\slash.py\0" + data + b"100644 ok.py\0" + data
    top = sh(alice.work, *tree, input=root).strip()
    commit = sh(alice.work, "commit-tree", "-m", "evil", top, **at(EARLY)).strip()
    sh(alice.work, "push", "-q", "origin", f"{commit}:refs/heads/main")
    _, rows = run(tmp_path, f"alice,{alice.bare}")
    assert rows["alice"]["status"] == "collected" and files(tmp_path / "out" / "alice") == {"ok.py": "work"}
    assert not list(tmp_path.rglob("evil.py"))


def test_a_commit_of_absurd_size_is_refused(student, tmp_path, monkeypatch):
    alice = student()
    alice.commit("x" * 2000, EARLY)
    monkeypatch.setattr(git, "MOST", 1000)
    status, rows = run(tmp_path, f"alice,{alice.bare}")
    assert status == 1 and "too much" in rows["alice"]["reason"] and not (tmp_path / "out" / "alice").exists()


# ---- again


def test_collecting_again_brings_up_to_date_and_keeps_what_was_there(student, tmp_path):
    alice, bob = student("alice"), student("bob")
    alice.commit("first", EARLY)
    bob.commit("bob", EARLY)
    lines = [f"alice,{alice.bare}", f"bob,{bob.bare}"]
    _, first = run(tmp_path, *lines)
    assert run(tmp_path, *lines) == (0, first)
    sha = alice.commit("second", ON_TIME, "assignment/model.py")
    sh(alice.work, "rm", "-q", "assignment/data.py")
    sh(alice.work, "commit", "-q", "-m", "gone", **at(ON_TIME))
    sh(alice.work, "push", "-q", "origin", "HEAD")
    shutil.rmtree(bob.bare)
    status, rows = run(tmp_path, *lines)
    assert status == 0 and rows["alice"]["commit"] != sha
    assert files(tmp_path / "out" / "alice") == {"assignment/model.py": "second"}
    assert rows["bob"]["status"] == "collected" and "what was fetched before counts" in rows["bob"]["reason"]
    assert files(tmp_path / "out" / "bob") == {"assignment/data.py": "bob"}
    _, rows = run(tmp_path, *lines, before="2026-11-01T00:00:00Z")
    assert rows["alice"]["status"] == "nothing before the deadline" and not (tmp_path / "out" / "alice").exists()


def test_what_was_not_there_after_the_deadline_never_counts(student, tmp_path, clock):
    """Its author may date a commit as they like, and write the history anew; what was seen then stays."""
    alice, bob = student("alice"), student("bob")
    honest = alice.commit("a", EARLY)
    bob.commit("b", EARLY)
    lines = [f"alice,{alice.bare}", f"bob,{bob.bare}"]
    clock("2026-12-01T23:30:00Z")
    _, first = run(tmp_path, *lines)
    assert first["alice"]["commit"] == honest
    clock("2026-12-03T00:00:00Z")
    late = alice.commit("better", ON_TIME)
    sh(bob.work, "commit", "-q", "--amend", "-m", "other", **at(LATE))
    sh(bob.work, "push", "-q", "--force", "origin", "HEAD")
    for _ in range(2):
        status, rows = run(tmp_path, *lines)
        assert status == 0 and {name: row["commit"] for name, row in rows.items()} == {
            name: row["commit"] for name, row in first.items()
        }
        said = "but was not there on 2026-12-01T23:30:00Z, after the deadline: it does not count"
        assert rows["alice"]["reason"] == f"{late[:8]} is dated 2026-12-01T22:59:59Z, {said}"
        assert rows["bob"]["reason"] == f"the history was rewritten, {said}"
    assert files(tmp_path / "out" / "alice") == {"assignment/data.py": "a"}
    _, rows = run(tmp_path, *lines, before="2026-12-02T00:00:00Z")
    assert rows["alice"]["commit"] == late, "with a later deadline it counts"


def test_a_folder_appears_whole_or_not_at_all(student, tmp_path, monkeypatch):
    alice = student()
    alice.commit("a", EARLY)
    run(tmp_path, f"alice,{alice.bare}")
    alice.commit("b", ON_TIME, "assignment/model.py")
    real = collect.write_bytes

    def failing(path: Path, content: bytes) -> None:
        if path.name == "model.py":
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(collect, "write_bytes", failing)
    status, rows = run(tmp_path, f"alice,{alice.bare}")
    assert status == 1 and "No space left" in rows["alice"]["reason"]
    assert files(tmp_path / "out" / "alice") == {"assignment/data.py": "a"}
    assert list((tmp_path / "out" / ".repositories" / "half-made").iterdir()) == []


def test_a_folder_of_somebody_else_is_left_alone(student, tmp_path, capsys):
    alice = student()
    (tmp_path / "out" / "alice").mkdir(parents=True)
    (tmp_path / "out" / "alice" / "mine.txt").write_text("mine", encoding="utf-8")
    status, rows = run(tmp_path, f"alice,{alice.bare}")
    assert status == 2 and rows == {} and "choose another folder" in capsys.readouterr().err
    assert files(tmp_path / "out") == {"alice/mine.txt": "mine"}


# ---- a folder of clones


def test_clones_are_brought_up_to_date_without_being_touched(student, tmp_path):
    alice, bob = student("alice"), student("bob")
    alice.commit("a", EARLY)
    bob.commit("b", EARLY)
    (tmp_path / "clones").mkdir()
    for name, one in {"Alice": alice, "Bob": bob}.items():
        sh(tmp_path / "clones", "clone", "-q", str(one.bare), name)
    (tmp_path / "clones" / "notes").mkdir()
    alice.commit("newer", ON_TIME)
    shutil.rmtree(bob.bare)
    before = {p: p.read_bytes() for p in (tmp_path / "clones").rglob("*") if p.is_file()}
    status, rows = run(tmp_path, tmp_path / "clones")
    assert status == 0 and set(rows) == {"Alice", "Bob"}
    assert files(tmp_path / "out" / "Alice") == {"assignment/data.py": "newer"}
    assert files(tmp_path / "out" / "Bob") == {"assignment/data.py": "b"}
    assert "the clone as it lies here counts" in rows["Bob"]["reason"]
    assert {p: p.read_bytes() for p in (tmp_path / "clones").rglob("*") if p.is_file()} == before


def test_a_clone_with_hostile_settings_runs_nothing(student, tmp_path):
    alice = student()
    alice.commit("a", EARLY)
    (tmp_path / "clones").mkdir()
    sh(tmp_path / "clones", "clone", "-q", str(alice.bare), "Alice")
    clone, marker = tmp_path / "clones" / "Alice", tmp_path / "ran"
    with (clone / ".git" / "config").open("a", encoding="utf-8") as settings:
        settings.write(f"[core]\n\tfsmonitor = touch {marker}\n\tsshCommand = touch {marker}\n")
        settings.write(f"[uploadpack]\n\tpackObjectsHook = touch {marker}\n")
        settings.write(f'[remote "origin"]\n\turl = ext::touch {marker}\n\tuploadpack = touch {marker}\n')
    status, rows = run(tmp_path, tmp_path / "clones")
    assert not marker.exists()
    assert status == 0 and files(tmp_path / "out" / "Alice") == {"assignment/data.py": "a"}
    assert "origin cannot be fetched" in rows["Alice"]["reason"]


# ---- where it is


def test_the_command_is_the_teachers_alone():
    assert not [path for path in contents.grader_files(ROOT) if path.startswith("grader/classroom/")]
    done = subprocess.run(
        [sys.executable, "-m", "grader", "collect", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "--before TIME" in done.stdout
