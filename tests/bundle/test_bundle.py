"""What a bundle promises: it runs alone, is typed, keeps its gates and reloads."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from graftc.compiler.api import build_source
from graftc.compiler.bundling.rendering import write_card
from graftc.compiler.cli import cli
from graftc.compiler.diagnostics import Refused
from graftc.compiler.execution.prepared import Examples
from graftc.compiler.execution.progress import Progress
from graftc.compiler.frozen import Json
from graftc.compiler.language.source import read
from graftc.compiler.planning.plan import HeadPlan, TaskPlan, read_plan
from graftc.compiler.units import in_bytes
from graftc.runtime.errors import BundleError
from graftc.runtime.model import HeadRun, Model
from graftc.runtime.verify import difference, verify

from ..backbones import tiny
from ..train import running

STANDALONE = running.ROOT / "benchmarks" / "standalone.py"
TEXT = {
    "train": str(running.TICKETS / "train.jsonl"), "validation": {"fraction": 0.2},
    "columns": {"text": "body", "label": "queue"}, "max_length": 32,
}  # fmt: skip


def load_module(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def build(folder: Path, family: str, **sections: Any) -> Path:
    """Builds a bundle on a tiny backbone; gives its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "backbone").exists():
        tiny.save(family, folder / "backbone")
    text = {"head": {"type": "text-classification"}, "data": TEXT, "train": {"max_steps": 4}}
    spec = running.write_spec(folder, **{"backbone": {"from": "./backbone"}, **text, **sections})
    return build_source(read(spec), folder / "bundle", folder / "store", Progress(is_quiet=True)).folder


@pytest.fixture(scope="module")
def text_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    shutil.copytree(running.TICKETS, folder / "tickets")
    data = {**TEXT, "train": "tickets/train.jsonl", "test": "tickets/test.jsonl"}
    return build(
        folder, "bert", adapt={"method": "lora", "target": "all-linear"}, data=data,
        train={"epochs": 2, "learning_rate": 1e-2}, export={"precision": ["fp32", "int8"], "gate": {"metric_drop": 1.0}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def image_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    shutil.copytree(running.DIGITS, folder / "digits")
    data = {"train": "digits/train", "validation": {"fraction": 0.2}, "test": "digits/test"}
    return build(folder, "resnet", head={"type": "image-classification"}, data=data, adapt={"method": "probe"})


def test_inspect_tells_the_size_of_each_graph_and_of_all_files(text_bundle: Path) -> None:
    out = CliRunner().invoke(cli, ["inspect", str(text_bundle)]).stdout
    fp32, int8 = (in_bytes((text_bundle / name).stat().st_size) for name in ("model.onnx", "model.int8.onnx"))
    files = json.loads((text_bundle / "manifest.json").read_bytes())["files"]
    whole = in_bytes(sum(entry["bytes"] for entry in files.values()))
    assert f"model.onnx (fp32, {fp32}), model.int8.onnx (int8, {int8}); all files {whole}\n" in out


def card(bundle: Path, folder: Path, **changed: Any) -> str:
    """A bundle's card as it would be with other fields in its manifest."""
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    write_card(read_plan((bundle / "plan.json").read_text(), "plan.json"), manifest | changed, (), folder)
    return (folder / "README.md").read_text()


def test_a_card_names_the_file_of_each_graph_by_precision(text_bundle: Path, tmp_path: Path) -> None:
    assert "| graphs | `model.onnx` (fp32), `model.int8.onnx` (int8) |\n" in card(text_bundle, tmp_path)
    (one,) = json.loads((text_bundle / "manifest.json").read_bytes())["graphs"].values()
    two = {"model": one, "step": {**one, "files": {"fp32": "step.onnx"}}}
    written = card(text_bundle, tmp_path, graphs=two)
    assert "| graphs | `model.onnx` (fp32), `model.int8.onnx` (int8), `step.onnx` (fp32) |\n" in written


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"drop": 0.0, "allowed": 0.01}, "the same as the trained network's (allowed 0.01 worse)"),
        ({"drop": -0.002, "allowed": 0.01}, "0.0020 better than the trained network's (allowed 0.01 worse)"),
        (
            {"drop": 0.02, "allowed": 0.01, "standard_error": 0.0123},
            "0.0200 worse than the trained network's (allowed 0.01 worse, beyond one standard error of 0.0123)",
        ),
    ],
)
def test_a_card_says_how_far_a_graph_is_from_the_network(
    gate: dict[str, float], said: str, text_bundle: Path, tmp_path: Path
) -> None:
    gates = json.loads((text_bundle / "manifest.json").read_bytes())["gates"]
    written = card(text_bundle, tmp_path, gates={**gates, "metric": {"int8": gate}})
    metric = json.loads((text_bundle / "manifest.json").read_bytes())["metric"]
    assert f"| metric | int8: {metric} is {said} |\n" in written
    assert written.count("| metric |") == 1


@pytest.mark.parametrize(("gap", "said"), [(-0.00021, "0.0002 below"), (0.5, "0.5000 above")])
def test_a_card_says_which_loss_was_lower(gap: float, said: str, text_bundle: Path, tmp_path: Path) -> None:
    training = {"epochs": [{}], "best_epoch": 1, "gap": gap}
    assert f"validation rows was {said} that on training rows." in card(text_bundle, tmp_path, training=training)


def test_bundles_run_in_a_venv_of_their_requirements_and_hold_no_path(text_bundle: Path, image_bundle: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(STANDALONE), str(text_bundle), str(image_bundle)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(": fine") == 2
    for bundle in (text_bundle, image_bundle):
        assert not load_module(STANDALONE, "standalone").traces(bundle, (str(bundle.parent),))


def test_two_bundles_with_different_runtimes_answer_in_one_process(text_bundle: Path, image_bundle: Path) -> None:
    texts, images = (load_module(b / "predict.py", f"predict_{i}") for i, b in enumerate((text_bundle, image_bundle)))
    assert texts._RUNTIME != images._RUNTIME
    one, other = texts.Model(), images.Model()
    picture = next((running.DIGITS / "test" / "three").glob("*.png"))
    assert other.predict(picture).label in other._model.manifest["heads"][""]["labels"]
    assert one.predict("where is my parcel").label in one._model.manifest["heads"][""]["labels"]
    assert texts._RUNTIME in sys.modules
    assert images._RUNTIME in sys.modules


def test_a_list_gives_a_list_in_order_and_batches_do_not_matter(text_bundle: Path) -> None:
    model = Model(text_bundle)
    texts = ["short", "a much longer text about an order that never arrived " * 3, "", "mid length text here"] * 10
    together = model.outputs(texts)["logits"]
    alone = np.concatenate([model.outputs([text])["logits"] for text in texts])
    assert np.abs(together - alone).max() < 1e-5
    assert [a.label for a in model.predict(texts)] == [model.predict(text).label for text in texts]
    assert model.predict([]) == []
    assert len(model.predict("x", top_k=3)) == 3
    assert model.predict("x", top_k=None) == model.predict("x")


@pytest.mark.parametrize("count", [0, -1, 2.5, "3", True])
def test_a_number_of_answers_is_one(text_bundle: Path, count: Any) -> None:
    with pytest.raises(BundleError, match="not a number of answers"):
        Model(text_bundle).predict("x", top_k=count)


def test_a_batch_keeps_to_its_budget_and_its_rows(text_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(text_bundle)
    model.preprocessor.budget = 40
    shapes: list[tuple[int, int]] = []
    ask = model.graphs.model.run
    monkeypatch.setattr(
        model.graphs.model, "run", lambda given, wanted: shapes.append(given["input_ids"].shape) or ask(given, wanted)
    )
    texts = [" ".join(["order"] * (i % 25)) for i in range(60)]
    budgeted = model.outputs(texts)["logits"]
    assert sum(rows for rows, _ in shapes) == 60
    assert all(rows == 1 or rows * longest <= 40 for rows, longest in shapes)
    assert max(rows for rows, _ in shapes) > 4, "short texts share a batch"
    shapes.clear()
    model.preprocessor.budget = None
    np.testing.assert_allclose(model.outputs(texts)["logits"], budgeted, atol=1e-5)
    assert sorted(rows for rows, _ in shapes) == [28, 32]


def test_threads_that_share_a_model_get_their_own_answers(text_bundle: Path) -> None:
    model = Model(text_bundle)
    texts = [[f"{word} number {i}" * (1 + i % 7) for i in range(70)] for word in "abcdefgh"]
    alone = [model.predict(each) for each in texts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(model.predict, texts)) == alone
    assert alone[0] != alone[1]


def test_a_stream_answers_as_a_list_does_and_reads_no_further_than_it_must(
    text_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = Model(text_bundle), [0]

    def endless() -> Iterator[str]:
        while True:
            read[0] += 1
            yield f"order {read[0]} is late " * (read[0] % 5)

    next(model.stream(endless()))
    assert read[0] == 32, "the first answer waits for one batch"
    monkeypatch.setattr("graftc.runtime.model.CHUNK", 8)
    read[0] = 0
    found = list(islice(model.stream(endless(), top_k=2), 20))
    assert read[0] == 24
    again = [f"order {i} is late " * (i % 5) for i in range(1, 21)]
    alone = model.predict(again, top_k=2)
    assert [[a.label for a in answer] for answer in found] == [[a.label for a in answer] for answer in alone]
    assert list(model.stream([])) == []
    with pytest.raises(BundleError, match="many inputs"):
        next(model.stream("one text"))
    with pytest.raises(BundleError, match="input 12 can't be used") as caught:
        list(model.stream(["fine"] * 11 + [3]))
    assert caught.value.index == 11


def test_the_wrapper_is_typed_for_its_labels(text_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(text_bundle, tmp_path / "bundle")
    use = 'from predict import Model\nanswer = Model().predict("x")\nreveal_type(answer.label)\nreveal_type(Model().predict(["x"]))\nreveal_type(Model().stream(["x"]))\n'
    use += (
        'import numpy as np\nreveal_type(Model().predict(("x", "y")))\nreveal_type(Model().predict(np.array(["x"])))\n'
    )
    (tmp_path / "bundle" / "use.py").write_text(use)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "predict.py", "use.py"]
    ran = subprocess.run(command, cwd=tmp_path / "bundle", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "Literal['billing']" in ran.stdout
    assert ran.stdout.replace("builtins.", "").count("list[predict.Answer]") == 3


def test_a_decoder_may_ask_for_rows_that_it_makes_and_lets_go(text_bundle: Path) -> None:
    """A pass belongs to its rows, whatever lies later where they lay in memory."""
    model = Model(text_bundle)
    run = HeadRun(model, "", {})
    for made in [model.rows([text]) for text in ("where is my parcel", "hello")] * 4:
        alone = model.run(made)["logits"]
        assert np.array_equal(run.once(replace(made))["logits"], alone)


def test_the_checkpoint_reloads_with_the_same_logits(text_bundle: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModel, AutoTokenizer

    backbone = text_bundle.parent / "backbone"
    base = AutoModel.from_pretrained(backbone, add_pooling_layer=False)
    adapted = PeftModel.from_pretrained(base, str(text_bundle / "checkpoint")).eval()
    head = load_file(text_bundle / "checkpoint" / "head.safetensors")
    inputs = AutoTokenizer.from_pretrained(backbone)(["where is my parcel"], return_tensors="pt")
    with torch.no_grad():
        state = adapted(**inputs).last_hidden_state.mean(1)
        logits = state @ head["out.weight"].T + head["out.bias"]
    ours = Model(text_bundle).outputs(["where is my parcel"])["logits"]
    assert np.abs(logits.numpy() - ours).max() < 1e-4


def test_the_graph_is_standard_dynamic_and_anonymous(text_bundle: Path) -> None:
    graph = onnx.load(str(text_bundle / "model.onnx"))
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    assert [(i.domain, i.version) for i in graph.opset_import if i.domain in ("", "ai.onnx")] == [("", 17)]
    shapes = {v.name: [d.dim_param for d in v.type.tensor_type.shape.dim] for v in graph.graph.input}
    assert shapes == {name: ["batch", "sequence"] for name in ("input_ids", "attention_mask", "token_type_ids")}
    assert not any(node.doc_string or node.metadata_props for node in graph.graph.node)


def test_verify_gives_the_golden_answers_and_says_by_how_much(text_bundle: Path) -> None:
    worst = verify(text_bundle)
    assert set(worst) == {"fp32", "int8"}
    assert worst["fp32"] < 1e-5


def test_a_graph_outside_the_parity_gate_writes_no_bundle_and_keeps_the_evidence(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        build(tmp_path, "bert", export={"gate": {"parity": 1e-12}})
    found = caught.value.diagnostics[0]
    assert found.code == "E0401"
    evidence = Path(next(note for note in found.notes if "kept for inspection" in note).split(": ", 1)[1])
    assert (evidence / "model.onnx").is_file()
    assert not (tmp_path / "bundle").exists()


def test_a_metric_that_falls_too_far_stops_the_build() -> None:
    from graftc.compiler.stages import verify as stage

    plan: Any = type(
        "P",
        (),
        {
            "seed": 0,
            "export": type("E", (), {"allowed": lambda precision: 0.01}),
        },
    )
    head = HeadPlan(type="text-classification", pooling="mean", record=Json({}), parameters=1)
    task = TaskPlan.model_construct(name="", head=head, data=None, weight=None, metric="accuracy", adapt=None)
    targets = np.arange(200) % 2
    examples = Examples(targets, np.arange(200), (), [{}] * 200)
    good = {"logits": np.stack([1.0 - targets, targets], 1).astype(np.float32)}
    wrong = {"logits": good["logits"].copy()}
    wrong["logits"][:40] = wrong["logits"][:40, ::-1]
    record = {"labels": ("a", "b"), "is_multi": False}
    assert stage._gate(plan, task, (record, record), "int8", good, good, examples, Path())["drop"] == 0
    with pytest.raises(Refused) as caught:
        stage._gate(plan, task, (record, record), "int8", good, wrong, examples, Path())
    assert caught.value.diagnostics[0].code == "E0402"


def test_an_adapter_that_learned_nothing_stops_the_build(tmp_path: Path) -> None:
    # the one step falls into warm-up, where the rate is still zero
    with pytest.raises(Refused) as caught:
        build(tmp_path, "bert", adapt={"method": "lora"}, train={"max_steps": 1, "warmup": 0.9})
    assert caught.value.diagnostics[0].code == "E0404"
    assert not [note for note in caught.value.diagnostics[0].notes if "gradual_unfreezing" in note]


def test_an_adapter_that_had_not_joined_yet_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        build(tmp_path, "bert", adapt={"method": "lora"}, train={"max_steps": 1, "gradual_unfreezing": 1})
    assert caught.value.diagnostics[0].code == "E0404"
    assert "epoch 1 was the best, when no layer had joined yet" in str(caught.value.diagnostics[0].notes)


def test_hostile_labels_survive_the_wrapper(tmp_path: Path) -> None:
    labels = [
        "{{ 7*7 }}",
        "{% raw %}",
        "quote\"s '",
        "back\\slash",
        "new\nline",
        "emoji 🙂",
        "\u202eright to left",
        "'''",
        '"""',
    ]
    rows = [{"body": f"text number {i}", "queue": labels[i % len(labels)]} for i in range(100)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bundle = build(tmp_path, "bert", adapt={"method": "probe"}, data={**TEXT, "train": "rows.jsonl"})
    predict = load_module(bundle / "predict.py", "predict_hostile")
    answers = predict.Model().predict("x", top_k=10)
    assert {answer.label for answer in answers} == set(labels)
    assert "49" not in (bundle / "README.md").read_text(encoding="utf-8").split("## Use")[1]
    assert verify(bundle)


def test_ten_thousand_labels_build(tmp_path: Path) -> None:
    rows = [{"body": f"text {i}", "queue": f"label {i % 10_000}"} for i in range(20_000)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"train": "rows.jsonl", "columns": TEXT["columns"], "max_length": 8}
    bundle = build(tmp_path, "bert", adapt={"method": "probe"}, data=data, train={"max_steps": 2, "batch_size": 64})
    assert Model(bundle).predict("x").label.startswith("label ")
    assert "Label = str" in (bundle / "predict.py").read_text()


def test_a_bundle_serves_as_the_backbone_of_the_next(image_bundle: Path, tmp_path: Path) -> None:
    data = {"train": str(running.DIGITS / "train")}
    spec = running.write_spec(
        tmp_path, backbone={"from": f"bundle:{image_bundle}"}, head={"type": "image-classification"}, data=data,
        adapt={"method": "probe"}, train={"max_steps": 2},
    )  # fmt: skip
    bundle = build_source(read(spec), tmp_path / "bundle", tmp_path / "store", Progress(is_quiet=True)).folder
    ours, theirs = (load_file(b / "checkpoint" / "model.safetensors") for b in (bundle, image_bundle))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_first_precision_is_the_default_however_the_bundle_is_asked(tmp_path: Path) -> None:
    bundle = build(tmp_path, "bert", export={"precision": ["int8", "fp32"], "gate": {"metric_drop": 1.0}})
    predict = load_module(bundle / "predict.py", "predict_int8")
    assert Model(bundle).precision == "int8"
    assert predict.Model()._model.precision == "int8"


def test_the_output_folder_of_another_program_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text('{"name": "t"}')
    (tmp_path / "bundle" / "app.js").write_text("precious")
    with pytest.raises(Refused) as caught:
        build(tmp_path, "bert")
    assert caught.value.diagnostics[0].code == "E0501"
    assert (tmp_path / "bundle" / "app.js").read_text() == "precious"


def test_files_added_to_a_bundle_are_not_lost_to_the_next_build(text_bundle: Path) -> None:
    notes = text_bundle / "notes.txt"
    notes.write_text("mine")
    spec = text_bundle.parent / "spec.yaml"
    changed = spec.with_name("changed.yaml")
    changed.write_text(spec.read_text() + "description: another\n")
    try:
        with pytest.raises(Refused) as caught:
            build_source(read(changed), text_bundle, text_bundle.parent / "store", Progress(is_quiet=True))
        assert caught.value.diagnostics[0].code == "E0501"
        assert notes.read_text() == "mine"
    finally:
        notes.unlink()


def test_golden_outputs_may_be_numbers_or_empty() -> None:
    """A number that is zero is one, and not an array that lost its shape in JSON."""
    assert difference(np.array([0.0, 2.0]), [0.0, 1.0]) == 1.0
    assert difference([np.zeros((0, 4)), np.ones((1, 4))], [[], [[1.0] * 4]]) == 0.0
