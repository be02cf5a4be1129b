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

# nothing is fetched, by no git however old, nobody is asked for a password, no lock is taken
QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "none", "LC_ALL": "C"}
# what a hook sets for its own repository, and what would mislead git about that of the spec
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
LINK = "120000"  # mode of a symbolic link
MODULE = "160000"  # of a submodule


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in FOREIGN} | QUIET


def git(folder: Path, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs git in a folder, with `given` as its input; raises Refused E0232 where there is no git."""
    if shutil.which("git") is None:
        raise refuse("E0232", "git: needs git, and there is none on this machine", help="compare with a file instead")
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *words]
    return subprocess.run(command, cwd=folder, env=_environment(), input=given, capture_output=True, check=False)


@dataclass(frozen=True)
class Revision:
    """A commit of the repository that a folder lies in; paths are relative to its `top`, with slashes."""

    top: Path
    commit: str

    @cached_property
    def files(self) -> Mapping[str, tuple[str, str]]:
        """(mode, object) of every file of the commit, those of its submodules included.

        A submodule of which this machine lacks the commit stands there itself, with the mode MODULE.
        """
        inside = {name: entry for name, entry in self._own.items() if name not in self.modules}
        return inside | {f"{at}/{name}": entry for at, module in self.modules.items() for name, entry in module.files.items()}  # fmt: skip

    @cached_property
    def _own(self) -> Mapping[str, tuple[str, str]]:
        found = {}
        for line in self._lines("ls-tree", "-r", "-z", self.commit):
            head, _, name = line.partition("\t")
            mode, _, sha = head.split(" ")[:3]
            found[name] = (mode, sha)
        return found

    @cached_property
    def modules(self) -> Mapping[str, Revision]:
        """The submodules of the commit by path, each at its own commit, where this machine has that."""
        named = {name: sha for name, (mode, sha) in self._own.items() if mode == MODULE}
        return {name: Revision(self.top / name, sha) for name, sha in named.items() if _has(self.top / name, sha)}

    @cached_property
    def differing(self) -> frozenset[str]:
        """Files that the working tree has otherwise, lacks, or has besides."""
        seen = self._lines("diff", "--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules", "-z", self.commit, "--")  # fmt: skip
        within = (f"{at}/{name}" for at, module in self.modules.items() for name in module.differing)
        return frozenset([*seen, *self._unwatched(), *within])

    def _unwatched(self) -> Iterator[str]:
        """Files that git was told to take for unchanged, and that are otherwise: `skip-worktree`, `assume-unchanged`."""
        marked = (line.split(" ", 1) for line in self._lines("ls-files", "-v", "-z"))
        names = [name for tag, name in marked if (tag == "S" or tag.islower()) and name in self._own]
        # what is no file is left to the reader of the new side
        there = [name for name in names if (self.top / name).is_file() and "\n" not in name]
        done = git(self.top, "hash-object", "--stdin-paths", given=os.fsencode("\n".join(there)))
        if done.returncode:
            raise unusable(done)
        now = dict(zip(there, done.stdout.decode("ascii").split(), strict=True))
        yield from (name for name in names if now.get(name) != self._own[name][1])

    @cached_property
    def folders(self) -> frozenset[str]:
        """Folders of the commit."""
        return frozenset(_folders(self.files))

    @cached_property
    def tracked(self) -> frozenset[str]:
        """Files that git watches in the working tree now, and their folders."""
        files = {*self._lines("ls-files", "-z")}
        files |= {f"{at}/{name}" for at, module in self.modules.items() for name in module.tracked}
        return frozenset([*files, *_folders(files)])

    def untracked(self, folder: str) -> list[str]:
        """Files of the working tree within a folder that git does not watch, ignored ones too."""
        for at, module in self.modules.items():
            if _is_within(folder, at):
                return [f"{at}/{name}" for name in module.untracked(os.path.relpath(folder, at))]
        inside = [at for at in self.modules if _is_within(at, folder)]
        found = list(self._lines("ls-files", "--others", "-z", "--", f":(literal){folder}"))
        return found + [f"{at}/{name}" for at in inside for name in self.modules[at].untracked(".")]

    def _lines(self, *words: str) -> Iterator[str]:
        done = git(self.top, *words)
        if done.returncode:
            raise unusable(done)
        return (os.fsdecode(line) for line in done.stdout.split(b"\0") if line)

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of files of the commit, one after another."""
        rest = set(names)
        for at, module in self.modules.items():
            inside = {name for name in rest if _is_within(name, at)}
            rest -= inside
            yield from ((f"{at}/{name}", content) for name, content in module.contents(os.path.relpath(name, at) for name in sorted(inside)))  # fmt: skip
        yield from self._contents(sorted(rest))

    def _contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        command = ["git", "cat-file", "--batch"]
        process = subprocess.Popen(command, cwd=self.top, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
        assert process.stdin
        assert process.stdout
        with process:
            for name in names:
                process.stdin.write(self._own[name][1].encode() + b"\n")
                process.stdin.flush()
                head = process.stdout.readline().split()
                if len(head) != 3:
                    process.kill()
                    raise refuse("E0232", f"git can't give {quote(name)} at {self.commit[:12]}", "the clone lacks it", help="fetch the whole history")  # fmt: skip
                content = process.stdout.read(int(head[2]))
                process.stdout.read(1)
                yield name, content

    def owner(self, name: str) -> Revision:
        """The repository that a file lies in: this one, or a submodule."""
        inside = [
            module.owner(os.path.relpath(name, at)) for at, module in self.modules.items() if _is_within(name, at)
        ]
        return inside[0] if inside else self


def _is_within(name: str, folder: str) -> bool:
    return folder == "." or name == folder or name.startswith(folder + "/")


def _has(folder: Path, commit: str) -> bool:
    """Whether a folder is the top of a repository that has a commit."""
    if not os.path.lexists(folder / ".git"):
        return False  # git would ask the repository around it
    return git(folder, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


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
