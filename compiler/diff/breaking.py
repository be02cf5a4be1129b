"""Breaking changes for users of a bundle: in its answers, its graphs and its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from ...runtime.heads import Decoder
from ...runtime.manifest import MODEL
from ...runtime.variants import decoder
from ..diagnostics import clean
from ..frozen import Json
from ..planning.export import GraphPlan
from ..planning.plan import Plan, TaskPlan
from .changes import Change, changes, differences, labels, spelt


def breaking(old: Plan, new: Plan) -> tuple[Change, ...]:
    """Every change with which a program that uses the old bundle could fail, or be misled, on the new one."""
    before, after = ({task.name: task for task in plan.tasks} for plan in (old, new))
    both = [(task, after[name]) for name, task in before.items() if name in after]
    return (
        *_heads(before, after),
        *(found for pair in both for check in (_answers, _labels, _thresholds) for found in check(*pair)),
        *_graph(old, new),
        *_operators(old, new),
        *_preprocessing(old, new),
        *_files(old, new),
    )


def _change(field: str, sides: Sequence[Any], text: str = "") -> Change:
    old, new = sides
    return Change(field=field, old=old, new=new, text=text or f"{spelt(old)} → {spelt(new)}")


NO_GRAPH = GraphPlan(inputs=Json({}), outputs=Json({}))


def _own(task: TaskPlan, kind: str, sides: Sequence[Any], text: str = "") -> Change:
    """A change that concerns the users of one head; it carries the head's name if there are several."""
    found = _change(f"{kind}.{task.name}".rstrip("."), sides, text)
    return found.model_copy(update={"text": f"{task.name}: {found.text}"}) if task.name else found


def _heads(old: Mapping[str, TaskPlan], new: Mapping[str, TaskPlan]) -> Iterator[Change]:
    """Removed heads, and a change between one answer and answers by head."""
    if ("" in old) != ("" in new):
        sides = ([*filter(None, old)], [*filter(None, new)])
        words = ["an answer by itself" if "" in heads else "an answer for each head" for heads in (old, new)]
        yield _change("heads", sides, f"an input gets {words[0]} → {words[1]}")
    elif gone := [name for name in old if name not in new]:
        yield _change("heads", ([*old], [*new]), f"no longer answered for: {', '.join(map(clean, gone))}")


def _answers(old: TaskPlan, new: TaskPlan) -> Iterator[Change]:
    if old.head.type != new.head.type:
        yield _own(old, "task", (old.head.type, new.head.type))
        shapes = [_fields(old), _fields(new)]
        if shapes[0] != shapes[1]:
            text = f"fields of an answer: {', '.join(shapes[0])} → {', '.join(shapes[1])}"
            yield _own(old, "answers", shapes, text)
    several = [_several(old), _several(new)]
    if several[0] != several[1]:
        words = ["a tuple of answers" if many else "one answer" for many in several]
        yield _own(old, "answers", words, f"an input gets {words[0]} → {words[1]}")


def _decoder(task: TaskPlan) -> Decoder:
    return decoder(task.head.type)


def _fields(task: TaskPlan) -> list[str]:
    return [field.name for field in fields(_decoder(task).kind)]


def _several(task: TaskPlan) -> bool:
    return bool(_decoder(task).is_several(task.head.record))


def _labels(old: TaskPlan, new: TaskPlan) -> Iterator[Change]:
    before, after = (list(task.head.record.get("labels") or ()) for task in (old, new))
    if before != after and before and after:
        text = labels(before, after).removeprefix("head.labels").lstrip(": ")
        yield _own(old, "labels", (before, after), text)


def _thresholds(old: TaskPlan, new: TaskPlan) -> Iterator[Change]:
    """Changes of thresholds: whether validation rows choose them, and their values in the plan."""
    before, after = (task.head.record.get("thresholds") for task in (old, new))
    if before is None or after is None:
        return
    chosen = ["chosen on validation rows" if task.split("validation") else "those of the plan" for task in (old, new)]
    if chosen[0] != chosen[1]:
        yield _own(old, "thresholds", chosen, " → ".join(chosen))
    elif len(before) == len(after) and before != after:
        yield _own(old, "thresholds", (list(before), list(after)))


def _graph(old: Plan, new: Plan) -> Iterator[Change]:
    for graph in dict.fromkeys([*old.export.graphs, *new.export.graphs]):
        pair = [plan.export.graphs.get(graph, NO_GRAPH) for plan in (old, new)]
        what = "" if graph == MODEL else f"{graph}."
        yield from _arrays(f"{what}inputs", *(each.inputs.plain() for each in pair))
        yield from _arrays(f"{what}outputs", *(each.outputs.plain() for each in pair))


def _arrays(side: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if was != now and (was or side.endswith("inputs")):  # an additional output breaks nothing
            words = [f"{a['dtype']}[{', '.join(map(str, a['shape']))}]" if a else "none" for a in (was, now)]
            text = f"graph {side.removesuffix('s').replace('.', ' ')} {spelt(name)}: {words[0]} → {words[1]}"
            yield _change(f"{side}.{name}", (was, now), text)


def _operators(old: Plan, new: Plan) -> Iterator[Change]:
    """Changes in what another runtime than onnxruntime must support."""
    before, after = old.export, new.export
    if after.opset > before.opset:
        yield _change("opset", (before.opset, after.opset), f"the graph needs opset {after.opset}, was {before.opset}")
    if (before.optimize, after.optimize) == ("portable", "onnxruntime"):
        text = "the graph has operators of onnxruntime's own: no other runtime runs it"
        yield _change("optimize", (before.optimize, after.optimize), text)


def _preprocessing(old: Plan, new: Plan) -> Iterator[Change]:
    before, after = (plan.reading.preprocessing.plain() for plan in (old, new))
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
    forms = [_form(plan) for plan in (old, new)]
    if forms[0] != forms[1]:
        yield _change("checkpoint", forms, f"checkpoint/ holds {forms[1]}, was {forms[0]}")


def _form(plan: Plan) -> str:
    """The content of a bundle's checkpoint folder, in words."""
    if not plan.method.variant.adds:
        return "a whole backbone"
    if plan.adapters is None:
        return "an adapter for peft"
    return f"adapters for peft, {', '.join(name or 'a shared one' for name in plan.adapters.names)}"
