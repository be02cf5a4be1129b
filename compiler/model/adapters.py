"""Several adapters of one backbone: one module for each, all over the same tensors."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import nn

from ..planning.plan import Plan
from .network import Network


def tied_copies(backbone: nn.Module, adapters: Iterable[str]) -> dict[str, nn.Module]:
    """One module for each adapter: the backbone itself for the first, and copies that share its tensors."""
    first, *others = adapters
    same = {id(tensor): tensor for tensor in (*backbone.parameters(), *backbone.buffers())}
    return {first: backbone} | {adapter: deepcopy(backbone, dict(same)) for adapter in others}


def merge(network: Network, plan: Plan) -> None:
    """Merges every adapter in place; tensors that merging leaves unchanged stay shared."""
    method = plan.method.variant
    found: dict[str, nn.Module] = {}
    for adapter, backbone in network.backbones.items():
        # merging writes into weights that other adapters share
        is_alone = not method.merges or len(network.adapters) == 1
        found[adapter] = method.merge(backbone if is_alone else deepcopy(backbone))
        first = next(iter(found.values()))
        if found[adapter] is not first:
            _share(found[adapter], first)
    network.take(found)
    network.prefixes = {}  # made of the modules before merging


def _share(module: nn.Module, first: nn.Module) -> None:
    """Replaces each tensor of a module that equals the first module's tensor of the same name by that one."""
    known = {
        **dict(first.named_parameters(remove_duplicate=False)),
        **dict(first.named_buffers(remove_duplicate=False)),
    }
    for prefix, part in module.named_modules():
        for name, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
            same = known.get(f"{prefix}.{name}" if prefix else name)
            if same is not None and torch.equal(tensor, same):
                setattr(part, name, same)
