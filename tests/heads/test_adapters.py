"""Adapters of a head's own beside others on one backbone: who learns them, what the graph holds once, how they travel."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

from graftc.compiler import variants
from graftc.compiler.api import plan
from graftc.compiler.diagnostics import Refused
from graftc.compiler.export.parity import apart, golden_inputs, outputs
from graftc.compiler.model.adapters import merge
from graftc.compiler.model.assembly import assemble, learned, tensors
from graftc.compiler.planning.show import show
from graftc.compiler.sources import Missing
from graftc.compiler.sources.bundle import locate
from graftc.compiler.training.loop import Training
from graftc.runtime.inputs.text import Preprocessor
from graftc.runtime.model import Model
from graftc.runtime.verify import verify

from ..backbones import tiny
from ..train import running
from . import building
from .test_several import MOOD, NAMES, SHARED, THING, TRAIN, rows, write

OWN = {"adapt": "own"}
# fitted heads may need no step, and adapters that learned nothing are one
MOOD, THING = ({**head, "start": "random"} for head in (MOOD, THING))
ADDING = tuple(word for word in variants.words("methods") if variants.method(word).adds)
MORE = {"data": {"train": "more.jsonl", "validation": "rows.jsonl", "columns": {"label": "thing"}}}


def layers_of(bundle: Path) -> int:
    """How many layers of attention the graph holds."""
    return sum(node.op_type == "Softmax" for node in onnx.load(str(bundle / "model.onnx")).graph.node)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    heads = {"mood": {**MOOD, **OWN}, "thing": {**THING, **OWN}, "names": NAMES}
    spec = write(tmp_path_factory.mktemp("adapters"), heads, adapt={"method": "lora"})
    return building.built(spec)


def test_each_adapter_is_merged_gated_and_answers(bundle: Path) -> None:
    gates = building.gates(bundle)
    assert gates["merge"]["adapted"] == 3 * 6
    assert gates["merge"]["worst"] < 1e-4
    assert gates["parity"]["worst"] < 1e-4
    assert set(gates["metric"]) == {"mood.fp32", "thing.fp32", "names.fp32"}
    assert verify(bundle)["fp32"] < 1e-4
    model = Model(bundle)
    whole = model.predict("the ship was bad")
    assert model.predict("the ship was bad", head="mood") == whole["mood"]
    assert building.script(bundle, "the ship was bad")[0].keys() == whole.keys()
    assert "| adapters | one each for `mood`, `thing`, one for the other heads: the backbone runs 3 times |" in (
        bundle / "README.md"
    ).read_text(encoding="utf-8")


def test_nothing_that_adapters_share_is_in_the_graph_twice(bundle: Path) -> None:
    graph = onnx.load(str(bundle / "model.onnx")).graph
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
    large = [(array.shape, array.tobytes()) for array in arrays if array.size > 16]
    assert len(set(large)) == len(large)
    planned = json.loads((bundle / "plan.json").read_bytes())["estimates"]["onnx_bytes"]
    assert sum(array.nbytes for array in arrays) == pytest.approx(planned, rel=0.05)


def test_peft_loads_each_adapter_and_they_differ(bundle: Path) -> None:
    folders = {name: bundle / "checkpoint" / "adapters" / name for name in ("mood", "thing")}
    folders[""] = bundle / "checkpoint"
    saved = {name: load_file(folder / "adapter_model.safetensors") for name, folder in folders.items()}
    for folder in folders.values():
        adapted = PeftModel.from_pretrained(AutoModel.from_pretrained(bundle.parent / "backbone"), str(folder))
        assert adapted.peft_config["default"].peft_type.value == "LORA"
    for one, other in (("", "mood"), ("", "thing"), ("mood", "thing")):
        assert any(not torch.equal(tensor, saved[other][name]) for name, tensor in saved[one].items())


def test_layers_beneath_all_adapters_run_once(tmp_path: Path) -> None:
    heads = {"mood": {**MOOD, **OWN}, "thing": {**THING, **OWN}}
    frozen = {"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]}
    spec = write(tmp_path, heads, adapt={"method": "lora"}, train={**TRAIN, "max_steps": 12})
    spec.write_text(yaml.safe_dump({**yaml.safe_load(spec.read_text()), "backbone": frozen}))
    found = plan(spec)
    assert found.adapters is not None
    assert (found.adapters.names, found.adapters.common_layers) == (("mood", "thing"), 2)
    assert found.train.fold == "layers[0:2]"
    shown = show(found)
    assert "of its own: mood, thing\n" in shown
    assert "layers[0:2] and what is beneath once, the layers above 2 times" in shown
    bundle = building.built(spec)
    assert layers_of(bundle) == 2 + 2 * 1
    assert building.gates(bundle)["parity"]["worst"] < 1e-4
    assert not (bundle / "checkpoint" / "adapter_config.json").exists(), "no head shares one"
    with pytest.raises(Missing, match="holds an adapter only"):
        locate(bundle.name, tmp_path)


@pytest.mark.parametrize(("method", "attentions"), [("adapter", 2 * 3 - 1), ("prefix", 2 * 3), ("prompt", 2 * 3)])
def test_adapters_that_are_not_merged_travel_beside_each_other(method: str, attentions: int, tmp_path: Path) -> None:
    """The lowest attention lies beneath the first bottleneck, but not beneath what stands before an input."""
    heads = {"mood": MOOD, "thing": {**THING, **OWN}}
    bundle = building.built(write(tmp_path, heads, adapt={"method": method}, train={**TRAIN, "max_steps": 3}))
    assert layers_of(bundle) == attentions
    assert building.gates(bundle)["merge"]["changed"] > 0
    assert {"mood", "thing"} == Model(bundle).predict("the ship was bad").keys()


@pytest.mark.parametrize("method", ADDING)
def test_any_method_that_adds_may_be_there_twice(method: str, tmp_path: Path) -> None:
    """Both stand on the same tensors until they are merged, and answer the same after, whatever they have learned."""
    spec = write(
        tmp_path, {"mood": {**MOOD, **OWN}, "thing": {**THING, **OWN}}, is_whole=True, adapt={"method": method}
    )
    found = plan(spec)
    network = assemble(found, tmp_path / "backbone")
    of = {part: {} for part in ("backbone:mood", "backbone:thing")}  # type: dict[str, dict[str, torch.Tensor]]
    draw = torch.Generator().manual_seed(0)
    for name, tensor, planned in tensors(network, found):
        part, _, inner = name.partition(".")
        of[part][inner] = tensor
        if planned.state == "added":
            with torch.no_grad():
                tensor.add_(0.1 * torch.randn(tensor.shape, generator=draw))
    added = {t.name for t in found.backbone.tensors if t.state == "added"}
    assert {name for name, tensor in of["backbone:mood"].items() if tensor is not of["backbone:thing"][name]} == added
    processor, inputs = Preprocessor(found.reading.preprocessing, tmp_path / "backbone"), golden_inputs(found)
    before = outputs(network, found, processor, inputs)
    merge(network, found)
    worst, _ = apart(before, outputs(network, found, processor, inputs))
    assert worst < 1e-4
    separate = {
        name: apart({"a": before[f"{name}.logits"]}, {"a": before[f"{name}.logits"] * 0})[0]
        for name in ("mood", "thing")
    }
    assert min(separate.values()) > 1e-3, "they answer nothing, so nothing is compared"


def test_onnxruntime_s_optimizer_fuses_what_every_adapter_has(tmp_path: Path) -> None:
    export = {"optimize": "onnxruntime", "gate": {"metric_drop": 1.0}}
    heads = {"mood": {**MOOD, **OWN}, "thing": THING}
    bundle = building.built(write(tmp_path, heads, adapt={"method": "lora"}, export=export))
    nodes = [node.op_type for node in onnx.load(str(bundle / "model.onnx")).graph.node]
    # the lowest attention reads what both runs share, which the optimizer does not take for one of its own
    assert nodes.count("Attention") == 2 * 2
    assert nodes.count("SkipLayerNormalization") == 2 * 3 * 2


def test_layers_of_pictures_run_once_too(tmp_path: Path) -> None:
    tiny.save("vit", tmp_path / "backbone")
    folders = sorted((running.DIGITS / "train").iterdir())
    drawn = [(folder.name, file) for folder in folders for file in sorted(folder.iterdir())[:4]]
    data = [{"image": os.path.relpath(file, tmp_path), "word": word, "length": f"{len(word)}"} for word, file in drawn]
    building.write_rows(tmp_path / "rows.jsonl", data)
    heads = {
        role: {"type": "image-classification", "start": "random", "adapt": "own", "data": {"columns": {"label": role}}}
        for role in ("word", "length")
    }
    spec = running.write_spec(
        tmp_path, backbone={"from": "./backbone", "freeze": ["layers[0:2]"]}, adapt={"method": "lora"}, heads=heads,
        data={"train": "rows.jsonl", "validation": {"fraction": 0.25}, "columns": {"image": "image"}},
        train={"max_steps": 3}, export={"gate": {"metric_drop": 1.0}},
    )  # fmt: skip
    found = plan(spec)
    assert found.adapters is not None
    bundle = building.built(spec)
    assert found.adapters.common_layers == 2
    assert layers_of(bundle) == 2 + 2 * 1


def alone(folder: Path, **sections: Any) -> dict[str, torch.Tensor]:
    """What is learned of moods by a spec with that head only."""
    folder.mkdir()
    spec = write(folder, {}, is_whole=True, **sections)
    head = {"type": MOOD["type"]}
    data = {**SHARED, "columns": {"text": "text", "label": "mood"}}
    values = {k: v for k, v in yaml.safe_load(spec.read_text()).items() if k != "heads"}
    spec.write_text(yaml.safe_dump({**values, "head": head, "data": data}, sort_keys=False))
    _, _, out = running.trained(spec, folder / "store")
    return load_file(out / "learned.safetensors")


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_an_own_adapter_learns_what_its_head_learns_alone(method: str, tmp_path: Path) -> None:
    """To the bit, dropout and all, because no gradient of another head reaches it; a shared one learns something else."""
    sections = {"adapt": {"method": method}, "train": {**TRAIN, "max_grad_norm": 1e6}}
    once = alone(tmp_path / "alone", **sections)
    for word in ("own", "shared"):
        (tmp_path / word).mkdir()
        heads = {"mood": {**MOOD, "adapt": word}, "thing": THING}
        spec = write(tmp_path / word, heads, is_whole=True, **sections)
        _, _, out = running.trained(spec, tmp_path / word / "store")
        found = load_file(out / "learned.safetensors")
        mine = {
            n.replace("backbone:mood.", "backbone.").replace("head.mood.", "head."): t
            for n, t in found.items()
            if word == "shared" or "mood." in n
        }
        assert once.keys() <= mine.keys()
        same = [torch.equal(mine[name], tensor) for name, tensor in once.items()]
        assert all(same) if word == "own" else not any(same)


def parts(run: Training) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in learned(run.network, run.plan).items():
        part, _, inner = name.partition(".")
        key = f"head.{inner.partition('.')[0]}" if part == "head" else part
        found.setdefault(key, {})[inner] = tensor.detach().numpy().copy()
    return found


def test_rows_of_one_task_leave_the_adapters_of_the_others_as_they_are(tmp_path: Path) -> None:
    """Both in batches of another table and in one whose rows have an answer for the one task only."""
    building.write_rows(tmp_path / "things.jsonl", rows(30, 2, is_whole=True))
    data = {**MORE["data"], "train": "things.jsonl", "validation": "things.jsonl"}
    heads = {"mood": {**MOOD, **OWN}, "thing": {**THING, **OWN, "data": data}, "names": NAMES}
    spec = write(tmp_path, heads, adapt={"method": "lora"})
    _, _, run = running.training(spec, tmp_path / "store")
    both, things = sorted(run.sets, key=lambda each: len(each.rows), reverse=True)
    answers = [{}, *rows(60, 0)]  # rows of a table are numbered from one
    numbers = both.every.tolist()
    only = [i for i in numbers if "spans" not in answers[i] and "mood" in answers[i]]
    everyone = {"backbone", "backbone:mood", "backbone:thing", "head.mood", "head.thing", "head.names"}
    run.step = 1  # where the rate is not zero
    for rows_of, chosen, moves in (
        (things, things.every[:4].tolist(), {"backbone:thing", "head.thing"}),
        (both, only[:4], {"backbone:mood", "head.mood"}),
        (both, numbers[:8], {"backbone", "backbone:mood", "head.mood", "head.names"}),
    ):
        before = parts(run)
        run._step(rows_of, chosen)
        after = parts(run)
        assert before.keys() == everyone
        moved = {
            part for part, own in before.items() if any((values != after[part][n]).any() for n, values in own.items())
        }
        assert moved == moves


def test_an_adapter_that_learned_nothing_is_named(tmp_path: Path) -> None:
    """The one step that there is is of the other head's rows."""
    heads = {"mood": {**MOOD, **OWN}, "thing": {**THING, **OWN, **MORE}}
    train = {**TRAIN, "max_steps": 1, "sampling": "round-robin"}
    spec = write(tmp_path, heads, is_whole=True, adapt={"method": "lora"}, train=train)
    with pytest.raises(Refused) as refused:
        building.built(spec)
    (found,) = refused.value.diagnostics
    assert (found.code, found.notes[0]) == ("E0404", "6 adapted tensors of `thing`, none changed")


def test_the_only_head_has_whatever_there_is_for_itself(tmp_path: Path) -> None:
    found = plan(write(tmp_path, {"mood": {**MOOD, **OWN}}, is_whole=True, adapt={"method": "lora"}))
    assert found.adapters is None
    assert found.tasks[0].adapter == ""
