"""Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685) by PEFT, merged into the weights on export."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..diagnostics import At, Diagnostic, listed, nearest, quote
from ..frozen import Frozen
from ..world.backbone import BackboneFacts
from ..world.header import Tensor
from . import Lowered

if TYPE_CHECKING:
    import torch

LEARNING_RATE = 1e-3
HEAD_LEARNING_RATE = 1e-3
USUAL = (1e-5, 1e-2)
ADDS = True  # its checkpoint is a PEFT adapter
FREEZES = False
Targets = Annotated[tuple[str, ...], Field(min_length=1)]


class Options(Frozen):
    """Keys under `adapt` with method lora."""

    rank: int = Field(8, ge=1, le=4096, description="size of the bottleneck")
    alpha: float = Field(16.0, gt=0.0, description="scale of the update, divided by rank (by its root with rslora)")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="on the input of the update, while training")
    target: Targets | str | None = Field(
        None, description="kinds (query, value, attention, mlp, all-linear …) or names of modules; default by family"
    )
    dora: bool = Field(False, description="weight-decomposed update (Liu et al. 2024, arXiv:2402.09353)")
    rslora: bool = Field(False, description="rank-stabilised scale (Kalajdzievski 2023, arXiv:2312.03732)")


def problems(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Iterable[Diagnostic]:
    """Targets that match no module, or only frozen ones."""
    for i, word in enumerate(_words(options, backbone)):
        path = (
            ("adapt", "target", i)
            if isinstance(options.target, tuple)
            else ("adapt", "target")
            if options.target is not None
            else ("adapt",)
        )
        hits = _matches(word, backbone)
        if not hits:
            kinds = tuple(backbone.family.KINDS)
            modules = [name for kind in backbone.family.TARGET for name in _matches(kind, backbone)]
            notes = (f"kinds of this backbone: {listed(kinds)}; or names of modules, such as `{modules[0]}`",)
            ends = {name.rpartition(".")[2] for name in backbone.modules()} - {""}
            yield Diagnostic(
                "E0308",
                f"target {quote(word)} matches no module of this backbone",
                At(path, "nothing to adapt"),
                (),
                notes,
                nearest(word, kinds) or nearest(word, ends) or nearest(word, backbone.modules()),
            )
    if not _targets(options, backbone, frozen) and all(_matches(word, backbone) for word in _words(options, backbone)):
        yield Diagnostic(
            "E0308",
            "every module that `lora` would adapt is frozen",
            At(("backbone", "freeze"), "takes them all", on_key=True),
            (At(("adapt",), "adapts these", on_key=True),),
            help="freeze fewer layers, or use `method: probe`",
        )


def lower(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> Lowered:
    """Adds two matrices to each target outside the frozen parts; the backbone's own tensors stay."""
    targets = _targets(options, backbone, frozen)
    modules = backbone.modules()
    added = [tensor for name in targets for tensor in _added(name, modules[name].shape, options)]
    record = {
        "rank": options.rank, "alpha": options.alpha, "dropout": options.dropout, "dora": options.dora,
        "rslora": options.rslora, "target": targets,
    }  # fmt: skip
    return Lowered(frozenset(), tuple(added), record)


def _added(name: str, shape: tuple[int, ...], options: Options) -> Iterable[Tensor]:
    out, into, *kernel = shape
    yield Tensor(name=f"{name}.lora_A.weight", shape=(options.rank, into, *kernel), dtype="F32")
    yield Tensor(name=f"{name}.lora_B.weight", shape=(out, options.rank, *(1 for _ in kernel)), dtype="F32")
    if options.dora:
        yield Tensor(
            name=f"{name}.lora_magnitude_vector.weight", shape=(1, out, 1, 1) if kernel else (out,), dtype="F32"
        )


def _words(options: Options, backbone: BackboneFacts) -> tuple[str, ...]:
    if options.target is None:
        return tuple(backbone.family.TARGET)
    return (options.target,) if isinstance(options.target, str) else options.target


def _matches(word: str, backbone: BackboneFacts) -> list[str]:
    pattern = backbone.family.KINDS.get(word)
    if pattern is not None:
        return [name for name in backbone.modules() if re.search(pattern, name)]
    return [name for name in backbone.modules() if name == word or name.endswith(f".{word}")]


def _targets(options: Options, backbone: BackboneFacts, frozen: frozenset[str]) -> tuple[str, ...]:
    found = {name for word in _words(options, backbone) for name in _matches(word, backbone)}
    return tuple(sorted(name for name in found if f"{name}.weight" not in frozen))


def apply(module: torch.nn.Module, record: Mapping[str, Any]) -> torch.nn.Module:
    """Wraps a backbone in PEFT's LoRA layers at exactly the plan's modules."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=record["rank"], lora_alpha=record["alpha"], lora_dropout=record["dropout"], use_dora=record["dora"],
        use_rslora=record["rslora"], target_modules=list(record["target"]), bias="none",
    )  # fmt: skip
    return _show_geometry(get_peft_model(module, config))


def reload(module: torch.nn.Module, folder: Path) -> torch.nn.Module:
    """A backbone with the adapter that was saved in a folder."""
    from peft import PeftModel

    return _show_geometry(PeftModel.from_pretrained(module, str(folder)))


def _show_geometry(adapted: torch.nn.Module) -> torch.nn.Module:
    from peft.tuners.lora.layer import Conv2d

    for layer in adapted.modules():
        if isinstance(layer, Conv2d):
            # MobileNetV2 pads by what it reads off its convolutions, which PEFT's wrapper hides
            for name in ("stride", "kernel_size", "dilation"):
                setattr(layer, name, getattr(layer.base_layer, name))
    return adapted


def plain(name: str) -> str:
    """The plan's name of a tensor of the adapted module.

    >>> plain("base_model.model.layer.0.query.lora_A.default.weight"), plain("base_model.model.layer.0.query.base_layer.bias")
    ('layer.0.query.lora_A.weight', 'layer.0.query.bias')
    """
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".default.", ".")


def merge(module: torch.nn.Module) -> torch.nn.Module:
    """The backbone with the updates added to its weights."""
    merged: torch.nn.Module = module.merge_and_unload()
    return merged
