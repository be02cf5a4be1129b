"""Keys that options of several variants share, and that generic code asks for by `isinstance`.

A class of options that inherits from one of these declares the field again, because it has its own order of keys. The
annotations here are for the type checker, which compares each field with them. The classes are plain, because pydantic
models cost time at the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal


class Pooled:
    """Options of a variant that reads one feature: how states are pooled; None for the backbone's own way."""

    if TYPE_CHECKING:
        pooling: str | None


class Layered:
    """Options of a head that is a stack of linear layers: the widths of the layers before the last."""

    if TYPE_CHECKING:
        hidden: tuple[int, ...]


class Startable(Layered):
    """Options of a head that can be fitted before the first step: `fitted`, `random`, or None to let graftc decide."""

    if TYPE_CHECKING:
        start: Literal["fitted", "random"] | None


class Labelled:
    """Options of a head that answers with names from the data: the labels in order."""

    if TYPE_CHECKING:
        labels: tuple[str | int | bool, ...] | None


class Normalized:
    """Options of a head whose answer is a vector: whether it has length one; None for what the backbone says."""

    if TYPE_CHECKING:
        normalize: bool | None


class ReadsHead:
    """Options of an objective that learns from the training rows of a head: which head, where there are several."""

    if TYPE_CHECKING:
        head: str | None


class NewHead:
    """Options of an objective with a language-model head: steps in which a head that the checkpoint lacks is fitted."""

    if TYPE_CHECKING:
        head_steps: int | None


class Templated:
    """Options of a head that takes conversations: the file of a chat template, None for the backbone's own."""

    if TYPE_CHECKING:
        template: str | None


class TokenLengths:
    """Of an input that is cut into tokens: how many are kept, None for the default."""

    if TYPE_CHECKING:
        max_length: int | None


class Packable(TokenLengths):
    """Of such an input whose rows can share blocks while a network is trained: whether they do."""

    if TYPE_CHECKING:
        packing: bool


class Windowed(TokenLengths):
    """Of such an input that can be read in windows: how many tokens two of them share, None for the default."""

    if TYPE_CHECKING:
        stride: int | None
