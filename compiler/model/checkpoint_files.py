"""Gives transformers only the files of a checkpoint that the plan names, without other files of their folder."""

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
_COMPARED: set[tuple[str, ...]] = set()  # files whose tensors this process has compared with a loaded module


@contextmanager
def alone(folder: Path) -> Iterator[Path]:
    """A temporary folder with the weights of a checkpoint and the keys of config.json that its architecture knows.

    Other keys and other files could name other weights, adapters or code.
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
    """A config.json with only the keys that its architecture knows, without keys that choose an implementation."""
    kept = rules(str(config["model_type"]).replace("_", "-")).reduced(config)
    # AutoConfig takes `float32` alone, a model's configuration also `torch.float32`
    named = {key: kept[key].removeprefix("torch.") for key in DTYPES if isinstance(kept.get(key), str)}
    return kept | named


def refuse_others(module: torch.nn.Module, folder: Path, family: Family) -> None:
    """Raises Refused E0406 where a tensor of a module differs in any number from the folder's files.

    Files that this process has compared before are not compared again.
    """
    state, files = module.state_dict(), read_header(folder).files
    compared = tuple(identity(folder / name) for name in (*files, CONFIG))
    if compared in _COMPARED:
        return
    for file in files:
        with safe_open(str(folder / file), "pt") as stored:
            for name in stored.keys():  # noqa: SIM118 - safe_open is no mapping
                loaded = _loaded(state, name, family)
                if loaded is not None and not _is_same(loaded, stored.get_tensor(name)):
                    help = "copy the backbone again, and report this with its config.json if that does not help"
                    headline = "the loaded weights are not those of the backbone's files"
                    raise refuse("E0406", headline, f"`{name}` of {file}", help=help)
    _COMPARED.add(compared)


def _loaded(state: Mapping[str, torch.Tensor], name: str, family: Family) -> torch.Tensor | None:
    """The loaded tensor for a stored name, with or without the family's prefix; None for one that is not loaded."""
    plain = renamed(name.removeprefix(family.prefix), family)
    return next(
        (state[each] for each in (plain, f"{family.prefix}{plain}", renamed(name, family)) if each in state), None
    )


def _is_same(loaded: torch.Tensor, stored: torch.Tensor) -> bool:
    return loaded.shape == stored.shape and torch.equal(loaded.cpu(), stored.to(loaded.dtype))
