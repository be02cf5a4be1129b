"""Checks out a spec, and the files that it refers to, from a git revision into a temporary folder."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from .. import variants
from ..boundary import OPEN, Boundary
from ..contracts.reading import Columns, RowReader
from ..diagnostics import Refused, clean, listed, quote, refuse
from ..facts.columns import resolve
from ..facts.rows import HEADER, Opened, rows
from ..facts.tables import open_tables
from ..language.parse import parse
from ..language.paths import paths
from ..language.places import SPLITS
from ..language.source import Source, content
from ..language.spec import HeldOut, Spec
from ..locking.locked import ENDING, beside
from .git import LINK, MODULE, Blob, Revision, find, unheard
from .working import POINTER, pointer

DEEPEST = 40  # symbolic links in a chain at most
FILTERED = "made by a filter of git, which is not run"
LONGEST = 4096  # characters of a link's target at most
LARGE = 4_000_000  # bytes; smaller files are copied where they can't be linked


@dataclass
class Checkout:
    """A temporary folder that holds the files fetched so far, each below its true absolute path."""

    revision: str
    commit: Revision
    name: str  # the spec's path in the repository
    folder: Path
    today: list[str] = field(default_factory=list)  # untracked files, used as they are now
    filtered: list[str] = field(default_factory=list)  # files made by a filter of git, used as they are now
    boundary: Boundary = OPEN  # includes the folder; a linked file counts where the link leads

    @property
    def spec(self) -> Path:
        """The path of the spec in the folder."""
        return self._inside(self.commit.top / self.name)

    def fetch(self, file: Path) -> bytes:
        """The content of a file of the revision, fetched on demand: the spec or a file that it extends."""
        self.bring([os.path.relpath(file, self.spec.parent)])
        if self.boundary.is_outside(file):
            raise OSError("it lies outside of what `--confine` names")
        return content(file)

    def notes(self) -> tuple[str, ...]:
        """Notes on the files of the old side that are not from its revision."""
        told = {
            f"not in git at {self.revision}, so taken as it is now": self.today,
            f"{FILTERED}, so it can't be compared and is taken as it is now": self.filtered,
        }
        return tuple(f"{what}: {listed(dict.fromkeys(names))}" for what, names in told.items() if names)

    def bring_all(self, source: Source) -> None:
        """Fetches the lock, backbone, data and samples of a spec; a missing file stays absent."""
        spec = parse(source)
        self.bring([path for task in spec.each for _, path in paths(task)])
        self._bring_lock(beside(source))
        folder = self.spec.parent
        for task, name in ((task, name) for task in spec.each for name in SPLITS):
            entry = getattr(task.data, name)
            if entry is not None and not isinstance(entry, HeldOut):
                with suppress(Refused):  # checking the old spec reports it
                    for table in open_tables(entry, folder, ("data", name), self.boundary):
                        self.bring(self._named_by_rows(task, table))

    def _bring_lock(self, place: Path) -> None:
        """Fetches the lock and links it to the path at which the reader of this spec looks for it."""
        lock = Path(self.name).with_suffix("").name + ENDING
        if os.path.normpath(Path(self.name).parent / lock) in self.commit.files:
            self.bring([lock])
            if not os.path.lexists(place):
                self._made(place).symlink_to(lock)

    def _named_by_rows(self, spec: Spec, table: Opened) -> list[str]:
        """The files that the rows of a table refer to, as the spec would write them."""
        if table.path.is_dir():
            return []
        head, reader = spec.head_variant, variants.reader(spec.head_type)
        found: list[str] = []
        numbered = (values for _, values in rows(table))
        for values in (first := list(islice(numbered, HEADER))):
            found += _referred(reader, values, resolve(spec.data.columns, head, reader, values), table.folder)
        if found:
            columns = resolve(spec.data.columns, head, reader, first[0])
            for values in numbered:
                found += _referred(reader, values, columns, table.folder)
        return [os.path.relpath(name, self.spec.parent) for name in dict.fromkeys(found)]

    def bring(self, paths: list[str]) -> None:
        """Fetches files and folders, given relative to the spec's folder."""
        names: list[str] = []
        for path in paths:
            whole = os.path.normpath(self.commit.top / Path(self.name).parent / path)
            if os.path.isabs(path):
                continue  # an absolute path needs no copy
            inside = os.path.relpath(whole, self.commit.top)
            if _leads_out(inside):
                self._today(Path(whole))
            else:
                names.append(inside)
        self.commit.compare(name for name in names if self.commit.files.get(name, (LINK,))[0] not in (LINK, MODULE))
        wanted = [name for inside in names for name in self._settle(inside)]
        for name, old in self.commit.contents(dict.fromkeys(wanted)):
            self._write(name, old)

    def _settle(self, name: str, depth: int = 0) -> list[str]:
        """Links unchanged files and returns the names of files whose old content is needed."""
        files = self.commit.files
        folder = "" if name == "." else name + "/"
        for file in _upwards(name):
            if files.get(file, ("",))[0] == MODULE:
                raise self._elsewhere(file)
        if name in files and files[name][0] != LINK:
            return self._settle_file(name)
        if name == "." or name in self.commit.folders:
            return self._settle_folder(name, folder, [file for file in files if file.startswith(folder)])
        for link in _upwards(name):
            if files.get(link, ("",))[0] == LINK and depth < DEEPEST:
                return self._follow(link, name[len(link) + 1 :], depth)
        if name not in self.commit.tracked:
            self._today(self.commit.top / name)
        return []

    def _settle_file(self, name: str) -> list[str]:
        verdict = self.commit.verdict(name)
        if verdict == "other":
            return [name]
        self.filtered += [name] if verdict == "unknown" else []
        self._link(self.commit.top / name)
        return []

    def _settle_folder(self, name: str, folder: str, within: list[str]) -> list[str]:
        """A folder as at the revision; untracked files in it, such as ignored weights, as they are now."""
        for file in within:
            if self.commit.files[file][0] == MODULE:
                raise self._elsewhere(file)
        untracked = self.commit.untracked(name)
        self.today += untracked
        links = [file for file in within if self.commit.files[file][0] == LINK]
        is_changed = self.commit.is_changed(name)
        verdicts = {file: self.commit.verdict(file) for file in within if file not in links}
        self.filtered += [file for file, verdict in verdicts.items() if verdict == "unknown"]
        if not links and not is_changed:
            self._link(self.commit.top / name)
            return []
        for file in [*untracked, *(file for file, verdict in verdicts.items() if verdict != "other")]:
            self._take(self.commit.top / file)
        wanted = [file for file, verdict in verdicts.items() if verdict == "other"]
        for link in links:
            wanted += self._follow(link, "", 0)
        return wanted

    def _follow(self, link: str, rest: str, depth: int) -> list[str]:
        """Recreates a symbolic link of the revision and fetches its target."""
        target = self._target(link)
        to = os.path.normpath(os.path.join(os.path.dirname(link), target, rest))
        if os.path.isabs(target) or _leads_out(to):
            self._check_way_out(link, target)
        place = self._inside(self.commit.top / link)
        if not os.path.lexists(place):
            self._made(place).symlink_to(target)
        if os.path.isabs(target):
            return []
        if _leads_out(to):
            self._today(Path(os.path.normpath(self.commit.top / to)))
            return []
        return self._settle(to, depth + 1)

    def _target(self, link: str) -> str:
        for _, blob in self.commit.contents([link]):
            target = os.fsdecode(blob.read(LONGEST + 1))
            if len(target) <= LONGEST and "\0" not in target and target:
                return target
        raise unheard(self.revision, link)

    def _check_way_out(self, link: str, target: str) -> None:
        """Raises Refused E0236 for a link out of the repository that the working tree does not have."""
        now = self.commit.top / link
        if not now.is_symlink() or os.readlink(now) != target:
            raise unheard(self.revision, f"{link} -> {target}")

    def _write(self, name: str, old: Blob) -> None:
        place = self._inside(self.commit.top / name)
        if os.path.lexists(place):
            return  # fetched before; writing through a link would change the working tree
        start = old.read(POINTER + 1)
        told = pointer(start)
        if told is None:
            with self._made(place).open("xb") as file:
                file.write(start)
                file.writelines(old.pieces())
            return
        objects = self.commit.owner(name).repository.common / "lfs" / "objects"
        pointed = objects / told.oid[:2] / told.oid[2:4] / told.oid
        if not pointed.is_file():
            raise refuse(
                "E0235",
                f"{quote(name)} at {self.revision} lies in Git LFS and is not on this machine",
                help=f"git lfs fetch origin {self.commit.commit[:12]}",
            )
        self._made(place).symlink_to(pointed)

    def _elsewhere(self, module: str) -> Refused:
        return refuse(
            "E0350",
            f"the submodule {quote(module)} at {self.revision} is not on this machine",
            "the folder has no clone of it, or one without the commit of then",
            help="git submodule update --init {0} && git -C {0} fetch".format(clean(shlex.quote(module))),
        )

    def _today(self, path: Path) -> None:
        if path.exists():
            self.today.append(os.path.relpath(path, self.commit.top))
            self._link(path)

    def _link(self, path: Path) -> None:
        place = self._inside(path)
        if not os.path.lexists(place):
            self._made(place).symlink_to(path)

    def _take(self, source: Path) -> None:
        """Puts a file into the folder: a hard link, or else a copy or a symbolic link."""
        place = self._inside(source)
        if os.path.lexists(place):
            return
        self._made(place)
        try:
            os.link(source, place, follow_symlinks=False)
        except OSError:  # on another disk
            if source.is_symlink() or not source.is_file() or source.stat().st_size > LARGE:
                place.symlink_to(source)
            else:
                shutil.copyfile(source, place)

    def _inside(self, path: Path) -> Path:
        return self.folder / path.relative_to("/")

    def _made(self, place: Path) -> Path:
        """`place`, with its missing parent folders made.

        Raises Refused E0236 for a place outside of the checkout, or one that is reached through a symbolic link.
        """
        if os.path.normpath(place) != str(place) or not place.is_relative_to(self.folder):
            raise unheard(self.revision, str(place))
        for parent in reversed(place.parents[: len(place.parents) - len(self.folder.parents)]):
            with suppress(FileExistsError):
                parent.mkdir()
            if parent.is_symlink() or not parent.is_dir():
                raise unheard(self.revision, str(place.relative_to(self.folder)))
        return place


def _upwards(name: str) -> list[str]:
    """The folders above a path of a repository, and the path itself.

    >>> _upwards("a/b/c")
    ['a', 'a/b', 'a/b/c']
    """
    parts = name.split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def _leads_out(path: str) -> bool:
    """Whether a path relative to the root of a repository leads out of it.

    >>> _leads_out("../a"), _leads_out("..a"), _leads_out("/a")
    (True, False, True)
    """
    return path == ".." or path.startswith("../") or os.path.isabs(path)


def _referred(reader: RowReader, values: dict[str, object], columns: Columns, folder: Path) -> list[str]:
    """The files that one row refers to; empty for an unusable row, which checking reports."""
    try:
        return [str(file) for file in reader.files(values, columns, folder)]
    except (KeyError, TypeError, ValueError):
        return []


@contextmanager
def at_revision(reference: str, spec: Path, boundary: Boundary = OPEN) -> Iterator[Checkout]:
    """A temporary checkout of the spec as at `REV`, or of another file at `REV:PATH`.

    Raises Refused: E0232 without a repository, E0233 for an unknown revision, E0234 where the revision lacks the spec.
    """
    revision, _, path = reference.partition(":")
    place = Path(os.path.realpath(spec))
    with tempfile.TemporaryDirectory(prefix="graftc-") as folder:
        room = Path(os.path.realpath(folder))
        commit = find(revision, place, room)
        name = os.path.normpath(path) if path else os.path.relpath(place, os.path.realpath(commit.top))
        if name not in commit.files:
            way = f"`--diff git:{revision}:OLD/NAME.yaml`, from the top of the repository"
            headline = f"there is no {quote(name)} at {quote(revision)}"
            raise refuse("E0234", headline, help=f"where it had another name: {way}")
        tree = room / "tree"
        tree.mkdir()
        checkout = Checkout(revision, commit, name, tree, boundary=boundary.including([tree]))
        checkout.bring([os.path.relpath(name, Path(name).parent)])
        yield checkout
