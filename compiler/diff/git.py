"""Asks git about one revision of a repository and the state of its working tree; changes neither."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..diagnostics import Refused, quote, refuse

# nothing is fetched, nobody is asked for a password, no lock is taken
QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
# what a hook sets for its own repository, and what would mislead git about that of the spec
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
LINK = "120000"  # mode of a symbolic link
MODULE = "160000"  # of a submodule


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in FOREIGN} | QUIET


def git(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Runs git in a folder; raises Refused E0232 where there is no git."""
    if shutil.which("git") is None:
        raise refuse("E0232", "git: needs git, and there is none on this machine", help="compare with a file instead")
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *words]
    return subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, check=False)


@dataclass(frozen=True)
class Revision:
    """A commit of the repository that a folder lies in; paths are relative to its `top`, with slashes."""

    top: Path
    commit: str

    @cached_property
    def files(self) -> Mapping[str, tuple[str, str]]:
        """(mode, object) of every file of the commit."""
        found = {}
        for line in self._lines("ls-tree", "-r", "-z", self.commit):
            head, _, name = line.partition("\t")
            mode, _, sha = head.split(" ")[:3]
            found[name] = (mode, sha)
        return found

    @cached_property
    def differing(self) -> frozenset[str]:
        """Files that the working tree has otherwise, lacks, or has besides."""
        return frozenset(self._lines("diff", "--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules", "-z", self.commit, "--"))  # fmt: skip

    @cached_property
    def folders(self) -> frozenset[str]:
        """Folders of the commit."""
        return frozenset(_folders(self.files))

    @cached_property
    def tracked(self) -> frozenset[str]:
        """Files that git watches in the working tree now, and their folders."""
        files = frozenset(self._lines("ls-files", "-z"))
        return files | frozenset(_folders(files))

    def untracked(self, folder: str) -> list[str]:
        """Files of the working tree within a folder that git does not watch, ignored ones too."""
        return list(self._lines("ls-files", "--others", "-z", "--", f":(literal){folder}"))

    def _lines(self, *words: str) -> Iterator[str]:
        done = git(self.top, *words)
        if done.returncode:
            raise unusable(done)
        return (os.fsdecode(line) for line in done.stdout.split(b"\0") if line)

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of files of the commit, one after another; submodules have none."""
        wanted = [(name, self.files[name][1]) for name in names if self.files[name][0] != MODULE]
        command = ["git", "cat-file", "--batch"]
        process = subprocess.Popen(command, cwd=self.top, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        assert process.stdin
        assert process.stdout
        with process:
            for name, sha in wanted:
                process.stdin.write(sha.encode() + b"\n")
                process.stdin.flush()
                head = process.stdout.readline().split()
                if len(head) != 3:
                    process.kill()
                    raise refuse("E0232", f"git can't give {quote(name)} at {self.commit[:12]}", "the clone lacks it", help="fetch the whole history")  # fmt: skip
                content = process.stdout.read(int(head[2]))
                process.stdout.read(1)
                yield name, content


def _folders(files: Iterable[str]) -> Iterator[str]:
    for name in files:
        while "/" in name:
            name = name.rpartition("/")[0]
            yield name


def find(revision: str, spec: Path) -> Revision:
    """The commit that a revision names in the repository of a spec.

    Raises Refused E0232 where there is no repository, and E0233 for a revision that it has not.
    """
    folder = spec.parent
    place = git(folder, "rev-parse", "--show-toplevel")
    if place.returncode:
        raise unusable(place)
    top = Path(os.fsdecode(place.stdout.rstrip(b"\n")))
    done = git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    commit = done.stdout.decode("ascii", "replace").split()
    if done.returncode or not commit or not revision:
        is_shallow = git(top, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
        note = ["this clone is shallow: it holds the newest commits only"] if is_shallow else []
        deepen = "fetch the whole history: `git fetch --unshallow`, or `fetch-depth: 0` of actions/checkout"
        name = "give a commit, a branch or a tag: `git:main`, `git:HEAD~1`"
        headline = f"the repository has no revision {quote(revision)}"
        raise refuse("E0233", headline, *note, help=deepen if is_shallow else name)
    return Revision(top, commit[-1])


def unusable(done: subprocess.CompletedProcess[bytes]) -> Refused:
    """What git says where it can't work at all."""
    said = done.stderr.decode(errors="replace").strip().splitlines() or ["git gave no reason"]
    return refuse(
        "E0232",
        "the spec lies in no git repository that can be read",
        said[0].removeprefix("fatal: ").partition(" (or any")[0],
        help="compare with a file instead: `--diff old.yaml`",
    )


def lfs_object(revision: Revision, content: bytes) -> Path | None:
    """Where the true content of a Git LFS pointer would lie on this machine; None for content that is no pointer."""
    if len(content) > 1024 or not content.startswith(b"version https://git-lfs.github.com/spec/"):
        return None
    oid = content.partition(b"oid sha256:")[2][:64].decode("ascii", "replace")
    folder = os.fsdecode(git(revision.top, "rev-parse", "--git-common-dir").stdout.rstrip(b"\n"))
    return revision.top / folder / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
