"""Variants: one module each, named by the word that users write, with one record that says all it can do.

The folders are the registry. Only the module that is named gets imported.
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
    """The head of a task; raises KeyError for a word that is none."""
    found: Head[Any, Any] = load("heads", word).HEAD
    return found


def objective(word: str) -> Head[Any, Any]:
    """The objective of a stage of `pretrain`; raises KeyError for a word that is none."""
    found: Head[Any, Any] = load("objectives", word).OBJECTIVE
    return found


def top(word: str) -> Head[Any, Any]:
    """What is learned on top of a backbone: a head, or an objective of self-supervised stages."""
    return head(word) if word in words("heads") else objective(word)


def reader(word: str) -> RowReader:
    """What reads a row's input: that of a head which has roles of its own for it, else that of its modality."""
    found = top(word)
    return found.reader or input(found.modality).reader


def options(folder: str, word: str) -> type[Frozen]:
    """The keys that a spec may write of a variant of `heads`, `objectives`, `methods` or `inputs`."""
    keys: type[Frozen]
    if folder == "methods":
        keys = method(word).options
    elif folder == "inputs":
        keys = input(word).options
    else:
        keys = top(word).options
    return keys


def family(word: str) -> Family:
    """A family of backbones by its `model_type`; raises KeyError for a word that is none."""
    found: Family = load("backbones", word).FAMILY
    return found


def method(word: str) -> Method[Any]:
    """An adaptation method; raises KeyError for a word that is none."""
    found: Method[Any] = load("methods", word).METHOD
    return found


@cache
def input(word: str) -> Input[Any]:
    """The compiling side of a modality, or of several with `+` between them; raises KeyError for a word that is none."""
    parts = modalities(word)
    found: dict[str, Input[Any]] = {part: load("inputs", part).INPUT for part in parts}
    if len(parts) == 1:
        return found[word]
    whole: Input[Any] = import_module(".inputs._combined", __package__).combined(word, found)
    return whole


def quantization(word: str) -> Quantization:
    """A kind of int8; raises KeyError for a word that is none."""
    found: Quantization = load("quantizations", word).QUANTIZATION
    return found


def format(word: str) -> Format:
    """A data format; raises KeyError for a word that is none."""
    found: Format = load("formats", word).FORMAT
    return found


def source(word: str) -> Source:
    """A place that backbones come from; raises KeyError for a word that is none."""
    found: Source = load("sources", word).SOURCE
    return found


def renderer(word: str) -> Renderer:
    """A form of findings; raises KeyError for a word that is none."""
    found: Renderer = load("renderers", word).RENDERER
    return found


def stage(word: str) -> Stage:
    """A unit of execution; raises KeyError for a word that is none."""
    found: Stage = load("stages", word).STAGE
    return found
