"""Differences between two records, and their description in words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..diagnostics import clean, quote
from ..facts.bad_rows import numbers
from ..frozen import Frozen
from ..planning.show import WORDS, summary
from ..renderers import counted

Keys = tuple[str, ...]
Difference = tuple[Keys, Any, Any]
SHOWN = 8  # items of a list that are shown
LONG = 60  # characters of row numbers that are shown
ASSETS = "data.assets."  # files that the plan lists one by one
READING = ("modality", "inputs", "preprocessing", "augment")  # keys of a task's data that are the same for all heads
INSIDE = re.compile(r"\.\d+\.")  # the layer's number in a module's name
TENSORS: Keys = ("backbone", "tensors")
LAYERS: Keys = ("train", "layer_of")
HASHES = ("sha256", "assets", "weights", "runtime")
# from keys of plans and records to the keys of a spec
SPELLINGS = (
    (r"^model\.", ""),
    (r"^method\.method$", "adapt.method"),
    (r"^method\.record\.", "adapt."),
    (r"^head\.record\.label_smoothing", "head.loss.label_smoothing"),
    (r"^head\.record\.class_weights", "head.loss.class_weights"),
    (r"^head\.record\.focal", "head.loss.focal"),
    (r"^head\.record\.", "head."),
    (r"^(data\.)?preprocessing\.", "data."),
    (r"^(data\.)?augment", "data.augment"),
    (r"^gates\.|^export\.(?=parity$|metric_drop$)|^(?=parity$)", "export.gate."),
    (r"^golden\.|^export\.(?=samples)", "export."),
    (r"^data\.splits\.(\w+)\.held_out$", r"data.\1.fraction"),
    (r"^data\.splits\.", "data."),
    (r"^(data\.\w+\.left_out)\..*$", r"\1"),  # the reason comes last
    (r"^data\.skipped$", "data.bad_rows"),
    (r"^inputs$", "data.inputs"),
    (r"^validation$", "splits"),
    (r"^train\.patience", "train.early_stopping.patience"),
)
# keys that are not reported if one of the keys that they follow from is
FOLLOWS = {
    "backbone.inference": ("backbone.tensors",),
    "backbone.is_frozen": ("backbone.tensors",),
    "backbone.files": ("backbone.header_sha256",),
    "backbone.config_sha256": ("backbone.from",),
    "backbone.header_sha256": ("backbone.from", "backbone.tensors"),
    "backbone.weights": ("backbone.from",),
    "backbone.family": ("backbone.from",),
    "data.inputs": ("backbone.from",),
    "head.parameters": ("head.labels", "head.hidden", "backbone.from", "export.graphs.model.outputs.logits.shape"),
    "metric": ("train.metric",),
    "seed": ("data.validation.fraction",),  # the seed draws the rows held out
    "train.steps": ("train.epochs", "train.batch_size"),
    "train.steps_per_epoch": ("train.steps", "train.batch_size"),
    "train.warmup_steps": ("train.steps", "train.epochs", "train.batch_size"),
    "train.head_learning_rate": ("train.learning_rate",),
    "train.layer_of": ("train.layer_decay", "train.gradual_unfreezing", "backbone.from"),
}
# sections whose options come and go with a variant's word
VARIANTS = {"adapt": "adapt.method", "head": "head.type", "data": "data.modality", "export": "data.modality"}


class Change(Frozen):
    """One difference: its key, both values, and a sentence without subject."""

    field: str
    old: Any
    new: Any
    text: str


def differences(old: Any, new: Any, path: Keys = ()) -> Iterator[Difference]:
    """(path, old, new) of every leaf in which two records differ; None for a leaf that one of them lacks."""
    old, new = _by_name(old), _by_name(new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from differences(old.get(key), new.get(key), (*path, str(key)))
    elif old != new:
        yield path, old, new


def _by_name(value: Any) -> Any:
    """A list of records with names or paths as a mapping by name, so that records of the same name are compared."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for key in ("name", "path"):
            names = [item.get(key) for item in value]
            if None not in names and len(set(names)) == len(names):
                return {item[key]: {k: v for k, v in item.items() if k != key} for item in value}
    return value


def changes(found: Iterable[Difference]) -> tuple[Change, ...]:
    """The differences in words, without those that follow from another one."""
    named: list[tuple[str, Change]] = []
    tensors: list[Difference] = []
    for path, old, new in found:
        path = path[1:] if path[:1] == ("model",) else path
        if path[:2] == TENSORS:
            tensors.append((path, old, new))
        else:
            head, inside = _of_task(path)
            inside = inside[:2] if inside[:2] == LAYERS else inside  # the tensor's name adds nothing
            named.append((head, _named(inside, old, new)))
    named += [("", change) for change in _tensors(tensors)]
    kept = [_spelt_out(head, change) for head, change in named if not _follows(change, _beside(head, named))]
    return tuple({change.text: change for change in kept}.values())


def _of_task(path: Keys) -> tuple[str, Keys]:
    """The head that a path in a plan is about ("" for none or all), and the path as if the head were alone."""
    if path[:1] != ("tasks",) or len(path) < 2:
        return "", path
    inside = path[2:] or ("head",)
    return "" if inside[0] == "data" and inside[1:2] and inside[1] in READING else path[1], inside


def _beside(head: str, named: Iterable[tuple[str, Change]]) -> set[str]:
    return {change.field for other, change in named if other in ("", head)}


def _spelt_out(head: str, change: Change) -> Change:
    """A change of one of several heads, under the head's key."""
    if not head:
        return change
    first, _, rest = change.field.partition(".")
    field = ".".join(filter(None, ("heads", head, *((rest,) if first == "head" else (change.field,)))))
    text = field + change.text.removeprefix(change.field) if change.text.startswith(change.field) else change.text
    return Change(field=field, old=change.old, new=change.new, text=text)


def _follows(change: Change, fields: set[str]) -> bool:
    """Whether a change follows from one that is reported."""
    word = VARIANTS.get(change.field.partition(".")[0])
    is_option = word in fields and word != change.field and None in (change.old, change.new)
    is_option = is_option and not re.match(r"data\.(train|validation|test|columns)\b", change.field)
    if change.field == "train.sets":  # from the rows, the batch size and the sampling
        return True
    if change.field == "assets":
        return any(field.startswith(ASSETS) for field in fields)
    is_tensor = (
        change.field == "backbone.tensors" and "backbone.from" in fields and "absent" in (change.old, change.new)
    )
    return is_option or is_tensor or any(cause in fields for cause in FOLLOWS.get(change.field, ()))


def _named(path: Keys, old: Any, new: Any) -> Change:
    field = ".".join(path)
    for pattern, spelling in SPELLINGS:
        field = re.sub(pattern, spelling, field, count=1)
    field = "backbone.from" if field == "backbone.source" else field
    return Change(field=field, old=old, new=new, text=_sentence(path, field, old, new))


def _sentence(path: Keys, field: str, old: Any, new: Any) -> str:
    if "tables" in path or (path and path[-1] == "tables"):
        return _table(path, field, old, new)
    if field == "head.labels" and old and new:
        return labels(old, new)
    if field == "data.bad_rows":
        return f"{field} leaves out {_left_out(old)} → {_left_out(new)}"
    if "left_out" in path:
        sides = (side if isinstance(side, Mapping) else {path[-1]: side} if side else {} for side in (old, new))
        return f"{field}: {' → '.join(map(_kinds, sides))}"
    if (path and path[-1] in HASHES) or path[-1:] == ("sha256",) or field.endswith("_sha256"):
        what = {
            "assets": "tokenizer, processor or pooling files of the backbone",
            "backbone.weights": "the backbone's weights",
            "backbone.config_sha256": "the backbone's config.json",
            "backbone.header_sha256": "names, shapes or types of the backbone's tensors",
            "export.samples_sha256": "the file of samples",
            "runtime": "the runtime that bundles carry",
        }.get(field, field)
        return f"{what} {_verb(old, new)}"
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        return f"{field} {_verb(old, new)}"
    return f"{field} {spelt(old)} → {spelt(new)}"


def _table(path: Keys, field: str, old: Any, new: Any) -> str:
    """A sentence about a table that was added, removed or changed."""
    where = path.index("tables")
    split = path[where - 1]
    if len(path) > where + 1:
        name = quote(path[where + 1])
        if path[-1] == "sha256":
            return f"the content of {name} ({split}) differs"
        if path[-1] == "skipped":
            return f"rows left out of {name} ({split}): {_left_out(old)} → {_left_out(new)}"
        if len(path) == where + 2:
            return f"{name} ({split}) {_verb(old, new)}"
        return f"{path[-1]} of {name} ({split}) {spelt(old)} → {spelt(new)}"
    return f"tables of {split} {_verb(old, new)}"


def _left_out(ranges: str | Iterable[str] | None) -> str:
    """Row numbers of one table or several, as `bad_rows.ranges` writes them, shortened."""
    every = [ranges] if isinstance(ranges, str) else list(ranges or ())
    return "; ".join(map(_shortened, every)) or "none"


def _shortened(ranges: str) -> str:
    if len(ranges) <= LONG:
        return ranges or "none"
    return f"{ranges[:LONG].rpartition(', ')[0]}, … ({len(numbers(ranges)):,} rows)"


def _kinds(left_out: Mapping[str, int]) -> str:
    """The numbers of rows left out, by reason."""
    return ", ".join(f"{counted(count, 'row')}, where {clean(kind)}" for kind, count in left_out.items()) or "none"


def _verb(old: Any, new: Any) -> str:
    return "added" if old is None else "removed" if new is None else "changed"


def labels(old: Iterable[str], new: Iterable[str]) -> str:
    """How two label maps differ: the labels added and removed, or the changed order."""
    before, after = list(old), list(new)
    gone = [label for label in before if label not in set(after)]
    came = [label for label in after if label not in set(before)]
    if not gone and not came:
        return f"head.labels in another order: {spelt(before)} → {spelt(after)}"
    words = [
        f"{', '.join(map(quote, some[:SHOWN]))}{_more(some)} {verb}"
        for some, verb in ((gone, "removed"), (came, "added"))
        if some
    ]
    return f"head.labels: {'; '.join(words)} ({len(before)} → {len(after)})"


def _more(items: list[str]) -> str:
    return f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""


def _tensors(found: Iterable[Difference]) -> Iterator[Change]:
    """The differences of tensors, grouped by kind of difference."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for path, old, new in found:
        key = path[3] if len(path) > 3 else "state"
        before, after = (_state(key, side) for side in (old, new))
        groups[key, before, after].append(path[2] if len(path) > 2 else "")
    for (key, before, after), names in groups.items():
        of = "" if key == "state" else f"{key} "
        text = f"{len(names)} tensors {of}{before} → {after}: {', '.join(summary(sorted(names)))}"
        yield Change(field="backbone.tensors", old=before, new=after, text=text)


def _state(key: str, value: Any) -> str:
    """A tensor's state in words, or the value of another property."""
    if key != "state":
        return spelt(value)
    word = value.get("state") if isinstance(value, Mapping) else value
    return WORDS[word].split(" (")[0] if word in WORDS else "absent"


def spelt(value: Any) -> str:
    """A value as a spec writes it, on one line and shortened.

    >>> spelt(2e-05), spelt(0.0001), spelt(0.01), spelt(True), spelt(None), spelt(["a", "b"])
    ('2e-5', '1e-4', '0.01', 'true', 'none', '[a, b]')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return re.sub(
            r"e([-+])0*",
            lambda hit: "e" + hit.group(1).replace("+", ""),
            f"{value:.0e}" if _is_tiny(value) else f"{value:g}",
        )
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        if len(value) > 1 and all(isinstance(item, str) and INSIDE.search(item) for item in value):
            return f"{len(value)} modules of {', '.join(summary(value))}"
        items = [spelt(item) for item in value[:SHOWN]]
        return f"[{', '.join(items)}{', …' if len(value) > SHOWN else ''}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{clean(k)} {spelt(v)}" for k, v in list(value.items())[:SHOWN]) + "}"
    text = clean(value)
    return f'"{text}"' if not text or " " in text else text


def _is_tiny(value: float) -> bool:
    """Whether one digit and an exponent give the exact value, and shorter."""
    return 0 < abs(value) < 1e-3 and float(f"{value:.0e}") == value
