"""What of a change breaks those who use the bundle: its answers, its graphs, its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any

from .. import variants
from ..planning.plan import Plan
from .changes import Change, changes, differences, labels, spelt


def breaking(old: Plan, new: Plan) -> tuple[Change, ...]:
    """Every way in which a program that uses the old bundle could fail with the new one, or be misled by it."""
    return (
        *_answers(old, new),
        *_labels(old, new),
        *_thresholds(old, new),
        *_graph(old, new),
        *_preprocessing(old, new),
        *_files(old, new),
    )


def _change(field: str, sides: Sequence[Any], text: str = "") -> Change:
    old, new = sides
    return Change(field=field, old=old, new=new, text=text or f"{spelt(old)} → {spelt(new)}")


def _answers(old: Plan, new: Plan) -> Iterator[Change]:
    if old.head.type != new.head.type:
        yield _change("task", (old.head.type, new.head.type))
        shapes = [_fields(old), _fields(new)]
        if shapes[0] != shapes[1]:
            yield _change("answers", shapes, f"fields of an answer: {', '.join(shapes[0])} → {', '.join(shapes[1])}")
    several = [_several(old), _several(new)]
    if several[0] != several[1]:
        words = ["a tuple of answers" if many else "one answer" for many in several]
        yield _change("answers", words, f"an input gets {words[0]} → {words[1]}")


def _decoder(plan: Plan) -> Any:
    return import_module(f"...runtime.heads.{plan.head.type.replace('-', '_')}", __package__)


def _fields(plan: Plan) -> list[str]:
    return [field.name for field in fields(_decoder(plan).Answer)]


def _several(plan: Plan) -> bool:
    return bool(_decoder(plan).is_several(plan.head.record))


def _labels(old: Plan, new: Plan) -> Iterator[Change]:
    before, after = (list(plan.head.record.get("labels") or ()) for plan in (old, new))
    if before != after and before and after:
        yield _change("labels", (before, after), labels(before, after).removeprefix("head.labels").lstrip(": "))


def _thresholds(old: Plan, new: Plan) -> Iterator[Change]:
    """Of heads with thresholds: whether validation rows choose them, and what they are before."""
    before, after = (plan.head.record.get("thresholds") for plan in (old, new))
    if before is None or after is None:
        return
    chosen = ["chosen on validation rows" if plan.split("validation") else "those of the plan" for plan in (old, new)]
    if chosen[0] != chosen[1]:
        yield _change("thresholds", chosen, " → ".join(chosen))
    elif len(before) == len(after) and before != after:
        yield _change("thresholds", (list(before), list(after)))


def _graph(old: Plan, new: Plan) -> Iterator[Change]:
    for side in ("inputs", "outputs"):
        before, after = (getattr(plan.export, side).plain() for plan in (old, new))
        for name in dict.fromkeys([*before, *after]):
            was, now = before.get(name), after.get(name)
            if was != now:
                words = [f"{a['dtype']}[{', '.join(map(str, a['shape']))}]" if a else "none" for a in (was, now)]
                text = f"graph {side.removesuffix('s')} {spelt(name)}: {words[0]} → {words[1]}"
                yield _change(f"{side}.{name}", (was, now), text)


def _preprocessing(old: Plan, new: Plan) -> Iterator[Change]:
    before, after = (plan.data.preprocessing.plain() for plan in (old, new))
    if before.get("modality") != after.get("modality"):
        yield _change("modality", (before.get("modality"), after.get("modality")))
        return
    for path, was, now in differences(before, after):
        if path[0] == "assets":
            name = path[-1]
            yield _change(f"preprocessing.{name}", (was, now), f"{name} differs: inputs become other numbers")
        elif path == ("is_pair",):
            words = ["a pair of texts" if pair else "one text" for pair in (was, now)]
            yield _change("input", words, f"an input is {words[0]} → {words[1]}")
        else:
            (change,) = changes([(("preprocessing", *path), was, now)])
            yield _change(f"preprocessing.{'.'.join(path)}", (was, now), change.text.removeprefix("data."))


def _files(old: Plan, new: Plan) -> Iterator[Change]:
    before, after = old.export.precision, new.export.precision
    gone = [word for word in before if word not in after]
    for word in gone:
        yield _change("precision", (list(before), list(after)), f"the {word} graph is no longer in the bundle")
    if before[0] != after[0]:
        yield _change("precision.default", (before[0], after[0]), f"the default graph is {after[0]}, was {before[0]}")
    forms = ["an adapter for peft" if _adapts(plan) else "a whole backbone" for plan in (old, new)]
    if forms[0] != forms[1]:
        yield _change("checkpoint", forms, f"checkpoint/ holds {forms[1]}, was {forms[0]}")


def _adapts(plan: Plan) -> bool:
    return bool(variants.load("methods", plan.method.method).ADDS)
