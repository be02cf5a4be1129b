"""Specs with several heads: the view of each head as if it were the only one, and the place of each of its values."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from .. import variants
from ..diagnostics import At, Diagnostic, Path, quote
from .spec import TAGS, Draft

NAME = r"^[a-z][a-z0-9_]{0,31}$"  # part of the names of a graph's outputs, and a keyword argument in Python
OWN = ("data", "weight", "metric", "adapt")  # keys of an entry of `heads` that are not options of the head
Values = Mapping[str, Any]


def alone(data: Values, name: str) -> dict[str, Any]:
    """The values of the spec in which the head `name` is the only one."""
    entry = data["heads"][name]
    head = {key: value for key, value in entry.items() if key not in OWN}
    rest = {key: value for key, value in data.items() if key not in ("heads", "data")}
    written = [part for part in (data.get("data"), entry.get("data")) if part is not None]
    merged = over(written[0], written[1]) if len(written) > 1 else written[0] if written else None
    return {**rest, "head": head, **({} if merged is None else {"data": merged})}


def over(under: Any, above: Any, path: Path = ("data",)) -> Any:
    """A head's own `data` merged over the `data` that all heads share, by the rules of composition."""
    tag = TAGS.get(path, "")
    is_another = tag in under and tag in above and under[tag] != above[tag] if _are_maps(under, above) else True
    if is_another:
        return above
    kept = {key: value for key, value in under.items() if key not in above}
    merged = {key: over(under[key], value, (*path, key)) if key in under else value for key, value in above.items()}
    return {**kept, **{key: value for key, value in merged.items() if value is not None}}


def _are_maps(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def written(data: Values, name: str) -> frozenset[Path]:
    """The paths under `data` that a head writes itself; `()` is among them if no head shares data."""
    own = data["heads"][name].get("data")
    alone: list[Path] = [()] if data.get("data") is None else []
    keys = own if isinstance(own, dict) else ()
    return frozenset([*alone, ("data",), *(("data", key) for key in keys)] if own is not None else alone)


def placed(found: Iterable[Diagnostic], name: str, own: frozenset[Path], has_metric: bool) -> Iterator[Diagnostic]:
    """Diagnostics about a head viewed alone, moved to the head's place under `heads`."""
    for diagnostic in found if name else ():
        at = _there(diagnostic.at, name, own, has_metric)
        also = tuple(_there(other, name, own, has_metric) for other in diagnostic.also)
        said = {key: _spelt(getattr(diagnostic, key), name) for key in ("headline", "help")}
        yield replace(diagnostic, at=at, also=also, notes=tuple(_spelt(n, name) for n in diagnostic.notes), **said)
    if not name:
        yield from found


def _there(at: Any, name: str, own: frozenset[Path], has_metric: bool) -> Any:
    if not isinstance(at, At):
        return at
    path = at.path
    if path[:1] == ("head",):
        return replace(at, path=("heads", name, *path[1:]), label=_spelt(at.label, name))
    if path[:2] == ("train", "metric") and has_metric:
        return replace(at, path=("heads", name, "metric"))
    return replace(at, path=("heads", name, *path)) if path[:2] in own or (() in own and path[:1] == ("data",)) else at


def _spelt(text: str, name: str) -> str:
    return re.sub(r"`head(?=[.`])", f"`heads.{name}", text)


def is_name(word: str) -> bool:
    r"""Whether a word can name a head: it becomes part of output names and of Python programs.

    >>> is_name("intent"), is_name("class"), is_name("intent\n")
    (True, False, False)
    """
    return bool(re.fullmatch(NAME.strip("^$"), word)) and not keyword.iskeyword(word)


def misnamed(names: Iterable[str]) -> Iterator[Diagnostic]:
    """E0380 for every head whose name can't be part of an output's name."""
    for name in names:
        if not is_name(name):
            at = At(("heads", name), "not a name for outputs", on_key=True)
            notes = ("lower case, digits and `_`, a letter first, at most 32 characters, no word of Python's own",)
            word = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")[:31]
            word = f"{word}_" if keyword.iskeyword(word) else word
            help = f"write `{word}:`" if is_name(word) else ""
            yield Diagnostic("E0380", f"{quote(name)} can't name a head", at, (), notes, help)


def together(task: Draft, tasks: Iterable[Draft]) -> tuple[str, ...]:
    """The names of the heads that read the same training rows in the same way, apart from their target columns."""
    # a head with mistakes counts as reading them too, so that no finding about missing answers is premature
    alike = (other for other in tasks if other is task or other.head_type is None or _rows(other) == _rows(task))
    return tuple(other.name for other in alike)


def _rows(task: Draft) -> Any:
    if task.data is None or task.head_type is None:
        return object()
    targets = variants.head(task.head_type).targets
    columns = {role: names for role, names in task.data.columns.items() if role not in targets}
    return task.data.train, task.data.validation, columns
