"""Loads the language model that a checkpoint belongs to, and compares its head with the plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..contracts.backbone import Family
from ..diagnostics import refuse
from .checkpoint_files import alone, refuse_others
from .loading import PLAINLY, refusing

AUTO = {
    "masked-language-model": "AutoModelForMaskedLM",
    "causal-language-model": "AutoModelForCausalLM",
    "sequence-to-sequence": "AutoModelForSeq2SeqLM",
}


def load_language_model(kind: str, folder: Path, family: Family) -> tuple[Any, tuple[str, ...]]:
    """transformers' model of a kind in fp32, and the head's tensors that the checkpoint lacks, which are drawn."""
    import transformers

    with refusing(folder), alone(folder) as own:
        model, told = getattr(transformers, AUTO[kind]).from_pretrained(str(own), **PLAINLY, output_loading_info=True)
    refuse_others(model, folder, family)
    missing = sorted([*told["missing_keys"], *(str(key[0]) for key in told["mismatched_keys"])])
    return model, tuple(name for name in missing if not name.startswith(f"{model.base_model_prefix}."))


def refuse_another(record: Mapping[str, Any], found: Mapping[str, torch.Tensor], missing: tuple[str, ...]) -> None:
    """Raises Refused E0406 where the loaded head differs from the record of its task."""
    loaded = {name: tuple(tensor.shape) for name, tensor in found.items()}
    planned = {name: tuple(shape) for name, shape in record["tensors"].items()}
    names = sorted(n for n in loaded.keys() | planned.keys() if loaded.get(n) != planned.get(n))
    notes = [f"`{n}`: planned {planned.get(n, 'absent')}, loaded {loaded.get(n, 'absent')}" for n in names[:5]]
    if not record["is_new"] and missing:
        notes.append(f"the checkpoint lacks {', '.join(missing[:5])}")
    if notes:
        help = "report this with the backbone's config.json"
        raise refuse("E0406", "the loaded language-model head is not the one that was planned", *notes, help=help)
