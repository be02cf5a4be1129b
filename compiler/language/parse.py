"""Parses a Source into a Spec, collecting every mistake of its shape."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from pydantic import ValidationError

from .. import variants
from ..diagnostics import At, Diagnostic, Path, Refused, listed, nearest, quote
from ..frozen import Frozen
from .migrations import misversioned
from .mistakes import explain, nothing, unknown_key
from .source import Source
from .spec import KEYS, RESERVED, SCALARS, SECTIONS, VARIANTS, Data, Spec, Top


def parse(source: Source) -> Spec:
    """Checks the shape of a spec; raises Refused with every mistake of E02xx, in file order."""
    reading = _Reading(source)
    spec = reading.spec()
    if reading.found or spec is None:
        raise Refused(tuple(reading.found), source=source)
    return spec


class _Reading:
    """One pass over a source, collecting mistakes instead of stopping at the first."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = source.data
        self.found: list[Diagnostic] = []

    def spec(self) -> Spec | None:
        if not self._version():
            return None
        self._top_keys()
        if "name" not in self.data:
            self._missing("name")
        scalars = {"name": "unnamed"} | {key: self.data[key] for key in SCALARS if key in self.data}
        top = self.section(Top, scalars, ())
        method, adapt = self._variant("adapt", {"method": "full"})
        task, head = self._variant("head", None)
        parts = {name: self._plain(name) for name in SECTIONS if name != "data"}
        data, inputs = self._data(task)
        if self.found:
            return None
        return Spec.model_construct(
            top=top, method=method, adapt=adapt, head_type=task, head=head, data=data, input=inputs, **parts
        )

    def section(self, model: type[Frozen], values: Any, path: Path) -> Any:
        if not isinstance(values, dict):
            self.found.append(explain_kind(path))
            return None
        empty = {place: nothing(place) for place in _empty(values, path)}
        try:
            found: Any = model.model_validate(values)
        except ValidationError as error:
            found = None
            self.found += [d for d in explain(error, model, path, self.data) if not _is_at(d, empty)]
        self.found += empty.values()
        return None if empty else found

    def _version(self) -> bool:
        found = misversioned(self.source)
        self.found += [found] if found else []
        return found is None

    def _top_keys(self) -> None:
        for key in self.data:
            if key == "extends":  # a text that was not read from a file
                at = At((key,), "not followed", on_key=True)
                self.found.append(Diagnostic("E0220", "`extends` needs a spec that is read from a file", at))
            elif key in RESERVED:
                at, notes = At((key,), "reserved", on_key=True), (f"kept for {RESERVED[key]}, in a later version",)
                self.found.append(Diagnostic("E0206", f"`{key}` is not available yet", at, notes=notes))
            elif key not in KEYS:
                self.found.append(unknown_key((key,), KEYS, "the spec"))

    def _plain(self, name: str) -> Any:
        values = self.data.get(name)
        if values is None and name in ("train", "export"):  # all of their keys have defaults
            values = {}
        if values is None:
            self._missing(name)
            return None
        return self.section(SECTIONS[name], values, (name,))

    def _missing(self, name: str) -> None:
        if name in self.data:
            at, headline = At((name,), "nothing below", on_key=True), f"`{name}` is empty"
            self.found.append(Diagnostic("E0204", headline, at, help=f"write its keys, indented below `{name}:`"))
        elif not any(f"did you mean `{name}`?" == d.help for d in self.found) and (
            name != "head" or "heads" not in self.data
        ):
            self.found.append(Diagnostic("E0204", f"`{name}` is missing", At(()), help=f"add `{name}:`"))

    def _variant(self, section: str, default: dict[str, Any] | None) -> tuple[str, Any]:
        folder, tag, noun = VARIANTS[section]
        values = self.data.get(section, default)
        known = variants.words(folder)
        if values is None:
            self._missing(section)
        elif not isinstance(values, dict):
            self.found.append(explain_kind((section,)))
        elif tag not in values:
            at, help = At((section,), on_key=True), f"add `{tag}:` with one of: {listed(known)}"
            self.found.append(Diagnostic("E0204", f"`{tag}` is missing under `{section}`", at, help=help))
        elif values[tag] is None:
            self.found.append(nothing((section, tag)))
        elif values[tag] not in known:
            at, notes = At((section, tag), f"not {noun}"), (f"{folder}: {listed(known)}",)
            word = quote(values[tag]) if isinstance(values[tag], str | int | float) else f"`{tag}`"
            headline = f"unknown {tag} {word}" if isinstance(values[tag], str) else f"{word} names no {tag}"
            self.found.append(Diagnostic("E0203", headline, at, (), notes, nearest(values[tag], known)))
        else:
            rest = {key: value for key, value in values.items() if key != tag}
            return values[tag], self.section(variants.load(folder, values[tag]).Options, rest, (section,))
        return "", None

    def _data(self, task: str) -> tuple[Any, Any]:
        values = self.data.get("data")
        if values is None:
            self._missing("data")
            return None, None
        if not isinstance(values, dict):
            self.found.append(explain_kind(("data",)))
            return None, None
        # of an unknown task nobody can say which inputs it takes, so the keys of all of them pass
        every = {word: variants.load("inputs", word).Options for word in variants.words("inputs")}
        options = every[variants.load("heads", task).MODALITY] if task else None
        fields = options.model_fields if options else {f for each in every.values() for f in each.model_fields}
        own = {key: value for key, value in values.items() if key in fields}
        rest = {key: value for key, value in values.items() if key not in fields}
        return self.section(Data, rest, ("data",)), self.section(options, own, ("data",)) if options else None


def _empty(values: Any, path: Path) -> Iterator[Path]:
    """Where keys stand without a value."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, tuple) else ()
    for step, value in items:
        if value is None:
            yield (*path, step)
        else:
            yield from _empty(value, (*path, step))


def _is_at(found: Diagnostic, places: Container[Path]) -> bool:
    return isinstance(found.at, At) and found.at.path in places


def explain_kind(path: Path) -> Diagnostic:
    """The diagnostic for a section that is not a mapping."""
    at = At(path, "expected keys and values, indented below")
    return Diagnostic("E0202", f"{quote(path[-1])} is not a mapping", at)
