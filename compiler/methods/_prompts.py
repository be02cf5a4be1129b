"""Shared parts of methods that put virtual tokens before an input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ..facts.backbone import BackboneFacts
from ..frozen import Frozen

ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"  # PEFT's names
KEY = "prompt_embeddings"  # PEFT's name of the tensor of virtual tokens


class Tokens(Frozen):
    """The key for the number of virtual tokens."""

    tokens: int = Field(20, ge=1, le=1024, description="number of virtual tokens")


def positions(options: Tokens) -> int:
    """The positions that the virtual tokens take."""
    return options.tokens


def embedding_width(backbone: BackboneFacts) -> int:
    """The width of a word's embedding, which some families project to the width of a state."""
    return int(backbone.config.get("embedding_size") or backbone.width)


def plain(name: str) -> str:
    """The planned name of a tensor of the adapted module.

    >>> plain("backbone.encoder.layer.0.output.dense.bias"), plain("prompt.embedding.weight")
    ('encoder.layer.0.output.dense.bias', 'prompt.embedding.weight')
    """
    return name.removeprefix("backbone.")


def merge(module: Any) -> Any:
    """The backbone with its virtual tokens as constants."""
    return module.baked()


def configuration(kind: str, record: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The arguments of PEFT's configuration for a kind of prompt."""
    return {
        "task_type": "FEATURE_EXTRACTION",
        "num_virtual_tokens": record["tokens"],
        "token_dim": record["width"],
        "num_layers": record["layers"],
        "num_attention_heads": record["heads"],
        "num_transformer_submodules": 1,
        **more,
    }


def write(module: Any, config: Any, folder: Path) -> None:
    """Writes a prompt in PEFT's form: the encoder's output, without the encoder."""
    import torch
    from safetensors.torch import save_file

    config.inference_mode = True
    config.save_pretrained(str(folder))
    with torch.no_grad():
        values = module.prompt(torch.arange(module.tokens).unsqueeze(0))[0]
    save_file({KEY: values.contiguous()}, folder / ADAPTER)


def read(module: Any, folder: Path, wrapper: Any) -> Any:
    """A backbone behind the virtual tokens in a folder."""
    from safetensors.torch import load_file

    from ..layers.prompts import Constant

    values = load_file(folder / ADAPTER)[KEY].unsqueeze(0)
    tokens = json.loads((folder / CONFIG).read_bytes())["num_virtual_tokens"]
    return wrapper(module, Constant(values), tokens)


def reload(module: Any, folder: Path) -> Any:
    """A backbone behind the virtual word embeddings in a folder."""
    from ..layers.prompts import Embedded

    return read(module, folder, Embedded)
