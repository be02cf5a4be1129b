"""Opens the repository of a folder for reading: git sees its objects and names, and no configuration but ours.

A repository's own configuration may name commands: filters, a file-system monitor, helpers of remotes. So git is never
pointed at it. It runs in a folder of ours that links to the objects, the references and the index, and what must be
known of the configuration is read as text.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..diagnostics import Refused, clean, refuse
from ..files import beginning

# nothing is fetched, by no git however old, nobody is asked for a password, no lock is taken, no object is replaced
QUIET = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
OPTIONS = ("safe.bareRepository=explicit", "core.fsmonitor=false", "core.quotePath=false", "core.hooksPath=/dev/null")
PATIENCE = 120  # seconds that git is waited for: a pipe among its files would hold it up for ever
ALGORITHMS = ("sha1", "sha256")
LARGEST = 1 << 20  # bytes of a configuration
LINE = 4096  # bytes of a file that holds one line
SHARED = ("objects", "refs", "reftable", "packed-refs", "shallow")  # by all working trees of a repository
OWN = ("index", "ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")
TRACKING = ("remote", "merge", "fetch")  # what `@{upstream}` needs of branches and remotes


@dataclass(frozen=True)
class Repository:
    """A repository with a working tree."""

    top: Path  # of the working tree
    common: Path  # the folder that all its working trees share
    sealed: Path  # the folder of ours that git takes for it
    settings: Mapping[str, str]  # its configuration, and below it the user's: data, never handed to git

    def git(
        self, *words: str, given: bytes = b"", more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs git with `given` as its input and `more` in its environment."""
        return _git(self.sealed, *words, given=given, more=more)

    def process(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts git, to be written to and read from."""
        return subprocess.Popen(
            [*_command(), *words],
            cwd=self.sealed,
            env=_environment(self.sealed),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    @property
    def algorithm(self) -> str:
        """The hash that names objects; raises Refused E0232 for one that git has not."""
        found = self.settings.get("extensions.objectformat", "sha1").lower()
        if found not in ALGORITHMS:
            raise unreadable(f"its objects are named by {clean(found)}")
        return found

    def tracking(self) -> dict[str, str]:
        """What an environment tells git of the branches that others follow."""
        parts = ((name, name.partition(".")[0], name.rpartition(".")[2]) for name in self.settings)
        names = [name for name, first, last in parts if first in ("branch", "remote") and last in TRACKING]
        found = {"GIT_CONFIG_COUNT": str(len(names))}
        for i, name in enumerate(names):
            found |= {f"GIT_CONFIG_KEY_{i}": name, f"GIT_CONFIG_VALUE_{i}": self.settings[name]}
        return found


def around(folder: Path, room: Path) -> Repository:
    """The repository whose working tree holds a folder; `room` is where ours is made.

    A folder that is laid out as a repository without a working tree is none. Raises Refused E0232 where there is none.
    """
    for place in (folder, *folder.parents):
        if found := at(place, room):
            return found
    raise unreadable("not a git repository")


def at(top: Path, room: Path) -> Repository | None:
    """The repository whose working tree begins at a folder."""
    own = _own(top / ".git")
    head = beginning(own / "HEAD", LINE) if own else None
    if own is None or head is None:
        return None
    common = _beside(own, beginning(own / "commondir", LINE) or b".")
    if not all((common / name).is_dir() for name in ("objects", "refs")):
        return None
    for name in ("objects", "refs"):
        _refuse_pipes(common / name)
    sealed = Path(tempfile.mkdtemp(prefix="git-", dir=room))
    (sealed / "HEAD").write_bytes(head)
    _link(sealed, common, SHARED)
    _link(sealed, own, OWN)
    _link(sealed, own, [name for name in _listed(own) if name.startswith("sharedindex.")])
    (sealed / "logs").mkdir()
    _link(sealed / "logs", own / "logs", ["HEAD"])
    _link(sealed / "logs", common / "logs", ["refs"])
    (sealed / "info").mkdir()
    _link(sealed / "info", common / "info", ["attributes"])
    settings = _users(sealed) | _settings(sealed, beginning(common / "config", LARGEST + 1) or b"")
    _configure(sealed, settings)
    return Repository(top, common, sealed, settings)


def _refuse_pipes(folder: Path) -> None:
    """Raises Refused E0232 for what is no file in a folder at any depth: git would wait at a pipe."""
    for place, _, names in os.walk(folder):
        odd = next((name for name in names if not _is_file(os.path.join(place, name))), None)
        if odd is not None:
            raise unreadable(f"{clean(odd)} in its {folder.name} is a pipe or a device, not a file")


def _is_file(path: str) -> bool:
    """Whether git can open a path without waiting: an ordinary file, or nothing at all."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def _own(dot: Path) -> Path | None:
    """The folder that `.git` is, or names."""
    if dot.is_dir():
        return dot
    text = beginning(dot, LINE) or b""
    return _beside(dot.parent, text.removeprefix(b"gitdir: ")) if text.startswith(b"gitdir: ") else None


def _beside(folder: Path, written: bytes) -> Path:
    return Path(os.path.normpath(folder / os.fsdecode(written.rstrip(b"\r\n").replace(b"\0", b""))))


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _link(sealed: Path, folder: Path, names: list[str] | tuple[str, ...]) -> None:
    """Links to what is a folder or an ordinary file: git would wait at a pipe."""
    for name in names:
        if (folder / name).is_dir() or (folder / name).is_file():
            (sealed / name).symlink_to(folder / name)


def _configure(sealed: Path, settings: Mapping[str, str]) -> None:
    """Writes all the configuration that git sees: how objects and references are stored."""
    lines = ["[core]", "repositoryformatversion = 1", "bare = false", "[extensions]"]
    for name in ("objectformat", "refstorage"):
        value = settings.get(f"extensions.{name}", "")
        if value.isalnum() and value.isascii():
            lines.append(f"{name} = {value}")
    (sealed / "config").write_text("\n".join(lines) + "\n")


def _settings(sealed: Path, text: bytes) -> dict[str, str]:
    """A configuration as data: nothing that it includes is read; of a key that stands there twice the last counts."""
    if len(text) > LARGEST:
        raise unreadable(f"its configuration is larger than {LARGEST >> 20} MiB")
    done = _git(sealed, "config", "--file", "-", "--no-includes", "--null", "--list", given=text)
    if done.returncode:
        raise unusable(done)
    pairs = (os.fsdecode(pair).partition("\n") for pair in done.stdout.split(b"\0") if pair)
    return {name: value for name, _, value in pairs}


def _users(sealed: Path) -> dict[str, str]:
    """What the user wrote for all repositories; nothing where it can't be read."""
    home = Path(os.path.expanduser("~"))
    folder = os.environ.get("XDG_CONFIG_HOME") or home / ".config"
    found: dict[str, str] = {}
    for path in (Path(folder) / "git" / "config", home / ".gitconfig"):
        try:
            found |= _settings(sealed, beginning(path, LARGEST) or b"")
        except Refused:
            continue
    return found


def _git(
    sealed: Path, *words: str, given: bytes = b"", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    environment = _environment(sealed) | dict(more or {})
    try:
        return subprocess.run(
            [*_command(), *words],
            cwd=sealed,
            env=environment,
            input=given,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise unreadable(f"git gave no answer within {PATIENCE} seconds") from None


def _command() -> list[str]:
    """The git of this machine: none that lies where the command was given. Raises Refused E0232 where there is none."""
    found = shutil.which("git", path=os.pathsep.join(_places()))
    if found is None:
        raise refuse("E0232", "git: needs git, and there is none on this machine", help="compare with a file instead")
    return [found, *(word for option in OPTIONS for word in ("-c", option))]


def _places() -> Iterator[str]:
    path = os.environ.get("PATH", os.defpath)
    yield from (place for place in path.split(os.pathsep) if os.path.isabs(place))


def _environment(sealed: Path) -> dict[str, str]:
    """All that git is told; nothing of the user's own environment is."""
    return QUIET | {
        "GIT_DIR": str(sealed),
        "HOME": str(sealed),
        "PATH": os.pathsep.join(_places()),
        "XDG_CONFIG_HOME": str(sealed),
    }


def unusable(done: subprocess.CompletedProcess[bytes]) -> Refused:
    """What git says where it can't work at all."""
    said = done.stderr.decode(errors="replace").strip().splitlines() or ["git gave no reason"]
    return unreadable(clean(said[0].removeprefix("fatal: ")))


def unreadable(note: str) -> Refused:
    """The refusal of a repository."""
    headline = "the spec lies in no git repository that can be read"
    return refuse("E0232", headline, note, help="compare with a file instead: `--diff old.yaml`")
