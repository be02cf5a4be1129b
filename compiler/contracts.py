"""What each kind of variant module holds, member by member.

A variant is a module named by the user's word (`-` written `_`); these protocols are what a module of
each folder fulfils with its module-level names. torch is imported inside functions: checking and planning
run without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .frozen import Frozen

if TYPE_CHECKING:
    import torch


class Family(Protocol):
    """`backbones/<model_type>.py`: what graftc must know of an architecture; the rest comes from transformers.

    Names of tensors and modules are those of the module that `AutoModel.from_pretrained(folder, **LOAD)` gives.
    """

    MODALITY: str  # a module of inputs/
    PROVIDES: frozenset[str]  # "tokens": a state per position · "pooled": one vector per input
    PREFIX: str  # stripped from header names of checkpoints saved with a head: "bert."
    OMITTED: tuple[str, ...]  # patterns of header names that the bare backbone does not load
    BUFFERS: tuple[str, ...]  # patterns of names that are state but not parameters
    RENAMED: Mapping[str, str]  # pattern → replacement, for names of old checkpoints
    PARTS: Mapping[str, str]  # selector word → pattern of tensor names; for a stack, group 1 is the index
    NORMS: str  # pattern of the tensors of normalisation layers
    KINDS: Mapping[str, str]  # target word → pattern of module names: query, attention, mlp …
    TARGET: tuple[str, ...]  # words of KINDS that low-rank methods take by default
    INPUTS: tuple[str, ...]  # arguments of the module's forward that carry data
    LOAD: Mapping[str, Any]  # further arguments of AutoModel.from_pretrained

    width: Callable[[Mapping[str, Any]], int]  # config.json → size of one state
    longest: Callable[[Mapping[str, Any]], int | None]  # config.json → most positions, None for no limit
    pooled: Callable[[Any], torch.Tensor]  # outputs of the module → (batch, width); for "pooled"


class Input(Protocol):
    """`inputs/<modality>.py`: what a spec may write under `data` for a modality and how the plan fixes it."""

    ROLES: tuple[str, ...]  # roles of columns that make up one input
    OPTIONAL: tuple[str, ...]  # those of them that may be absent
    JOINED: tuple[str, ...]  # those that take several columns
    Options: type[Frozen]  # keys that a spec may write under `data`


class Method(Protocol):
    """`methods/<method>.py`: how a backbone learns."""

    Options: type[Frozen]  # keys under `adapt`
    LEARNING_RATE: float  # default
    USUAL: tuple[float, float]  # learning rates outside are worth a look


class Format(Protocol):
    """`formats/<format>.py`: reads a data file into numbered rows."""

    SUFFIXES: tuple[str, ...]  # file endings that select it, with the dot
    EXTRA: str  # the pip extra that it needs, or ""

    rows: Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]  # raises rows.Malformed


class SourceKind(Protocol):
    """`sources/<word>.py`: finds a backbone's folder."""

    IS_PATH: bool  # what stands after the colon is a path, relative to the spec
    locate: Callable[[str, Path], Any]  # (reference after the colon, the spec's folder) → sources.Located


__all__ = ["Family", "Format", "Input", "Method", "SourceKind"]
