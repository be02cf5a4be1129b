"""The pages of what goes wrong while building, with the machine and with bundles: each printed by what prints it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper
from safetensors.torch import save_file

from graftc.compiler.api import plan as planned
from graftc.compiler.cli import build as building
from graftc.compiler.diagnostics import Refused, pages
from graftc.compiler.execution.prepared import Examples
from graftc.compiler.execution.preprocessing import preprocessor
from graftc.compiler.execution.progress import Progress
from graftc.compiler.execution.work import Work
from graftc.compiler.export import fusion, graph, parity, trials
from graftc.compiler.features.cache import FeatureWriter
from graftc.compiler.machine import describe
from graftc.compiler.model import assembly
from graftc.compiler.renderers._terminal import Terminal
from graftc.compiler.renderers.text import text
from graftc.compiler.stages import checkpoint, export, verify
from graftc.compiler.store.store import Store
from graftc.compiler.training import validation
from graftc.compiler.training.loaders import arrays

from ..backbones import tiny
from ..train import running
from . import test_bad_bundle
from .cli import Command
from .conftest import ROWS, Project
from .test_explain import BLOCK, Page
from .test_golden import GOLDEN, compare

ROOT = Path(__file__).resolve().parents[2]
text_bundle, image_bundle = test_bad_bundle.text_bundle, test_bad_bundle.image_bundle


def steady(said: str, folder: Path) -> str:
    """A text without what differs between machines: where things lie, and the last digits of what was measured."""
    said = said.replace(f"pip install -e '{ROOT}[build]'", "pip install 'graftc[build]'")
    said = said.replace(f"{folder}/store", "~/.cache/graftc").replace(f"{folder}/", "")
    return re.sub(r"difference \d\.\de[+-]\d\d\b", "difference 2.4e-03", said)


def refused(act: Callable[[], Any]) -> str:
    """What the command line prints, on a terminal of 110 columns, of what a function refuses."""
    with pytest.raises(Refused) as caught:
        act()
    # made steady before it is wrapped: how long the path of a test's folder is differs, too
    found = [replace(d, notes=tuple(steady(note, Path.cwd()) for note in d.notes)) for d in caught.value.diagnostics]
    return text(found, terminal=Terminal(110)) + "\n"


def shown(code: str, said: str, folder: Path) -> None:
    """What was printed is what the page shows and what was accepted."""
    said = steady(said, folder)
    (block,) = BLOCK.finditer(Page.of(code).parts["When"])
    compare(f"build_{code}", said)
    assert said.rstrip() == block["text"].partition("\n")[2].rstrip()


# --- what a build finds


@pytest.fixture
def work(project: Project) -> Work:
    """What the stages after training get: a plan, its backbone, and tensors as training would leave them."""
    plan, folder = planned("spec.yaml"), project.backbone()
    learned = project.folder / "store" / "train"
    out = project.folder / "store" / "out"
    for made in (learned, out):
        made.mkdir(parents=True)
    start = assembly.learned(assembly.assemble(plan, folder), plan)
    save_file({name: tensor.detach().contiguous() for name, tensor in start.items()}, learned / "learned.safetensors")
    (learned / "history.json").write_text(json.dumps({"epochs": [], "best_epoch": 1, "steps": 1}))
    return Work(plan, project.folder, folder, describe(), {"train": learned}, out, Progress(is_quiet=True))


def merged(work: Work) -> Any:
    network = assembly.remember(work.memory, work.plan, work.backbone, work.inputs["train"])
    return export._merge(
        network, work.plan, preprocessor(work.plan, work.backbone), parity.golden_inputs(work.plan), work
    )


def test_a_graph_that_disagrees(work: Work) -> None:
    """The graph of one network held against another of the same shape."""
    plan, processor = work.plan, preprocessor(work.plan, work.backbone)
    network = assembly.assemble(plan, work.backbone)
    inputs, path = parity.golden_inputs(plan), work.out / "model.onnx"
    batch = arrays(processor.collate(processor.rows(inputs[:3]).features), "cpu")
    graph.write_graph(network, plan, batch, path)
    with torch.no_grad():
        network.heads[0].get_parameter("out.bias").add_(0.5)
    found = parity.compare(network, plan, processor, work.out, inputs)
    said = refused(lambda: parity.gate(found, plan, path))
    shown("E0401", re.sub(r"worst in .*", "worst in a batch of 3", said), work.root)


def test_a_graph_that_can_t_be_run_on_some_inputs(work: Work) -> None:
    plan, processor = work.plan, preprocessor(work.plan, work.backbone)
    network = assembly.assemble(plan, work.backbone)
    inputs, path = parity.golden_inputs(plan), work.out / "model.onnx"
    batch = arrays(processor.collate(processor.rows(inputs[:3]).features), "cpu")
    graph.write_graph(network, plan, batch, path)
    model = onnx.load(str(path))
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 3
    onnx.save(model, str(path))
    said = refused(lambda: parity.gate(parity.compare(network, plan, processor, work.out, inputs), plan, path))
    assert "error[E0401]" in said
    assert re.search(r"it can't be run: .*dimension", said)


def test_a_metric_that_falls(work: Work) -> None:
    truth = np.arange(200) % 3
    ours = {"logits": np.eye(3, dtype=np.float32)[truth]}
    theirs = {"logits": ours["logits"].copy()}
    theirs["logits"][:40] = np.roll(theirs["logits"][:40], 1, 1)
    record = {"labels": ("billing", "bug", "howto"), "is_multi": False}
    examples = Examples(truth, np.arange(200), (), [{}] * 200)
    draft = work.root / "store" / "draft"
    shown(
        "E0402",
        refused(
            lambda: verify._gate(work.plan, work.plan.tasks[0], (record, record), "int8", ours, theirs, examples, draft)
        ),
        work.root,
    )


def test_int8_that_is_never_small(work: Work) -> None:
    tried = ("dynamic", "dynamic with the first and the last product in float")

    def act() -> None:
        raise trials.hopeless(work, "int8", [], tried)

    shown("E0420", refused(act), work.root)


def test_a_merge_that_disagrees(work: Work) -> None:
    """Updates that all but cancel in fp32, so that their sum depends on the order of adding."""
    network = assembly.assemble(work.plan, work.backbone)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.backbone.named_parameters():
            if "lora_A" in name:
                tensor[0] = 1e6 * torch.randn(tensor.shape[1], generator=draw)
                tensor[1] = -tensor[0] * (1 + 1e-6 * torch.randn(tensor.shape[1], generator=draw))
            elif "lora_B" in name:
                tensor[:, 0] = tensor[:, 1] = torch.randn(tensor.shape[0], generator=draw)
    work.memory[f"network {work.inputs['train']}"] = network
    shown("E0403", refused(lambda: merged(work)), work.root)


def test_a_merge_of_what_was_never_trained(work: Work) -> None:
    shown("E0404", refused(lambda: merged(work)), work.root)


def test_data_that_changed_since_it_was_planned(project: Project, graftc: Command) -> None:
    assert graftc("plan", "spec.yaml", "-o", "plan.json").status == 0
    project.write("train.jsonl", ROWS[1:])
    typed("E0405", project.folder, graftc)


def test_a_backbone_of_another_shape(work: Work, tmp_path: Path) -> None:
    other = tmp_path / "other"
    tiny.save("bert", other, num_hidden_layers=2)
    shown("E0406", refused(lambda: assembly.assemble(work.plan, other)), work.root)


def test_a_backbone_that_transformers_refuses(work: Work, tmp_path: Path) -> None:
    other = tmp_path / "other"
    tiny.save("bert", other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "num_attention_heads": 5}))
    said = refused(lambda: assembly.assemble(work.plan, other)).replace(f"{tmp_path}/", "")
    shown("E0388", said, work.root)


def test_a_loss_that_runs_away(project: Project) -> None:
    """A head whose answers are larger than fp32 holds, in the step after the last."""
    run = running.training(project.spec, project.folder / "store")[2]
    with torch.no_grad():
        run.network.heads[0].get_parameter("out.weight").fill_(3e38)
    said = refused(lambda: run._step(run.sets[0], range(8)))
    said = re.sub(r"it was \d\.\d+", "it was 1.082", re.sub(r"step \d+", "step 3", said))
    shown("E0407", said, project.folder)


def test_states_that_are_not_the_network_s(project: Project) -> None:
    """What is kept answers otherwise than the rows."""
    run = running.training(project.spec, project.folder / "store")[2]
    (rows,) = run.sets[0].rows
    kept, asked = run.network.answers, iter(range(9))
    run.network.answers = lambda batch, names: {
        n: {k: v * (1 + next(asked)) for k, v in o.items()} for n, o in kept(batch, names).items()
    }
    said = refused(lambda: validation.refuse_unlike(run.network, rows, [np.arange(8)]))
    shown(
        "E0418",
        re.sub(
            r"batch 1: .* from the cache, .* from",
            "batch 1: 2.4 from the cache, 1.0 from",
            re.sub(r"of them: \S+,", "of them: 5.8e-01,", said),
        ),
        project.folder,
    )


def test_states_too_large_for_half_precision(project: Project) -> None:
    writer = FeatureWriter(project.folder, 1, 2, None, "fp16")
    shown("E0419", refused(lambda: writer.put([0], np.array([[7e4, 1]], np.float32))), project.folder)


def test_a_graph_of_other_operators(work: Work) -> None:
    path, planned = work.out / "model.onnx", work.plan.export.graphs["model"]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "sequence"]) for n in planned.inputs]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])]
    nodes = [helper.make_node("FusedMatMul", [inputs[0].name, inputs[1].name], ["logits"], domain="com.microsoft")]
    onnx.save(helper.make_model(helper.make_graph(nodes, "foreign", inputs, outputs)), path)
    shown("E0408", refused(lambda: graph._finish(work.plan, planned, path)), work.root)


def test_a_graph_without_anything_to_fuse(work: Work) -> None:
    path = work.out / "model.onnx"
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3])] for name in ("pixel_values", "logits")
    )
    nodes = [helper.make_node("Relu", ["pixel_values"], ["logits"])]
    model = helper.make_model(
        helper.make_graph(nodes, "plain", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, path)
    shown("E0513", refused(lambda: fusion.fuse(path)), work.root)


def test_an_adapter_that_does_not_come_back(work: Work) -> None:
    """What the network does beside its weights is not in a checkpoint."""
    network = assembly.remember(work.memory, work.plan, work.backbone, work.inputs["train"])
    plan = work.plan.model_copy(update={"method": work.plan.method.model_copy(update={"method": "full"})})
    work = Work(plan, work.root, work.backbone, work.machine, work.inputs, work.out, work.progress, work.memory)
    network.backbone = network.backbone.merge_and_unload()
    network.backbone.embeddings.register_forward_hook(lambda module, given, answer: answer * 2)
    shown("E0413", refused(lambda: checkpoint.run(work)), work.root)


# --- the machine


def typed(code: str, folder: Path, graftc: Command) -> None:
    """Types what the page types."""
    (block,) = BLOCK.finditer(Page.of(code).parts["When"])
    words = shlex.split(block["text"].partition("\n")[0].removeprefix("$ "))
    answer = graftc(*words[words.index("graftc") + 1 :])
    assert answer.codes == [code], answer.err
    shown(code, answer.err, folder)


def test_a_missing_extra(project: Project, graftc: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("torch", "peft"):
        monkeypatch.setitem(sys.modules, library, None)  # Python's own word for what can't be imported
    typed("E0409", project.folder, graftc)


def test_a_full_disk(project: Project, graftc: Command) -> None:
    typed("E0410", project.folder, graftc)


def test_a_store_that_lost_bytes(project: Project, graftc: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(project.folder / "store")
    monkeypatch.setenv("GRAFTC_STORE", str(store.root))
    for number in range(9):
        store.make("evaluate", f"{number:064}", lambda out: (out / "metrics.json").write_text("{}"))
    (store.path("evaluate", "0" * 64) / "metrics.json").write_text("[]")
    (block,) = BLOCK.finditer(Page.of("E0416").parts["When"])
    assert "graftc cache verify\n" in block["text"]
    shown("E0416", graftc("cache", "verify").err.replace("0" * 64, "KEY"), project.folder)


def test_a_limit_that_is_no_size(project: Project, graftc: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFTC_STORE_LIMIT", "plenty")
    typed("E0417", project.folder, graftc)


def test_half_precision_without_a_gpu(project: Project, graftc: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFTC_DEVICE", "cpu")
    typed("E0411", project.folder, graftc)


def test_a_folder_that_is_not_there(project: Project, graftc: Command) -> None:
    typed("E0412", project.folder, graftc)


def test_a_store_in_a_folder_that_is_open_to_all(project: Project, graftc: Command) -> None:
    (project.folder / "open").mkdir()
    (project.folder / "open").chmod(0o777)
    typed("E0426", project.folder, graftc)


def test_memory_that_is_at_its_end(project: Project, graftc: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user's file may take is limited everywhere, so that the machine itself has to be short of it."""

    def short(*_: Any) -> Any:
        raise MemoryError

    graftc("plan", "spec.yaml", "-o", "plan.json")
    monkeypatch.setattr(building, "read_plan_file", short)
    typed("E0414", project.folder, graftc)


def test_a_line_larger_than_the_memory(place: Path, graftc: Command) -> None:
    with Path("inputs.txt").open("wb") as file:
        file.truncate(4 << 40)
    answer = graftc("predict", "bundle", "--input", "inputs.txt")
    assert answer.codes == ["E0505"]
    assert "longer than 16 MiB" in answer.err


# --- bundles


@pytest.fixture
def place(text_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the text bundle, in the folder where the test stands."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(text_bundle, tmp_path / "bundle"))


def other_answers(place: Path) -> None:
    lines = [json.loads(line) for line in (place / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        line["outputs"]["fp32"]["logits"][0][0] += 1
    (place / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    test_bad_bundle.seal(place, test_bad_bundle.manifest(place))


def later(place: Path) -> None:
    (place / "manifest.json").write_text(json.dumps({**test_bad_bundle.manifest(place), "bundle": 6}))


def keys(folder: Path) -> None:
    """A pair of keys as OpenSSL writes them."""
    key = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "release.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "release.pub").write_bytes(key.public_key().public_bytes(*form))


SPOILT: dict[str, Callable[[Path], Any]] = {
    "E0501": lambda place: (place.parent / "tickets.yaml").write_text("mine"),
    "E0502": lambda place: (place.parent / "notes").mkdir(),
    "E0503": test_bad_bundle.change_byte,
    "E0504": other_answers,
    "E0505": lambda place: (place.parent / "inputs.txt").write_text("my parcel is late\n[the app crashes\n"),
    "E0506": later,
    "E0508": lambda place: keys(place.parent),
    "E0509": lambda place: keys(place.parent),
}


@pytest.mark.parametrize("code", SPOILT)
def test_a_bundle_that_is_not_as_it_was(code: str, place: Path, graftc: Command) -> None:
    SPOILT[code](place)
    typed(code, place.parent, graftc)


def test_a_bundle_without_its_package(
    image_bundle: Path, tmp_path: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(image_bundle, tmp_path / "bundle")
    shutil.copy(image_bundle.parent / "train" / "0" / "0.png", tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    typed("E0507", tmp_path, graftc)


def of_builds() -> set[str]:
    """Codes of building and of bundles; those of scores and of starts are of specs."""
    return {code for code in pages.codes() if "E04" <= code < "E052" and not "E043" <= code < "E047"}


def test_every_code_of_building_has_its_case() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    codes = of_builds()
    mine = set(re.findall(r'"(E04\d\d|E05[01]\d)"', source))
    elsewhere = {"E0415"}  # two specs into one folder, by the tests of `build`
    assert codes - elsewhere == mine - elsewhere


def test_every_accepted_text_of_builds_belongs_to_a_page() -> None:
    found = {path.stem.removeprefix("build_") for path in GOLDEN.glob("build_*.txt")}
    assert found == of_builds() - {"E0415"} | {"E0388"}
