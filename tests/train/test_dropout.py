"""What dropout drops: as much as asked, anew at every place, by torch's generator alone, and torch's own way afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import dropout, scaled_dot_product_attention

from graftc.compiler.training.dropout import AT_ONCE, quickly_drawn

from ..backbones import tiny
from . import running


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_as_many_are_kept_as_asked_at_every_place(p: float) -> None:
    torch.manual_seed(0)
    with quickly_drawn():
        drawn = torch.empty(4, AT_ONCE).bernoulli_(p)  # four parts, drawn one after the other
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    spread = (p * (1 - p) / AT_ONCE) ** 0.5
    assert (drawn.mean(1) - p).abs().max() < 5 * spread
    for step in (1, 2, 3, 4, 384):  # neither neighbours nor what lies a row apart follow from each other
        both = (drawn[:, step:] * drawn[:, :-step]).mean()
        assert abs(both - p * p) < 5 * (p * p / drawn.numel()) ** 0.5
    assert all(not torch.equal(drawn[0], other) for other in drawn[1:])


def test_nothing_and_everything_are_exact() -> None:
    with quickly_drawn():
        assert torch.empty(AT_ONCE).bernoulli_(0.0).sum() == 0
        assert torch.empty(AT_ONCE).bernoulli_(1.0).sum() == AT_ONCE
        assert torch.empty(0).bernoulli_(0.5).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_any_layout_and_type_is_filled(dtype: torch.dtype) -> None:
    whole = torch.full((30, 40, 6), 7.0, dtype=dtype)
    part = whole.permute(2, 0, 1)[:, ::2]
    with quickly_drawn():
        part.bernoulli_(0.25)
    assert set(part.unique().tolist()) == {0.0, 1.0}
    assert (whole[1::2] == 7).all(), "what isn't of the tensor is left alone"
    assert abs(part.mean(dtype=torch.float64) - 0.25) < 0.05


def test_it_follows_from_torchs_generator_and_ends_with_its_block() -> None:
    x = torch.ones(1000)
    torch.manual_seed(1)
    torchs = dropout(x)
    with quickly_drawn():
        torch.manual_seed(1)
        first, second = dropout(x), dropout(x)
        torch.manual_seed(1)
        again = dropout(x)
        own = [torch.empty(99).bernoulli_(0.5, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
        torch.manual_seed(2)
        other = dropout(x)
    assert torch.equal(first, again)
    assert torch.equal(*own)
    assert not any(torch.equal(first, x) for x in (second, other, torchs))
    torch.manual_seed(1)
    assert torch.equal(dropout(x), torchs)


def test_gradients_pass_where_attention_and_layers_keep() -> None:
    query = torch.randn(2, 3, 8, 4, requires_grad=True)
    with quickly_drawn():
        torch.manual_seed(0)
        kept = scaled_dot_product_attention(query, query.detach(), torch.eye(8, 4).expand(2, 3, 8, 4), dropout_p=0.5)
        layer = torch.ones(64, requires_grad=True)
        out = dropout(layer, 0.25)
        out.sum().backward()
        kept.sum().backward()
    assert query.grad is not None
    assert torch.isfinite(query.grad).all()
    np.testing.assert_allclose(layer.grad, out.detach(), rtol=1e-6)  # 1 / (1 - p) where kept, else 0
    np.testing.assert_allclose(out.unique().detach(), [0, 4 / 3], rtol=1e-6)


def test_every_dropout_of_a_training_is_drawn_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graftc.compiler.training import dropout as module

    drawn: list[tuple[int, ...]] = []

    def counted(tensor: torch.Tensor, p: float = 0.5, **options: torch.Generator | None) -> torch.Tensor:
        drawn.append(tuple(tensor.shape))
        return bernoulli(tensor, p, **options)

    bernoulli = module._bernoulli
    monkeypatch.setattr(module, "_bernoulli", counted)
    tiny.save("bert", tmp_path / "backbone")
    rows = {
        "train": str(running.TICKETS / "train.jsonl"),
        "columns": {"text": "body", "label": "queue"},
        "max_length": 16,
    }
    spec = running.write_spec(
        tmp_path, backbone={"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]},
        head={"type": "text-classification", "dropout": 0.1}, data=rows, train={"max_steps": 2, "batch_size": 4},
    )  # fmt: skip
    running.trained(spec, tmp_path / "store")
    # a step: attention and two more of the one layer that learns, and the head's
    assert [len(shape) for shape in drawn] == [4, 3, 3, 2] * 2
