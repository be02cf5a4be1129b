"""What a plan diff claims is what a build then does: the stages that run, those that are taken, the bundle's contract."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from graftc.compiler.api import build
from graftc.compiler.diff.compare import Diff
from graftc.compiler.execution.executor import Built

from ..builds import subjects
from ..front.cli import Command

LORA: dict[str, Any] = {"train": {"epochs": 1, "batch_size": 8, "learning_rate": 0.01}}
PROBE = {"adapt": {"method": "probe"}, **LORA}


class Bench:
    """A spec in a store of its own, which holds what `before`, the same spec, needed."""

    def __init__(self, folder: Path) -> None:
        self.before, self.source = folder / "before", folder / "source"
        self.store, self.bundles = folder / "store", folder / "bundles"

    def build(self, source: Path, *sets: str) -> Built:
        return build(source / "spec.yaml", self.bundles / source.name, self.store, sets)

    def stages(self) -> dict[str, set[str]]:
        """Keys of the finished stages, by name."""
        return {path.name: {key.name for key in path.iterdir()} for path in (self.store / "stages").iterdir()}

    def contract(self, source: Path) -> dict[str, Any]:
        """What users of a bundle rely on, as its files have it."""
        folder = self.bundles / source.name
        manifest = json.loads((folder / "manifest.json").read_bytes())
        head = {key: manifest["heads"][""].get(key) for key in ("type", "labels", "is_multi")}
        kept = {key: manifest[key] for key in ("precisions", "preprocessing")}
        kept["arrays"] = {n: [each["inputs"], each["outputs"]] for n, each in manifest["graphs"].items()}
        graphs = [onnx.load(path, load_external_data=False) for path in sorted(folder.glob("*.onnx"))]
        needs = [sorted((each.domain, each.version) for each in graph.opset_import) for graph in graphs]
        return {
            **kept,
            "needs": needs,
            "head": head,
            "checkpoint": (folder / "checkpoint" / "adapter_config.json").is_file(),
        }


def built(folder: Path, **sections: Any) -> Path:
    bench = Bench(folder)
    for place in (bench.before, bench.source):
        subjects.write(place, subjects.text(place, **sections))
    for path in (bench.before / "bert").iterdir():
        shutil.copyfile(path, bench.source / "bert" / path.name)
    bench.build(bench.before)
    return folder


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("lora"), **LORA)


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("probe"), **PROBE)


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(source: Path) -> None:
        text = (source / name).read_text()
        assert old in text
        (source / name).write_text(text.replace(old, new))

    return edit


def weights(source: Path) -> None:
    path = source / "bert" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))


def column(source: Path) -> None:
    for name in ("train.jsonl", "test.jsonl"):
        replace(name, '"text"', '"body"')(source)
    replace("spec.yaml", "text: text", "text: body")(source)


def moved(source: Path) -> None:
    (source / "train.jsonl").rename(source / "rows.jsonl")
    replace("spec.yaml", "train.jsonl", "rows.jsonl")(source)


LAST = {"verify", "pack"}
TRAINED = {"train", "evaluate", "health", "export", "checkpoint", *LAST}
Case = tuple[list[str], Callable[[Path], None] | None, set[str] | None]
OF_LORA: dict[str, Case] = {
    "nothing": ([], None, set()),
    "description": (["description=Other words."], None, {"pack"}),
    "gate": (["export.gate.metric_drop=0.5"], None, LAST),
    "samples": (["export.samples=validation"], None, LAST),
    "int8": (["export.precision=[int8, fp32]", "export.gate.metric_drop=1.0"], None, {"quantize", *LAST}),
    "opset": (["export.opset=18"], None, {"export", *LAST}),
    "optimize": (["export.optimize=onnxruntime"], None, {"export", *LAST}),
    "learning rate": (["train.learning_rate=0.005"], None, TRAINED),
    "metric": (["train.metric=f1_macro"], None, TRAINED),
    "batch size": (["train.batch_size=16"], None, TRAINED),
    "rank": (["adapt.rank=4"], None, {"rehearse", *TRAINED}),
    "freeze": (["backbone.freeze=[embeddings]"], None, {"rehearse", *TRAINED}),
    "weights": ([], weights, {"rehearse", *TRAINED}),
    "method": (
        ["adapt.method=probe"],
        None,
        {"rehearse", "features-train", "features-validation", "features-test", *TRAINED},
    ),
    "label order": (["head.labels=[good, bad]"], None, None),
    "max_length": (["data.max_length=16"], None, None),
    "test data": (
        [],
        replace("test.jsonl", "children", "people"),
        {"prepare-test", "floor", "evaluate", "health", *LAST},
    ),
    "training data": ([], replace("train.jsonl", "story", "tale"), None),
    "column": ([], column, None),
    "place": ([], moved, {"pack"}),
}
OF_PROBE: dict[str, Case] = {
    "optimize": (["export.optimize=onnxruntime"], None, {"export", *LAST}),
    "learning rate": (["train.learning_rate=0.005"], None, TRAINED),
    "head": (["head.dropout=0.3"], None, {"rehearse", "floor", *TRAINED}),
    "training data": ([], replace("train.jsonl", "story", "tale"), None),
}


@pytest.mark.parametrize(
    ("start", "case"),
    [*(("lora", case) for case in OF_LORA), *(("probe", case) for case in OF_PROBE)],
    ids=lambda value: str(value),
)
def test_a_build_does_what_the_difference_claims(
    start: str,
    case: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the last of a case is None, a build decides alone what runs; else it is known, and both must agree."""
    shutil.copytree(request.getfixturevalue(start), tmp_path, dirs_exist_ok=True, symlinks=True)
    bench = Bench(tmp_path)
    sets, edit, known = {"lora": OF_LORA, "probe": OF_PROBE}[start][case]
    if edit:
        edit(bench.source)
    monkeypatch.setenv("GRAFTC_STORE", str(bench.store))
    words = [word for flag in sets for word in ("--set", flag)]
    old, new = (str(place / "spec.yaml") for place in (bench.before, bench.source))
    diff = Diff.model_validate_json(Command(capsys)("plan", new, "--diff", old, "--json", *words).out)
    assert (diff.old, diff.new) == (old, " ".join((new, *words)))
    before = bench.stages()
    ran = set(bench.build(bench.source, *sets).ran)
    made = {name: keys - before.get(name, set()) for name, keys in bench.stages().items()}
    claimed = {run.stage for run in diff.runs}
    assert claimed == ran == {name for name, keys in made.items() if keys}
    assert known is None or claimed == known
    assert not set(diff.reuses) & ran
    assert set(diff.reuses) <= before.keys()
    assert diff.retrains == ("train" in ran)
    assert diff.is_equal == (not ran)
    assert bool(diff.breaking) == (bench.contract(bench.before) != bench.contract(bench.source))
