"""Parses a source into a spec, or reports every mistake in its shape along with the parts that are valid."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from .. import variants
from ..diagnostics import At, Diagnostic, Path, Refused, Row, listed, nearest, quote
from ..frozen import Frozen
from .feeding import fed, reads_head
from .heads import OWN, alone, misnamed, placed, together, written
from .migrations import misversioned
from .mistakes import explain, explain_kind, meant, nested, nothing, unknown_key
from .source import Source
from .spec import (
    DEFAULTS,
    KEYS,
    MOST_PARTS,
    OBJECTIVE,
    SCALARS,
    SECTIONS,
    STAGE,
    VARIANTS,
    Data,
    Draft,
    Entry,
    Export,
    Freeze,
    Retain,
    Spec,
    Top,
    Train,
)


def parse(source: Source) -> Spec:
    """The spec of a source; raises Refused with every E02xx diagnostic, in file order."""
    read = draft(source)
    if read.found:
        raise Refused(read.found, source=source)
    return read.whole()


def draft(source: Source) -> Draft:
    """The valid parts of a spec, with every mistake in its shape."""
    return _Reading(source).draft()


class _Reading:
    """One pass over a source, collecting mistakes instead of stopping at the first."""

    def __init__(self, source: Source, beside: tuple[str, ...] = ()) -> None:
        self.source = source
        self.beside = beside  # keys that may be written among the head's own
        self.data = source.data
        self.found: list[Diagnostic] = []
        self.lost: set[str] = set()

    def draft(self) -> Draft:
        if not self._version():
            return Draft(found=tuple(self.found))
        self._top_keys()
        if "name" not in self.data:
            self._missing("name")
        scalars = {"name": "unnamed"} | {key: self.data[key] for key in SCALARS if key in self.data}
        top = self.section(Top, scalars, ())
        method, adapt = self._variant("adapt", DEFAULTS["adapt"])
        parts = {name: self._plain(name) for name in SECTIONS if name != "data"}
        retain = self.section(Retain, self.data["retain"], ("retain",)) if "retain" in self.data else None
        stages = self._stages(top, parts["backbone"])
        shared = Draft(top=top, method=method, adapt=adapt, **parts)
        if "heads" in self.data:
            tasks = tuple(self._heads(shared))
            shared = replace(shared, tasks=tuple(replace(task, together=together(task, tasks)) for task in tasks))
        else:
            shared = self.alone(shared)
        fed = tuple(self._fed(i, stage, shared) for i, stage in enumerate(stages))
        shared = replace(shared, pretrain=fed, retain=retain)
        return replace(shared, found=tuple(dict.fromkeys(self.found)), lost=frozenset(self.lost))

    def alone(self, shared: Draft) -> Draft:
        """`shared`, what all heads share, with the single head and its data."""
        task, head = self._variant("head", None)
        data, inputs = self._data(task, ("data",), self.data.get("data"))
        return replace(shared, head_type=task, head=head, data=data, input=inputs, lost=frozenset(self.lost))

    def _heads(self, shared: Draft) -> Iterator[Draft]:
        """The draft of each entry of `heads`, as if it were the only head."""
        heads = self.data["heads"]
        if "head" in self.data:
            at, also = At(("heads",), "one of the two", on_key=True), (At(("head",), "the other", on_key=True),)
            headline = "`head` and `heads` are both given"
            self.found.append(Diagnostic("E0209", headline, at, also, help="write it as an entry of `heads`"))
            self.lost |= {"head", "heads"}
        if not isinstance(heads, dict):
            self.found.append(explain_kind(("heads",), heads) if heads is not None else nothing(("heads",)))
        elif not heads:
            headline, help = "`heads` is empty", "write `NAME: {type: …}` below it for each head"
            self.found.append(Diagnostic("E0204", headline, At(("heads",), "nothing below", on_key=True), help=help))
        elif len(heads) > MOST_PARTS:
            self.found.append(_too_many("heads"))
        else:
            self.found += misnamed(heads)
            for name, entry in heads.items():
                is_sound = self._is_map(("heads", name), entry)
                yield self._head(name, shared) if is_sound else replace(shared, name=name)
        self.lost |= set() if isinstance(heads, dict) and heads else {"head", "heads"}

    def _is_map(self, path: Path, value: Any) -> bool:
        if isinstance(value, dict):
            return True
        self.found.append(nothing(path) if value is None else explain_kind(path, value))
        return False

    def _head(self, name: str, shared: Draft) -> Draft:
        values, own = self.data["heads"][name], written(self.data, name)
        entry = self.section(Entry, {key: values[key] for key in Entry.model_fields if key in values}, ("heads", name))
        if "data" in values:
            self._is_map(("heads", name, "data"), values["data"])
        reading = _Reading(replace(self.source, data=alone(self.data, name)), OWN)
        reading.lost = set(self.lost)
        task = reading.alone(
            replace(shared, name=name, entry=entry or Entry(), own=own, train=_of(name, entry, shared.train))
        )
        self.found += placed(reading.found, name, own, False)
        self.lost |= reading.lost
        return task

    def section(self, model: type[Frozen], values: Any, path: Path, beside: tuple[str, ...] = ()) -> Any:
        if not isinstance(values, dict):
            self.found.append(explain_kind(path, values))
            return None
        empty = {place: nothing(place) for place in _empty(values, path)}
        wrong: list[Diagnostic] = list(empty.values())
        try:
            found: Any = model.model_validate(values)
        except ValidationError as error:
            found = None
            wrong += [d for d in explain(error, model, path, self.data, beside) if not _is_at(d, empty)]
        self.found += wrong
        return self._rest(model, values, path, wrong) if wrong else found

    def _rest(self, model: type[Frozen], values: dict[str, Any], path: Path, wrong: Iterable[Diagnostic]) -> Any:
        """A section without its wrong keys; None if it is invalid without them."""
        places = {d.at.path for d in wrong if isinstance(d.at, At)}
        dropped = {str(place[len(path)]) for place in places if len(place) > len(path)}
        self.lost |= {str(place[-1]) for place in places if place} | dropped | set(meant(wrong))
        try:
            return model.model_validate({key: value for key, value in values.items() if key not in dropped})
        except ValidationError:
            return None

    def _version(self) -> bool:
        found = _is_a_plan(self.source) or misversioned(self.source)
        self.found += [found] if found else []
        return found is None

    def _top_keys(self) -> None:
        absent = [name for name in ("backbone", "head", "data") if name not in self.data and "heads" not in self.data]
        inside = [path for path in self.source.keys if path[-1] in absent and nested(path, self.data)]
        self.lost |= {str(path[-1]) for path in inside}
        for key in self.data:
            if key == "extends":  # the text was not read from a file
                at = At((key,), "not followed", on_key=True)
                self.found.append(Diagnostic("E0220", "`extends` needs a spec that is read from a file", at))
            elif key not in KEYS:
                found = unknown_key((key,), KEYS, "the spec")
                self.found.append(found)
                self.lost |= {key, *meant([found])}

    def _plain(self, name: str) -> Any:
        values = self.data.get(name)
        if (
            values is None and name in ("train", "export") and name not in self.lost
        ):  # every key of these sections has a default
            values = {}
        if values is None:
            self._missing(name)
            return None
        return self.section(SECTIONS[name], values, (name,))

    def _missing(self, name: str) -> None:
        if name in self.data:
            at, headline = At((name,), "nothing below", on_key=True), f"`{name}` is empty"
            self.found.append(Diagnostic("E0204", headline, at, help=f"write its keys, indented below `{name}:`"))
        elif not self.lost & {name, "extends"} and (name != "head" or "heads" not in self.data):
            self.found.append(Diagnostic("E0204", f"`{name}` is missing", At((name,)), help=f"add `{name}:`"))

    def _variant(self, section: str, default: dict[str, Any] | None) -> tuple[str | None, Any]:
        values = self.data.get(section, None if section in self.lost else default)
        if values is None:
            self._missing(section)
            return None, None
        return self._named((section,), values, VARIANTS[section], self.beside if section == "head" else ())

    def _named(
        self, path: Path, values: Any, kind: tuple[str, str, str], others: tuple[str, ...] = ()
    ) -> tuple[str | None, Any]:
        """The variant that a map names and its options: every key but the variant's word and `others`."""
        folder, tag, noun = kind
        known, section = variants.words(folder), str(path[0])
        misspelt = (
            [key for key in values if nearest(key, [tag])] if isinstance(values, dict) and tag not in values else []
        )
        if not isinstance(values, dict):
            self.found.append(explain_kind(path, values))
        elif misspelt:
            self.found.append(unknown_key((*path, misspelt[0]), [tag], quote(section)))
        elif tag not in values:
            at, help = At((*path, tag), on_key=True), f"add `{tag}:` with one of: {listed(known)}"
            self.found.append(Diagnostic("E0204", f"`{tag}` is missing under `{section}`", at, help=help))
        elif values[tag] is None:
            self.found.append(nothing((*path, tag)))
        elif values[tag] not in known:
            at, notes = At((*path, tag), f"not {noun}"), (f"{folder}: {listed(known, 40)}",)
            word = quote(values[tag]) if isinstance(values[tag], str | int | float) else f"`{tag}`"
            headline = f"unknown {tag} {word}" if isinstance(values[tag], str) else f"{word} names no {tag}"
            self.found.append(Diagnostic("E0203", headline, at, (), notes, nearest(values[tag], known)))
        else:
            rest = {key: value for key, value in values.items() if key != tag and key not in others}
            return values[tag], self.section(variants.options(folder, values[tag]), rest, path, (tag, *others))
        if isinstance(values, dict) and (nearest(values[tag], known) if tag in values else misspelt):
            self._misspelt(path, values, kind, others)
        return None, None

    def _misspelt(
        self, path: Path, values: dict[str, Any], kind: tuple[str, str, str], others: tuple[str, ...]
    ) -> None:
        """Reports misspelt keys beside a misspelt variant: keys that no variant has but that resemble a key of one."""
        folder, tag, _ = kind
        told = {found.at.path for found in self.found if isinstance(found.at, At)}
        fields = {name for word in variants.words(folder) for name in variants.options(folder, word).model_fields}
        words = [*dict.fromkeys([tag, *others, *sorted(fields)])]
        near = {key: value for key, value in values.items() if key not in words and nearest(key, words)}
        if told & {(*path, tag), *((*path, key) for key in near)}:
            self._known_to_some(path, {key: value for key, value in near.items() if (*path, key) not in told}, words)

    def _stages(self, top: Any, backbone: Any) -> tuple[Draft, ...]:
        """The stages of `pretrain`, each as a spec of its own."""
        values = self.data.get("pretrain", ())
        if not isinstance(values, tuple) or (not values and "pretrain" in self.data):
            at = At(("pretrain",), "expected a list of stages, each with its `- objective:`")
            self.found.append(Diagnostic("E0202", "`pretrain` is not a list of stages", at))
            return ()
        if len(values) > MOST_PARTS:
            self.found.append(_too_many("pretrain"))
            return ()
        return tuple(self._stage(i, value, top, backbone) for i, value in enumerate(values))

    def _fed(self, number: int, stage: Draft, shared: Draft) -> Draft:
        """A stage with the data of the head whose rows it reads; unchanged if the stage has data of its own."""
        if not reads_head(stage.head_type):
            return stage
        given = self.data["pretrain"][number]
        found = fed(number, stage, shared, "data" in given)
        self.found += found.found
        return replace(found, found=(*stage.found, *found.found))

    def _stage(self, number: int, values: Any, top: Any, backbone: Any) -> Draft:
        path, outer, before = ("pretrain", number), self.lost, len(self.found)
        self.lost = set()
        word, options = self._named(path, values, OBJECTIVE, STAGE)
        given = values if isinstance(values, dict) else {}
        method, adapt = self._named((*path, "adapt"), given.get("adapt", DEFAULTS["adapt"]), VARIANTS["adapt"])
        train = self.section(Train, given.get("train", {}), (*path, "train"))
        freeze = self.section(Freeze, {key: given[key] for key in given if key == "freeze"}, path)
        has_data = given and not reads_head(word)
        data, inputs = self._data(word, (*path, "data"), given.get("data")) if has_data else (None, None)
        lost, self.lost = self.lost, outer
        return Draft(
            top=top,
            backbone=backbone and backbone.model_copy(update={"freeze": freeze.freeze if freeze else ()}),
            method=method,
            adapt=adapt,
            head_type=word,
            head=options,
            data=data,
            input=inputs,
            train=train,
            export=Export(),
            found=tuple(self.found[before:]),
            lost=frozenset(lost),
        )

    def _data(self, task: str | None, path: Path, values: Any) -> tuple[Any, Any]:
        if values is None:
            if path == ("data",):
                self._missing("data")
            else:
                at, help = At(path), "add `data:` with `train:` below it"
                self.found.append(Diagnostic("E0204", "`data` is missing under `pretrain`", at, help=help))
            return None, None
        if not isinstance(values, dict):
            self.found.append(explain_kind(path, values))
            return None, None
        # an unknown task may read any input, so the keys of all inputs pass
        every = {word: variants.options("inputs", word) for word in variants.words("inputs")}
        options = variants.options("inputs", variants.top(task).modality) if task else None
        fields = options.model_fields if options else {f for each in every.values() for f in each.model_fields}
        own = {key: value for key, value in values.items() if key in fields}
        rest = {key: value for key, value in values.items() if key not in fields}
        if not task:
            names = (field.alias or name for name, field in Data.model_fields.items())
            rest = self._known_to_some(path, rest, [*fields, *names])
        data, inputs = self.section(Data, rest, path), self.section(options, own, path) if options else None
        return data, inputs if not self.lost & set(fields) else None

    def _known_to_some(self, path: Path, values: dict[str, Any], words: list[str]) -> dict[str, Any]:
        """The values whose keys some task knows; the other keys are reported, with `words` as suggestions."""
        wrong = {key: unknown_key((*path, key), words, quote(path[0])) for key in values if key not in words}
        self.found += wrong.values()
        self.lost |= {*wrong, *meant(wrong.values())}
        return {key: value for key, value in values.items() if key not in wrong}


def _too_many(section: str) -> Diagnostic:
    at = At((section,), f"takes at most {MOST_PARTS}", on_key=True)
    return Diagnostic("E0202", f"{quote(section)} is too long", at)


def _of(name: str, entry: Entry | None, train: Train | None) -> Train | None:
    """The training section of one head alone, with its entry's metric or the one that `train.metric` names for it."""
    if train is None:
        return None
    head, _, metric = (train.metric or "").partition(".")
    named = metric if head == name and metric else None
    return train.model_copy(update={"metric": (entry.metric if entry else None) or named})


def _is_a_plan(source: Source) -> Diagnostic | None:
    """E0216 for a plan in place of a spec: a plan is JSON, which is valid YAML."""
    if "graftc" in source.data or not {"format", "estimates", "spec"} <= set(source.data):
        return None
    help = f"build it: `graftc build {source.file}`; its spec stands in it, under `spec`"
    return Diagnostic(
        "E0216", f"{quote(source.file)} is a plan, not a spec", Row(PurePath(source.file).name), help=help
    )


def _empty(values: Any, path: Path) -> Iterator[Path]:
    """The paths of keys that have no value."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, tuple) else ()
    for step, value in items:
        if value is None:
            yield (*path, step)
        else:
            yield from _empty(value, (*path, step))


def _is_at(found: Diagnostic, places: Container[Path]) -> bool:
    return isinstance(found.at, At) and found.at.path in places
