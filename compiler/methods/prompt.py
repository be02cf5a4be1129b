"""Learned word embeddings before every input (Lester et al. 2021, arXiv:2104.08691), by PEFT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..contracts.method import Method
from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from . import Lowered, _prompts
from ._prompts import Tokens


class Options(Tokens):
    """Keys under `adapt` with method prompt."""


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Adds one embedding for each virtual token; the backbone's own tensors stay."""
    width = _prompts.embedding_width(backbone)
    added = Tensor(name="prompt.embedding.weight", shape=(options.tokens, width), dtype="F32")
    return Lowered(frozenset(), (added,), {"tokens": options.tokens, "width": width, "layers": 1, "heads": 1})


def _config(record: Mapping[str, Any]) -> Any:
    from peft import PromptTuningConfig

    return PromptTuningConfig(**_prompts.configuration("prompt", record, prompt_tuning_init="SAMPLE_VOCAB"))


def apply(module: Any, record: Mapping[str, Any]) -> Any:
    """A backbone behind virtual tokens that start as random words of its vocabulary."""
    from peft import PromptEmbedding

    from ..layers.prompts import Embedded

    return Embedded(module, PromptEmbedding(_config(record), module.get_input_embeddings()), record["tokens"])


def save(module: Any, folder: Path) -> None:
    """Writes a folder that PeftModel loads."""
    tokens, width = module.prompt.embedding.weight.shape
    record = {"tokens": tokens, "width": width, "layers": 1, "heads": 1}
    _prompts.write(module, _config(record), folder)


METHOD = Method(
    options=Options,
    learning_rate=3e-2,
    head_learning_rate=2e-3,
    usual=(1e-4, 1.0),
    needs=frozenset({"word-embeddings"}),
    positions=_prompts.positions,
    packs=False,
    lower=lower,
    apply=apply,
    plain=_prompts.plain,
    merge=_prompts.merge,
    save=save,
    reload=_prompts.reload,
)
