"""Reads the lock of a spec, with the place of each of its values."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pydantic import ValidationError

from ..boundary import outside
from ..diagnostics import Diagnostic, Refused, Row, Span, clean, quote, refuse
from ..diagnostics import Path as Keys
from ..frozen import Json
from ..language.source import LARGEST, Source, content, parse_text
from ..planning.plan import Pins, Plan
from .lock import FORMAT, Lock, signature

ENDING = ".lock.yaml"
SPECS = (".yaml", ".yml")  # endings of a spec's name
_COMMIT = re.compile("[0-9a-f]{40}")
# what makes a text a lock; the content of other files is never quoted in messages
_SAYS = re.compile("^lock:", re.MULTILINE)


@dataclass(frozen=True)
class Quoting(Source):
    """A spec whose diagnostics may also point into its lock."""

    lock: Source | None = None

    def lines(self, file: str) -> list[str]:
        """The lines of the spec or of its lock; a lock's lines are hidden where a boundary is set."""
        is_lock = self.lock is not None and file == self.lock.file and not self.boundary.is_closed
        return self.lock.lines(file) if self.lock and is_lock else super().lines(file)


@dataclass(frozen=True)
class Locked:
    """The lock of a spec, the lock's text with places, and the spec."""

    lock: Lock
    written: Source
    source: Source

    def at(self, path: Keys, label: str = "locked") -> Span | None:
        """The place of a value in the lock; for a list, the place of its key."""
        span = self.written.span(path, on_key=(*path, 0) in self.written.values)
        return span and replace(span, label=label)

    def reference(self) -> str:
        """The locked reference of the backbone with its revision resolved; "" if the spec names another backbone.

        A lock fixes the commit of a Hub repository, and never leads to another place than the spec does.
        """
        written, locked = self.source.data.get("backbone"), self.lock.backbone
        is_named = isinstance(written, dict) and written.get("from") == locked.from_
        return locked.source if is_named and _is_pinned(locked.source, locked.from_) else ""

    def quoting(self) -> Source:
        """The spec as a source whose reports can quote the lock too."""
        every = {field.name: getattr(self.source, field.name) for field in fields(Source)}
        return Quoting(**every, lock=self.written)

    def pin(self, plan: Plan) -> Plan:
        """The plan with the locked files and versions, which the build compares with what it finds."""
        return plan.model_copy(
            update={"pins": Pins(files=Json(self.lock.backbone.files), versions=Json(self.lock.versions))}
        )


def _is_pinned(reference: str, open: str) -> bool:
    """Whether a reference is another one with its revision resolved to a commit.

    >>> _is_pinned("./a", "./a"), _is_pinned("hub:a/b@" + 40 * "0", "hub:a/b@main"), _is_pinned("./b", "./a")
    (True, True, False)
    """
    repository, _, commit = reference.partition("@")
    is_of_hub = open.startswith("hub:") and repository == open.partition("@")[0]
    return reference == open or (is_of_hub and bool(_COMMIT.fullmatch(commit)))


def beside(source: Source) -> Path:
    """The path of a spec's lock: NAME.lock.yaml for NAME.yaml."""
    return source.folder / (Path(source.file).stem + ENDING)


def refuse_shared(source: Source) -> None:
    """Raises Refused E0352 where another spec has the same lock: NAME.yml beside NAME.yaml."""
    own = Path(source.file)
    for other in (own.with_suffix(ending).name for ending in SPECS if own.suffix in SPECS and own.suffix != ending):
        if (source.folder / other).is_file():
            headline, note = f"{quote(own.name)} and {quote(other)} would have one lock", quote(shown(source))
            help = f"rename one of them: `mv {shlex.quote(other)} {shlex.quote(own.stem)}-2{Path(other).suffix}`"
            raise refuse("E0352", headline, f"both are locked in {note}", at=Row(Path(source.file).name), help=help)


def shown(source: Source) -> str:
    """The path of a spec's lock in messages, relative as the spec's own path was given."""
    return str(Path(source.file).with_name(Path(source.file).stem + ENDING))


def _whole(source: Source) -> Row:
    """The lock as a place; the file of a Row is relative to the spec's folder."""
    return Row(Path(shown(source)).name)


def again(source: Source) -> str:
    """Help for most lock diagnostics: write the lock anew."""
    return f"`graftc lock {clean(source.file)}` writes it anew"


def read_lock(source: Source) -> Locked:
    """The lock of a spec.

    Raises Refused: E0352 where the lock may belong to another spec, E0340 where there is none, E0342 for a later
    format, E0341 for anything else that is not a valid lock.
    """
    refuse_shared(source)
    refuse_outside(source)
    return _read(source, _text(source))


def refuse_outside(source: Source) -> None:
    """Raises Refused E0353 where a symbolic link leads from a spec's lock out of the boundary."""
    if source.boundary.is_outside(beside(source)) and not source.boundary.is_outside(source.folder):
        raise Refused((outside(f"the lock {quote(shown(source))}", _whole(source), source.boundary),))


def refuse_illegible(source: Source, text: str) -> None:
    """Raises Refused E0341 for a lock text that is too large to be read again."""
    try:
        if len(text.encode()) > LARGEST:
            raise refuse("E0341", "", f"it is larger than {LARGEST >> 20} MiB")
        _read(source, text)
    except Refused as refused:
        help = "give the head fewer labels, or the data fewer files"
        notes = refused.diagnostics[0].notes
        raise refuse("E0341", "this lock could not be read again", *notes, at=_whole(source), help=help) from None


def _read(source: Source, text: str) -> Locked:
    try:
        written = parse_text(text, shown(source), source.folder, "the lock")
    except Refused as refused:
        raise _no_lock(source, refused, bool(_SAYS.search(text))) from None
    try:
        return Locked(_lock(source, written), written, source)
    except Refused as refused:
        refused.source = written if _SAYS.search(text) and not source.boundary.is_closed else source
        raise


def _no_lock(source: Source, refused: Refused, is_lock: bool) -> Refused:
    """The refusal of a text that is not YAML; a text that does not begin as a lock is not quoted."""
    first, is_shown = refused.diagnostics[0], is_lock and not source.boundary.is_closed
    notes = (first.headline,) if is_shown else ("nothing of it is shown",)
    found = Diagnostic("E0341", "the lock can't be read", first.at, notes=notes, help=again(source))
    return Refused((found,), source=refused.source if is_shown else source)


def _lock(source: Source, written: Source) -> Lock:
    version = written.data.get("lock")
    if type(version) is int and version > FORMAT:
        at, note = written.span(("lock",)), f"this graftc reads version {FORMAT}"
        help = f"upgrade graftc, or {again(source)}"
        raise refuse("E0342", f"the lock is of version {clean(version)}", note, at=at, help=help)
    try:
        found = Lock.model_validate(written.data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = "is not known" if first["type"] == "extra_forbidden" else first["msg"].lower()
        note = ": ".join(filter(None, (clean(".".join(map(str, first["loc"]))), what)))
        at = written.span(tuple(first["loc"]))
        at = at or Span(written.file, 1, 1)
        raise refuse("E0341", "this is not a lock that `graftc lock` wrote", note, at=at, help=again(source)) from None
    if found.sha256 != signature(found):
        note = "its last line is a hash of all other values, and they are not what was hashed"
        at = written.span(("sha256",))
        raise refuse("E0341", "the lock was changed after it was written", note, at=at, help=again(source))
    return found


def _text(source: Source) -> str:
    try:
        raw = content(beside(source))
    except FileNotFoundError:
        help = f"`graftc lock {clean(source.file)}` writes it"
        raise refuse("E0340", "there is no lock of this spec", at=_whole(source), help=help) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise refuse("E0341", "the lock can't be read", reason, at=_whole(source), help=again(source)) from None
    try:
        if len(raw) <= LARGEST:
            return raw.decode("utf-8")
        reason = f"it is larger than {LARGEST >> 20} MiB"
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    raise refuse("E0341", "the lock can't be read", reason, at=_whole(source), help=again(source))
