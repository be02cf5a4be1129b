"""Compares a backbone's config.json with the header of its weights, and both with what transformers can load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..contracts.backbone import Family
from ..diagnostics import At, Diagnostic, Span, quote
from .configuration import CHOOSING, Rules, Wrong, key_span, rules
from .header import Header, Tensor

ALSO = (At(("backbone", "from")),)
WRAPPERS = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")  # data parallel, torch.compile, FSDP
WHOLE = ("I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")  # dtypes that weights can't be trained in
# values that choose an implementation of transformers' own
ORDINARY = frozenset(
    (None, False, "", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention",
     "batched_mm", "grouped_mm")
)  # fmt: skip
OWN_CODE = ("AutoConfig", "AutoModel")  # keys of auto_map by which a backbone is loaded
MOST = 5  # the most tensors in a message
NO_NETWORK = (ArithmeticError, ValueError, KeyError, TypeError, IndexError, AttributeError)
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Checkpoint:
    """The files of a backbone: config.json as written, and the header, also by names of the loaded module."""

    folder: Path
    word: str
    family: Family
    config: Mapping[str, Any]
    header: Header
    tensors: tuple[Tensor, ...]

    @cached_property
    def rules(self) -> Rules:
        """transformers' rules for the family's config.json."""
        return rules(self.word)

    @cached_property
    def whole(self) -> Mapping[str, Any]:
        """config.json with defaults filled in."""
        return self.rules.resolved(self.config)

    @cached_property
    def stored(self) -> Shapes:
        """Tensor name → shape, as stored."""
        return {tensor.name: tensor.shape for tensor in self.tensors}

    def shapes(self, **changed: int | bool) -> Shapes | None:
        """Tensor name → shape by config.json with some keys changed; None where such a module is impossible."""
        try:
            found = self.family.shapes({**self.whole, **changed})
        except NO_NETWORK:
            return None
        return None if any(type(side) is not int or side < 0 for shape in found.values() for side in shape) else found

    def at_key(self, code: str, wrong: Wrong) -> Diagnostic:
        """A diagnostic on a key of config.json, at its place there."""
        span = key_span(self.folder / "config.json", wrong.key, wrong.label)
        return Diagnostic(code, wrong.headline, span, ALSO, wrong.notes, wrong.help)

    def in_weights(self, code: str, headline: str, *notes: str, help: str) -> Diagnostic:
        """A diagnostic on the weights."""
        return Diagnostic(code, headline, Span(str(self.folder / self.header.files[0]), 0, 1, 0), ALSO, notes, help)


def disagreements(files: Checkpoint) -> tuple[Diagnostic, ...]:
    """Every reason why transformers would refuse a backbone, or load another than its files describe."""
    impossible = tuple(files.rules.wrong(files.config))
    found = [files.at_key("E0382", wrong) for wrong in impossible]
    is_readable = not found  # shapes follow only from valid values
    found += [files.at_key("E0384", wrong) for wrong in _foreign(files.config)]
    told = {wrong.key for wrong in impossible}
    found += [files.at_key(code, wrong) for code, wrong in _chosen(files.config) if wrong.key not in told]
    if wrapped := tuple(_wrapped(files)):
        return (*found, *wrapped)
    found += _whole_numbers(files)
    if is_readable:
        together = [files.at_key("E0382", wrong) for wrong in _impossible(files)]
        found += together or _mismatches(files)
    return tuple(found)


def _foreign(config: Mapping[str, Any]) -> Iterator[Wrong]:
    """Errors for code of the backbone's own, and for quantized weights."""
    own = config.get("auto_map", {})
    if not isinstance(own, dict | list | str) or any(word in own for word in OWN_CODE):
        help = "choose a backbone that transformers loads without code of its own"
        yield Wrong("auto_map", "the backbone brings code of its own, which graftc never runs", help=help)
    if config.get("quantization_config") is not None:
        help = "give the checkpoint that it was made from; graftc makes a small graph of what it trains"
        yield Wrong("quantization_config", "the backbone is quantized, so it can't be trained", help=help)


def _chosen(config: Mapping[str, Any]) -> Iterator[tuple[str, Wrong]]:
    """Findings on keys that choose what is loaded or run, where they choose anything but transformers' own.

    None of these keys reaches transformers. A value with a path or a repository is refused, because it means other code
    or weights.
    """
    for key in sorted(CHOOSING & config.keys() - {"auto_map", "quantization_config"}):
        words = set(_leaves(config[key]))
        if not words - ORDINARY:
            continue
        if any("/" in str(word) for word in words):
            help = f"remove `{key}`, if the backbone's weights are its own and learned without it"
            headline = f"`{key}` of the backbone's config.json names a repository or a path, which graftc never fetches"
            yield "E0384", Wrong(key, headline, help=help)
        else:
            headline = f"`{key}` of the backbone's config.json is not followed"
            note = "graftc loads the weights that the plan names, and runs transformers' own code alone"
            yield "W0384", Wrong(key, headline, notes=(note,), help=f"remove `{key}`")


def _leaves(value: Any) -> Iterator[Any]:
    """All scalars in a value, and all keys of its objects."""
    for each in (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _leaves(each)
    if not isinstance(value, dict | list):
        yield value if isinstance(value, str | bool | None) else str(value)


def _wrapped(files: Checkpoint) -> Iterator[Diagnostic]:
    """The error for tensor names that begin with a wrapper's prefix."""
    prefix, names = "", [tensor.name for tensor in files.header.tensors]
    while hit := next((word for word in WRAPPERS if names and all(n.startswith(prefix + word) for n in names)), None):
        prefix += hit
    if prefix:
        headline = f"the names of the backbone's tensors begin with {quote(prefix)}, which a wrapper left"
        help = "save the module that is inside the wrapper, or write the weights anew without it"
        yield files.in_weights("E0383", headline, f"such as {quote(names[0])}", help=help)


def _whole_numbers(files: Checkpoint) -> Iterator[Diagnostic]:
    """The error for weights that are stored as whole numbers."""
    buffers = files.family.buffers
    found = [t for t in files.tensors if t.dtype in WHOLE and not any(re.search(p, t.name) for p in buffers)]
    if found:
        headline = "the backbone's weights are whole numbers, so they can't be trained"
        notes = (f"{quote(found[0].name)} is {found[0].dtype}, and so are {len(found) - 1:,} more",)
        help = "give the checkpoint that it was made from, in floating point"
        yield files.in_weights("E0384", headline, *notes, help=help)


def _impossible(files: Checkpoint) -> Iterator[Wrong]:
    """The family's errors for values that exclude each other."""
    try:
        for key, reason in files.family.mistakes(files.whole):
            yield Wrong(files.rules.written(key, files.config), f"the backbone's config.json can't be so: {reason}")
    except NO_NETWORK:
        return  # values without shapes are reported by `_mismatches`


def _mismatches(files: Checkpoint) -> Iterator[Diagnostic]:
    """Errors for tensors that are missing, unknown, or of another shape than config.json gives."""
    expected = files.shapes()
    if expected == files.stored:
        return
    fitting = next(_fitting(files), None)
    if fitting:
        yield files.at_key("E0383", _other_size(files, *fitting))
    elif expected is not None:
        yield _others(files, expected)
    else:
        span = Span(str(files.folder / "config.json"), 0, 1, 0)
        yield Diagnostic("E0382", "the sizes in the backbone's config.json make no network", span, ALSO)


def _fitting(files: Checkpoint) -> Iterator[tuple[str, int | bool]]:
    """A single key of config.json, and the value with which config.json would agree with all weights."""
    sides = {side for shape in files.stored.values() for side in shape}
    depths = {int(number) + 1 for name in files.stored for number in re.findall(r"\d+", name)}
    for key, value in files.whole.items():
        is_open = value is None and "int" in files.rules.keys.get(key, {}).get("kinds", ())
        if not (is_open or type(value) in (int, bool)) or key.endswith("_token_id"):
            continue
        for other in (not value,) if isinstance(value, bool) else sorted(sides | depths):
            if other != value and files.shapes(**{key: other}) == files.stored:
                yield key, other


def _other_size(files: Checkpoint, key: str, value: int | bool) -> Wrong:
    written = files.rules.written(key, files.config)
    says = "config.json says" if written in files.config else f"config.json leaves `{written}` out, which then is"
    label = f"{says} {json.dumps(files.whole[key])}, the weights have {json.dumps(value)}"
    headline = f"`{written}` in the backbone's config.json is not that of its weights"
    help = f"write `{json.dumps(value)}` there if the weights are right, else get the weights that belong to it"
    return Wrong(written, headline, label, (), help)


def _others(files: Checkpoint, expected: Shapes) -> Diagnostic:
    """The error for weights that config.json does not describe."""
    stored = files.stored
    names = sorted(n for n in expected.keys() | stored.keys() if expected.get(n) != stored.get(n))
    notes = [f"{quote(name)} {_difference(expected.get(name), stored.get(name))}" for name in names[:MOST]]
    notes += [f"and {len(names) - MOST:,} more"] if len(names) > MOST else []
    headline = "the backbone's weights are not those that its config.json describes"
    return files.in_weights("E0383", headline, *notes, help="copy the backbone again, with all of its files")


def _difference(expected: tuple[int, ...] | None, stored: tuple[int, ...] | None) -> str:
    if stored is None:
        return f"is missing, expected {_sides(expected)}"
    return f"is {_sides(stored)}, " + (f"expected {_sides(expected)}" if expected is not None else "which has no place")


def _sides(shape: tuple[int, ...] | None) -> str:
    return "×".join(map(str, shape or ())) or "one number"
