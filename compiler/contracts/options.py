"""Keys that options of several variants have, and that generic code asks for by `isinstance`.

A class of options that is one of these writes the field itself, because the order of its keys is its own: what stands
here is for the type checker, which holds each field against it. The classes are plain, as models cost time at the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal


class Pooled:
    """Of what reads one feature of the backbone: how states become it, None for the backbone's own way."""

    if TYPE_CHECKING:
        pooling: str | None


class Layered:
    """Of a head that is a stack of linear layers: the widths of those before the last."""

    if TYPE_CHECKING:
        hidden: tuple[int, ...]


class Startable(Layered):
    """Of such a head that can be fitted before the first step: whether it is, None for what is decided."""

    if TYPE_CHECKING:
        start: Literal["fitted", "random"] | None


class Labelled:
    """Of a head that answers with names of the data: those that are written, in order."""

    if TYPE_CHECKING:
        labels: tuple[str | int | bool, ...] | None


class Normalized:
    """Of a head whose answer is a vector: whether it has length one, None for what the backbone's folder says."""

    if TYPE_CHECKING:
        normalize: bool | None


class ReadsHead:
    """Of an objective that learns from the training rows of a head: which one, where there are several."""

    if TYPE_CHECKING:
        head: str | None


class NewHead:
    """Of an objective that finds words: steps in which a head that the checkpoint lacks is fitted alone."""

    if TYPE_CHECKING:
        head_steps: int | None


class TokenLengths:
    """Of an input that is cut into tokens: how many are kept, None for the default."""

    if TYPE_CHECKING:
        max_length: int | None


class Windowed(TokenLengths):
    """Of such an input that can be read in windows: how many tokens two of them share, None for the default."""

    if TYPE_CHECKING:
        stride: int | None
