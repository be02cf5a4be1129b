"""Finds variants: one module for each, named by the user's word, with one record.

The folders are the registry. Only the named module is imported.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..runtime.manifest import modalities

if TYPE_CHECKING:
    from .contracts.backbone import Family
    from .contracts.format import Format
    from .contracts.head import Head
    from .contracts.input import Input
    from .contracts.method import Method
    from .contracts.quantization import Quantization
    from .contracts.reading import RowReader
    from .contracts.renderer import Renderer
    from .contracts.source import Source
    from .contracts.stage import Stage
    from .frozen import Frozen

_HERE = Path(__file__).parent


@cache
def words(folder: str) -> tuple[str, ...]:
    """The user's words for the modules of a folder, sorted.

    >>> "text-classification" in words("heads")
    True
    """
    names = (file.stem for file in (_HERE / folder).glob("*.py") if not file.stem.startswith("_"))
    return tuple(sorted(name.replace("_", "-") for name in names))


@cache
def load(folder: str, word: str) -> ModuleType:
    """The module of a word; raises KeyError for a word that `words` does not list."""
    if word not in words(folder):
        raise KeyError(word)
    return import_module(f".{folder}.{word.replace('-', '_')}", __package__)


def head(word: str) -> Head[Any, Any]:
    """The head of a task; raises KeyError for an unknown word."""
    found: Head[Any, Any] = load("heads", word).HEAD
    return found


def objective(word: str) -> Head[Any, Any]:
    """The objective of a stage of `pretrain`; raises KeyError for an unknown word."""
    found: Head[Any, Any] = load("objectives", word).OBJECTIVE
    return found


def top(word: str) -> Head[Any, Any]:
    """A head, or an objective; raises KeyError for an unknown word."""
    return head(word) if word in words("heads") else objective(word)


def reader(word: str) -> RowReader:
    """The reader of a row's input: the head's own, else that of its modality."""
    found = top(word)
    return found.reader or input(found.modality).reader


def options(folder: str, word: str) -> type[Frozen]:
    """The model of the keys of a variant of `heads`, `objectives`, `methods` or `inputs`."""
    keys: type[Frozen]
    if folder == "methods":
        keys = method(word).options
    elif folder == "inputs":
        keys = input(word).options
    else:
        keys = top(word).options
    return keys


def family(word: str) -> Family:
    """The backbone family of a `model_type`; raises KeyError for an unknown word."""
    found: Family = load("backbones", word).FAMILY
    return found


def method(word: str) -> Method[Any]:
    """An adaptation method; raises KeyError for an unknown word."""
    found: Method[Any] = load("methods", word).METHOD
    return found


@cache
def input(word: str) -> Input[Any]:
    """The compiling side of a modality, or of several joined by `+`; raises KeyError for an unknown word."""
    parts = modalities(word)
    found: dict[str, Input[Any]] = {part: load("inputs", part).INPUT for part in parts}
    if len(parts) == 1:
        return found[word]
    whole: Input[Any] = import_module(".inputs._combined", __package__).combined(word, found)
    return whole


def quantization(word: str) -> Quantization:
    """A kind of int8; raises KeyError for an unknown word."""
    found: Quantization = load("quantizations", word).QUANTIZATION
    return found


def format(word: str) -> Format:
    """A data format; raises KeyError for an unknown word."""
    found: Format = load("formats", word).FORMAT
    return found


def source(word: str) -> Source:
    """A source of backbones; raises KeyError for an unknown word."""
    found: Source = load("sources", word).SOURCE
    return found


def renderer(word: str) -> Renderer:
    """An output form for findings; raises KeyError for an unknown word."""
    found: Renderer = load("renderers", word).RENDERER
    return found


def stage(word: str) -> Stage:
    """A stage; raises KeyError for an unknown word."""
    found: Stage = load("stages", word).STAGE
    return found
