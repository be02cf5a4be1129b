"""Reads a spec file with everything that it extends, upgraded from older versions of the language."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path as File

from ..boundary import OPEN, Boundary, outside
from ..diagnostics import At, Diagnostic, Refused, Row, Span, nearest, quote, refuse
from ..files import start
from .compose import composed, joined, rebased
from .migrations import MIGRATIONS, Migration, misversioned, upgrade
from .mistakes import kind_of, nothing
from .text import DEEPEST, FLAGS, MOST, Base, Source, parse_text

__all__ = ["DEEPEST", "FLAGS", "LARGEST", "LONGEST", "MOST", "Source", "content", "parse_text", "read"]

LARGEST = 1 << 20  # bytes of a spec file at most
LONGEST = 8  # files in a chain of `extends`, the spec included
# what makes a text a spec; the content of other files is never quoted in messages
_SAYS = re.compile(r"""(?:^|[{,])[ \t]*["']?graftc["']?[ \t]*:""", re.MULTILINE)


Fetch = Callable[[File], bytes]  # returns the content of a file; raises OSError or ValueError where there is none


def content(file: File) -> bytes:
    """The content of a file, at most its first LARGEST + 1 bytes.

    Never blocks on a pipe or a device, which does not count as a file. Raises OSError or ValueError where there is no
    file.
    """
    return start(file, LARGEST + 1)


def read(
    file: File,
    shown: str | None = None,
    fetch: Fetch = content,
    migrations: Mapping[int, Migration] = MIGRATIONS,
    boundary: Boundary = OPEN,
) -> Source:
    """Reads a spec file and everything that it extends, as one source.

    `shown` is the name of the file in messages; `fetch` may read files from elsewhere than the disk. Raises Refused:
    E0101–E0107 for text that is not the YAML of specs, E0220–E0222 for a base that can't be read, a circle and a chain
    that is too long, E0204 or E0208 for a base of another version of the language, and E0353 for a file outside of
    `boundary`.
    """
    name = shown or str(file)
    if boundary.leads_out(file):
        raise Refused((outside("the spec", Row(name), boundary),))
    try:
        raw = fetch(file)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise refuse("E0106", "the spec can't be read", _reason(error), at=Row(name), help=_meant(file, name)) from None
    spec = replace(upgrade(parse_text(_decoded(raw, name), name, file.parent), migrations), boundary=boundary)
    chain = _Chain(spec, fetch, migrations)
    try:
        return chain.whole(spec)
    except Refused as refused:
        refused.source = replace(spec, bases=tuple(chain.bases))
        raise


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _meant(file: File, name: str) -> str:
    """Help for a missing spec: the only spec in a folder of that name, or a file with a similar name."""
    if os.path.isdir(file):
        inside = _specs(file)
        return f"did you mean {quote(os.path.join(name, inside[0]))}?" if len(inside) == 1 else ""
    return "" if os.path.exists(file) else nearest(file.name, _specs(file.parent))


def _specs(folder: File) -> list[str]:
    """The names of the specs in a folder; empty where it can't be listed."""
    try:
        return [entry.name for entry in os.scandir(folder) if entry.name.endswith((".yaml", ".yml"))]
    except OSError:
        return []


def _decoded(raw: bytes, name: str) -> str:
    if len(raw) > LARGEST:
        note = f"a spec has at most {LARGEST >> 20} MiB"
        raise refuse("E0106", "the spec is too large", note, at=Row(name), help="put rows into a data file")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _of_two_bytes(name, "UTF-16")
    if 3 * raw.count(0) > len(raw):  # in UTF-16, every second byte of a Latin letter is zero
        raise _of_two_bytes(name, "UTF-16LE" if raw[1:2] == b"\0" else "UTF-16BE")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise refuse("E0106", "the spec is not UTF-8", at=Span(name, line, 1), help="save the file as UTF-8") from None


def _of_two_bytes(name: str, encoding: str) -> Refused:
    at, help = Span(name, 1, 1), f"save the file as UTF-8: `iconv -f {encoding} -t UTF-8`"
    return refuse("E0106", "the spec is not UTF-8", "it looks like UTF-16", at=at, help=help)


class _Chain:
    """Resolves the chain of `extends`: a spec, its base, the base's base and so on."""

    def __init__(self, spec: Source, fetch: Fetch, migrations: Mapping[int, Migration]) -> None:
        self.fetch, self.migrations, self.boundary = fetch, migrations, spec.boundary
        self.files = [os.path.realpath(spec.folder / File(spec.file).name)]
        self.bases: list[Base] = []
        self.size = len(spec.values)

    def whole(self, top: Source) -> Source:
        """A file composed over everything that it extends; `bases` lists all files that were read."""
        if "extends" not in top.data:
            return top
        name, at = _reference(top), top.values["extends",]
        base = self._base(top, name, at)
        _check_versions(top, base)
        below = self.whole(base)
        written = {key: value for key, value in top.data.items() if key != "extends"}
        whole = composed(rebased(below, os.path.dirname(name), top.folder), replace(top, data=written))
        return replace(
            whole,
            keys=whole.keys | {("extends",): top.keys["extends",]},
            values=whole.values | {("extends",): at},
            bases=tuple(self.bases),
            notes=(*top.notes, *below.notes),
        )

    def _base(self, top: Source, name: str, at: Span) -> Source:
        """The file that another file extends, not yet composed with its own base."""
        path, shown = top.folder / name, joined(os.path.dirname(top.file), name, File())
        if self.boundary.is_outside(path):
            raise Refused((outside(f"the base {quote(name)}", at, self.boundary),))
        self._check_end(path, shown, at)
        try:
            raw = self.fetch(path)
        except (OSError, ValueError) as error:
            if self.boundary.is_outside(path):  # a file of a git revision exists only after it was fetched
                raise Refused((outside(f"the base {quote(name)}", at, self.boundary),)) from None
            help = _nearest(top, name) or "give the path of a spec, relative to the file that extends it"
            found = Diagnostic("E0220", f"the base {quote(name)} can't be read", replace(at, label=_reason(error)))
            raise Refused((replace(found, help=help),)) from None
        text = raw[:LARGEST].decode("utf-8-sig", "replace")
        self.bases.append(Base(shown, text if _SAYS.search(text) else "", at))  # kept for messages
        text = _decoded(raw, shown)
        if text.strip() and not _SAYS.search(text):
            note, help = "nothing of it is shown", "give the path of a spec, which has a line `graftc: 1`"
            raise refuse("E0204", "`graftc` is missing", note, at=Span(shown, 1, 1), help=help)
        base = upgrade(parse_text(text, shown, path.parent), self.migrations)
        self.size += len(base.values)
        if self.size > MOST:
            headline, note = "the spec and what it extends have too many keys and values", f"at most {MOST:,}"
            raise refuse("E0106", headline, note, at=at, help="put rows into a data file")
        return base

    def _check_end(self, path: File, shown: str, at: Span) -> None:
        """Refuses a circle (E0221) and a chain that is too long (E0222)."""
        notes = tuple(base.link for base in (*self.bases, Base(shown, "", at)))
        real = _real(path)
        if real in self.files:
            first = self.files.index(real)
            also = tuple(base.extended for base in self.bases[first:])
            at = replace(at, label="leads back")
            found = Diagnostic("E0221", "`extends` goes in a circle", at, also, notes[first:])
            raise Refused((replace(found, help="remove one of these `extends`"),))
        self.files.append(real)
        if len(self.files) > LONGEST:
            notes = (f"at most {LONGEST}, the spec included", *notes)
            found = Diagnostic("E0222", "too many files extend each other", replace(at, label="one more"), (), notes)
            raise Refused((replace(found, help="put what the files in the middle say into one"),))


def _nearest(top: Source, name: str) -> str:
    """Help for a misspelt path: a file of a similar name in the same folder."""
    inside, missing = os.path.split(name)
    with suppress(OSError, ValueError):
        listed = (other for other in os.listdir(top.folder / inside) if other != os.path.basename(top.file))
        stems = {os.path.splitext(other)[0]: os.path.join(inside, other) for other in listed}
        close = get_close_matches(os.path.splitext(missing)[0], stems, n=1)
        return f"did you mean {quote(stems[close[0]])}?" if close else ""
    return ""


def _real(path: File) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL byte in the name
        return str(path)


def _reference(source: Source) -> str:
    """The path that a file extends, as written; raises Refused for another kind of value."""
    name = source.data["extends"]
    if name is None:
        found = nothing(("extends",))
    elif not isinstance(name, str):
        found = Diagnostic(
            "E0202",
            "`extends` has the wrong kind of value",
            At(("extends",), f"expected text, this is {kind_of(name)}"),
        )
    elif not name:
        found = Diagnostic("E0202", "`extends` is empty", At(("extends",), "expected the path of a spec"))
    else:
        return name
    raise Refused((_placed(found, source),))


def _check_versions(*sources: Source) -> None:
    found = [_placed(wrong, source) for source in sources if (wrong := misversioned(source))]
    if found:
        raise Refused(tuple(found))


def _placed(found: Diagnostic, source: Source) -> Diagnostic:
    """The diagnostic with its place resolved to a line of one file, which later composition does not change."""
    assert isinstance(found.at, At)
    span = source.span(found.at.path, found.at.on_key) or Span(source.file, 1, 1)
    return replace(found, at=replace(span, label=found.at.label))
