"""Finds decoders and preprocessings by their word in the manifest, and imports only the one that is named."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .errors import BundleError
from .heads import Decoder
from .inputs import Preprocessing
from .inputs._combined import combined
from .manifest import modalities


def decoder(task: str) -> Decoder:
    """The decoder of a task; raises BundleError E0503, E0506 or E0507 where none can be used."""
    found: Decoder = _module("heads", task).DECODER
    return found


def preprocessing(modality: str) -> Preprocessing:
    """The preprocessing of a modality, or of several joined by `+`.

    Raises BundleError E0503, E0506 or E0507 where none can be used.
    """
    parts = modalities(str(modality))
    found: dict[str, Preprocessing] = {part: _module("inputs", part).PREPROCESSING for part in parts}
    return combined(found) if len(parts) > 1 else found[parts[0]]


def _module(folder: str, word: str) -> ModuleType:
    name = str(word).replace("-", "_")
    if not name.isidentifier() or name.startswith("_"):
        raise BundleError("E0503", f"`{word}` names no part of the runtime")
    try:
        return import_module(f".{folder}.{name}", __package__)
    except ModuleNotFoundError as error:
        if error.name and error.name.endswith(f".{name}"):
            raise BundleError("E0506", f"this runtime has no `{word}`", help="upgrade graftc") from None
        raise lacking(error) from None


def lacking(error: ModuleNotFoundError) -> BundleError:
    """The error for a package that the bundle needs and that is not installed."""
    help = "pip install -r requirements.txt, from the bundle's folder"
    return BundleError("E0507", f"the bundle needs the package `{error.name}`", help=help)
