"""Kinds of int8: which are tried, what each writes, whom an answer depends on, and what is refused."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import transformers

from graftc.compiler import variants
from graftc.compiler.cli import main
from graftc.compiler.diagnostics import Refused
from graftc.compiler.execution import steps
from graftc.compiler.export import attempts, calibration
from graftc.compiler.export.calibration import Sample
from graftc.compiler.export.quantization import own_bytes
from graftc.compiler.planning.export import QuantizationPlan
from graftc.compiler.planning.plan import read_plan
from graftc.runtime.model import Model
from graftc.runtime.verify import verify

from ..backbones import tiny
from ..train import running
from .test_bundle import TEXT, build

BOTH: dict[str, Any] = {"precision": ["fp32", "int8"], "gate": {"metric_drop": 1.0}}
PICTURES = {"train": str(running.DIGITS / "train"), "validation": {"fraction": 0.2}}
ALONE = "my parcel never came and I was charged twice"
BESIDE = ["no", "I " * 20 + "want everything back that you ever took from me", "?!"]
OWN = {"dynamic": "DynamicQuantizeLinear", "static": "QuantizeLinear", "weights": "MatMulNBits"}


def pictures(folder: Path, **export: Any) -> Path:
    return build(folder, "resnet", head={"type": "image-classification"}, data=PICTURES, export={**BOTH, **export})


def operators(bundle: Path) -> set[str]:
    return {node.op_type for node in onnx.load(bundle / "model.int8.onnx").graph.node}


def weights(path: Path) -> int:
    """Bytes of a graph's tensors."""
    return sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in onnx.load(path).graph.initializer)


def told(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_bytes())["quantization"]["int8"]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all text bundles are built, of one training."""
    return tmp_path_factory.mktemp("texts")


@pytest.fixture(scope="module")
def texts(folder: Path) -> dict[str, Path]:
    """A bundle of each kind."""
    found = {}
    for kind in OWN:
        optimize = "onnxruntime" if kind == "weights" else "portable"
        bundle = build(folder, "bert", export={**BOTH, "quantization": kind, "optimize": optimize})
        found[kind] = bundle.rename(folder / kind)
    return found


@pytest.mark.parametrize("kind", OWN)
def test_each_kind_is_what_it_says(texts: dict[str, Path], kind: str) -> None:
    bundle = texts[kind]
    assert OWN[kind] in operators(bundle)
    assert not (set(OWN.values()) - {OWN[kind]}) & operators(bundle)
    assert told(bundle)["kind"] == kind
    assert verify(bundle)["int8"] <= 0.05
    fp32, int8 = (Model(bundle, precision).outputs([ALONE, *BESIDE])["logits"] for precision in ("fp32", "int8"))
    assert 0 < np.abs(fp32 - int8).max() < 0.5 * np.abs(fp32).max()
    assert weights(bundle / "model.int8.onnx") < 0.4 * weights(bundle / "model.onnx")


@pytest.mark.parametrize("kind", OWN)
def test_the_card_and_inspect_say_whether_an_answer_depends_on_its_batch(
    texts: dict[str, Path], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One text alone and beside others, through one run of the graph, so that padding is the only other thing."""
    model = Model(texts[kind], "int8")
    rows = model.rows([ALONE, *BESIDE])
    alone, beside = (
        model.graphs.model.run(model.preprocessor.collate(rows.features[:count]))["logits"][0]
        for count in (1, len(BESIDE) + 1)
    )
    apart = np.abs(alone - beside).max()
    is_invariant = told(texts[kind])["is_batch_invariant"]
    assert is_invariant == (kind != "dynamic")
    assert apart < 5e-5 if is_invariant else apart > 2e-4, apart
    card = (texts[kind] / "README.md").read_text()
    assert ("a score is the same beside other inputs" in card) == is_invariant
    assert ("a score moves a little with the inputs beside it" in card) != is_invariant
    main(["inspect", str(texts[kind])])
    words = "an answer is the same in every batch" if is_invariant else "an answer moves a little with its batch"
    assert words in capsys.readouterr().out


def test_convolutions_are_scaled_by_training_rows(tmp_path: Path) -> None:
    bundle = pictures(tmp_path, calibration_samples=24)
    found = told(bundle)
    assert (found["kind"], found["calibration"]["rows"]) == ("static", 24)
    assert found["calibration"]["method"] in ("range", "percentile", "entropy")
    graph = onnx.load(bundle / "model.int8.onnx").graph
    assert "Conv" in operators(bundle), "QDQ: the runtime fuses it"
    assert "Relu" not in operators(bundle), "a part of the scale"
    scales = {node.input[0]: node.input[1] for node in graph.node if node.op_type == "DequantizeLinear"}
    sizes = {tensor.name: tensor.dims for tensor in graph.initializer}
    weights = [
        node.input[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and len(sizes.get(node.input[0], ())) == 4
    ]
    assert weights
    assert all(list(sizes[scales[name]]) == [sizes[name][0]] for name in weights), "a scale for each output channel"
    assert verify(bundle)["int8"] <= 0.05


def test_two_builds_of_a_static_graph_are_equal_to_the_bit(tmp_path: Path) -> None:
    first, second = (pictures(tmp_path / name, calibration_samples=16) for name in ("a", "b"))
    names = [path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file()]
    same, other, missing = filecmp.cmpfiles(first, second, names, shallow=False)
    assert (len(same), other, missing) == (len(names), [], [])
    store = tmp_path / "a" / "store"
    (times,) = store.glob("stages/verify/*/milliseconds.json")
    assert json.loads(times.read_bytes()).keys() == {"fp32", "int8"}, "times stay in the store"


def small(share_of: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of any size count, and have the shares that are named by a word of theirs."""
    monkeypatch.setattr(attempts, "TINY", 0)

    def told_of(path: Path) -> float:
        held = {node.op_type for node in onnx.load(path).graph.node}
        return next((value for kind, value in share_of.items() if OWN[kind] in held), 1.0)

    monkeypatch.setattr(attempts, "own_bytes", told_of)


def test_a_kind_that_is_too_large_gives_way_to_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small({"dynamic": 0.41, "static": 0.39}, monkeypatch)
    bundle = build(folder, "bert", export=BOTH)
    assert told(bundle)["kind"] == "static"
    assert told(bundle)["share"] == 0.39
    assert "QuantizeLinear" in operators(bundle)


def test_a_kind_that_is_named_is_kept_at_any_size(texts: dict[str, Path]) -> None:
    assert json.loads((texts["dynamic"] / "plan.json").read_bytes())["export"]["quantization"]["is_auto"] is False
    assert told(texts["dynamic"])["share"] > 0.4, "a network this small has more in names than in weights"


def test_no_int8_that_is_small_is_none(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small({"dynamic": 0.41, "static": 0.41}, monkeypatch)
    (folder / "bundle").rename(tmp_path / "bundle") if (folder / "bundle").exists() else None
    with pytest.raises(Refused) as caught:
        build(folder, "bert", export={**BOTH, "gate": {"metric_drop": 0.9}})
    (found,) = caught.value.diagnostics
    assert found.code == "E0420"
    assert any("static with the embeddings in float" in note for note in found.notes)
    assert not (folder / "bundle").exists()


@pytest.mark.parametrize("kind", OWN)
def test_what_is_to_stay_in_float_stays(texts: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """Of every kind, each choice of nodes has more bytes of weights than the kind throughout, and fewer than fp32."""
    bundle = texts[kind]
    source = bundle / "model.onnx"
    model = Model(bundle)
    rows = model.rows([ALONE, *BESIDE])
    sample = Sample([model.preprocessor.collate(rows.features)], 4, 1, tmp_path / "ranges.json")
    quantization = variants.quantization(kind)
    plan = QuantizationPlan(kinds=(kind,), is_auto=False, samples=4 if 8 in quantization.needs_rows else 0)
    whole, part = tmp_path / "whole", tmp_path / "part"
    whole.mkdir()
    part.mkdir()
    made = quantization.quantize(source, whole / "model.int8.onnx", (), sample, 8)
    sizes = {}
    for attempt in attempts.attempts("int8", plan, ["model"], bundle, part, lambda: sample, (whole, made)):
        sizes[attempt.words] = weights(attempt.folder / "model.int8.onnx")
    assert len(sizes) == 7
    assert all(sizes[kind] < size < weights(source) for words, size in sizes.items() if words != kind), sizes


@pytest.mark.parametrize(("kind", "is_there"), [("dynamic", "MatMulInteger"), ("static", "QuantizeLinear")])
def test_a_language_model_s_head_is_quantised_apart_from_its_embedding(
    tmp_path: Path, kind: str, is_there: str
) -> None:
    """The decoder is the embedding by a second name, which a quantiser turns where it stands."""
    data = {key: value for key, value in TEXT.items() if key != "columns"} | {"columns": {"text": "body"}}
    tiny.save("bert", tmp_path / "backbone", transformers.AutoModelForMaskedLM)
    bundle = build(tmp_path, "bert", head={"type": "fill-mask"}, data=data, export={**BOTH, "quantization": kind})
    assert is_there in operators(bundle)
    assert verify(bundle)["int8"] <= 0.05


@pytest.mark.parametrize("family", ["gpt2", "albert"])
def test_products_are_found_whatever_their_form(tmp_path: Path, family: str) -> None:
    """GPT-2's are Gemm, ALBERT's layers share theirs: none that has weights stays in float."""
    optimize = {"gpt2": "onnxruntime", "albert": "portable"}[family]
    bundle = build(tmp_path, family, export={**BOTH, "precision": ["fp32"], "optimize": optimize})
    kind = {"gpt2": "weights", "albert": "dynamic"}[family]
    target = tmp_path / "int8.onnx"
    variants.quantization(kind).quantize(bundle / "model.onnx", target, (), None, 8)
    graph = onnx.load(target).graph
    held = {tensor.name for tensor in graph.initializer}
    left = [node.name for node in graph.node if node.op_type in ("MatMul", "Gemm") and held & {*node.input[1:2]}]
    assert left == []


def test_weights_are_scaled_by_channel_and_inputs_by_row_and_block(texts: dict[str, Path]) -> None:
    by_block = [n for n in onnx.load(texts["weights"] / "model.int8.onnx").graph.node if n.op_type == "MatMulNBits"]
    told = [{a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in by_block]
    assert {(each["bits"], each["accuracy_level"]) for each in told} == {(8, 4)}
    graph = onnx.load(texts["dynamic"] / "model.int8.onnx").graph
    sizes = {tensor.name: tensor.dims for tensor in graph.initializer}
    products = [node.input[1] for node in graph.node if node.op_type == "MatMulInteger" and node.input[1] in sizes]
    scales = [sizes[name.replace("_quantized", "_scale")] for name in products]
    assert scales
    assert all(scale == [sizes[name][1]] for name, scale in zip(products, scales, strict=True))


def test_the_scales_that_change_least_are_kept(
    texts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(texts["static"])
    batches = [model.preprocessor.collate(model.rows([ALONE, *BESIDE]).features)]
    sample = Sample(batches, 4, 1, tmp_path / "ranges.json")
    wrong = iter([0.3, 0.1, 0.2])
    monkeypatch.setattr(calibration, "_error", lambda wanted, found: next(wrong))
    found = calibration.calibrated(texts["static"] / "model.onnx", tmp_path / "a.onnx", (), sample)
    assert found == {"method": "percentile", "rows": 4}


def test_a_share_is_counted_without_embeddings(tmp_path: Path) -> None:
    def graph(path: Path, table: int, kind: Any) -> Path:
        weights = np.zeros((100, 50), kind), np.zeros((table, 100), np.float32)
        tensors = [onnx.numpy_helper.from_array(array, name) for array, name in zip(weights, ("w", "t"), strict=True)]
        nodes = [onnx.helper.make_node("Gather", ["t", "i"], ["x"]), onnx.helper.make_node("MatMul", ["x", "w"], ["y"])]
        values = [onnx.helper.make_tensor_value_info(n, k, None) for n, k in (("i", onnx.TensorProto.INT64), ("y", 1))]
        made = onnx.helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
        onnx.save(onnx.helper.make_model(made), path)
        return path

    large, small = graph(tmp_path / "a.onnx", 9000, np.float32), graph(tmp_path / "b.onnx", 10, np.int8)
    assert own_bytes(small) / own_bytes(large) == pytest.approx(0.26, abs=0.02)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kinds": ["../x"]}, "each kind once"),
        ({"kinds": ["static", "static"]}, "each kind once"),
        ({"samples": -5}, "greater than or equal to 0"),
        ({"samples": 0}, "samples are for kinds that take rows"),
        ({"kinds": ["weights"], "samples": 0}, "it takes `export.optimize: onnxruntime`"),
        (None, "quantization goes with int8"),
    ],
)
def test_a_plan_says_how_int8_is_made_and_nothing_else(
    texts: dict[str, Path], wrong: dict[str, Any] | None, said: str
) -> None:
    plan = json.loads((texts["static"] / "plan.json").read_bytes())
    export = plan["export"]
    export["quantization"] = export["quantization"] | wrong if wrong else None
    with pytest.raises(Refused) as caught:
        read_plan(json.dumps(plan), "plan.json")
    assert said in caught.value.diagnostics[0].notes[0]


def test_a_plan_from_before_there_were_kinds_is_dynamic(texts: dict[str, Path]) -> None:
    plan = json.loads((texts["static"] / "plan.json").read_bytes())
    del plan["export"]["quantization"]
    found = read_plan(json.dumps(plan), "plan.json").export.quantization
    assert found == QuantizationPlan(kinds=("dynamic",), is_auto=False, samples=0)


@pytest.mark.parametrize("key", ["quantization.kinds", "quantization.samples", "seed"])
def test_stages_depend_on_how_int8_is_made(texts: dict[str, Path], key: str) -> None:
    plan = json.loads((texts["static"] / "plan.json").read_bytes())
    other = json.loads(json.dumps(plan))
    if key == "seed":
        other["seed"] += 1
    else:
        other["export"]["quantization"] |= {"kinds": ["static", "dynamic"]} if key.endswith("kinds") else {"samples": 3}
    stages = [{s.name: s for s in steps.stages(read_plan(json.dumps(each), "p"), "w")} for each in (plan, other)]
    differ = {name for name in ("quantize", "verify") if stages[0][name].record != stages[1][name].record}
    assert (
        differ
        == {"quantization.kinds": {"verify"}, "quantization.samples": {"quantize", "verify"}, "seed": {"quantize"}}[key]
    )


def test_rows_are_drawn_and_scales_fixed_only_where_a_form_needs_them(
    texts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first form is there; of another kind the rows are drawn once, and their scales serve all its forms."""
    model, drawn, fixed = Model(texts["static"]), [], []
    batches = [model.preprocessor.collate(model.rows([ALONE, *BESIDE]).features)]

    def draw() -> Sample:
        drawn.append(1)
        return Sample(batches, 4, 1, tmp_path / "ranges.json")

    better = calibration._better
    monkeypatch.setattr(calibration, "_better", lambda *a: fixed.append(1) or better(*a))
    plan = QuantizationPlan(kinds=("dynamic", "static"), is_auto=True, samples=4)
    first, *others = attempts.attempts("int8", plan, ["model"], texts["static"], tmp_path, draw, (texts["dynamic"], {}))
    assert first.words == "dynamic"
    assert sum(each.kind == "static" for each in others) == 7
    assert (len(drawn), len(fixed)) == (1, 1)
