"""Heads that are fitted before the first step: to what, how well, and what training makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression, Ridge
from torch.nn import functional

import graftc
from graftc.compiler import variants
from graftc.compiler.cli import cli
from graftc.compiler.diff.snapshots import of_spec
from graftc.compiler.diff.stages import compare_stages
from graftc.compiler.execution.preprocessing import preprocessor
from graftc.compiler.export.parity import golden_inputs
from graftc.compiler.features.cache import read_cache
from graftc.compiler.language.source import read
from graftc.compiler.model.assembly import assemble
from graftc.compiler.training.fitting import CHANCE, fitted, solve
from graftc.compiler.training.loaders import arrays, outputs_of
from graftc.compiler.training.loop import Training

from ..heads import building
from . import running

RATE = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3}
ROWS = [
    {"text": f"{who} {does}", "label": label, "score": float(i + len(who) % 3), "labels": [label, label[::-1]][: i % 3]}
    for i, who in enumerate(("the manager", "a customer", "our team", "nobody", "my sister", "the new bank"))
    for does, label in (("was billed twice", "bill"), ("sees a blank page", "bug"), ("asks how", "how"), ("was charged", "bill"))
]  # fmt: skip


def spec(folder: Path, head: dict[str, Any], method: str = "lora", columns: Any = None, **sections: Any) -> Path:
    """A spec on a tiny bert and these rows."""
    building.write_rows(folder / "train.jsonl", ROWS)
    building.write_rows(folder / "validation.jsonl", ROWS[1::2])
    data = {"train": "train.jsonl", "validation": "validation.jsonl", "columns": columns or {}, "max_length": 16}
    given = {"train": RATE, **sections}
    return building.written(folder, "bert", head, data, adapt={"method": method}, **given)


LABEL = {"text": "text", "label": "label"}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one label": ({"type": "text-classification"}, LABEL),
    "several labels": ({"type": "text-classification"}, {"text": "text", "labels": "labels"}),
    "weighted": ({"type": "text-classification", "loss": {"class_weights": "balanced", "focal": 2.0}}, LABEL),
    "a number": ({"type": "text-regression", "loss": "l1"}, {"text": "text", "score": "score"}),
}


# ----------------------------------------------------------------------------------------------------- the solver


def problem(rows: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(3)
    features = draws.normal(size=(rows, 24)) * 0.4 + draws.normal(size=24)
    wanted = features @ draws.normal(size=(24, outputs)) + draws.normal(size=(rows, outputs))
    return features, wanted - wanted.mean(0)


def scaled(features: np.ndarray) -> np.ndarray:
    """Mean 0 and a mean square of 1 over all: what a strength is meant for."""
    moved = features - features.mean(0)
    found: np.ndarray = moved / np.sqrt((moved**2).mean())
    return found


def test_a_fit_to_labels_is_what_scikit_learn_finds() -> None:
    features, wanted = problem(200, 5)
    targets, strength = wanted.argmax(1), 0.02
    shares = np.bincount(targets) / len(targets)
    unit = -(shares * np.log(shares)).sum()  # what the best constant answer loses
    found = solve(torch.from_numpy(features), torch.from_numpy(targets), 5, functional.cross_entropy, strength)
    theirs = LogisticRegression(C=1 / (len(targets) * strength * unit), tol=1e-10, max_iter=10_000)
    logits = theirs.fit(scaled(features), targets).decision_function(scaled(features))
    ours = features @ found.weight.numpy().T + found.bias.numpy()
    assert np.abs((ours - ours.mean(1, keepdims=True)) - (logits - logits.mean(1, keepdims=True))).max() < 1e-3
    assert 0 < found.iterations < 500


def test_a_fit_to_weighted_several_labels_is_what_scikit_learn_finds() -> None:
    features, wanted = problem(200, 3)
    targets, weights = (wanted > 1.5).astype(np.float32), torch.tensor([1.0, 3.0, 0.5])

    def loss(outputs: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(outputs, given, pos_weight=weights)

    found = solve(torch.from_numpy(features), torch.from_numpy(targets), 3, loss, 0.02)
    ours = features @ found.weight.numpy().T + found.bias.numpy()
    constant = [(t.mean(), w) for t, w in zip(targets.T, weights.tolist(), strict=True)]
    unit = np.mean([-(w * p * np.log(w * p / (w * p + 1 - p)) + (1 - p) * np.log((1 - p) / (w * p + 1 - p))) for p, w in constant])  # fmt: skip
    for i, weight in enumerate(weights.tolist()):
        rows = np.where(targets[:, i] > 0, weight, 1.0)
        theirs = LogisticRegression(C=1 / (len(targets) * 3 * 0.02 * unit), tol=1e-10, max_iter=10_000)
        logits = theirs.fit(scaled(features), targets[:, i], rows).decision_function(scaled(features))
        assert np.abs(ours[:, i] - logits).max() < 1e-3


@pytest.mark.parametrize("size", [1.0, 1e5])
def test_a_fit_to_numbers_of_any_size_is_what_scikit_learn_finds(size: float) -> None:
    features, wanted = problem(200, 2)
    targets, strength = wanted * size + 7 * size, 0.02
    found = solve(torch.from_numpy(features), torch.from_numpy(targets), 2, functional.mse_loss, strength)
    unit = ((targets - targets.mean(0)) ** 2).mean()
    theirs = Ridge(alpha=strength * unit * targets.size / 2).fit(scaled(features), targets)
    ours = features @ found.weight.numpy().T + found.bias.numpy()
    assert np.abs(ours - theirs.predict(scaled(features))).max() < 1e-5 * np.abs(ours).max()


def test_a_fit_is_no_surer_of_its_rows_than_of_held_out_ones_and_gives_labels_their_shares() -> None:
    draws = np.random.default_rng(0)
    targets = torch.from_numpy(np.arange(40) % 4 // 2 + (np.arange(40) % 4 == 3))  # 2, 1, 1 of 4
    features = torch.from_numpy(draws.normal(size=(40, 64)) + 0.5 * np.eye(64)[targets.numpy()])
    sure = fitted(features, targets, 3, functional.cross_entropy, np.random.default_rng(0))
    found = fitted(features, targets, 3, functional.cross_entropy, np.random.default_rng(0), is_sure=True)
    assert (sure.scale, sure.strength) == (1.0, found.strength)
    assert found.scale < 0.9
    assert sure.loss < found.loss < 1.05
    logits = features @ found.weight.T + found.bias
    shares = logits.softmax(1).mean(0)
    assert torch.allclose(shares, torch.bincount(targets).double() / 40, atol=1e-3)


def test_labels_that_nothing_tells_apart_leave_a_direction() -> None:
    features = torch.from_numpy(np.random.default_rng(1).normal(size=(30, 100)))
    targets = torch.from_numpy(np.random.default_rng(2).permutation(np.arange(30) % 2))
    found = fitted(features, targets, 2, functional.cross_entropy, np.random.default_rng(0), is_sure=True)
    assert 0 < found.scale < 1
    assert found.loss == pytest.approx(CHANCE * np.log(2), rel=1e-2)


# ----------------------------------------------------------------------------------------------------- the stages


@pytest.mark.parametrize("word", variants.words("methods"))
def test_a_method_says_whether_it_leaves_the_features_as_they_are(word: str, tmp_path: Path) -> None:
    head = {"type": "text-classification", "start": "random"}
    made = {}
    for method in ("probe", word):
        (tmp_path / method).mkdir(exist_ok=True)
        path = spec(tmp_path / method, head, method, LABEL)
        plan = graftc.plan(path)
        network = assemble(plan, path.parent / "backbone")
        processor = preprocessor(plan, path.parent / "backbone")
        batch = arrays(processor.collate(processor.rows(golden_inputs(plan)).features), "cpu")
        with torch.no_grad():
            made[method] = network.features(batch, [""])[""]
    is_same = torch.allclose(made["probe"], made[word], atol=1e-5)
    assert is_same == variants.method(word).starts_untouched


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_first_step_a_head_answers_as_it_was_fitted(kind: str, tmp_path: Path) -> None:
    head, columns = KINDS[kind]
    plan, _, run = running.training(spec(tmp_path, head, columns=columns), tmp_path / "store")
    assert plan.tasks[0].head.start == "fitted"
    fit = load_file(run.job.heads or Path())
    (features,) = (read_cache(f).values for f in sorted((tmp_path / "store").glob("stages/features-train-head/*")))
    begun = Training(run.job, run.progress)
    before = outputs_of(begun.network, begun.sets[0].rows[0])["logits"]
    ours = features @ fit["head.out.weight"].numpy().T + fit["head.out.bias"].numpy()
    assert np.abs(before - ours).max() < 1e-5
    said = json.loads((run.job.heads or Path()).with_name("fit.json").read_bytes())[""]
    assert said["iterations"] > 0
    assert np.isfinite(said["loss"])


def test_fitted_heads_are_scored_first_and_kept_where_no_epoch_is_better(tmp_path: Path) -> None:
    harm = {"epochs": 2, "batch_size": 8, "learning_rate": {"backbone": 5e-3, "head": 10.0}}
    path = spec(tmp_path, {"type": "text-classification"}, columns=LABEL, train=harm)
    bundle = building.built(path)
    training = json.loads((bundle / "manifest.json").read_bytes())["training"]
    assert training["best_epoch"] == 0
    metric = training["metric"]
    assert training["start"][metric] > max(epoch[metric] for epoch in training["epochs"])
    assert training["fit"][""]["iterations"] > 0
    assert "no epoch made more of it" in (bundle / "README.md").read_text()
    again = ["build", str(path), "-o", str(bundle), "--store", str(tmp_path / "store")]
    for arguments in (again, ["inspect", str(bundle)]):
        out = CliRunner().invoke(cli, arguments).stdout
        assert "  training    no epoch was better than the fitted head, which is kept\n" in out


def test_equal_builds_are_equal_and_one_that_was_stopped_goes_on_to_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    path = spec(tmp_path, {"type": "text-classification"}, columns=LABEL)
    _, _, first = running.trained(path, tmp_path / "first")
    _, _, second = running.trained(path, tmp_path / "second")
    save = Training.save

    def stop(run: Training) -> None:
        save(run)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Training, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            running.trained(path, tmp_path / "third")
    _, _, third = running.trained(path, tmp_path / "third")
    for name in ("learned.safetensors", "losses.npy", "history.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes() == (third / name).read_bytes()
    assert "start" in json.loads((third / "history.json").read_bytes())


def test_a_fit_takes_the_features_that_a_probe_has_computed(tmp_path: Path) -> None:
    head = {"type": "text-classification"}
    running.trained(spec(tmp_path, head, "probe", LABEL), tmp_path / "store")
    running.trained(spec(tmp_path, head, "lora", LABEL), tmp_path / "store")
    (of_probe,) = (tmp_path / "store").glob("stages/features-train/*/values.npy")
    (of_fit,) = (tmp_path / "store").glob("stages/features-train-head/*/values.npy")
    assert of_probe.stat().st_ino == of_fit.stat().st_ino


def test_a_probe_without_steps_is_the_solver_alone(tmp_path: Path) -> None:
    bundle = building.built(spec(tmp_path, {"type": "text-classification"}, "probe", LABEL, train={"epochs": 0}))
    (fit,) = (tmp_path / "store").glob("stages/fit/*/learned.safetensors")
    saved, ours = load_file(bundle / "checkpoint" / "head.safetensors"), load_file(fit)
    assert torch.equal(saved["out.weight"], ours["head.out.weight"])
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    assert (manifest["training"]["steps"], manifest["training"]["best_epoch"]) == (0, 0)
    assert manifest["metrics"]["validation"]["torch"]["accuracy"] > 0.7


@pytest.mark.parametrize("kind", ["several labels", "a number"])
def test_other_heads_are_built_from_a_fit(kind: str, tmp_path: Path) -> None:
    head, columns = KINDS[kind]
    bundle = building.built(spec(tmp_path, head, "full", columns))
    assert json.loads((bundle / "manifest.json").read_bytes())["training"]["fit"][""]["iterations"] > 0


def test_pictures_are_fitted_as_they_are_and_not_as_they_are_changed(tmp_path: Path) -> None:
    data = {
        "train": str(running.DIGITS / "train"),
        "validation": {"fraction": 0.2},
        "augment": {"horizontal_flip": 0.5},
    }
    head = {"type": "image-classification"}
    path = building.written(tmp_path, "mobilenet-v2", head, data, adapt={"method": "full"}, train={"epochs": 1})
    plan, _, out = running.trained(path, tmp_path / "store")
    (values,) = (tmp_path / "store").glob("stages/features-train-head/*/values.npy")
    (split,) = (s for s in plan.tasks[0].data.splits if s.name == "train")
    assert np.load(values).shape == (split.rows, plan.backbone.width)
    history = json.loads((out / "history.json").read_bytes())
    assert history["start"][history["metric"]] > 0.15  # chance is a tenth


# ----------------------------------------------------------------------------------------------------- the plan


@pytest.mark.parametrize(
    ("method", "head", "train", "start"),
    [
        ("lora", {}, RATE, "fitted"),
        ("full", {}, RATE, "fitted"),
        ("prompt", {}, RATE, "random"),
        ("probe", {}, RATE, "random"),
        ("probe", {}, {"epochs": 0}, "fitted"),
        ("lora", {"hidden": [8]}, RATE, "random"),
        ("lora", {"start": "random"}, RATE, "random"),
        ("lora", {}, {"max_steps": 2, "batch_size": 8}, "random"),  # of three in which every row is seen
    ],
)
def test_the_plan_says_how_a_head_begins(method: str, head: Any, train: Any, start: str, tmp_path: Path) -> None:
    path = spec(tmp_path, {"type": "text-classification", **head}, method, LABEL, train=train)
    assert graftc.plan(path).tasks[0].head.start == start


def test_another_start_trains_again_and_reads_no_row_again(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    head = {"type": "text-classification"}
    paths = [
        spec(tmp_path / "old", {**head, "start": "random"}, columns=LABEL),
        spec(tmp_path / "new", head, columns=LABEL),
    ]
    found = compare_stages(*(of_spec(path.parent.name, read(path), graftc.plan(path)) for path in paths))
    runs = {run.stage: run for run in found.runs}
    assert {"features-train-head", "fit", "train"} <= set(runs)
    assert "prepare-train" in found.reuses
    assert any("start" in change.field for change in runs["train"].because)


@pytest.mark.parametrize("code", ["E0460", "E0461", "E0462"])
def test_a_start_that_there_can_t_be_is_refused_at_its_key(code: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "E0460": ({"hidden": [4], "start": "fitted"}, "lora", RATE),
        "E0461": ({"start": "fitted"}, "prefix", RATE),
        "E0462": ({"start": "random"}, "probe", {"epochs": 0}),
    }
    head, method, train = given[code]
    path = spec(tmp_path, {"type": "text-classification", **head}, method, LABEL, train=train)
    errors = [d for d in building.found(path) if d.is_error]
    assert [d.code for d in errors] == [code]
    assert errors[0].at.path == (("train", "epochs") if code == "E0462" else ("head", "start"))


def test_a_head_without_a_fit_has_no_such_key(tmp_path: Path) -> None:
    head = {"type": "feature-extraction", "start": "fitted"}
    errors = [d for d in building.found(spec(tmp_path, head, "probe", {"text": "text"})) if d.is_error]
    assert [(d.code, d.at.path) for d in errors] == [("E0207", ("head", "start"))]
