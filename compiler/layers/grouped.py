"""The graph of a language model in onnxruntime's GroupQueryAttention, whose rows are padded on the right.

A row's tokens then stand at the beginning of the cache, and the operator writes new keys and values behind them: past
and present may be one buffer, longer than the texts. Attention and the turning of rotary positions are replaced while a
graph is traced; all else in it is transformers' own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...runtime.cache import past_names, present_names
from .caches import cache_of
from .generation import CachedPass, Pair
from .language import in_two_dimensions

NAME = "graftc_grouped"  # of the attention function, as transformers' registry lists it


class GroupedPass(nn.Module):
    """A decoder and its head, from a cache on; the same arrays as `CachedPass`, with rows padded on the right.

    The cache may be longer than its rows, which `attention_mask` (rows, past + new) counts. It is empty, or there is
    one new token for each row, or a single row. `logits_to_keep` counts from each row's own last token.
    """

    def __init__(self, whole: CachedPass) -> None:
        super().__init__()
        assert not whole.virtual, "keys and values before all others would have to be copied in each step"
        self.backbone, self.language = whole.backbone, whole.language

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: Tensor, **past: Tensor
    ) -> dict[str, Tensor]:
        """Logits of each row's last positions, and the cache."""
        arrays = [past[name] for name in past_names(len(past) // 2)]
        pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
        run = _traced if torch.jit.is_tracing() else _plain
        states, present = run(self.backbone, input_ids, attention_mask, pairs)
        with in_two_dimensions(self.language):
            logits = self.language(_last(states, attention_mask, logits_to_keep[0]))
        named = zip(present_names(len(present)), (array for pair in present for array in pair), strict=True)
        return {"logits": logits, **dict(named)}


def _last(states: Tensor, mask: Tensor, keep: Tensor) -> Tensor:
    """The last `keep` states of each row, 0 for all: states (rows, new, width) → (rows, kept, width)."""
    new = torch.ones_like(states[0, :, 0], dtype=torch.int64).sum()
    old = torch.ones_like(mask[0]).sum() - new
    last = (mask.sum(1) - old - 1).clamp(min=0)
    count = torch.where(keep == 0, new, keep)
    first = torch.where(keep == 0, torch.zeros_like(last), last - keep + 1)
    places = (first[:, None] + torch.arange(count, device=mask.device)).clamp(min=0)
    rows = torch.ones_like(mask[:, :1]).cumsum(0) - 1
    return states.flatten(0, 1)[rows * new + places]


def _plain(backbone: nn.Module, ids: Tensor, mask: Tensor, past: list[Pair]) -> tuple[Tensor, list[Pair]]:
    """transformers' own attention over the cache without its padding: what the graph is compared with."""
    new, total = ids.shape[1], mask.shape[1]
    before = torch.zeros_like(mask[:, 0]) if new == total else mask.sum(1) - new
    most = int(before.max())
    seen = (torch.arange(most) < before[:, None]).to(mask.dtype)
    fresh = mask if new == total else torch.ones_like(ids)
    cache = cache_of((keys[:, :, :most], values[:, :, :most]) for keys, values in past)
    outputs: Any = backbone(
        input_ids=ids, attention_mask=torch.cat([seen, fresh], 1), past_key_values=cache, use_cache=True
    )
    made = [(layer.keys[:, :, most:], layer.values[:, :, most:]) for layer in outputs.past_key_values.layers]
    present = [
        tuple(_written(*each, before, total) for each in zip(*pairs, strict=True))
        for pairs in zip(past, made, strict=True)
    ]
    return outputs.last_hidden_state, present


def _written(past: Tensor, new: Tensor, before: Tensor, total: int) -> Tensor:
    """The cache (rows, heads, longest, size) with new keys or values behind the `before` (rows,) of each row."""
    rows, heads, count, size = new.shape
    found = new.new_zeros(rows, heads, max(past.shape[2], total), size)
    found[:, :, : past.shape[2]] = past
    places = before[:, None] + torch.arange(count)
    return found.scatter(2, places[:, None, :, None].expand(rows, heads, count, size), new)


@dataclass
class _State:
    """What attention reads and leaves while a graph is traced."""

    past: list[Pair]
    lengths: Tensor  # int32 (rows,): tokens of each row, less one
    total: Tensor  # int32 (): columns of the mask
    places: Tensor  # int64 (rows, new): the number of each new token among all
    present: dict[int, Pair] = field(default_factory=dict)
    flat: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)  # by id: a tensor, and it by token
    halves: tuple[Tensor, Tensor, Tensor] | None = None  # cosines as the model gives them, and half of both by token


_states: list[_State] = []  # the one of the graph that is traced


def _traced(backbone: Any, ids: Tensor, mask: Tensor, past: list[Pair]) -> tuple[Tensor, list[Pair]]:
    """The operator in place of attention, whose numbers are meaningless outside a graph."""
    _register()
    total = torch.ones_like(mask[0]).sum().to(torch.int32)
    places = (torch.ones_like(ids).flatten().cumsum(0) - 1).view_as(ids)
    state = _State(past, (mask.sum(1) - 1).to(torch.int32), total, places)
    with _attending(backbone, state), _turning(backbone, state):
        states = backbone(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return states, [state.present[layer] for layer in range(len(past))]


@contextmanager
def _attending(backbone: Any, state: _State) -> Iterator[None]:
    before = backbone.config._attn_implementation
    backbone.config._attn_implementation = NAME
    _states.append(state)
    try:
        yield
    finally:
        _states.pop()
        backbone.config._attn_implementation = before


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float | None = None, **other: Any
) -> tuple[Tensor, None]:
    """An attention function of transformers: queries (rows, heads, new, size), of new positions alone."""
    state, heads, size = _states[-1], query.shape[1], query.shape[3]
    flat = [_by_token(state, each) for each in (query, key, value)]
    scale = size**-0.5 if scaling is None else scaling
    found, *present = torch.ops.graftc.grouped_attention(
        *flat, *state.past[module.layer_idx], state.lengths, state.total, heads, key.shape[1], scale
    )
    state.present[module.layer_idx] = (present[0], present[1])
    return found.view(query.shape[0], query.shape[2], heads, size), None


def _by_token(state: _State, array: Tensor) -> Tensor:
    """Queries, keys or values (rows, heads, new, size) as (rows, new, heads × size)."""
    known = state.flat.get(id(array))
    return array.transpose(1, 2).flatten(2) if known is None else known[1]


@contextmanager
def _turning(backbone: Any, state: _State) -> Iterator[None]:
    """Replaces the function by which the models of transformers turn queries and keys, where a backbone has one."""
    module: Any = sys.modules[type(backbone).__module__]
    own = getattr(module, "apply_rotary_pos_emb", None)
    if own is None:
        yield
        return

    def turn(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, *more: Any, **named: Any) -> tuple[Tensor, Tensor]:
        is_plain = cos.dim() == 3 and cos.shape[-1] == q.shape[-1] == k.shape[-1] and not more and not named
        return (
            (_turned(state, q, cos, sin), _turned(state, k, cos, sin))
            if is_plain
            else own(q, k, cos, sin, *more, **named)
        )

    module.apply_rotary_pos_emb = turn
    try:
        yield
    finally:
        module.apply_rotary_pos_emb = own


def _turned(state: _State, array: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries or keys (rows, heads, new, size), of which halves are turned by cosines and sines (rows, new, size)."""
    heads, size = array.shape[1], array.shape[3]
    if state.halves is None or state.halves[0] is not cos:
        state.halves = cos, *(each.flatten(0, 1)[:, : cos.shape[-1] // 2] for each in (cos, sin))
    flat = array.transpose(1, 2).flatten(2)
    flat = torch.ops.graftc.turned(flat, state.places, *state.halves[1:], heads)
    found = flat.view(array.shape[0], array.shape[2], heads, size).transpose(1, 2)
    state.flat[id(found)] = found, flat  # attention wants it so
    return found


@torch.library.custom_op("graftc::turned", mutates_args=())
def turned(flat: Tensor, places: Tensor, cosines: Tensor, sines: Tensor, heads: int) -> Tensor:
    """Stands for RotaryEmbedding while a graph is traced: the right shape, and zeros."""
    return torch.zeros_like(flat)


def _turned_symbolic(g: Any, flat: Any, places: Any, cosines: Any, sines: Any, heads: Any) -> Any:
    """The operator in the graph; the table of cosines has a row for each new token."""
    from torch.onnx.symbolic_helper import _get_const

    told = {"interleaved_i": 0, "num_heads_i": _get_const(heads, "i", "")}
    found = g.op("com.microsoft::RotaryEmbedding", flat, places, cosines, sines, **told)
    found.setType(flat.type().with_sizes([None] * 3))
    return found


@torch.library.custom_op("graftc::grouped_attention", mutates_args=())
def grouped_attention(
    queries: Tensor, keys: Tensor, values: Tensor, past_keys: Tensor, past_values: Tensor, lengths: Tensor,
    total: Tensor, heads: int, pairs: int, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Stands for GroupQueryAttention while a graph is traced: right shapes, and zeros."""
    rows, new, width = queries.shape
    made = (rows, pairs, past_keys.shape[2] + new, width // heads)
    return torch.zeros_like(queries), queries.new_zeros(made), queries.new_zeros(made)


def _symbolic(g: Any, *arrays: Any) -> Any:
    """The operator in the graph, whose scale and heads are attributes."""
    from torch.onnx.symbolic_helper import _get_const

    heads, pairs, scale = (_get_const(value, kind, "") for value, kind in zip(arrays[-3:], "iif", strict=True))
    told = {"num_heads_i": heads, "kv_num_heads_i": pairs, "scale_f": scale, "do_rotary_i": 0}
    found = g.op("com.microsoft::GroupQueryAttention", *arrays[:-3], outputs=3, **told)
    for value, axes in zip(found, (3, 4, 4), strict=True):  # its shapes are not known to the exporter
        value.setType(arrays[0].type().with_sizes([None] * axes))
    return found


def _register() -> None:
    """Makes the attention function and the operator known; again changes nothing."""
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    AttentionInterface.register(NAME, _attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, lambda *positional, **named: None)
    torch.onnx.register_custom_op_symbolic("graftc::grouped_attention", _symbolic, 9)
    torch.onnx.register_custom_op_symbolic("graftc::turned", _turned_symbolic, 9)
