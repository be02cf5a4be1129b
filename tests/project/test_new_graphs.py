"""Heads whose decoders ask a graph again and again: two are added to a copy of the package and used in full.

One has a graph for each step beside that of the text; the step of the other takes a cache that grows on its third axis.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from ..backbones import tiny
from .copied import Copy, files

OVERLAY = Path(__file__).with_name("new_graphs")
WORDS = {"billing": "abc", "bug": "de", "howto": "bead", "other": "a"}
TASKS = ("spelling", "spelling-with-cache")
SPEC = {
    "graftc": 1,
    "name": "letters",
    "backbone": {"from": "./backbone"},
    "head": {"type": "spelling"},
    "data": {"train": "train.jsonl", "validation": {"fraction": 0.2}, "max_length": 16},
    "train": {"epochs": 12, "batch_size": 16, "learning_rate": {"backbone": 1e-3, "head": 1e-2}},
    "export": {"precision": ["fp32", "int8"], "gate": {"metric_drop": 1.0}},
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    made = Copy(tmp_path_factory.mktemp("copy"), OVERLAY, SPEC)
    tiny.save("bert", made.folder / "backbone")
    draw, rows = random.Random(0), []
    for topic, word in list(WORDS.items()) * 40:
        rows.append({"text": f"{topic} {draw.choice('abcd')} {topic}", "word": word})
    (made.folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


@pytest.fixture(scope="module")
def bundles(copy: Copy) -> Path:
    for task in TASKS:
        copy.run("build", copy.write(f"{task}.yaml", head={"type": task}), "--quiet", "-o", f"bundles/{task}")
    return copy.folder / "bundles"


def test_only_modules_of_their_own_are_added() -> None:
    names = [task.replace("-", "_") for task in TASKS]
    own = [f"{side}/heads/{name}.py" for side in ("compiler", "runtime") for name in names]
    assert files(OVERLAY) == sorted([*own, "compiler/heads/_letters.py", "compiler/metrics/letters.py"])


@pytest.mark.parametrize("task", TASKS)
def test_it_is_planned_built_and_asked(copy: Copy, bundles: Path, task: str) -> None:
    spec, bundle, folder = f"{task}.yaml", f"bundles/{task}", bundles / task
    plan = json.loads(copy.run("plan", spec, "--json"))
    assert list(plan["export"]["graphs"]) == ["model", "step"]
    assert "step inputs" in copy.run("plan", spec)

    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["graphs"]["step"]["files"] == {"fp32": "step.onnx", "int8": "step.int8.onnx"}
    assert manifest["metrics"]["validation"]["torch"]["exact"] > 0.9
    assert "MatMulInteger" in {node.op_type for node in onnx.load(folder / "step.int8.onnx").graph.node}
    assert "fp32: golden answers given" in copy.run("verify", bundle)
    assert "step.onnx (fp32" in copy.run("inspect", bundle)

    texts = [f"{topic} a {topic}" for topic in WORDS]
    answers = [json.loads(line) for line in copy.run("predict", bundle, *texts).splitlines()]
    assert [answer["word"] for answer in answers] == list(WORDS.values())
    script = [sys.executable, str(folder / "predict.py"), *texts]
    own = subprocess.run(script, capture_output=True, text=True, check=True, cwd=folder.parent).stdout
    assert [json.loads(line) for line in own.splitlines()] == answers


@pytest.mark.parametrize("task", TASKS)
def test_golden_samples_keep_what_each_step_gave(copy: Copy, bundles: Path, task: str) -> None:
    """A step that gives something else is found out, though the graph of the text is as it was."""
    bundle = bundles / task
    samples = [json.loads(line) for line in (bundle / "samples.jsonl").read_text().splitlines()]
    calls = [call for sample in samples for call in sample["calls"]]
    assert {call["graph"] for call in calls} == {"step"}
    assert all(call["outputs"].keys() == {"fp32", "int8"} for call in calls)
    if task == "spelling-with-cache":
        lengths = [call["inputs"]["past"]["shape"][2] for call in samples[0]["calls"]]
        assert lengths == list(range(len(lengths)))
    code = (
        "import json, sys; from pathlib import Path; from graftc.runtime.errors import BundleError\n"
        "from graftc.runtime import model, verify\n"
        "run = model.Graphs.run\n"
        "def other(self, name, arrays):\n"
        "    found = run(self, name, arrays)\n"
        "    return {k: v + 0.5 for k, v in found.items()} if name == 'step' else found\n"
        "model.Graphs.run = other\n"
        f"try: verify.verify({str(bundle)!r})\n"
        "except BundleError as error: print(error.code)\n"
    )
    assert copy.python("-c", code).strip() == "E0504"


def test_a_step_that_the_graph_has_otherwise_is_no_bundle(copy: Copy) -> None:
    """The parity gate sees every graph that a decoder asks: here the step is exported with another weight."""
    code = (
        "import sys, torch; from graftc.compiler.export import graph\n"
        "write = graph.write_graph\n"
        "def spoilt(network, plan, batch, path, name='model'):\n"
        "    if name != 'step': return write(network, plan, batch, path, name)\n"
        "    out = network.head(0).step.out.bias\n"
        "    with torch.no_grad(): out.add_(0.5)\n"
        "    write(network, plan, batch, path, name)\n"
        "    with torch.no_grad(): out.sub_(0.5)\n"
        "graph.write_graph = spoilt\n"
        "from graftc.compiler.cli import main; sys.argv = ['graftc', 'build', 'spelling.yaml', '--quiet', '-o', 'other', '--store', 'own']; main()\n"
    )
    copy.write("spelling.yaml")
    said = copy.python("-c", code, status=1)
    assert "error[E0401]" in said
    assert "output `step.logits`" in said
    assert not (copy.folder / "other").exists()


def test_arrays_of_no_length_are_kept_with_their_shape() -> None:
    from graftc.runtime.verify import array_of, kept

    empty = np.zeros((1, 2, 0, 4), np.float32)
    assert array_of(json.loads(json.dumps(kept(empty))), "float32").shape == empty.shape
