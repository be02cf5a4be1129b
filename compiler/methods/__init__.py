"""Adaptation methods, one module per word of `adapt.method`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .. import variants
from ..diagnostics import At, Diagnostic, listed
from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor

# what a method may need of a backbone, in the words of a message
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
    """What a method decides: which tensors learn, which it adds, and the record it builds from."""

    trained: frozenset[str]
    added: tuple[Tensor, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)


def problems(word: str, options: Any, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """What a method needs and a backbone has not; where that is nothing, what the method finds itself."""
    lack = tuple(_lacking(word, backbone))
    return lack or variants.method(word).problems(options, backbone, frozen)


def _lacking(word: str, backbone: BackboneFacts) -> Iterable[Diagnostic]:
    """One diagnostic for each thing that a method needs and a backbone has not, with the methods that do work."""
    for need in sorted(variants.method(word).needs - backbone.provides):
        works = [each for each in variants.words("methods") if backbone.provides >= variants.method(each).needs]
        headline = f"`{word}` needs {CAPABILITIES[need]}, which this backbone has not"
        at, also = At(("adapt", "method"), "can't be used here"), (At(("backbone", "from"), f"a `{backbone.word}`"),)
        yield Diagnostic("E0309", headline, at, also, help=f"methods that work here: {listed(works, 40)}")


def all_frozen(what: str) -> Diagnostic:
    """What a method would learn is frozen, every bit of it: `what` says so in a word of its own."""
    at, also = At(("backbone", "freeze"), "takes them all", on_key=True), (At(("adapt",), "adapts these", on_key=True),)
    help = "freeze fewer layers, or use `method: probe`"
    return Diagnostic("E0308", f"every {what} is frozen", at, also, help=help)
