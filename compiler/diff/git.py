"""Reads one revision of a git repository and compares the working tree with it; changes neither."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Timer
from typing import IO

from ..diagnostics import Refused, clean, quote, refuse
from .repository import PATIENCE, Repository, around, at, unusable
from .working import POINTER, Verdict, attributes, blob, by_attributes, is_pointed_to, pointer

LINK = "120000"  # mode of a symbolic link
MODULE = "160000"  # of a submodule
CHUNK = 1 << 20  # bytes copied at a time


class Blob:
    """The content of a file of a commit, which must be read before the next one."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream, self.size, self.rest = stream, size, size

    def read(self, most: int) -> bytes:
        """The next bytes, at most `most`; b"" at the end."""
        piece = self.stream.read(min(most, self.rest))
        self.rest = self.rest - len(piece) if piece else 0
        return piece

    def pieces(self) -> Iterator[bytes]:
        """The rest of the content in chunks."""
        while piece := self.read(CHUNK):
            yield piece


@dataclass(frozen=True)
class Revision:
    """A commit of the repository around a folder; paths are relative to `top`, with slashes."""

    repository: Repository
    commit: str
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by file; the files compared so far

    @property
    def top(self) -> Path:
        """The root of the working tree."""
        return self.repository.top

    @cached_property
    def files(self) -> Mapping[str, tuple[str, str]]:
        """(mode, object) of every file of the commit, including those of submodules.

        A submodule whose commit is not on this machine is an entry itself, with the mode MODULE.
        """
        inside = {name: entry for name, entry in self._own.items() if name not in self.modules}
        for place, module in self.modules.items():
            inside |= {f"{place}/{name}": entry for name, entry in module.files.items()}
        return inside

    @cached_property
    def _own(self) -> Mapping[str, tuple[str, str]]:
        """The commit's own entries; raises Refused E0236 for names that no working tree can have."""
        found: dict[str, tuple[str, str]] = {}
        for line in self._lines("ls-tree", "-r", "-z", "--full-tree", self.commit):
            head, _, name = line.partition("\t")
            mode, _, sha = head.split(" ")[:3]
            if name in found or not _is_sound(name):
                raise unheard(self.commit[:12], name)
            found[name] = (mode, sha)
        both = found.keys() & {*_folders(found)}
        if both:
            raise unheard(self.commit[:12], min(both))
        return found

    @cached_property
    def modules(self) -> Mapping[str, Revision]:
        """The submodules of the commit by path, each at its own commit, if this machine has that commit."""
        found = {}
        for name, (mode, sha) in self._own.items():
            if mode == MODULE and (module := _module(self.repository, name, sha)):
                found[name] = module
        return found

    def compare(self, names: Iterable[str]) -> None:
        """Compares files of the working tree with those of the commit, in batch; `verdict` returns the results."""
        new = [name for name in dict.fromkeys(names) if name not in self.verdicts and name in self.files]
        for place, module in self.modules.items():
            inside = [os.path.relpath(name, place) for name in new if _is_within(name, place)]
            module.compare(inside)
            self.verdicts.update({f"{place}/{name}": module.verdicts[name] for name in inside})
        own = {name: self._own[name][1] for name in new if name in self._own}
        hashes = {name: blob(self.top / name, self.repository.algorithm, self.top) for name in own}
        self.verdicts.update({name: "same" if hashes[name] == sha else "other" for name, sha in own.items()})
        rest = {name: sha for name, sha in own.items() if hashes[name] and hashes[name] != sha}
        self.verdicts.update(self._looked_at(rest))

    def _looked_at(self, rest: Mapping[str, str]) -> Iterator[tuple[str, Verdict]]:
        """Verdicts on files with different bytes: whether git would have stored them as the commit has them."""
        if not rest:
            return
        small = [name for name, size in self._sizes(rest).items() if size is not None and size <= POINTER]
        pointers = {name: told for name, content in self.contents(small) if (told := pointer(content.read(POINTER)))}
        said = attributes(self.repository, [name for name in rest if name not in pointers])
        for name, sha in rest.items():
            if name in pointers:
                yield name, "same" if is_pointed_to(self.top / name, pointers[name], self.top) else "other"
            else:
                yield name, by_attributes(self.repository, name, sha, said[name])

    def _sizes(self, shas: Mapping[str, str]) -> dict[str, int | None]:
        given = "".join(f"{sha}\n" for sha in shas.values()).encode()
        done = self.repository.git("cat-file", "--batch-check", given=given)
        if done.returncode:
            raise unusable(done)
        told = (line.split() for line in done.stdout.decode("ascii", "replace").splitlines())
        return {name: int(line[2]) if len(line) == 3 else None for name, line in zip(shas, told, strict=True)}

    def verdict(self, name: str) -> Verdict:
        """Whether a file of the working tree is the same as in the commit."""
        self.compare([name])
        return self.verdicts[name]

    def is_changed(self, folder: str) -> bool:
        """Whether a folder of the working tree differs: a tracked file was changed, removed or added."""
        plain = (name for name, (mode, _) in self.files.items() if mode not in (LINK, MODULE))
        within = [name for name in plain if _is_within(name, folder)]
        self.compare(within)
        if any(self.verdicts[name] == "other" for name in within):
            return True
        came = {name for name in self.watched if _is_within(name, folder)} - self.files.keys() - self.modules.keys()
        return any(os.path.lexists(self.top / name) for name in came)

    @cached_property
    def folders(self) -> frozenset[str]:
        """The folders of the commit."""
        return frozenset(_folders(self.files))

    @cached_property
    def watched(self) -> frozenset[str]:
        """The files that git tracks in the working tree."""
        files = {*self._lines("ls-files", "-z")}
        for place, module in self.modules.items():
            files |= {f"{place}/{name}" for name in module.watched}
        return frozenset(files)

    @cached_property
    def tracked(self) -> frozenset[str]:
        """The files that git tracks in the working tree, and their folders."""
        return frozenset([*self.watched, *_folders(self.watched)])

    def untracked(self, folder: str) -> list[str]:
        """The files of the working tree in a folder that git does not track, including ignored ones."""
        found: list[str] = []
        for place, folders, files in os.walk(self.top / folder):
            folders[:] = sorted(name for name in folders if name != ".git")
            links = [name for name in folders if os.path.islink(os.path.join(place, name))]
            own = (name for name in (*links, *sorted(files)) if name != ".git")
            names = (os.path.relpath(os.path.join(place, name), self.top) for name in own)
            found += [name for name in names if name not in self.tracked]
        return found

    def _lines(self, *words: str) -> Iterator[str]:
        done = self.repository.git(*words)
        if done.returncode:
            raise unusable(done)
        return (os.fsdecode(line) for line in done.stdout.split(b"\0") if line)

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, Blob]]:
        """(name, content) of files of the commit, one after another."""
        rest = set(names)
        for place, module in self.modules.items():
            inside = {name for name in rest if _is_within(name, place)}
            rest -= inside
            for name, content in module.contents(os.path.relpath(name, place) for name in sorted(inside)):
                yield f"{place}/{name}", content
        if rest:
            yield from self._contents(sorted(rest))

    def _contents(self, names: Iterable[str]) -> Iterator[tuple[str, Blob]]:
        process = self.repository.process("cat-file", "--batch")
        assert process.stdin
        assert process.stdout
        with process:
            try:
                for name in names:
                    size = _asked(process, self._own[name][1])
                    if size is None:
                        headline = f"git can't give {quote(name)} at {self.commit[:12]}"
                        raise refuse("E0232", headline, "the clone lacks it", help="fetch the whole history")
                    yield name, (content := Blob(process.stdout, size))
                    for _ in content.pieces():
                        pass
                    process.stdout.read(1)
            finally:
                process.kill()

    def owner(self, name: str) -> Revision:
        """The repository that a file belongs to: this one or a submodule."""
        for place, module in self.modules.items():
            if _is_within(name, place):
                return module.owner(os.path.relpath(name, place))
        return self


def _asked(process: subprocess.Popen[bytes], sha: str) -> int | None:
    """The size of the file whose content follows in the stream; None if git lacks it or does not answer."""
    assert process.stdin
    assert process.stdout
    watch = Timer(PATIENCE, process.kill)
    watch.daemon = True
    watch.start()
    try:
        process.stdin.write(sha.encode() + b"\n")
        process.stdin.flush()
        head = process.stdout.readline().split()
    except OSError:
        return None
    finally:
        watch.cancel()
    return int(head[2]) if len(head) == 3 else None


def _is_sound(name: str) -> bool:
    """Whether a working tree can have a file of this name; git writes no other, but a crafted tree may hold one.

    >>> _is_sound("a/b"), _is_sound("../b"), _is_sound("/b"), _is_sound("a/.GIT/config")
    (True, False, False, False)
    """
    return all(part not in ("", ".", "..") and part.lower() != ".git" for part in name.split("/"))


def unheard(revision: str, name: str) -> Refused:
    """The refusal E0236 of a tree that git would not check out."""
    return refuse(
        "E0236",
        f"the tree at {clean(revision)} can't be laid out in a folder",
        f"it holds {quote(name)}",
        help="compare with a commit that `git fsck` finds nothing wrong in",
    )


def _is_within(name: str, folder: str) -> bool:
    return folder == "." or name == folder or name.startswith(folder + "/")


def _module(repository: Repository, name: str, commit: str) -> Revision | None:
    """A submodule at a commit; None if the submodule's clone is missing or lacks the commit."""
    inside = at(repository.top / name, repository.sealed.parent)
    if inside is None or inside.git("cat-file", "-e", f"{commit}^{{commit}}").returncode:
        return None
    return Revision(inside, commit)


def _folders(files: Iterable[str]) -> Iterator[str]:
    for name in files:
        while "/" in name:
            name = name.rpartition("/")[0]
            yield name


def find(revision: str, spec: Path, room: Path) -> Revision:
    """The commit that a revision names in the repository around a spec; git works in folders of `room`.

    Raises Refused E0232 where there is no repository, and E0233 for a revision that the repository lacks.
    """
    repository = around(spec.parent, room)
    more = repository.tracking() if "@{" in revision else {}
    done = repository.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", more=more)
    commit = done.stdout.decode("ascii", "replace").split()
    if done.returncode or not commit or not revision:
        is_shallow = repository.git("rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
        note = ["this clone is shallow: it holds the newest commits only"] if is_shallow else []
        deepen = "fetch the whole history: `git fetch --unshallow`, or `fetch-depth: 0` of actions/checkout"
        name = "give a commit, a branch or a tag: `git:main`, `git:HEAD~1`"
        headline = f"the repository has no revision {quote(revision)}"
        raise refuse("E0233", headline, *note, help=deepen if is_shallow else name)
    return Revision(repository, commit[-1])
