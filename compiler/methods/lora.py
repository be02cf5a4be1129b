"""Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685) by PEFT, merged into the weights on export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from . import _layers
from ._layers import Targeted

if TYPE_CHECKING:
    import torch


class Options(Targeted):
    """Keys under `adapt` with method lora."""

    rank: int = Field(8, ge=1, le=4096, description="size of the bottleneck")
    alpha: float = Field(16.0, gt=0.0, description="scale of the update, divided by rank (by its root with rslora)")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="on the input of the update, while training")
    dora: bool = Field(False, description="weight-decomposed update (Liu et al. 2024, arXiv:2402.09353)")
    rslora: bool = Field(False, description="rank-stabilised scale (Kalajdzievski 2023, arXiv:2312.03732)")


def _added(name: str, options: Options, backbone: BackboneFacts) -> Iterable[Tensor]:
    """Two low-rank matrices, and with DoRA a magnitude for each output."""
    out, into, *kernel = _layers.sides(backbone.modules()[name].shape, name, backbone)
    yield Tensor(name=f"{name}.lora_A.weight", shape=(options.rank, into, *kernel), dtype="F32")
    yield Tensor(name=f"{name}.lora_B.weight", shape=(out, options.rank, *(1 for _ in kernel)), dtype="F32")
    if options.dora:
        magnitudes = (1, out, 1, 1) if kernel else (out,)
        yield Tensor(name=f"{name}.lora_magnitude_vector.weight", shape=magnitudes, dtype="F32")


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """Wraps a backbone in PEFT's LoRA layers at exactly the plan's modules."""
    from peft import LoraConfig

    found = _layers.adapted(
        module,
        LoraConfig,
        r=record["rank"],
        lora_alpha=record["alpha"],
        lora_dropout=record["dropout"],
        use_dora=record["dora"],
        use_rslora=record["rslora"],
        target_modules=list(record["target"]),
        bias="none",
    )
    return _show_geometry(found)


def reload(module: torch.nn.Module, folder: Path) -> torch.nn.Module:
    """A backbone with the adapter that was saved in a folder."""
    return _show_geometry(_layers.reload(module, folder))


def _show_geometry(adapted: torch.nn.Module) -> torch.nn.Module:
    from peft.tuners.lora.layer import Conv2d

    for layer in adapted.modules():
        if isinstance(layer, Conv2d):
            # MobileNetV2 reads these attributes of its convolutions for padding, and PEFT's wrapper hides them
            for name in ("stride", "kernel_size", "dilation"):
                setattr(layer, name, getattr(layer.base_layer, name))
    return adapted


METHOD = _layers.method(
    "lora",
    options=Options,
    usual=(1e-5, 1e-2),
    added=_added,
    apply=apply,
    reload=reload,
)
