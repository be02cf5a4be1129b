"""Renders a bundle's typed wrapper and its model card."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...runtime import escapes
from ...runtime.variants import decoder, preprocessing
from .. import variants
from ..frozen import Json
from ..machine import installed
from ..planning.fits import fitted_to
from ..planning.plan import Plan, TaskPlan
from ..units import learned_before, score

PACKAGE = Path(__file__).resolve().parents[2]
LITERALS = 100  # labels that become a Literal type
FLAGS = ("int", "float", "str | list[str]")  # types of options that a command line can say
SHOWN = 5  # scores of a head in the card
LONGEST = 400  # characters of a text in the card
BESIDE = {
    False: "{} scales numbers by the batch that they are in: a score moves a little with the inputs beside it.",
    True: "{} scales each input's numbers by itself: a score is the same beside other inputs, to rounding.",
}


@dataclass(frozen=True)
class Runtime:
    """A bundle's runtime: the name under which it is loaded, its modules in order, and their SHA-256."""

    name: str
    modules: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Comparison:
    """A golden input with the answers of the untuned network and of the trained one, as JSON values."""

    input: Any
    before: Any
    after: Any


def write_wrapper(plan: Plan, manifest: Mapping[str, Any], runtime: Runtime, out: Path) -> None:
    """Writes `predict.py`, which loads the bundle's own `runtime`."""
    module = preprocessing(plan.reading.modality)
    heads = [_head(task, manifest["heads"][task.name]) for task in plan.tasks]
    predict = {
        "task": " and ".join(task.head.type for task in plan.tasks),
        "name": plan.name,
        "graftc": installed("graftc"),
        "runtime": runtime,
        "imports": module.imports,
        "heads": heads,
        "is_named": bool(plan.tasks[0].name),
        "example": plan.reading.variant.example(plan.reading.preprocessing),
        "annotation": module.annotation(plan.reading.preprocessing),
        "many": module.many(plan.reading.preprocessing),
        "precisions": plan.export.precision,
        "input_help": module.input_help,
    }
    template = _template("predict.py.j2")
    text = template.render(predict)
    refuse_other_code(text, template.render(predict | _nobodys(heads)))
    (out / "predict.py").write_text(text, encoding="utf-8")


def _nobodys(heads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The wrapper's texts from users and their files, replaced by fixed words; names of heads are identifiers."""
    labels = [{**head, "labels": [str(i) for i in range(len(head["labels"]))]} for head in heads]
    return {"heads": labels, "task": "task", "name": "name", "example": "''"}


def refuse_other_code(text: str, expected: str) -> None:
    """Raises RuntimeError where two programs differ in more than string literals.

    Nothing that a user writes should have that effect; if it did, no wrapper is written.
    """
    try:
        is_same = _without_words(text) == _without_words(expected)
    except SyntaxError:
        is_same = False
    if not is_same:
        raise RuntimeError("the wrapper is not the code of its template")


def _without_words(text: str) -> str:
    """The syntax tree of a program, with every string literal made empty."""
    tree = ast.parse(text)
    compile(tree, "predict.py", "exec", dont_inherit=True)  # some texts parse but do not compile
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def _head(task: TaskPlan, record: Mapping[str, Any]) -> dict[str, Any]:
    """The types of a head's answers; those of a named head end with its name."""
    own = decoder(task.head.type)
    suffix, labels = f"_{task.name}" if task.name else "", record.get("labels", ())

    def typed(kind: str) -> str:
        return re.sub(r"\bAnswer\b", f"Answer{suffix}", kind)

    held = [(f.name, f"Label{suffix}" if f.name in own.labelled else str(f.type)) for f in fields(own.kind)]
    is_several = own.is_several(record)
    answer = f"tuple[Answer{suffix}, ...]" if is_several else f"Answer{suffix}"
    options = [_option(name, kind, typed(gives)) for name, (kind, gives) in own.options.items()]
    # an input may take several forms, with an answer of its own each
    return {
        "name": task.name,
        "suffix": suffix,
        "labels": labels if len(labels) <= LITERALS else (),
        "has_labels": bool(own.labelled),
        "fields": [{"name": name, "type": kind} for name, kind in held],
        "several": is_several,
        "answer": answer,
        "flags": [option["flag"] for option in options if option["type"] in FLAGS],
        "texts": [option["flag"] for option in options if "str" in option["type"]],
        "writes": own.pieces is not None,
        "always": [option for option in options if option["gives"] == answer],
        "options": [option for option in options if option["gives"] != answer],
        "forms": [_form(kind, suffix, given) for given, kind in own.forms.items()],
    }


def _option(name: str, kind: str, gives: str) -> dict[str, str]:
    return {"name": name, "flag": f"--{name.replace('_', '-')}", "type": kind, "gives": gives}


def _form(kind: Any, suffix: str, given: str) -> dict[str, Any]:
    """The type of the answer to one form of input."""
    own = [{"name": field.name, "type": str(field.type)} for field in fields(kind)]
    return {"input": given, "name": f"{kind.__name__}{suffix}", "help": kind.__doc__, "fields": own}


def write_card(plan: Plan, manifest: Mapping[str, Any], compared: Sequence[Comparison], out: Path) -> None:
    """Writes the model card, `README.md`; `compared` are answers before and after training."""
    scores: dict[str, Any] = {}  # of any split: some are of test data alone
    for runners in manifest["metrics"].values():
        scores |= next(iter(runners.values()), {})
    numbers = {name: value for name, value in scores.items() if value is None or isinstance(value, int | float)}
    reading = plan.reading.preprocessing.plain()
    card = {
        "manifest": manifest,
        "compared": [(_shown(each.input), _shown(each.before), _shown(each.after)) for each in compared],
        "licence": manifest["licences"]["backbone"],
        "learned_before": learned_before(manifest["parameters"]),
        "fitted_to": fitted_to(bool(plan.pretrain)),
        "gated": list(_gated(plan, manifest)),
        "quantized": {word: quantized(each) for word, each in manifest.get("quantization", {}).items()},
        "shown": [task.named(name) for task in plan.tasks for name in list(task.own(numbers))[:SHOWN]],
        "signatures": {name: value for name, value in scores.items() if isinstance(value, str)},
        "example": plan.reading.variant.example(reading),
        "shell_example": plan.reading.variant.typed(reading),
        "limits": [
            plan.reading.variant.limits(reading),
            "Scores hold for rows like those it was built from; other data may differ.",
            *(
                BESIDE[each["is_batch_invariant"]].format(word)
                for word, each in manifest.get("quantization", {}).items()
            ),
        ],
    }
    (out / "README.md").write_text(_template("README.md.j2").render(card), encoding="utf-8")


def _shown(value: Any) -> str:
    """A text, a conversation or an answer as an indented block, in which no character means anything to Markdown."""
    if isinstance(value, list):
        text = "\n".join(f"{each.get('role', '')}: {each.get('content') or ''}" for each in value)
    elif isinstance(value, Mapping):
        return _shown(value["messages"]) if "messages" in value else _shown(next(iter(value.values())))
    else:
        text = str(value)
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return "\n".join(f"    {escapes.shown(line)}" for line in (cut.splitlines() or [""]))


def _gated(plan: Plan, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on the difference of each precision from the trained network, and on the allowed difference."""
    for task, precision in ((task, precision) for task in plan.tasks for precision in plan.export.precision):
        gate = manifest["gates"].get("metric", {}).get(task.named(precision), {})
        if (drop := gate.get("drop")) is None:
            continue
        error = f", beyond one standard error of {gate['standard_error']:.4f}" if "standard_error" in gate else ""
        is_share = task.gates_by in task.head.variant.metrics.relative
        by = f"{abs(drop):.2%}" if is_share else f"{abs(drop):.4f}"
        how = f"{by} {'worse' if drop > 0 else 'better'} than" if drop else "the same as"
        most = f"{100 * gate['allowed']:.3g} %" if is_share else f"{gate['allowed']:g}"
        allowed = f"allowed {most} worse{error}"
        yield f"{precision}: {task.named(task.gates_by)} is {how} the trained network's ({allowed})"


def quantized(told: Mapping[str, Any]) -> str:
    """How a graph was quantized, in words."""
    scales = variants.quantization(told["kind"]).scales
    fixed = told.get("calibration")
    rows = f" ({fixed['rows']} rows, by {fixed['method']})" if fixed else ""
    rows += (
        f"; {told['bits']} bits in blocks of {told['block']}, rounded by {told['rounding']}" if "bits" in told else ""
    )
    return f"{told['kind']}: {scales}{rows}; {told['share']:.2f} of fp32's bytes, embeddings apart"


def _template(name: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(PACKAGE / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["score"] = score
    environment.filters["pyrepr"] = lambda value: repr(_tuples(value))
    return environment.get_template(name)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value.plain() if isinstance(value, Json) else value
