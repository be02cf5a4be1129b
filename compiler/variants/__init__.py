"""Finds variants by listing folders; only the one that is named gets imported."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).parent.parent


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
    return import_module(f"..{folder}.{word.replace('-', '_')}", __package__)


def top(word: str) -> ModuleType:
    """What is learned on top of a backbone: the module of a head, or of an objective of self-supervised stages."""
    return load("heads" if word in words("heads") else "objectives", word)


def reader(task: str) -> ModuleType:
    """What reads a row's input: the module of a head that has roles of its own for it, else that of its modality."""
    head = top(task)
    return head if hasattr(head, "raw") else load("inputs", head.MODALITY)
