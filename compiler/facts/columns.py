"""Decides which columns of the data play which role."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .. import variants
from ..diagnostics import At, Diagnostic, clean, nearest, quote
from .rows import Opened

if TYPE_CHECKING:
    from ..contracts.head import Head
    from ..contracts.reading import RowReader

MOST = 12  # the most columns in a message
WHICH: dict[tuple[str, ...], str] = {  # the difference of two targets
    ("label", "labels"): "`label` is for one label per row, `labels` for any number"
}
Columns = dict[str, tuple[str, ...]]
Written = Mapping[str, str | tuple[str, ...]]  # `data.columns`


def misplaced(columns: Written, task: str, head: Head[Any, Any], reader: RowReader) -> Iterator[Diagnostic]:
    """Errors in the roles under `data.columns` that do not depend on the data."""
    roles = (*reader.roles, *head.targets)
    is_head = task in variants.words("heads")  # for an objective another task is no help
    if is_head and not set(head.targets) & columns.keys() and (meant := _meant(columns, roles)):
        other = next(role for role in columns if role not in roles)
        also = (At(("data", "columns", other), "not one of its roles", on_key=True),)
        headline = f"the columns don't play the roles of `{task}`"
        at, notes = At(("head", "type"), f"reads {', '.join(roles)}"), (f"roles: {', '.join(roles)}",)
        yield Diagnostic(
            "E0312", headline, at, also, notes, f"with these columns: {' or '.join(f'`type: {w}`' for w in meant)}"
        )
        return
    for role, names in columns.items():
        at = At(("data", "columns", role), "not one of its roles", on_key=True)
        if role not in roles:
            notes = (f"roles: {', '.join(roles)}",)
            headline = f"{quote(role)} is not a role of `{task}`"
            yield Diagnostic("E0312", headline, at, notes=notes, help=nearest(role, roles))
        elif isinstance(names, tuple) and len(names) > 1 and role not in (*reader.joined, *head.several):
            yield Diagnostic("E0312", f"`{role}` takes one column", At(at.path, f"these are {len(names)}"))
    written = [role for role in head.targets if role in columns]
    if len(written) > 1:
        at = At(("data", "columns", written[1]), "one of the two", on_key=True)
        also = (At(("data", "columns", written[0]), "the other", on_key=True),)
        headline = f"`{written[0]}` and `{written[1]}` are both given"
        yield Diagnostic("E0312", headline, at, also, help=WHICH.get(tuple(written), "keep one of the two"))
    yield from _twice(columns, head, reader)
    for role in columns:
        beside = [other for target in written[:1] for other in head.read_beside.get(target, ())]
        together = [other for target in written[:1] for other in head.read_with.get(target, ())] + beside
        if together and role in reader.roles and role not in together:
            at, also = At(("data", "columns", role), on_key=True), (At(("data", "columns", written[0]), on_key=True),)
            yield Diagnostic(
                "E0312", f"`{role}` does not go with `{written[0]}`", at, also, help=f"`{together[0]}` does"
            )


def _meant(columns: Written, roles: Collection[str]) -> list[str]:
    """The tasks that take all written roles, where `roles` are the roles of the task that does not."""
    if columns.keys() <= set(roles):
        return []
    found = []
    for word in variants.words("heads"):
        head = variants.head(word)
        takes = {*variants.reader(word).roles, *head.targets}
        if columns.keys() <= takes and (not head.targets or set(head.targets) & columns.keys()):
            found.append(word)
    return found


def _twice(columns: Written, head: Head[Any, Any], reader: RowReader) -> Iterator[Diagnostic]:
    """Errors for columns that play two roles: a target that is also an input makes learning meaningless."""
    needed = () if head.read_with else (role for role in reader.roles if role not in reader.optional)
    target = [role for role in head.targets if role in columns][:1]
    roles = {*reader.roles, *target}  # unknown roles and further targets are reported elsewhere
    joined = {*reader.joined, *head.several}  # several columns for other roles are reported elsewhere
    written = {role: (role,) for role in needed} | {
        role: name if isinstance(name, tuple) else (name,)
        for role, name in columns.items()
        if role in roles and (role in joined or not isinstance(name, tuple))
    }
    first: dict[str, str] = {}
    for role, names in written.items():
        for name in names:
            if first.setdefault(name, role) == role:
                continue
            here, there = (role, first[name]) if role in columns else (first[name], role)
            at, also = (
                At(("data", "columns", here), "plays both"),
                (At(("data", "columns", there), f"`{there}`", True),),
            )
            headline = f"column {quote(name)} is both `{there}` and `{here}`"
            yield Diagnostic(
                "E0331", headline, at, also if there in columns else (), help="name another column for one"
            )


def resolve(columns: Written, head: Head[Any, Any], reader: RowReader, names: Collection[str]) -> Columns:
    """The columns of each role: the written ones, else the column with the name of the role, present or not."""
    written = {role: name if isinstance(name, tuple) else (name,) for role, name in columns.items()}
    found: Columns = {}
    targets = [role for role in head.targets if role in written] or [role for role in head.targets if role in names]
    target = (targets or [role for role in head.targets if role not in reader.optional])[:1]
    together = [role for name in target for role in head.read_with.get(name, ())]
    beside = [role for name in target for role in head.read_beside.get(name, ()) if role in written or role in names]
    for role in [*beside, *together] or reader.roles:
        if role in (*beside, *together) or role in written or role in names or role not in reader.optional:
            found[role] = written.get(role, (role,))
    for role in target:
        found[role] = written.get(role, (role,))
    return found


def absent(role: str, name: str, names: Collection[str], split: str, table: Opened, is_written: bool) -> Diagnostic:
    """The error for a table that lacks the column of a role."""
    at = At(("data", "columns", role) if is_written else ("data", split))
    default = nearest(name, names) if is_written else f"name it under `data.columns`: `{role}: <column>`"
    help = _padded(role, name, names) or _other_format(name, names, table) or default
    headline = f"{quote(table.shown)} has no column {quote(name)}"
    return Diagnostic("E0312", headline, at, (), (f"its columns: {', '.join(map(clean, list(names)[:MOST]))}",), help)


def _padded(role: str, name: str, names: Collection[str]) -> str:
    """The advice where a header has the column with blanks around it or in other letters."""
    alike = [other for other in names if other.strip().casefold() == name.strip().casefold()]
    if not alike:
        return ""
    way = f"write `{role}: {json.dumps(alike[0], ensure_ascii=False)}` under `data.columns`"
    return f"{way}, or take the blanks out of the header" if alike[0] != alike[0].strip() else way


def _other_format(name: str, names: Collection[str], table: Opened) -> str:
    """The advice where another format, which always has such a column, would read the table."""
    own = variants.format(table.format).columns
    if not own or set(names) != set(own):
        return ""
    for word in variants.words("formats"):
        if word != table.format and name in variants.format(word).columns:
            return f"`{{from: {clean(table.shown)}, format: {word}}}` would read {quote(name)}, if it is such a file"
    return ""
