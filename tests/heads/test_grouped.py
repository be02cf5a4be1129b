"""Language models in onnxruntime's own operators: GroupQueryAttention over one buffer, and weights by block."""

from __future__ import annotations

import json
import re
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
from graftc.compiler.backbones import gpt2, llama
from graftc.compiler.diagnostics import Refused
from graftc.compiler.export.gptq import moments, rounded
from graftc.compiler.planning.show import show
from graftc.runtime.errors import BundleError
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
    return FORMS[loaded.manifest["optimize"]](HeadRun(loaded, "", {}), head["pad_id"])


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
    texts = [[*a, b, *c] for a, b, c in zip(first, token.tolist(), turns, strict=True)]
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


def plan_of(folder: Path, family: str = "llama", config: Any = (), **sections: Any) -> Any:
    """The plan with onnxruntime's operators and every precision; `config` replaces values of config.json."""
    backbone(family, folder / "backbone")
    path = folder / "backbone/config.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **dict(config)}))
    export = {"precision": ["fp32", "int8", "int4"], "optimize": "onnxruntime"}
    return graftc.plan(write(folder, family, pairs(), **{"export": export, **sections}))


def test_a_plan_shows_the_form_the_kinds_and_the_gates(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    shown = show(plan)
    assert "attention    GroupQueryAttention, rows padded on the right" in shown
    assert "int8         dynamic, else weights: the first that passes" in shown
    assert "int4         weights by block, rounded on 32 training rows" in shown
    assert "perplexity may get worse by 1 %, 2 % in int8, 15 % in int4 beyond one standard error" in shown
    assert plan.export.quantization.whole_first
    assert [plan.export.allowed(word) for word in ("fp32", "int8", "int4")] == [0.01, 0.02, 0.15]


def test_one_limit_that_is_written_holds_for_every_precision(tmp_path: Path) -> None:
    export = {"precision": ["fp32", "int4"], "optimize": "onnxruntime", "gate": {"metric_drop": 0.3}}
    plan = plan_of(tmp_path, export=export)
    assert [plan.export.allowed(word) for word in ("fp32", "int4")] == [0.3, 0.3]


@pytest.mark.parametrize(
    ("family", "sections", "why"),
    [
        ("mistral", {}, "it attends to a window (`sliding_window`)"),
        ("llama", {"adapt": {"method": "prefix", "tokens": 4}}, "`prefix` puts virtual tokens before each cache"),
        (
            "llama",
            {"export": {"optimize": "onnxruntime", "exporter": "transformers"}},
            "the exporter `transformers` does not know it",
        ),
    ],
)
def test_attention_that_the_operator_can_t_express_stays_in_standard_ones(
    tmp_path: Path, family: str, sections: dict[str, Any], why: str
) -> None:
    plan = plan_of(tmp_path, family, **sections)
    assert not plan.export.is_grouped
    assert f"standard operators: {why}" in show(plan)


def test_soft_caps_and_windows_by_layer_are_seen_in_the_configuration() -> None:
    assert "caps logits" in llama.ungrouped({"attn_logit_softcapping": 50.0})
    assert "attend to a window" in llama.ungrouped({"layer_types": ["full_attention", "sliding_attention"]})
    assert not llama.ungrouped({"layer_types": ["full_attention"], "sliding_window": 4096, "use_sliding_window": False})
    assert gpt2.ungrouped({"reorder_and_upcast_attn": True})
    assert not gpt2.ungrouped({})


def test_a_family_with_windows_builds_in_standard_attention_with_weights_by_block(tmp_path: Path) -> None:
    backbone("mistral", tmp_path / "backbone")
    export = {"precision": ["fp32", "int4"], "optimize": "onnxruntime", "gate": {"metric_drop": 1.0}}
    graftc.build(write(tmp_path, "mistral", pairs(), export=export), tmp_path / "bundle", store=tmp_path / "store")
    held = operators(tmp_path / "bundle/model.int4.onnx")
    assert held["MatMulNBits"] > 0
    assert "GroupQueryAttention" not in held
    assert "padding" not in json.loads((tmp_path / "bundle/manifest.json").read_bytes())["heads"][""]


def refused(folder: Path, **export: Any) -> Any:
    backbone("llama", folder / "backbone")
    train = {"epochs": 20, "batch_size": 8, "learning_rate": 3e-3}
    spec = write(folder, "llama", pairs(), export=export, train=train)
    with pytest.raises(Refused) as caught:
        graftc.build(spec, folder / "bundle", store=folder / "store")
    (found,) = (each for each in caught.value.diagnostics if each.code.startswith("E"))
    return found


def test_int4_takes_onnxruntime_s_operators(tmp_path: Path) -> None:
    found = refused(tmp_path, precision=["fp32", "int4"])
    assert (found.code, found.help) == ("E0450", "write `optimize: onnxruntime`")


def test_int4_that_loses_too_much_says_what_it_saves_and_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here every weight in 4 bits gets the wrong sign."""

    def turned(weight: np.ndarray, moment: np.ndarray, block: int) -> tuple[np.ndarray, ...]:
        numbers, scales, zeros = rounded(weight, moment, block)
        return 15 - numbers, scales, 15 - zeros

    monkeypatch.setattr("graftc.compiler.export.blocks.rounded", turned)
    found = refused(tmp_path, precision=["fp32", "int4"], optimize="onnxruntime")
    assert found.code == "E0402"
    said = " ".join(found.notes)
    assert re.search(r"perplexity on 8 validation rows rose from [\d.]+ to [\d.]+, by [\d.]+%", said)
    assert re.search(r"int4 throughout takes [\d.]+ MB, and fp32 [\d.]+ MB", said)
    assert "tried without success: weights; weights with the first and the last product in 8 bits; " in said
    assert "embeddings" not in said.split("tried")[1]


def test_rounding_by_inputs_that_were_seen_changes_products_less() -> None:
    """Against the nearest numbers of the same grid, on inputs that go together."""
    draw = np.random.default_rng(0)
    mixed = draw.normal(size=(64, 64)) * np.exp(draw.normal(size=64))
    seen, new = (draw.normal(size=(512, 64)) @ mixed for _ in range(2))
    weight = draw.normal(size=(64, 48)).astype(np.float32)
    errors = []
    for moment in (seen.T @ seen, np.eye(64)):
        numbers, scales, zeros = rounded(weight, moment, 32)
        grid = (numbers.reshape(48, 2, 32).astype(np.float32) - zeros[..., None]) * scales[..., None]
        assert numbers.max() <= 15
        errors.append(float(np.square(new @ (grid.reshape(48, 64).T - weight)).sum()))
    assert errors[0] < 0.8 * errors[1]


def test_second_moments_are_of_real_tokens_alone(both: Both, tmp_path: Path) -> None:
    model = onnx.load(both["portable"] / "model.onnx")
    node = next(n for n in model.graph.node if n.op_type in ("MatMul", "Gemm") and "backbone" in n.input[1] + n.name)
    ids = np.arange(3, 11).reshape(2, 4)
    whole = {"input_ids": ids[:, :2], "attention_mask": np.ones((2, 2), np.int64)}
    mask = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])
    padded = {"input_ids": ids, "attention_mask": mask}
    name = node.input[0]
    first, second = (next(moments(model, {name: 32}, [batch], 1, tmp_path))[name] for batch in (whole, padded))
    assert np.abs(first - second).max() <= 1e-4 * np.abs(first).max()
    assert len(model.graph.output) > 1, "the graph is as it was"


@pytest.mark.parametrize("shape", [["batch", "heads", "past", 16], ["batch"], ["batch", 1 << 40, "past", 1 << 20]])
def test_a_cache_of_no_size_is_no_bundle_of_ours(both: Both, shape: list[Any]) -> None:
    loaded = graftc.load(both["onnxruntime"])
    told = loaded.graphs.told["model"]["inputs"]
    told["past_key_values.0.key"] = {**told["past_key_values.0.key"], "shape": shape}
    with pytest.raises(BundleError) as caught:
        loaded.predict("the small")
    assert caught.value.code == "E0503"
