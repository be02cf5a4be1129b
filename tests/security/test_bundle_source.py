"""Door 11: a checkpoint is that of its bundle's manifest or it is not started from, and no gate is wide enough for anything."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file

from graftc.compiler.api import build, lock_source, plan
from graftc.compiler.diagnostics import Refused
from graftc.compiler.language.source import read
from graftc.compiler.planning.export import ExportPlan
from graftc.compiler.planning.plan import read_plan
from graftc.compiler.sources import Missing
from graftc.compiler.sources import bundle as source
from graftc.runtime.errors import BundleError
from graftc.runtime.manifest import read_manifest
from graftc.runtime.shape import NUMBER, UpTo, wrong
from graftc.runtime.verify import verify

from ..front import test_bad_bundle
from ..front.conftest import Project

text_bundle, seal, manifest = test_bad_bundle.text_bundle, test_bad_bundle.seal, test_bad_bundle.manifest


@pytest.fixture
def start(project: Project, text_bundle: Path, bert: Path) -> Path:
    """A project that starts from a bundle, whose checkpoint has more than one kind of file."""
    folder = project.folder / "first"
    shutil.copytree(text_bundle, folder)
    shutil.copytree(bert, folder / "checkpoint")
    (folder / "checkpoint" / "README.md").write_text("---\nlicense: mit\n---\n")
    seal(folder, manifest(folder))
    project.replace("./backbone", "bundle:first")
    return folder / "checkpoint"


def weights(path: Path, place: Path) -> None:
    """Other weights in the place of a checkpoint's, of the same names, shapes and so of the same size."""
    zeros = {name: np.zeros_like(tensor) for name, tensor in load_file(path).items()}
    save_file(zeros, place, {"format": "pt"})


ATTACKS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "config.json": (lambda c: (c / "config.json").write_text((c / "config.json").read_text() + " "), "was changed"),
    "tokenizer.json": (
        lambda c: (c / "tokenizer.json").write_text((c / "tokenizer.json").read_text().replace("[UNK]", "[UNQ]")),
        "was changed",
    ),
    "a longer README.md": (lambda c: (c / "README.md").write_text("---\nlicense: cc0-1.0\n---\n"), "was changed"),
    "more": (lambda c: (c / "preprocessor_config.json").write_text("{}"), "is not part of the bundle"),
    "a link": (lambda c: (c / "modules.json").symlink_to("config.json"), "is not part of the bundle"),
    "a file in a folder": (
        lambda c: ((c / "1_Pooling").mkdir(), (c / "1_Pooling" / "config.json").write_text("{}")),
        "is not part of the bundle",
    ),
    "less": (lambda c: (c / "tokenizer_config.json").unlink(), "is missing"),
    "a pipe": (lambda c: ((c / "README.md").unlink(), os.mkfifo(c / "README.md")), "was changed"),
    "longer weights": (
        lambda c: (c / "model.safetensors").write_bytes((c / "model.safetensors").read_bytes() + b" "),
        "was changed",
    ),
    "no manifest": (lambda c: (c.parent / "manifest.json").unlink(), "is not a bundle"),
    "half a manifest": (lambda c: os.truncate(c.parent / "manifest.json", 99), "can't be read"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_checkpoint_that_is_not_the_bundle_s_is_refused_at_its_place(
    project: Project, start: Path, attack: str
) -> None:
    assert project.validate().codes == []
    spoil, word = ATTACKS[attack]
    spoil(start)
    (found,) = project.validate().findings
    assert (found.code, found.under) == ("E0301", "bundle:first")
    assert word in found.notes


def test_other_weights_of_the_same_size_are_not_trained_from(project: Project, start: Path) -> None:
    size = (start / "model.safetensors").stat().st_size
    weights(start / "model.safetensors", start / "model.safetensors")
    assert (start / "model.safetensors").stat().st_size == size
    for act in (lambda: build("spec.yaml", "out", "store"), lambda: lock_source(read(Path("spec.yaml")))):
        with pytest.raises(Refused) as caught:
            act()
        (found,) = caught.value.diagnostics
        assert found.code == "E0301"
        assert "`checkpoint/model.safetensors` was changed" in found.notes[0]
    assert not Path("out").exists()
    assert not list(Path("store").glob("stages/*/*"))


def test_a_checkpoint_of_links_is_judged_by_what_they_lead_to(start: Path) -> None:
    """As in the cache of a hub."""
    for path in [path for path in start.iterdir() if path.is_file()]:
        path.rename(start.parent.parent / f"blob-{path.name}")
        path.symlink_to(start.parent.parent / f"blob-{path.name}")
    located = source.locate("first", start.parents[1])
    source.check(located, None)
    weights(start / "model.safetensors", start / "model.safetensors")
    with pytest.raises(Missing, match="was changed"):
        source.check(located, None)


# --- gates


def widened(folder: Path, **gates: Any) -> Path:
    """A bundle whose graph answers otherwise than its golden samples, with wider gates in a manifest made to suit."""
    graph = onnx.load(folder / "model.onnx")
    (table,) = graph.graph.initializer
    table.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(table)), table.name))
    onnx.save(graph, folder / "model.onnx")
    found = manifest(folder)
    found["gates"] |= gates
    seal(folder, found)
    return folder


@pytest.mark.parametrize(
    "allowed", ["1e999", "1e308", "1.0000001", "-1", "true", "null", '"1"', "NaN", "Infinity", "9" * 400]
)
@pytest.mark.parametrize("gate", ["parity", "samples_allowed"])
def test_a_gate_that_passes_anything_is_a_damaged_manifest(
    text_bundle: Path, tmp_path: Path, gate: str, allowed: str
) -> None:
    folder = shutil.copytree(text_bundle, tmp_path / "bundle")
    number = "@@" if gate == "samples_allowed" else {"worst": 0.0, "allowed": "@@"}
    widened(folder, **{gate: number})
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"@@"', allowed))
    with pytest.raises(BundleError) as caught:
        verify(folder)
    assert caught.value.code == "E0503"


def test_what_graftc_writes_and_a_spec_may_ask_for_is_no_damage(text_bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(text_bundle, tmp_path / "bundle")
    found = manifest(folder)
    assert found["gates"]["samples_allowed"] == 0.05
    seal(folder, {**found, "gates": {**found["gates"], "parity": {"worst": 0.0, "allowed": 1.0}}})
    assert verify(folder) == {"fp32": 0.0}
    with pytest.raises(BundleError) as caught:
        verify(widened(folder, parity={"worst": 0.0, "allowed": 1e-4}))
    assert caught.value.code == "E0504"


def test_no_number_of_a_manifest_is_beyond_all_numbers(text_bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(text_bundle, tmp_path / "bundle")
    (folder / "manifest.json").write_text(json.dumps({**manifest(folder), "retain": "@"}).replace('"@"', "-1e999"))
    with pytest.raises(BundleError) as caught:
        read_manifest(folder)
    assert caught.value.code == "E0503"


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1 << 63, 10**400, True, "1", None])
def test_what_is_no_finite_number_is_none(value: Any) -> None:
    assert list(wrong(value, NUMBER, "x")) == ["`x` is not a number"]
    assert list(wrong(value, UpTo(1.0), "x")) == ["`x` is not a number from 0 to 1"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("parity", "1e308"),
        ("parity", "1e999"),
        ("parity", "0.0"),
        ("parity", "-1.0"),
        ("metric_drop", "1e3"),
        ("metric_drop", "-0.5"),
    ],
)
def test_a_plan_asks_for_no_wider_gate_than_a_spec(project: Project, key: str, value: str) -> None:
    made = plan("spec.yaml")
    text = made.text()
    assert read_plan(text, "plan.json") == made
    known = json.dumps(getattr(made.export, key))
    assert text.count(f'"{key}":{known}') == 1
    with pytest.raises(Refused) as caught:
        read_plan(text.replace(f'"{key}":{known}', f'"{key}":{value}'), "plan.json")
    assert caught.value.diagnostics[0].code == "E0212"
    assert key in ExportPlan.model_fields


@pytest.mark.parametrize("value", ["1e999", ".inf", ".nan", "1.1", "0", "-1"])
def test_a_spec_asks_for_a_gate_that_holds(project: Project, value: str) -> None:
    project.replace("precision: [fp32]", f"gate: {{parity: {value}}}")
    answer = project.validate()
    assert answer.status == 1
    assert {code[:3] for code in answer.codes} == {"E02"}
