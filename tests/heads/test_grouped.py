"""Language models in onnxruntime's own operators: GroupQueryAttention over one buffer, and weights by block."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import peft
import pytest
import torch
import transformers

import graftc
from graftc.runtime.generation import Options, generate
from graftc.runtime.generation.cached import CachedSteps
from graftc.runtime.generation.grouped import Arrays, GroupedSteps, InPlace
from graftc.runtime.model import HeadRun, Model
from graftc.runtime.verify import verify

from .test_text_generation import asked, assert_same, backbone, ids_of, pairs, write

FORMS = {"portable": CachedSteps, "onnxruntime": GroupedSteps}
METHODS = {"gpt2": "full", "llama": "lora", "qwen3": "lora"}
Both = dict[str, Any]


@pytest.fixture(scope="module", params=METHODS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """A bundle of the same weights in each form, and transformers' model with them as `model`.

    That of onnxruntime's operators has three precisions.
    """
    folder = tmp_path_factory.mktemp(request.param)
    model, method = backbone(request.param, folder / "backbone"), METHODS[request.param]
    found: Both = {}
    for form in FORMS:
        precision = ["fp32", "int8", "int4"] if form == "onnxruntime" else ["fp32"]
        export = {"precision": precision, "optimize": form, "gate": {"metric_drop": 1.0}}
        spec = write(folder, request.param, pairs(), adapt={"method": method}, export=export)
        graftc.build(spec, folder / form, store=folder / "store")
        found[form] = folder / form
    checkpoint = found["portable"] / "checkpoint"
    if method == "full":
        model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint)
    else:
        adapted: Any = peft.PeftModel.from_pretrained(model.base_model, str(checkpoint))
        adapted.merge_and_unload()
    return {**found, "model": model.eval()}


def steps(bundle: Path, precision: str = "fp32") -> Any:
    loaded = graftc.load(bundle, precision)
    head = loaded.heads[""]
    return FORMS[loaded.manifest["optimize"]](HeadRun(loaded, "", {}), head["layers"], head["pad_id"])


def written(bundle: Path, prompts: list[list[int]], **options: Any) -> list[list[int]]:
    return [list(each[0].tokens) for each in generate(steps(bundle), prompts, Options(stop_tokens=(0,), **options))]


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_attention_is_one_operator_a_layer(both: Both) -> None:
    manifest = json.loads((both["onnxruntime"] / "manifest.json").read_bytes())
    assert operators(both["onnxruntime"] / "model.onnx")["GroupQueryAttention"] == manifest["heads"][""]["layers"]
    assert "GroupQueryAttention" in manifest["fused"]
    assert "com.microsoft" not in {n.domain for n in onnx.load(both["portable"] / "model.onnx").graph.node}


def test_greedy_tokens_are_those_of_generate(both: Both) -> None:
    """In a ragged batch padded on the right, against each prompt asked alone, and against the portable form."""
    model = both["model"]
    given = ids_of(both["onnxruntime"])
    ours, theirs = written(both["onnxruntime"], given, max_new_tokens=24), asked(model, given, max_new_tokens=24)
    assert_same(model, given, ours, theirs)
    assert_same(model, given, ours, written(both["portable"], given, max_new_tokens=24))
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 6


def test_beams_are_those_of_the_portable_form(both: Both) -> None:
    given = ids_of(both["onnxruntime"])[:4]
    ours, theirs = (written(both[form], given, max_new_tokens=12, beams=4) for form in FORMS)
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 3


def test_log_likelihoods_are_those_of_the_portable_form(both: Both) -> None:
    found = []
    for form in FORMS:
        model = graftc.load(both[form])
        found.append(model.evidence(model.rows(["the small network", "reads", "a text and writes what comes next"])))
    for ours, theirs in zip(found[0]["log_probabilities"], found[1]["log_probabilities"], strict=True):
        assert np.abs(ours - theirs).max() <= 1e-4


@pytest.mark.parametrize("in_place", [True, False])
def test_further_turns_go_row_by_row_over_what_came_before(both: Both, in_place: bool) -> None:
    """Three rows with a beginning of their own and a second turn: the logits are those of each whole text."""
    model = both["model"]
    draw = np.random.default_rng(0)
    first = [draw.integers(3, 300, n).tolist() for n in (5, 2, 9)]
    turns = [draw.integers(3, 300, n).tolist() for n in (3, 1, 6)]
    own = steps(both["onnxruntime"])
    assert isinstance(own.graph, InPlace)
    if not in_place:
        run = own.graph
        own.graph = lambda graph, arrays: run(graph, arrays)
    own.start(first)
    assert isinstance(own.cache, Arrays) != in_place
    token = np.array([7, 8, 9])
    own.step(token)
    logits = own.extend(turns)
    texts = [a + [b] + c for a, b, c in zip(first, token.tolist(), turns, strict=True)]
    for text, row in zip(texts, logits, strict=True):
        with torch.inference_mode():
            wanted = model(input_ids=torch.tensor([text])).logits[0, -1].numpy()
        assert np.abs(row - wanted).max() <= 1e-4 * np.abs(wanted).max()
    own.keep(np.array([2, 0]))
    after = own.step(np.array([4, 5]))
    for text, row in zip([texts[2] + [4], texts[0] + [5]], after, strict=True):
        with torch.inference_mode():
            wanted = model(input_ids=torch.tensor([text])).logits[0, -1].numpy()
        assert np.abs(row - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_a_cache_grows_beyond_its_room(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ids_of(both["onnxruntime"])[:3]
    wanted = written(both["onnxruntime"], given, max_new_tokens=20)
    monkeypatch.setattr("graftc.runtime.buffers.MORE", 1)
    assert written(both["onnxruntime"], given, max_new_tokens=20) == wanted


def test_precisions_are_smaller_each_and_verify(both: Both) -> None:
    bundle = both["onnxruntime"]
    assert set(verify(bundle)) == {"fp32", "int8", "int4"}
    sizes = [
        sum(t.ByteSize() for t in onnx.load(bundle / name).graph.initializer)
        for name in ("model.onnx", "model.int8.onnx", "model.int4.onnx")
    ]
    assert sizes[0] > sizes[1]
    held = operators(bundle / "model.int4.onnx")
    assert held["MatMulNBits"] > 0
    told = [
        {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        for node in onnx.load(bundle / "model.int4.onnx").graph.node
        if node.op_type == "MatMulNBits"
    ]
    assert {each["bits"] for each in told} == {4, 8}
    assert {each["accuracy_level"] for each in told} == {4}
    assert [each["bits"] for each in told][-1] == 8, "the output layer"


def test_a_tied_embedding_is_stored_once_in_8_bits(both: Both) -> None:
    bundle = both["onnxruntime"]
    held = operators(bundle / "model.int4.onnx")
    assert held["GatherBlockQuantized"] == (1 if both["model"].config.tie_word_embeddings else 0)


def test_answers_come_in_every_precision(both: Both) -> None:
    for precision in ("fp32", "int8", "int4"):
        answers = Model(both["onnxruntime"], precision).predict(["the small", "a text and writes"], max_new_tokens=4)
        assert all(answer.finish_reason in ("length", "eos_token") for answer in answers)
