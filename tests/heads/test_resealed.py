"""Bundles of language models whose manifest says what the graph is not, sealed anew: refused, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graftc
from graftc.runtime.errors import BundleError
from graftc.runtime.heads.text_generation import steps_of
from graftc.runtime.manifest import sealed
from graftc.runtime.model import HeadRun

from .test_text_generation import backbone, pairs, write

Edit = Callable[[dict[str, Any]], None]
PAST = "past_key_values.0.key"


@pytest.fixture(scope="module", params=["portable", "onnxruntime"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    backbone("llama", folder / "backbone")
    export = {"optimize": request.param, "gate": {"metric_drop": 1.0}}
    spec = write(folder, "llama", pairs(), adapt={"method": "lora"}, export=export)
    graftc.build(spec, folder / "bundle", store=folder / "store")
    return folder / "bundle"


def resealed(bundle: Path, folder: Path, edit: Edit) -> Path:
    """A copy of a bundle with another manifest, and its seal."""
    shutil.copytree(bundle, folder, copy_function=shutil.copy)
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(manifest)
    (folder / "manifest.json").write_text(json.dumps(sealed(manifest)))
    return folder


def graph(manifest: dict[str, Any]) -> Any:
    return manifest["graphs"]["model"]


def another(manifest: dict[str, Any]) -> None:
    inputs = graph(manifest)["inputs"]
    inputs["past_key_values.77.key"] = inputs[PAST]


def words(count: int) -> Edit:
    return lambda manifest: graph(manifest)["outputs"]["logits"]["shape"].__setitem__(-1, count)


def past(**more: Any) -> Edit:
    return lambda manifest: graph(manifest)["inputs"][PAST].update(more)


EDITS: dict[str, Edit] = {
    "logits of no end": words(1 << 50),
    "logits below none": words(-5),
    "other logits": words(7),
    "a side below none": past(shape=["batch", -1, "past", 16]),
    "another type": past(dtype="zzz"),
    "no sides": past(shape=[True, None, {}, []]),
    "a default beyond memory": past(shape=[1 << 23, 1 << 23, 1 << 23, 1 << 23]),
    "a graph twice": lambda manifest: manifest.update(passes=["model", "model"]),
    "padding": lambda manifest: manifest["heads"][""].update(padding="up"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_manifest_that_is_not_the_graph_s_is_refused(built: Path, name: str, tmp_path: Path) -> None:
    bundle = resealed(built, tmp_path / "bundle", EDITS[name])
    with pytest.raises(BundleError) as caught:
        graftc.load(bundle).predict("the small", max_new_tokens=2)
    assert caught.value.code == "E0503"


def test_an_input_that_the_graph_does_not_take_is_refused_or_left_out(built: Path, tmp_path: Path) -> None:
    bundle = resealed(built, tmp_path / "bundle", another)
    if graftc.load(built).manifest["optimize"] == "portable":  # what the graph does not take is left out
        wanted = graftc.load(built).predict("the small", max_new_tokens=2)
        assert graftc.load(bundle).predict("the small", max_new_tokens=2) == wanted
        return
    with pytest.raises(BundleError) as caught:
        graftc.load(bundle).predict("the small", max_new_tokens=2)
    assert caught.value.code == "E0503"


@pytest.mark.parametrize("layers", [1, 50, (1 << 24) - 1])
def test_the_cache_has_the_graph_s_own_names(built: Path, layers: int, tmp_path: Path) -> None:
    bundle = resealed(built, tmp_path / "bundle", lambda manifest: manifest["heads"][""].update(layers=layers))
    wanted = graftc.load(built).predict("the small", max_new_tokens=3)
    assert graftc.load(bundle).predict("the small", max_new_tokens=3) == wanted


def test_an_option_of_the_manifest_may_be_true_or_false(built: Path, tmp_path: Path) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["heads"][""]["generation"]["early_stopping"] = True

    assert graftc.load(resealed(built, tmp_path / "bundle", edit)).predict("the small", beams=2, max_new_tokens=2)


def test_rows_that_move_bring_all_their_tokens(built: Path) -> None:
    """Two rows change places: each goes on as it would have gone on in its own place."""
    loaded = graftc.load(built)
    steps = [steps_of(HeadRun(loaded, "", {}), loaded.heads[""]) for _ in range(2)]
    given = [[5, 6, 7, 8], [50, 60, 70, 80]]
    for each in steps:
        each.start(given)
    steps[1].keep(np.array([1, 0]))
    token = np.array([9, 90])
    assert np.allclose(steps[1].step(token[::-1].copy()), steps[0].step(token)[::-1], atol=1e-5)


def test_a_search_is_the_same_alone(built: Path) -> None:
    loaded = graftc.load(built)
    prompts = ["the small", "a text and writes what comes", "the network reads"]
    alone = [loaded.predict(prompt, beams=3, max_new_tokens=8).generated_text for prompt in prompts]
    assert [each.generated_text for each in loaded.predict(prompts, beams=3, max_new_tokens=8)] == alone
