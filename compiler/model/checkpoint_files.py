"""Hands transformers the files that a plan names, and nothing else of the folder in which they lie."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import safe_open

from ..contracts.backbone import Family
from ..diagnostics import refuse
from ..facts.backbone import renamed
from ..facts.configuration import DTYPES, rules
from ..facts.header import INDEX, read_header
from ..store.hashes import identity

CONFIG = "config.json"
_COMPARED: set[tuple[str, ...]] = set()  # files whose tensors this process has found in a module


@contextmanager
def alone(folder: Path) -> Iterator[Path]:
    """A folder with a checkpoint's weights and of its config.json the keys that its architecture knows.

    Others can name other weights, adapters or code, and so can other files beside these.
    """
    files = read_header(folder).files
    with TemporaryDirectory(prefix="graftc-") as made:
        place = Path(made)
        for name in files:
            (place / name).symlink_to(os.path.realpath(folder / name))
        if len(files) > 1 or files[0] != "model.safetensors":
            index = json.loads((folder / INDEX).read_bytes())["weight_map"]
            (place / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))
        (place / CONFIG).write_text(json.dumps(reduced(json.loads((folder / CONFIG).read_bytes()))))
        yield place


def reduced(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json as transformers is given it: the keys that its architecture knows, and none that chooses."""
    kept = rules(str(config["model_type"]).replace("_", "-")).reduced(config)
    # a configuration that is made by itself takes `float32` alone, where a model's also takes `torch.float32`
    named = {key: kept[key].removeprefix("torch.") for key in DTYPES if isinstance(kept.get(key), str)}
    return kept | named


def refuse_others(module: torch.nn.Module, folder: Path, family: Family) -> None:
    """Raises Refused E0406 where a tensor of a module is not, number for number, that of the folder's files.

    What was loaded from the same files in this process is not compared again.
    """
    state, files = module.state_dict(), read_header(folder).files
    compared = tuple(identity(folder / name) for name in (*files, CONFIG))
    if compared in _COMPARED:
        return
    for file in files:
        with safe_open(str(folder / file), "pt") as stored:
            for name in stored.keys():  # noqa: SIM118 - it is no mapping
                loaded = _loaded(state, name, family)
                if loaded is not None and not _is_same(loaded, stored.get_tensor(name)):
                    help = "copy the backbone again, and report this with its config.json if that does not help"
                    headline = "the loaded weights are not those of the backbone's files"
                    raise refuse("E0406", headline, f"`{name}` of {file}", help=help)
    _COMPARED.add(compared)


def _loaded(state: Mapping[str, torch.Tensor], name: str, family: Family) -> torch.Tensor | None:
    """The tensor that a stored one became: with the name of its family's prefix, or without; None for what is left out."""
    plain = renamed(name.removeprefix(family.prefix), family)
    return next(
        (state[each] for each in (plain, f"{family.prefix}{plain}", renamed(name, family)) if each in state), None
    )


def _is_same(loaded: torch.Tensor, stored: torch.Tensor) -> bool:
    return loaded.shape == stored.shape and torch.equal(loaded.cpu(), stored.to(loaded.dtype))
