"""Virtual tokens that a small network computes in training (Liu et al. 2021, arXiv:2103.10385), by PEFT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ..contracts.method import Method
from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from . import Lowered, _prompts
from ._prompts import Tokens


class Options(Tokens):
    """Keys under `adapt` with method p-tuning."""

    hidden: int = Field(128, ge=1, le=1 << 16, description="width of the layers that make the virtual tokens")


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Adds an embedding for each virtual token, and three linear layers; the backbone's own tensors stay."""
    width = _prompts.embedding_width(backbone)
    sizes = (width, options.hidden, options.hidden, width)
    added = [Tensor(name="prompt.embedding.weight", shape=(options.tokens, width), dtype="F32")]
    for i in range(3):  # numbered 0, 2, 4, because activations stand between them
        added.append(Tensor(name=f"prompt.mlp_head.{2 * i}.weight", shape=(sizes[i + 1], sizes[i]), dtype="F32"))
        added.append(Tensor(name=f"prompt.mlp_head.{2 * i}.bias", shape=(sizes[i + 1],), dtype="F32"))
    record = {"tokens": options.tokens, "width": width, "hidden": options.hidden, "layers": 1, "heads": 1}
    return Lowered(frozenset(), tuple(added), record)


def _config(record: Mapping[str, Any]) -> Any:
    from peft import PromptEncoderConfig

    return PromptEncoderConfig(**_prompts.configuration("p-tuning", record, encoder_hidden_size=record["hidden"]))


def apply(module: Any, record: Mapping[str, Any]) -> Any:
    """A backbone behind virtual tokens from PEFT's encoder."""
    from peft import PromptEncoder

    from ..layers.prompts import Embedded

    return Embedded(module, PromptEncoder(_config(record)), record["tokens"])


def save(module: Any, folder: Path) -> None:
    """Writes a folder that PeftModel loads."""
    encoder = module.prompt
    record = {
        "tokens": module.tokens,
        "width": encoder.token_dim,
        "hidden": encoder.hidden_size,
        "layers": 1,
        "heads": 1,
    }
    _prompts.write(module, _config(record), folder)


METHOD = Method(
    options=Options,
    learning_rate=3e-3,
    head_learning_rate=2e-3,
    usual=(1e-5, 1e-1),
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
