"""Every adaptation method: trained a little, exported, gated, and its checkpoint read by the library it is written for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

from graftc.compiler import variants
from graftc.compiler.api import plan
from graftc.compiler.diagnostics import Refused
from graftc.compiler.model.assembly import assemble
from graftc.runtime.verify import verify

from ..backbones import tiny
from ..bundle.test_bundle import TEXT, build
from ..heads import building
from ..train import running
from ..train.plain import PEFTS

WORDS = tuple(word for word in variants.words("methods") if variants.method(word).adds)
# every method on one family, and the families on which a method meets something of its own
CASES = [("bert", word) for word in variants.words("methods")] + [
    ("albert", "adapter"), ("deberta-v2", "prompt"), ("electra", "p-tuning"), ("gpt2", "ia3"), ("gpt2", "lora"),
    ("gpt2", "prefix"), ("llama", "prefix"), ("llama", "layernorm"), ("modernbert", "ia3"), ("qwen3", "prompt"), ("roberta", "prefix"),
]  # fmt: skip
SHORT = {**TEXT, "max_length": 24}


@pytest.mark.parametrize(("family", "method"), CASES)
def test_a_method_builds(family: str, method: str, tmp_path: Path) -> None:
    bundle = build(
        tmp_path, family, adapt={"method": method}, data=SHORT, train={"max_steps": 4, "learning_rate": 1e-2}
    )
    assert verify(bundle)["fp32"] < 1e-4
    if method in PEFTS:
        _loads_with_peft(bundle / "checkpoint", tmp_path / "backbone", method)


def _loads_with_peft(checkpoint: Path, backbone: Path, method: str) -> None:
    """PEFT itself reads the adapter, and what it holds is not nothing."""
    fresh = AutoModel.from_pretrained(backbone)
    adapted = PeftModel.from_pretrained(fresh, str(checkpoint))
    assert adapted.peft_config["default"].peft_type.value.lower().replace("_", "-").startswith(method[:4])
    saved = load_file(checkpoint / "adapter_model.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in saved.values())
    assert any(tensor.abs().sum() > 0 for tensor in saved.values())


@pytest.mark.parametrize("method", WORDS)
def test_only_what_is_added_learns(method: str, tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    tensors = _plan(tmp_path, method).backbone.tensors
    assert {t.state for t in tensors} == {"held", "added"}


@pytest.mark.parametrize(("method", "pattern"), [("bitfit", ".bias"), ("layernorm", "LayerNorm")])
def test_only_the_named_part_learns(method: str, pattern: str, tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    tensors = _plan(tmp_path, method, freeze=["layers[0:1]"]).backbone.tensors
    for tensor in tensors:
        learns = pattern in tensor.name and not tensor.name.startswith("encoder.layer.0.")
        assert (tensor.state == "trained") == learns, tensor.name


@pytest.mark.parametrize(
    ("family", "method", "lacks"),
    [
        ("llama", "bitfit", "biases"),
        ("gpt2", "oft", "linear layers that keep"),
        ("deberta-v2", "prefix", "past key values"),
        ("modernbert", "prefix", "past key"),
    ],
)
def test_what_a_backbone_has_not_is_said_before_planning(family: str, method: str, lacks: str, tmp_path: Path) -> None:
    tiny.save(family, tmp_path / "backbone")
    with pytest.raises(Refused) as refused:
        _plan(tmp_path, method)
    (found,) = [found for found in refused.value.diagnostics if found.is_error]
    assert found.code == "E0309"
    assert lacks in found.headline
    works = found.help.removeprefix("methods that work here: ").split(", ")
    assert method not in works
    for word in works:
        assert _plan(tmp_path, word).method.method == word


@pytest.mark.parametrize("method", ["vera", "adapter"])
def test_a_backbone_of_convolutions_has_no_layers_of_a_transformer(method: str, tmp_path: Path) -> None:
    tiny.save("resnet", tmp_path / "backbone")
    spec = running.write_spec(
        tmp_path, backbone={"from": "./backbone"}, adapt={"method": method}, head={"type": "image-classification"},
        data={"train": str(running.DIGITS / "train"), "validation": {"fraction": 0.2}},
    )  # fmt: skip
    with pytest.raises(Refused) as refused:
        plan(spec)
    assert {found.code for found in refused.value.diagnostics if found.is_error} == {"E0309"}


@pytest.mark.parametrize("target", ["word_embeddings", "embeddings.position_embeddings"])
def test_an_embedding_is_no_target(target: str, tmp_path: Path) -> None:
    """It owns a matrix too, but what is put there is other than planned."""
    tiny.save("bert", tmp_path / "backbone")
    with pytest.raises(Refused) as refused:
        _plan(tmp_path, "lora", adapt={"target": ["query", target]})
    assert {found.code for found in refused.value.diagnostics if found.is_error} == {"E0308"}


def test_virtual_tokens_take_positions(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")  # 64 positions
    adapt = {"tokens": 20}
    assert _plan(tmp_path, "prompt", adapt=adapt).reading.preprocessing["max_length"] == 44
    with pytest.raises(Refused) as refused:
        _plan(tmp_path, "prompt", adapt=adapt, data={**TEXT, "max_length": 45})
    assert {found.code for found in refused.value.diagnostics if found.is_error} == {"E0319"}


def test_padding_on_the_left_changes_no_answer_of_a_decoder(tmp_path: Path) -> None:
    from graftc.compiler.backbones import gpt2
    from graftc.compiler.model.network import last

    backbone = gpt2.ready(tiny.model("gpt2"))
    ids = torch.tensor([[5, 6, 7, 8]])
    right = {
        "input_ids": torch.cat([ids, torch.zeros(1, 2, dtype=torch.long)], 1),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 0, 0]]),
    }
    left = {name: values.roll(2, 1) for name, values in right.items()}
    with torch.no_grad():
        states = [last(backbone(**arrays).last_hidden_state, arrays["attention_mask"]) for arrays in (right, left)]
    assert torch.allclose(*states, atol=1e-5)


def _plan(folder: Path, method: str, freeze: Any = (), adapt: Any = None, data: Any = None) -> Any:
    text = {key: value for key, value in TEXT.items() if key != "max_length"}
    spec = running.write_spec(
        folder, backbone={"from": "./backbone", "freeze": list(freeze)}, adapt={"method": method, **(adapt or {})},
        head={"type": "text-classification"}, data=data or text,
    )  # fmt: skip
    return plan(spec)


def test_an_adapter_says_where_it_stands(tmp_path: Path) -> None:
    bundle = build(
        tmp_path, "bert", adapt={"method": "adapter", "placement": "houlsby", "reduction_factor": 4}, data=SHORT
    )
    written = json.loads((bundle / "checkpoint" / "adapter_config.json").read_bytes())
    assert len(written["widths"]) == 6
    assert set(written["narrow"].values()) == {8}


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("gpt2", "full"),
        ("gpt2", "prompt"),
        ("llama", "prefix"),
        ("mistral", "full"),
        ("qwen2", "full"),
        ("qwen3", "full"),
    ],
)
def test_padding_may_stand_on_either_side_of_what_a_decoder_reads(
    family: str, method: str, pooling: str, tmp_path: Path
) -> None:
    building.write_rows(tmp_path / "rows.jsonl", [{"text": f"a {i}", "label": "ab"[i % 2]} for i in range(20)])
    head = {"type": "text-classification", "pooling": pooling}
    spec = building.written(tmp_path, family, head, {"train": "rows.jsonl"}, adapt={"method": method})
    network = assemble(plan(spec), tmp_path / "backbone").eval()
    with torch.no_grad():
        for learned in network.heads.parameters():
            learned.normal_()
    words = torch.tensor([[5, 9, 7, 20, 31]])
    real, rest = torch.ones_like(words), torch.zeros(1, 3, dtype=torch.int64)
    masks = {"alone": real, "right": torch.cat([real, rest], 1), "left": torch.cat([rest, real], 1)}
    ids = {"alone": words, "right": torch.cat([words, rest], 1), "left": torch.cat([rest, words], 1)}
    with torch.no_grad():
        found = {side: network(input_ids=ids[side], attention_mask=masks[side])["logits"] for side in masks}
    torch.testing.assert_close(found["right"], found["alone"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["left"], found["alone"], rtol=1e-4, atol=1e-5)
