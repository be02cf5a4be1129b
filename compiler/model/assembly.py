"""Assembles the network that a plan describes, and compares it with the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from ..diagnostics import refuse
from ..features.layers import Prefix
from ..layers.head import HeadModule
from ..layers.language import WordHead
from ..planning.plan import Phase, TaskPlan, TensorPlan
from ..planning.split import derived_seed
from .adapters import tied_copies
from .language_models import AUTO, load_language_model, refuse_another
from .loading import load_backbone
from .network import POOLINGS, Network, Pool

HEAD = "head.safetensors"  # the file of the heads in a checkpoint
OWN = "adapters"  # the folder in a checkpoint with a folder for each head's own adapter


def assemble(plan: Phase, folder: Path, learned: Path | None = None) -> Network:
    """The network of a plan in inference mode, untrained, or with the tensors of the file `learned`.

    Raises Refused E0406 where the loaded module differs from the planned one.
    """
    backbone = load_backbone(plan, folder)
    _compare(plan, backbone)
    method, backbones = plan.method.variant, {}
    for adapter, own in tied_copies(backbone, plan.each_adapter).items():
        torch.manual_seed(derived_seed(plan.seed, "method"))  # every adapter starts as the only one would
        backbones[adapter] = method.apply(own, plan.method.record)
    network = topped(plan, backbones, folder)
    _set_states(network, plan)
    if learned:
        load_learned(network, plan, load_file(learned))
    return network.eval()


def reassemble(plan: Phase, folder: Path, checkpoint: Path) -> Network:
    """The trained network of a plan, from a bundle's checkpoint.

    A checkpoint of a method that adds tensors lacks the backbone: it comes from `folder` then.
    """
    method = plan.method.variant
    backbones = tied_copies(load_backbone(plan, folder if method.adds else checkpoint), plan.each_adapter)
    if method.reload:
        backbones = {a: method.reload(own, of_adapter(checkpoint, a)) for a, own in backbones.items()}
    network = topped(plan, backbones, folder)
    saved, heads = load_file(checkpoint / HEAD), of_heads(network)
    assert saved.keys() == heads.keys()
    with torch.no_grad():
        for name, tensor in heads.items():
            tensor.copy_(saved[name])
    return network.eval()


def of_adapter(checkpoint: Path, adapter: str) -> Path:
    """The folder of an adapter in a checkpoint; the shared adapter lies in the checkpoint's own folder."""
    return checkpoint / OWN / adapter if adapter else checkpoint


def topped(plan: Phase, backbones: Mapping[str, nn.Module], folder: Path) -> Network:
    """The untrained network of backbones, poolings and heads; language-model heads come from `folder`."""
    heads: list[HeadModule] = []
    for task in plan.tasks:  # seeded for each head, so that other heads do not change its draws
        torch.manual_seed(derived_seed(plan.seed, "head"))
        variant = task.head.variant
        if variant.needs in AUTO:
            model, missing = load_language_model(variant.needs, folder, plan.backbone.variant)
            head = variant.build(task.head.record, model)
            assert isinstance(head, WordHead)
            refuse_another(task.head.record, head.language.model.state_dict(), missing)
            heads.append(head)
        else:
            heads.append(variant.build(task.head.record, plan.backbone.width))
    pools = [pooling(plan, task, backbones[task.adapter]) for task in plan.tasks]
    network = Network(backbones, plan.tasks, heads, pools)
    if plan.backbone.variant.maps and any(map(_reads_maps, plan.tasks)):
        network.further = plan.backbone.variant.maps.arguments
    if plan.train.cached_layers:
        network.prefixes = {adapter: Prefix(own, plan) for adapter, own in backbones.items()}
    return network


def pooling(plan: Phase, task: TaskPlan, backbone: Any) -> Pool:
    """The function that makes a task's feature of a backbone's outputs: the planned pooling, else the family's own."""
    pooled, maps = plan.backbone.variant.pooled, plan.backbone.variant.maps
    if maps and _reads_maps(task):
        config = backbone.config.to_dict()
        return lambda outputs, arrays: maps.of(outputs, config)
    if task.head.pooling == "none":
        return lambda outputs, arrays: outputs.last_hidden_state
    if pool := POOLINGS.get(task.head.pooling):
        mask, config = plan.backbone.variant.mask, backbone.config.to_dict()
        return lambda outputs, arrays: pool(outputs.last_hidden_state, mask(outputs, config, arrays))
    assert pooled is not None
    return lambda outputs, arrays: pooled(outputs)


def _reads_maps(task: TaskPlan) -> bool:
    return task.head.variant.needs == "maps"


def _compare(plan: Phase, backbone: nn.Module) -> None:
    loaded = {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    planned = {t.name: t.shape for t in plan.backbone.tensors if t.state != "added"}
    if loaded == planned:
        return
    names = sorted(n for n in loaded.keys() | planned.keys() if loaded.get(n) != planned.get(n))
    notes = [f"`{n}`: planned {planned.get(n, 'absent')}, loaded {loaded.get(n, 'absent')}" for n in names[:5]]
    raise refuse(
        "E0406",
        "the loaded backbone is not the one that was planned",
        *notes,
        help="report this with the backbone's config.json",
    )


def part_of(adapter: str) -> str:
    """The first part of the names of a backbone's learned tensors, before a dot.

    >>> part_of(""), part_of("topic")
    ('backbone', 'backbone:topic')
    """
    return f"backbone:{adapter}" if adapter else "backbone"


def tensors(network: Network, plan: Phase) -> Iterator[tuple[str, torch.Tensor, TensorPlan]]:
    """Every tensor of each adapted backbone with its full name and its plan, in the module's order."""
    for adapter, backbone in network.backbones.items():
        for tensor, planned in _tensors(backbone, plan):
            yield f"{part_of(adapter)}.{planned.name}", tensor, planned


def _tensors(backbone: nn.Module, plan: Phase) -> Iterator[tuple[torch.Tensor, TensorPlan]]:
    plain = plan.method.variant.plain
    planned = {t.name: t for t in plan.backbone.tensors}
    found = {plain(name): tensor for name, tensor in backbone.state_dict(keep_vars=True).items()}
    if found.keys() != planned.keys() or any(tuple(found[n].shape) != planned[n].shape for n in found):
        names = sorted(
            n
            for n in found.keys() | planned.keys()
            if n not in found or n not in planned or tuple(found[n].shape) != planned[n].shape
        )
        raise refuse("E0406", "the adapted backbone is not the one that was planned", f"first difference: `{names[0]}`")
    for name, tensor in found.items():
        yield tensor, planned[name]


def _set_states(network: Network, plan: Phase) -> None:
    learns: dict[int, int] = {}  # backbones share tensors, which count once
    for _, tensor, planned in tensors(network, plan):
        if not planned.is_buffer:
            tensor.requires_grad_(planned.state in ("trained", "added"))
            learns |= {id(tensor): math.prod(planned.shape)} if tensor.requires_grad else {}
    for task, _, i in network.tasks.values():
        network.heads[i].requires_grad_(not task.head.is_frozen)
    counted = sum(learns.values())
    heads = sum(p.numel() for p in network.heads.parameters() if p.requires_grad)
    if counted + heads != plan.trainable:
        raise refuse(
            "E0406",
            "the network learns another number of parameters than planned",
            f"planned {plan.trainable:,}, found {counted + heads:,}",
        )


def train_mode(network: Network, plan: Phase) -> None:
    """Switches to training mode, with frozen parts in inference mode: no dropout, and fixed statistics."""
    plain = plan.method.variant.plain
    quiet = set(plan.backbone.inference)
    network.train()
    for backbone in network.backbones.values():
        for name, module in backbone.named_modules():
            if plain(f"{name}.").removesuffix(".") in quiet or (not name and "" in quiet):
                module.eval()


def learned(network: Network, plan: Phase) -> dict[str, torch.Tensor]:
    """The tensors that training may change, named `backbone.…`, `backbone:HEAD.…` or `head.…`."""
    found = {name: tensor for name, tensor, planned in tensors(network, plan) if planned.state in ("trained", "added")}
    return found | {f"head.{name}": tensor for name, tensor in of_heads(network).items()}


def of_heads(network: Network) -> dict[str, torch.Tensor]:
    """The tensors of all heads; with several heads a name begins with the head's."""
    return {
        task.named(name): tensor
        for task, _, i in network.tasks.values()
        for name, tensor in network.heads[i].state_dict(keep_vars=True).items()
    }


def load_heads(network: Network, file: Path) -> None:
    """Loads tensors of trained or fitted heads; heads that are not in the file stay unchanged."""
    targets = of_heads(network)
    with torch.no_grad():
        for name, value in load_file(file).items():
            targets[name.removeprefix("head.")].copy_(value)


def load_learned(network: Network, plan: Phase, values: Mapping[str, torch.Tensor]) -> None:
    """Copies saved tensors into the network."""
    targets = learned(network, plan)
    assert targets.keys() == values.keys()
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(values[name])


def remember(memory: dict[str, Any], plan: Phase, folder: Path, trained: Path) -> Network:
    """The trained network, loaded once in a process; `memory` holds it."""
    key = f"network {trained}"
    if key not in memory:
        memory[key] = assemble(plan, folder, trained / "learned.safetensors")
    network: Network = memory[key]
    return network
