"""Adaptation methods: one module for each word of `adapt.method`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .. import variants
from ..diagnostics import At, Diagnostic, listed
from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor

# capabilities that a method may need, in words for messages
CAPABILITIES = {
    "biases": "biases",
    "linear-layers": "linear layers to adapt",
    "plain-weights": "linear layers that keep their weights as (outputs, inputs)",
    "past-key-values": "attention that takes past key values",
    "sublayers": "attention and feed-forward parts to put something after",
    "word-embeddings": "an embedding of words that inputs can be put beside",
}


@dataclass(frozen=True)
class Lowered:
    """The decisions of a method: tensors that learn, tensors that it adds, and its record."""

    trained: frozenset[str]
    added: tuple[Tensor, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)


def problems(word: str, options: Any, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """Errors for missing capabilities of the backbone; where there are none, the method's own findings."""
    lack = tuple(_lacking(word, backbone))
    return lack or variants.method(word).problems(options, backbone, frozen)


def _lacking(word: str, backbone: BackboneFacts) -> Iterable[Diagnostic]:
    """One error for each missing capability, with the methods that work."""
    for need in sorted(variants.method(word).needs - backbone.provides):
        works = [each for each in variants.words("methods") if backbone.provides >= variants.method(each).needs]
        headline = f"`{word}` needs {CAPABILITIES[need]}, which this backbone has not"
        at, also = At(("adapt", "method"), "can't be used here"), (At(("backbone", "from"), f"a `{backbone.word}`"),)
        yield Diagnostic("E0309", headline, at, also, help=f"methods that work here: {listed(works, 40)}")


def all_frozen(what: str) -> Diagnostic:
    """The error where every tensor or module that a method would train is frozen; `what` names one of them."""
    at, also = At(("backbone", "freeze"), "takes them all", on_key=True), (At(("adapt",), "adapts these", on_key=True),)
    help = "freeze fewer layers, or use `method: probe`"
    return Diagnostic("E0308", f"every {what} is frozen", at, also, help=help)
