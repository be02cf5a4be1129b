"""Bottleneck adapters after the attention and feed-forward parts (Houlsby et al. 2019, arXiv:1902.00751), or after
the feed-forward part only (Pfeiffer et al. 2020, arXiv:2005.00247)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..contracts.method import Method
from ..diagnostics import Diagnostic
from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from ..frozen import Frozen
from . import Lowered, _layers, all_frozen

PLACES = {"houlsby": ("attention-output", "mlp-output"), "pfeiffer": ("mlp-output",)}
ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PARTS = {"down.weight": (1, 0), "down.bias": (1,), "up.weight": (0, 1), "up.bias": (0,)}  # 0: width, 1: middle


class Options(Frozen):
    """Keys under `adapt` with method adapter."""

    placement: Literal["houlsby", "pfeiffer"] = Field(
        "pfeiffer", description="after attention and feed-forward, or after feed-forward only"
    )
    reduction_factor: int = Field(16, ge=1, le=4096, description="width of a state over width of the bottleneck")
    activation: Literal["relu", "gelu", "silu"] = Field("relu", description="between the two projections")


def problems(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """The error where all target modules are frozen."""
    if not _targets(options, backbone, frozen):
        yield all_frozen("module that `adapter` would follow")


def _targets(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> tuple[str, ...]:
    target = _layers.Targeted(target=PLACES[options.placement])
    return _layers.targets(target, backbone, frozen)


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Adds two projections after each target module that is not frozen; the backbone's own tensors stay."""
    modules = backbone.modules()
    widths = {
        name: next(_layers.sides(modules[name].shape, name, backbone)) for name in _targets(options, backbone, frozen)
    }
    narrow = {name: max(1, width // options.reduction_factor) for name, width in widths.items()}
    added = tuple(
        Tensor(name=f"{name}.adapter.{part}", shape=tuple((widths[name], narrow[name])[i] for i in which), dtype="F32")
        for name in widths
        for part, which in PARTS.items()
    )
    return Lowered(frozenset(), added, {"widths": widths, "narrow": narrow, "activation": options.activation})


def apply(module: Any, record: Mapping[str, Any]) -> Any:
    """A backbone with untrained adapters, which do not change its outputs yet."""
    from ..layers.adapters import insert

    module.adapters = {key: dict(value) if isinstance(value, Mapping) else value for key, value in record.items()}
    return insert(module, **module.adapters)


def plain(name: str) -> str:
    """The planned name of a tensor of the adapted module.

    >>> plain("layer.0.output.dense.base_layer.bias"), plain("layer.0.output.dense.adapter.up.bias")
    ('layer.0.output.dense.bias', 'layer.0.output.dense.adapter.up.bias')
    """
    return name.replace(".base_layer.", ".")


def merge(module: Any) -> Any:
    """The backbone unchanged: an adapter is not linear, so it can't be merged into a weight."""
    return module


def save(module: Any, folder: Path) -> None:
    """Writes the adapters' tensors, and their places as JSON."""
    from safetensors.torch import save_file

    tensors = {name: t.contiguous() for name, t in module.state_dict().items() if ".adapter." in name}
    save_file(tensors, folder / ADAPTER)
    (folder / CONFIG).write_text(json.dumps({"method": "adapter", **module.adapters}, indent=2, sort_keys=True) + "\n")


def reload(module: Any, folder: Path) -> Any:
    """A backbone with the adapters that were saved in a folder."""
    from safetensors.torch import load_file

    record = json.loads((folder / CONFIG).read_bytes())
    record.pop("method")
    adapted = apply(module, record)
    found = adapted.load_state_dict(load_file(folder / ADAPTER), strict=False)
    assert not found.unexpected_keys
    return adapted


METHOD = Method(
    options=Options,
    learning_rate=1e-3,
    head_learning_rate=1e-3,
    usual=(1e-5, 1e-2),
    needs=frozenset({"sublayers"}),
    starts_untouched=True,
    problems=problems,
    lower=lower,
    apply=apply,
    plain=plain,
    merge=merge,
    save=save,
    reload=reload,
)
