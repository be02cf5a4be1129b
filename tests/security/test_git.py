"""Doors 5 and 10: `plan --diff git:REV` runs nothing that a repository names, and writes where no tree leads it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zlib
from pathlib import Path

import pytest

from graftc.compiler.diff import repository as sealing
from graftc.compiler.diff.compare import Diff

from ..front import ground
from ..front.cli import Answer, Command
from ..front.test_diff import commit, git, replace

DIFF = ("plan", "spec.yaml", "--diff", "git:HEAD")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with a spec and its data; the test stands in it."""
    folder = tmp_path / "clone"
    ground.lay(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    git("init", "-q", "-b", "main")
    commit("first")
    return folder


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a command that runs would leave; `command(mark)` is one that passes its input on."""
    return tmp_path / "mark"


def command(mark: Path) -> str:
    script = mark.with_name("attack")
    script.write_text(f"#!/bin/sh\necho $0 >> {mark}\nexec cat\n")
    script.chmod(0o755)
    return str(script)


def configured(path: Path, attack: str) -> None:
    """A configuration that names a command wherever git takes one."""
    lines = [
        f'[filter "x"]\n clean = {attack}\n smudge = {attack}\n process = {attack}\n required = true',
        f"[core]\n fsmonitor = {attack}\n pager = {attack}\n sshCommand = {attack}\n editor = {attack}",
        f" alternateRefsCommand = {attack}\n hooksPath = {path.parent / 'hooks'}\n gitProxy = {attack}",
        f"[diff]\n external = {attack}",
        f'[diff "x"]\n textconv = {attack}\n command = {attack}\n cachetextconv = true',
        f"[pager]\n diff = {attack}\n ls-tree = {attack}\n config = {attack}",
        f"[alias]\n diff = !{attack}\n cat-file = !{attack}",
        f"[credential]\n helper = !{attack}",
        f"[uploadpack]\n packObjectsHook = {attack}",
    ]
    with path.open("a") as file:
        file.write("\n".join(lines) + "\n")
    hooks = path.parent / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman", "pre-auto-gc"):
        shutil.copy(attack, hooks / name)


def touched(folder: Path) -> None:
    """Files with other times and one with other content: git would look at all of them again."""
    for path in folder.glob("*.jsonl"):
        os.utime(path, (0, 0))
    replace("train.jsonl", "manager", "director")(folder)


def difference(graftc: Command, *arguments: str) -> Diff:
    answer = graftc(*(arguments or DIFF), "--json")
    assert answer.status == 0, answer.err
    return Diff.model_validate_json(answer.out)


# ---------------------------------------------------------------------------------------------------------
# no command runs


def test_no_command_of_a_clone_s_configuration_runs(clone: Path, mark: Path, graftc: Command) -> None:
    (clone / ".gitattributes").write_text("* filter=x diff=x\n")
    commit("attributes")
    configured(clone / ".git" / "config", command(mark))
    touched(clone)
    assert graftc(*DIFF).status == 0
    assert not mark.exists()


def test_no_command_of_the_user_s_configuration_runs(clone: Path, mark: Path, graftc: Command) -> None:
    (clone / ".gitattributes").write_text("* filter=x diff=x\n")
    commit("attributes")
    configured(clone.parent / ".gitconfig", command(mark))
    touched(clone)
    assert graftc(*DIFF).status == 0
    assert not mark.exists()


def test_no_command_of_an_included_configuration_or_another_working_tree_runs(
    clone: Path, mark: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / ".gitattributes").write_text("* filter=x diff=x\n")
    commit("attributes")
    git("config", "extensions.worktreeConfig", "true")
    git("worktree", "add", "-q", "../other")
    monkeypatch.chdir(clone.parent / "other")
    git("config", "include.path", str(clone.parent / "included"))
    configured(clone.parent / "included", command(mark))
    touched(clone.parent / "other")
    configured(clone / ".git" / "worktrees" / "other" / "config.worktree", command(mark))
    assert difference(graftc).retrains
    assert not mark.exists()


def test_a_folder_laid_out_as_a_repository_is_none(clone: Path, mark: Path, graftc: Command) -> None:
    """An ordinary clone suffices: git takes a folder with `HEAD`, `objects` and `refs` for a repository."""
    inside = clone / "specs"
    ground.lay(inside)
    git("-C", "specs", "init", "-q", "-b", "main")
    git("-C", "specs", "add", "-A")
    git("-C", "specs", "commit", "-q", "-m", "planted")
    for path in (inside / ".git").iterdir():
        path.rename(inside / path.name)
    (inside / ".git").rmdir()
    text = (inside / "config").read_text().replace("bare = false", f"bare = false\n worktree = {inside}")
    (inside / "config").write_text(text)
    configured(inside / "config", command(mark))
    (inside / "info" / "attributes").write_text("* filter=x diff=x\n")
    touched(inside)
    os.chdir(inside)
    assert graftc(*DIFF).codes == ["E0234"]  # it is not in the clone's HEAD
    assert not mark.exists()


def test_no_command_of_the_environment_runs(
    clone: Path, mark: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = command(mark)
    for name in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_EDITOR", "GIT_PROXY_COMMAND"):
        monkeypatch.setenv(name, attack)
    for name, value in {"COUNT": "1", "KEY_0": "core.fsmonitor", "VALUE_0": attack}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    for name in ("GIT_TRACE", "GIT_TRACE2", "GIT_TRACE_SETUP"):  # git itself writes where these say
        monkeypatch.setenv(name, str(mark))
    for name in ("GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_EXEC_PATH"):
        monkeypatch.setenv(name, str(clone.parent))
    (clone / "git").write_text(f"#!/bin/sh\necho git >> {mark}\n")
    (clone / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}{os.environ['PATH']}")
    touched(clone)
    assert difference(graftc).retrains
    assert not mark.exists()


def test_nothing_is_fetched_by_a_helper_of_a_partial_clone(clone: Path, mark: Path, graftc: Command) -> None:
    attack = command(mark)
    replace("train.jsonl", "manager", "director")(clone)
    old = git("rev-parse", "HEAD:train.jsonl").strip()
    commit("second")
    (clone / ".git" / "objects" / old[:2] / old[2:]).unlink()
    with (clone / ".git" / "config").open("a") as file:
        file.write("[extensions]\n partialClone = origin\n")
        file.write(f'[remote "origin"]\n url = ext::{attack}\n promisor = true\n uploadpack = {attack}\n')
        file.write("[protocol]\n allow = always\n")
    assert graftc("plan", "spec.yaml", "--diff", "git:HEAD~1").codes == ["E0232"]
    assert not mark.exists()


def test_a_pipe_among_git_s_files_holds_nothing_up(
    clone: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "PATIENCE", 1)
    (clone / ".git" / "refs" / "heads" / "main").unlink()
    os.mkfifo(clone / ".git" / "refs" / "heads" / "main")
    assert graftc(*DIFF).codes == ["E0232"]


@pytest.mark.parametrize(
    "name",
    [
        "refs/heads/main",
        "objects/info/alternates",
        "objects/info/commit-graph",
        "objects/pack/multi-pack-index",
        "blob",
    ],
)
def test_a_pipe_deep_in_a_repository_is_not_waited_for(clone: Path, name: str, graftc: Command) -> None:
    blob = git("rev-parse", "HEAD:train.jsonl")
    path = clone / ".git" / (f"objects/{blob[:2]}/{blob[2:]}" if name == "blob" else name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    touched(clone)
    start = time.monotonic()
    answer = graftc(*DIFF)
    assert (answer.codes, time.monotonic() - start < 10) == (["E0232"], True), answer.err


@pytest.mark.parametrize("value", [b"shake_128", b"md5", b"\xff", b"sha1-\x1b[2J"])
def test_objects_that_git_can_t_name_are_refused(clone: Path, value: bytes, graftc: Command) -> None:
    with (clone / ".git" / "config").open("ab") as file:
        file.write(b"[extensions]\n objectFormat = " + value + b"\n")
    answer = graftc(*DIFF)
    assert (answer.status, set(answer.codes) <= {"E0232", "E0233"}) == (1, True), answer.err


def test_nothing_in_the_repository_changes(clone: Path, graftc: Command) -> None:
    touched(clone)

    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in clone.rglob("*")}

    before = state()
    assert difference(graftc).retrains
    assert state() == before


# ---------------------------------------------------------------------------------------------------------
# what git's filters would have told


def lfs(folder: Path, name: str) -> None:
    """Commits a file as a pointer of Git LFS; the working tree has its content."""
    content = (folder / name).read_bytes()
    oid = hashlib.sha256(content).hexdigest()
    (folder / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n")
    commit("a pointer")
    (folder / name).write_bytes(content)


def test_a_file_of_lfs_is_compared_by_its_pointer(clone: Path, graftc: Command) -> None:
    (clone / ".gitattributes").write_text("*.jsonl filter=lfs diff=lfs merge=lfs -text\n")
    lfs(clone, "train.jsonl")
    diff = difference(graftc)
    assert (diff.is_equal, diff.notes) == (True, ())
    replace("train.jsonl", "manager", "director")(clone)
    assert graftc(*DIFF).codes == ["E0235"], "its old content is not on this machine"


def test_a_pointer_names_nothing_but_an_object(clone: Path, graftc: Command) -> None:
    rows = (clone / "train.jsonl").read_text()
    way = "../../../../../other.jsonl"
    (clone.parent / "other.jsonl").write_text(rows)
    (clone / "train.jsonl").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{way}\nsize 1\n")
    commit("a pointer")
    (clone / "train.jsonl").write_text(rows)
    answer = graftc(*DIFF)
    assert answer.status == 1
    assert "E0235" not in answer.codes


@pytest.mark.parametrize(
    ("attributes", "setting", "is_equal"),
    [
        ("*.jsonl text", "", True),
        ("*.jsonl text=auto", "", True),
        ("*.jsonl eol=crlf", "", True),
        ("*.jsonl crlf", "", True),
        ("*.jsonl -text eol=crlf", "", False),
        ("*.jsonl -text", "true", False),
        ("", "input", True),
        ("", "false", False),
        ("", "", False),
    ],
)
def test_ends_of_lines_are_converted_as_git_would(
    clone: Path, attributes: str, setting: str, is_equal: bool, graftc: Command
) -> None:
    """Git itself is asked too: its answer is the right one."""
    (clone / ".gitattributes").write_text(attributes + "\n")
    commit("attributes")
    if setting:
        git("config", "core.autocrlf", setting)
    path = clone / "train.jsonl"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert (git("diff", "--name-only", "HEAD") == "") is is_equal
    assert difference(graftc).is_equal is is_equal


def test_what_another_filter_made_is_not_compared_and_said(clone: Path, mark: Path, graftc: Command) -> None:
    (clone / ".gitattributes").write_text("*.jsonl filter=x\n")
    commit("attributes")
    configured(clone / ".git" / "config", command(mark))
    assert difference(graftc).notes == ()
    replace("train.jsonl", "manager", "director")(clone)
    diff = difference(graftc)
    assert diff.is_equal
    assert diff.notes == (
        "made by a filter of git, which is not run, so it can't be compared and is taken as it is now: train.jsonl",
    )
    assert not mark.exists()


def test_a_filter_that_nobody_set_up_is_none(clone: Path, graftc: Command) -> None:
    (clone / ".gitattributes").write_text("*.jsonl filter=nobody\n")
    commit("attributes")
    replace("train.jsonl", "manager", "director")(clone)
    assert difference(graftc).retrains


def test_a_branch_that_another_follows_is_found(clone: Path, graftc: Command) -> None:
    git("branch", "base")
    git("branch", "-q", "--set-upstream-to=base", "main")
    replace("train.jsonl", "manager", "director")(clone)
    commit("second")
    assert difference(graftc, "plan", "spec.yaml", "--diff", "git:@{upstream}").retrains
    assert difference(graftc, "plan", "spec.yaml", "--diff", "git:main@{1}").retrains


# ---------------------------------------------------------------------------------------------------------
# names in trees


def stored(folder: Path, kind: str, content: bytes) -> bytes:
    """Puts an object into a repository without asking git whether it is sound; returns its name."""
    whole = f"{kind} {len(content)}\0".encode() + content
    name = hashlib.sha1(whole, usedforsecurity=False)
    path = folder / ".git" / "objects" / name.hexdigest()[:2] / name.hexdigest()[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(whole))
    return name.digest()


def planted(folder: Path, entries: list[tuple[str, bytes, bytes]]) -> str:
    """A commit of which the tree has, besides what HEAD has, entries of (mode, name, object)."""
    here = [line.split("\t") for line in git("ls-tree", "HEAD").splitlines()]
    every = [(head.split()[0].lstrip("0"), name.encode(), bytes.fromhex(head.split()[2])) for head, name in here]
    ordered = sorted(every + entries, key=lambda entry: entry[1])
    tree = b"".join(f"{mode} ".encode() + name + b"\0" + sha for mode, name, sha in ordered)
    sha = stored(folder, "tree", tree).hex()
    made = f"tree {sha}\nauthor a <a@example.org> 1 +0000\ncommitter a <a@example.org> 1 +0000\n\nplanted\n"
    return stored(folder, "commit", made.encode()).hex()


def attacked(clone: Path, entries: list[tuple[str, bytes, bytes]], data: str, graftc: Command) -> Answer:
    """Compares with a planted tree, whose spec reads a path."""
    text = (clone / "spec.yaml").read_text().replace("train: train.jsonl", f"train: {json.dumps(data)}")
    old = stored(clone, "blob", text.encode())
    revision = planted(clone, [*entries, ("100644", b"old.yaml", old)])
    return graftc("plan", "spec.yaml", "--diff", f"git:{revision}:old.yaml")


@pytest.mark.parametrize(
    "name", ["../planted", "..", ".", "/tmp/graftc-planted", "a/../../planted", ".git", ".GIT", "a//b"]
)
def test_a_name_that_leads_elsewhere_is_refused(clone: Path, name: str, graftc: Command) -> None:
    sha = stored(clone, "blob", b'{"text": "a", "label": "b"}\n')
    answer = attacked(clone, [("100644", name.encode(), sha)], name, graftc)
    assert answer.codes == ["E0236"]
    assert not (clone.parent / "planted").exists()
    assert not Path("/tmp/graftc-planted").exists()


@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_link_and_a_folder_of_one_name_write_nowhere(clone: Path, is_absolute: bool, graftc: Command) -> None:
    """The attack: the folder's file would be written through the link, over what it leads to."""
    home = clone.parent / "home"
    home.mkdir()
    way = str(home) if is_absolute else "../home"
    (clone / "a").symlink_to(way)
    link = stored(clone, "blob", way.encode())
    blob = stored(clone, "blob", b"ssh-rsa evil\n")
    tree = stored(clone, "tree", b"100644 authorized_keys\0" + blob)
    answer = attacked(clone, [("120000", b"a", link), ("40000", b"a", tree)], "a", graftc)
    assert answer.codes == ["E0236"]
    assert list(home.iterdir()) == []


def test_a_link_out_of_the_repository_is_followed_only_where_the_working_tree_has_it(
    clone: Path, graftc: Command
) -> None:
    rows = clone.parent / "rows.jsonl"
    rows.write_bytes((clone / "train.jsonl").read_bytes())
    link = ("120000", b"linked.jsonl", stored(clone, "blob", b"../rows.jsonl"))
    assert attacked(clone, [link], "linked.jsonl", graftc).codes == ["E0236"]
    (clone / "linked.jsonl").symlink_to("../rows.jsonl")
    assert attacked(clone, [link], "linked.jsonl", graftc).status == 0


def test_a_link_that_leads_to_no_name_is_refused(clone: Path, graftc: Command) -> None:
    link = ("120000", b"linked.jsonl", stored(clone, "blob", b"x" * 100_000))
    assert attacked(clone, [link], "linked.jsonl", graftc).codes == ["E0236"]


def test_what_lies_in_a_folder_that_is_a_link_now_is_brought(clone: Path, graftc: Command) -> None:
    """Git watches nothing beyond a link: what lies there is not the file of then."""
    (clone / "rows").mkdir()
    (clone / "train.jsonl").rename(clone / "rows" / "train.jsonl")
    replace("spec.yaml", "train: train.jsonl", "train: rows/train.jsonl")(clone)
    commit("moved")
    (clone / "rows").rename(clone.parent / "rows")
    (clone / "rows").symlink_to("../rows")
    rows = clone.parent / "rows" / "train.jsonl"
    before = rows.read_bytes()
    assert difference(graftc).is_equal
    rows.write_bytes(before.replace(b"manager", b"director"))
    assert difference(graftc).retrains
    assert rows.read_bytes() != before
