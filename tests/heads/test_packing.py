"""Packing: rows of a step share blocks; losses, gradients and weights are those of rows by themselves."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import graftc
from graftc.compiler import variants
from graftc.compiler.api import plan as planned
from graftc.compiler.planning.show import show
from graftc.compiler.training.packing import NOWHERE, Layout, best_fit

from ..train import running
from .test_text_generation import WORDS, backbone, write

FAMILIES = [word for word in variants.words("backbones") if "packed-rows" in variants.family(word).provides]


def rows(count: int = 24) -> list[dict[str, Any]]:
    """Rows of many lengths; some are longer than Mistral's window of 16 tokens."""
    draw = random.Random(3)
    return [
        {
            "prompt": " ".join(draw.choices(WORDS, k=draw.randint(1, 8))),
            "completion": " " + " ".join(draw.choices(WORDS, k=draw.randint(1, 6))),
        }
        for _ in range(count)
    ]


def spec(folder: Path, family: str, packing: bool = True, **sections: Any) -> Path:
    data = {"train": "rows.jsonl", "max_length": 64, "packing": packing}
    train = {"max_steps": 2, "batch_size": 12, "learning_rate": 1e-2, "group_by_length": False}
    return write(folder, family, rows(), **{"data": data, "train": train, **sections})


@pytest.mark.parametrize(
    ("family", "attention"),
    [*((family, "") for family in FAMILIES), *((family, "eager") for family in ("gpt2", "llama", "mistral"))],
    ids=lambda value: value or "as loaded",
)
def test_a_packed_batch_has_the_loss_of_its_rows_one_by_one(family: str, attention: str, tmp_path: Path) -> None:
    backbone(family, tmp_path / "backbone")
    _, _, run = running.training(spec(tmp_path, family), tmp_path / "store")
    (every,), (taught,) = run.sets, run.sets[0].rows
    if attention:  # else what transformers chooses for the family
        run.network.backbone.set_attn_implementation(attention)
    packed = every.batch(every.every.tolist(), 0, 0)
    blocks, lengths = packed.passes[0].arrays["input_ids"], taught.prepared.lengths()
    assert len(blocks) < len(lengths)
    assert blocks.numel() < 0.8 * len(lengths) * lengths.max(), "little is padding"
    sums, count = 0.0, 0
    with torch.no_grad():
        ours = float(run.module.eval()(packed))
        for row in range(len(lengths)):
            outputs = run.network.answers(taught.loader.batch(np.array([row])), [""])[""]
            aims = taught.targets_of(np.array([row]))
            each = torch.nn.functional.cross_entropy(outputs["logits"][0].double(), aims[0], reduction="sum")
            sums, count = sums + float(each), count + int((aims != -100).sum())
    assert ours == pytest.approx(sums / count, abs=1e-5)


def test_no_row_is_divided_or_lost(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for size in (8, 31, 64):
        lengths = draw.integers(1, size + 1, 50)
        blocks = best_fit(lengths.tolist(), size)
        assert sorted(row for block in blocks for row in block) == list(range(50))
        assert all(lengths[block].sum() <= size for block in blocks)
        layout = Layout(lengths, size)
        real = layout.places[layout.places != NOWHERE]
        longest = int(lengths.max())
        assert sorted(real.tolist()) == sorted(row * longest + i for row, n in enumerate(lengths) for i in range(n))
        tokens = torch.arange(50 * longest).view(50, longest)
        assert layout.laid(tokens, NOWHERE).tolist() == layout.places.tolist()


@pytest.mark.parametrize(
    ("method", "freeze"),
    [("full", []), ("full", ["embeddings", "layers[0:2]"]), ("lora", []), ("lora", ["embeddings", "layers[0:2]"])],
)
def test_packed_training_learns_what_unpacked_training_learns(method: str, freeze: list[str], tmp_path: Path) -> None:
    """The same weights but for rounding, with and without cached states of frozen layers; prepared rows are shared."""
    backbone("llama", tmp_path / "backbone")
    found = []
    for packing in (False, True):
        path = spec(
            tmp_path, "llama", packing,
            backbone={"from": "./backbone", "freeze": freeze},
            adapt={"method": method},
            train={"epochs": 2, "batch_size": 12, "learning_rate": 1e-3, "group_by_length": False},
        )  # fmt: skip
        plan, _, out = running.trained(path, tmp_path / "store")
        assert (plan.train.fold != "none") == bool(freeze)
        found.append((np.load(out / "losses.npy"), load_file(out / "learned.safetensors")))
    (losses, weights), (packed, others) = found
    assert packed == pytest.approx(losses, abs=1e-5)
    assert abs(packed[-1] - packed[0]) > 1e-2, "it moves"
    for name, tensor in weights.items():
        assert torch.allclose(tensor, others[name], atol=2e-5), name
    assert len(list((tmp_path / "store/stages/prepare-train").iterdir())) == 1


def test_a_packed_build_scores_rows_unpacked_and_shows_its_blocks(tmp_path: Path) -> None:
    backbone("qwen3", tmp_path / "backbone")
    data = {"train": "rows.jsonl", "validation": {"fraction": 0.25}, "max_length": 48, "packing": True}
    path = spec(tmp_path, "qwen3", data=data, train={"epochs": 1, "batch_size": 8})
    plan = planned(path)
    assert plan.tasks[0].data.block == 48
    assert not plan.train.group_by_length, "rows of many lengths fill blocks best"
    assert "rows of a step share blocks of at most 48 tokens: at least " in show(plan)
    built = graftc.build(path, tmp_path / "bundle", store=tmp_path / "store")
    assert built.metrics["validation"]["fp32"]["loss"] > 0
    assert graftc.load(tmp_path / "bundle").predict("the small").generated_text


@pytest.mark.parametrize("method", ["prompt", "prefix", "p-tuning"])
def test_virtual_tokens_refuse_packing(method: str, tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    data = {"train": "rows.jsonl", "max_length": 48, "packing": True}
    path = spec(tmp_path, "llama", adapt={"method": method, "tokens": 4}, data=data)
    assert [each.code for each in graftc.validate(path) if each.code.startswith("E")] == ["E0571"]


def test_other_heads_have_no_packing(tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    labelled = [{"text": word, "label": "ab"[i % 2]} for i, word in enumerate(WORDS)]
    data = {"train": "rows.jsonl", "packing": True}
    path = write(tmp_path, "llama", labelled, head={"type": "text-classification"}, data=data)
    (found,) = [each for each in graftc.validate(path) if each.code.startswith("E")]
    assert found.code == "E0207"
    assert "prompt" in found.help


def test_what_is_learned_on_all(tmp_path: Path) -> None:
    """`on: all` learns prompts, too: one more token is learned for each of theirs."""
    backbone("llama", tmp_path / "backbone")
    counts = []
    for on in ("completion", "all"):
        head = {"type": "text-generation", "loss": {"on": on}}
        _, _, run = running.training(spec(tmp_path, "llama", head=head), tmp_path / f"store-{on}")
        (taught,) = run.sets[0].rows
        aims = [taught.targets_of(np.array([row]))[0] for row in range(len(taught))]
        counts.append([int((aim != -100).sum()) for aim in aims])
    assert counts[1] == [len(aim) - 1 for aim in aims]
    assert all(a <= b for a, b in zip(*counts, strict=True))
    assert sum(counts[0]) < sum(counts[1]) / 1.5


@pytest.mark.parametrize("packing", [False, True])
def test_logits_are_computed_where_something_is_learned_in_one_part_or_several(packing: bool, tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    _, _, run = running.training(spec(tmp_path, "llama", packing), tmp_path / "store")
    batch = run.sets[0].batch(run.sets[0].every.tolist(), 0, 0)
    (arrays,), aims = [each.arrays for each in batch.passes], batch.targets[""]
    assert isinstance(aims, torch.Tensor)
    with torch.no_grad():
        logits = run.network.answers(arrays, [""])[""]["logits"]
        every = run.network.answers({n: a for n, a in arrays.items() if n != "wanted"}, [""])[""]["logits"]
        whole, parted = (float(run.module.eval()(batch, parts)) for parts in (1, 3))
    assert logits.shape == (int((aims != -100).sum()), every.shape[-1])
    assert len(logits) < aims.numel() / 2, "most of a batch is prompts and padding"
    assert torch.allclose(logits, every[aims != -100], atol=1e-5)
    assert parted == pytest.approx(whole, abs=1e-6)
