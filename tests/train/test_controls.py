"""Weights pulled towards the pretrained ones, and layers that join one by one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from graftc.compiler.training.loop import Training

from ..backbones import tiny
from . import running
from .test_feature_caching import write


def drift(folder: Path, **train: Any) -> float:
    """How far the backbone's weights are from the pretrained ones after training."""
    spec = write(
        folder, backbone={"from": "./backbone"}, train={"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, **train}
    )
    _, backbone, out = running.trained(spec, folder / f"store {train}")
    before, after = load_file(backbone / "model.safetensors"), load_file(out / "learned.safetensors")
    names = [name for name in after if name.startswith("backbone.")]
    assert len(names) > 10
    return float(sum((after[name] - before[name.removeprefix("backbone.")]).square().sum() for name in names))


def test_a_stronger_pull_leaves_weights_nearer_to_where_they_were(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    free, pulled, held = (drift(tmp_path, l2_sp=strength) for strength in (0.0, 1.0, 100.0))
    assert held < pulled < free


def test_the_pull_is_the_gradient_of_its_penalty(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    train = {"epochs": 1, "batch_size": 8, "l2_sp": 0.5}
    run = running.training(write(tmp_path, backbone={"from": "./backbone"}, train=train), tmp_path / "store")[2]
    assert run.pull is not None
    for tensor, _ in run.pull.pairs:
        tensor.grad = torch.zeros_like(tensor)
    run.pull.add()
    penalty = sum(0.25 * (t - start).square().sum() for t, start in run.pull.pairs)
    wanted = torch.autograd.grad(penalty, [t for t, _ in run.pull.pairs])
    for (tensor, _), gradient in zip(run.pull.pairs, wanted, strict=True):
        assert tensor.grad is not None
        torch.testing.assert_close(tensor.grad, gradient)
    assert any(gradient.abs().max() > 0 for gradient in wanted)


def test_layers_join_from_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.save("bert", tmp_path / "backbone")
    train = {"epochs": 5, "batch_size": 16, "gradual_unfreezing": 1, "learning_rate": 1e-3}
    spec = write(tmp_path, backbone={"from": "./backbone"}, train=train)
    seen: list[dict[str, torch.Tensor]] = []
    evaluate = Training._evaluate

    def look(self: Training, epoch: int) -> None:
        seen.append({name: t.detach().clone() for name, t in self.network.backbone.named_parameters()})
        evaluate(self, epoch)

    monkeypatch.setattr(Training, "_evaluate", look)
    _, backbone, _ = running.training(spec, tmp_path / "store")
    states = [load_file(backbone / "model.safetensors"), *seen]
    moved = [{n for n in seen[0] if not torch.equal(a[n], b[n])} for a, b in pairwise(states)]
    parts = [
        {name.split(".")[2] if "layer" in name else "embeddings" for name in names if "LayerNorm" not in name}
        for names in moved
    ]
    assert parts == [set(), {"2"}, {"1", "2"}, {"0", "1", "2"}, {"0", "1", "2", "embeddings"}]


def test_a_training_that_is_resumed_wakes_the_same_layers(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    train = {"epochs": 4, "batch_size": 16, "gradual_unfreezing": 1, "l2_sp": 0.1, "learning_rate": 1e-3}
    spec = write(tmp_path, backbone={"from": "./backbone"}, train=train)
    whole = running.training(spec, tmp_path / "store")[2]
    half = Training(whole.job, whole.progress)
    half.plan = half.plan.model_copy(
        update={"train": half.plan.train.model_copy(update={"steps": half.plan.train.steps // 2})}
    )
    half.epochs()
    rest = Training(whole.job, whole.progress)
    rest.resume()
    assert 0 < rest.step < whole.step
    rest.epochs()
    assert np.array_equal(rest.losses, whole.losses)
