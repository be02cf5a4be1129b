"""Opens the repository around a folder for reading, without using its configuration.

A repository's configuration may name commands: filters, a file-system monitor, remote helpers. So git never runs in the
repository itself. It runs in a folder of ours with links to the objects, references and index, and the configuration is
read as text where needed.
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

# no fetching (by old versions of git too), no password prompt, no locks, no replaced objects
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
PATIENCE = 120  # seconds to wait for git, which would block on a pipe among its files
ALGORITHMS = ("sha1", "sha256")
LARGEST = 1 << 20  # bytes of a configuration file at most
LINE = 4096  # bytes of a one-line file at most
# entries shared by all working trees of a repository
SHARED = ("objects", "refs", "reftable", "packed-refs", "shallow")
OWN = ("index", "ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")
TRACKING = ("remote", "merge", "fetch")  # the settings of branches and remotes that `@{upstream}` needs


@dataclass(frozen=True)
class Repository:
    """A repository with a working tree."""

    top: Path  # the root of the working tree
    common: Path  # the folder shared by all working trees
    sealed: Path  # our folder, which git uses as the repository
    settings: Mapping[str, str]  # the user's configuration overlaid by its own: data, never passed to git

    def git(
        self, *words: str, given: bytes = b"", more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs git with `given` on standard input and `more` in the environment."""
        return _git(self.sealed, *words, given=given, more=more)

    def process(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts git with pipes for standard input and output."""
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
        """The hash algorithm of object names; raises Refused E0232 for an unknown one."""
        found = self.settings.get("extensions.objectformat", "sha1").lower()
        if found not in ALGORITHMS:
            raise unreadable(f"its objects are named by {clean(found)}")
        return found

    def tracking(self) -> dict[str, str]:
        """Environment variables that give git the settings of upstream branches."""
        parts = ((name, name.partition(".")[0], name.rpartition(".")[2]) for name in self.settings)
        names = [name for name, first, last in parts if first in ("branch", "remote") and last in TRACKING]
        found = {"GIT_CONFIG_COUNT": str(len(names))}
        for i, name in enumerate(names):
            found |= {f"GIT_CONFIG_KEY_{i}": name, f"GIT_CONFIG_VALUE_{i}": self.settings[name]}
        return found


def around(folder: Path, room: Path) -> Repository:
    """The repository whose working tree holds a folder; `room` is where our folder is made.

    A bare repository does not count. Raises Refused E0232 where there is none.
    """
    for place in (folder, *folder.parents):
        if found := at(place, room):
            return found
    raise unreadable("not a git repository")


def at(top: Path, room: Path) -> Repository | None:
    """The repository whose working tree has its root at a folder; None if there is none."""
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
    """Raises Refused E0232 for a pipe or device in a folder at any depth: git would block on it."""
    for place, _, names in os.walk(folder):
        odd = next((name for name in names if not _is_file(os.path.join(place, name))), None)
        if odd is not None:
            raise unreadable(f"{clean(odd)} in its {folder.name} is a pipe or a device, not a file")


def _is_file(path: str) -> bool:
    """Whether git can open a path without blocking: an ordinary file, or nothing."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def _own(dot: Path) -> Path | None:
    """The repository folder: `.git` itself, or the folder that a `.git` file names."""
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
    """Links to folders and ordinary files; git would block on a pipe."""
    for name in names:
        if (folder / name).is_dir() or (folder / name).is_file():
            (sealed / name).symlink_to(folder / name)


def _configure(sealed: Path, settings: Mapping[str, str]) -> None:
    """Writes the only configuration that git sees: how objects and references are stored."""
    lines = ["[core]", "repositoryformatversion = 1", "bare = false", "[extensions]"]
    for name in ("objectformat", "refstorage"):
        value = settings.get(f"extensions.{name}", "")
        if value.isalnum() and value.isascii():
            lines.append(f"{name} = {value}")
    (sealed / "config").write_text("\n".join(lines) + "\n")


def _settings(sealed: Path, text: bytes) -> dict[str, str]:
    """A configuration file as data: includes are not read, and the last value of a repeated key counts."""
    if len(text) > LARGEST:
        raise unreadable(f"its configuration is larger than {LARGEST >> 20} MiB")
    done = _git(sealed, "config", "--file", "-", "--no-includes", "--null", "--list", given=text)
    if done.returncode:
        raise unusable(done)
    pairs = (os.fsdecode(pair).partition("\n") for pair in done.stdout.split(b"\0") if pair)
    return {name: value for name, _, value in pairs}


def _users(sealed: Path) -> dict[str, str]:
    """The user's global configuration; empty where it can't be read."""
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
    """The command line of git, never one from the current folder; raises Refused E0232 where git is not installed."""
    found = shutil.which("git", path=os.pathsep.join(_places()))
    if found is None:
        raise refuse("E0232", "git: needs git, and there is none on this machine", help="compare with a file instead")
    return [found, *(word for option in OPTIONS for word in ("-c", option))]


def _places() -> Iterator[str]:
    path = os.environ.get("PATH", os.defpath)
    yield from (place for place in path.split(os.pathsep) if os.path.isabs(place))


def _environment(sealed: Path) -> dict[str, str]:
    """The whole environment of git; nothing of the user's environment is passed on."""
    return QUIET | {
        "GIT_DIR": str(sealed),
        "HOME": str(sealed),
        "PATH": os.pathsep.join(_places()),
        "XDG_CONFIG_HOME": str(sealed),
    }


def unusable(done: subprocess.CompletedProcess[bytes]) -> Refused:
    """The refusal with git's own error message."""
    said = done.stderr.decode(errors="replace").strip().splitlines() or ["git gave no reason"]
    return unreadable(clean(said[0].removeprefix("fatal: ")))


def unreadable(note: str) -> Refused:
    """The refusal E0232 of a repository."""
    headline = "the spec lies in no git repository that can be read"
    return refuse("E0232", headline, note, help="compare with a file instead: `--diff old.yaml`")
