"""Numbers of training against those computed by hand or by the library that is known for them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from graftc.compiler.api import plan as plan_of
from graftc.compiler.execution.prepared import Examples
from graftc.compiler.heads.text_classification import HEAD
from graftc.compiler.layers.losses import cross_entropy_along
from graftc.compiler.metrics import classification as metrics
from graftc.compiler.model.assembly import assemble, learned, train_mode
from graftc.compiler.training.optimisation import clip, groups, schedule

from ..backbones import tiny
from ..builds import subjects
from . import running

LAYERS = 3  # of the tiny BERT


def logits_of(scores: Any) -> dict[str, np.ndarray]:
    found = np.asarray(scores, np.float64)
    return {"logits": np.log(found / (1 - found)).astype(np.float32)}


def examples(truth: np.ndarray) -> Examples:
    return Examples(truth, np.arange(len(truth)), (), ())


def tally(rows: list[Any], role: str) -> Any:
    found = HEAD.tally({role: ("answer",)})
    for i, answer in enumerate(rows):
        assert found.add({"answer": answer}, ("rows.jsonl", i)) is None
    return found


def record(rows: list[Any], role: str = "label", **loss: Any) -> dict[str, Any]:
    return HEAD.lower(HEAD.options.model_validate({"loss": loss}), tally(rows, role))


@pytest.mark.parametrize(
    ("truth", "threshold"),
    [
        ([1, 0, 0, 0], 0.85),  # F1 at each cut: 1, 2/3, 1/2, 2/5
        ([1, 1, 0, 0], 0.6),  # 2/3, 1, 4/5, 2/3
        ([1, 1, 0, 1], 0.15),  # 1/2, 4/5, 2/3, 6/7: as low as the last, and half of the way to nothing
        ([0, 1, 0, 0], 0.6),  # 0, 2/3, 1/2, 2/5
        ([0, 0, 0, 0], 0.5),  # nothing to learn from
    ],
)
def test_thresholds_are_those_computed_by_hand(truth: list[int], threshold: float) -> None:
    scores = np.array([[0.9], [0.8], [0.4], [0.3]])
    many = {"is_multi": True, "labels": ("a",), "thresholds": (0.5,)}
    found = metrics.calibrate(many, logits_of(scores), examples(np.array(truth, np.float32)[:, None]))
    assert found["thresholds"] == pytest.approx([threshold], abs=1e-6)


def test_no_threshold_stands_between_equal_scores() -> None:
    many = {"is_multi": True, "labels": ("a",), "thresholds": (0.5,)}
    scores, truth = np.array([[0.7], [0.7], [0.2]]), np.array([[1], [0], [0]], np.float32)
    assert metrics.calibrate(many, logits_of(scores), examples(truth))["thresholds"] == pytest.approx([0.45], abs=1e-6)


def test_no_other_threshold_has_a_better_f1() -> None:
    draw = np.random.default_rng(0)
    truth = (draw.random((60, 4)) < [0.5, 0.2, 0.05, 0.9]).astype(np.float32)
    scores = np.clip(0.5 * draw.random((60, 4)) + 0.3 * truth, 0.01, 0.99)
    many = {"is_multi": True, "labels": tuple("abcd"), "thresholds": (0.5,) * 4}
    outputs = logits_of(scores)
    chosen = metrics.calibrate(many, outputs, examples(truth))["thresholds"]
    exact = 1 / (1 + np.exp(-outputs["logits"].astype(np.float64)))
    for i, threshold in enumerate(chosen):
        best = max(f1_score(truth[:, i], exact[:, i] >= cut) for cut in exact[:, i])
        assert f1_score(truth[:, i], exact[:, i] >= threshold) == pytest.approx(best)
    assert len({round(threshold, 3) for threshold in chosen}) == 4, "each label has its own"


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    rows = ["bug"] * 6 + ["billing"] * 3 + ["howto"]
    found = record(rows, class_weights="balanced")
    assert found["labels"] == ("billing", "bug", "howto")
    theirs = compute_class_weight("balanced", classes=np.array(found["labels"]), y=np.array(rows))
    assert found["class_weights"] == pytest.approx(theirs.tolist())
    assert found["class_weights"] == pytest.approx([10 / 9, 10 / 18, 10 / 3])


def test_balanced_weights_of_several_labels_are_negatives_per_positive() -> None:
    rows = [["a", "b"], ["a"], ["a", "c"], []]
    found = record(rows, "labels", class_weights="balanced")
    assert found["class_weights"] == pytest.approx([1 / 3, 3.0, 3.0])


def test_weights_by_label_follow_the_label_map() -> None:
    found = record(["b", "a", "c"], class_weights={"c": 5.0, "a": 0.5})
    assert found["class_weights"] == (0.5, 1.0, 5.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_the_loss_of_one_label_is_torchs_cross_entropy(weights: str | None, smoothing: float) -> None:
    rows = ["bug"] * 6 + ["billing"] * 3 + ["howto"]
    given = record(rows, class_weights=weights, label_smoothing=smoothing)
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([given["labels"].index(label) for label in rows])
    weight = torch.tensor([10 / 9, 10 / 18, 10 / 3]) if weights else None
    theirs = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)(logits, targets)
    torch.testing.assert_close(HEAD.loss(given, {"logits": logits}, targets), theirs)
    plain = nn.CrossEntropyLoss()(logits, targets)
    assert (abs(plain - theirs) > 1e-3) == bool(weights or smoothing), "what is compared makes a difference"


def test_the_loss_of_several_labels_is_the_formula() -> None:
    given = record([["a", "b"], ["a"], ["a", "c"], []], "labels", class_weights="balanced", label_smoothing=0.2)
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1.0, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]])
    p, smooth, weight = logits.sigmoid(), targets * 0.8 + 0.1, torch.tensor([1 / 3, 3.0, 3.0])
    by_hand = -(weight * smooth * p.log() + (1 - smooth) * (1 - p).log()).mean()
    torch.testing.assert_close(HEAD.loss(given, {"logits": logits}, targets), by_hand)


def test_the_focal_loss_is_the_formula_of_its_paper() -> None:
    """−(1 − p)^γ · log p, for one label and for each of several (Lin et al. 2017)."""
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    one, targets = record(["a", "b", "c", "a"], focal=2.0), torch.tensor([0, 1, 2, 0])
    p = logits.softmax(1)[torch.arange(4), targets]
    torch.testing.assert_close(HEAD.loss(one, {"logits": logits}, targets), -((1 - p) ** 2 * p.log()).mean())
    many = record([["a", "b"], ["a"], ["a", "c"], []], "labels", focal=2.0)
    hot = torch.tensor([[1.0, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]])
    share = torch.where(hot == 1, logits.sigmoid(), 1 - logits.sigmoid())
    torch.testing.assert_close(HEAD.loss(many, {"logits": logits}, hot), -((1 - share) ** 2 * share.log()).mean())


@pytest.mark.parametrize("focal", [0.3, 1.0, 2.0])
def test_an_answer_that_is_certain_has_a_focal_loss_with_a_slope(focal: float) -> None:
    """A power below one rises without end at zero, where float32 puts 1 − p."""
    one, many = record(["a", "b"], focal=focal), record([["a"], ["b"]], "labels", focal=focal)
    hot = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    for given, targets in ((one, torch.tensor([0, 1])), (many, hot)):
        logits = torch.tensor([[200.0, -200.0], [1.0, 2.0]], requires_grad=True)
        HEAD.loss(given, {"logits": logits}, targets).backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()
        assert (logits.grad[0] == 0).all()
        assert (logits.grad[1] != 0).all()


def test_tokens_without_a_target_lose_nothing() -> None:
    """A text may be all of what its tokenizer throws away, and a batch may hold nothing else."""
    logits = torch.randn(2, 3, 5, requires_grad=True)
    for nothing in (torch.full((2, 3), -100), torch.zeros(2, 0, dtype=torch.int64)):
        lost = cross_entropy_along(logits, nothing, -100)
        lost.backward()
        assert lost == 0
        assert logits.grad is not None
        assert not logits.grad.any()
    targets = torch.tensor([[1, -100, 2], [-100, -100, 0]])
    by_hand = -logits.log_softmax(-1)[[0, 0, 1], [0, 2, 2], [1, 2, 0]].mean()
    torch.testing.assert_close(cross_entropy_along(logits, targets, -100), by_hand)


def spec(folder: Path, train: dict[str, Any], family: str = "bert", **sections: Any) -> Path:
    tiny.save(family, folder / "backbone")
    data = {"train": str(running.TICKETS / "train.jsonl"), "columns": {"text": "body", "label": "queue"}}
    return running.write_spec(
        folder, backbone={"from": "./backbone"}, head={"type": "text-classification"}, data=data, train=train, **sections
    )  # fmt: skip


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert", "gpt2"])
@pytest.mark.parametrize(("dropout", "differs"), [(0.0, False), (0.5, True)])
def test_the_dropout_of_a_spec_is_that_of_every_layer(
    family: str, dropout: float, differs: bool, tmp_path: Path
) -> None:
    path = spec(tmp_path, {"epochs": 1}, family)
    path.write_text(path.read_text().replace("from: ./backbone", f"from: ./backbone\n  dropout: {dropout}"))
    plan = plan_of(path)
    assert plan.backbone.dropout == dropout
    network = assemble(plan, tmp_path / "backbone")
    train_mode(network, plan)
    given = {name: torch.ones(2, 5, dtype=torch.int64) for name in network.arguments}
    states = [network.backbone(**given).last_hidden_state for _ in range(2)]
    assert bool((states[0] != states[1]).any()) == differs


@pytest.mark.parametrize("adapt", [{"method": "full"}, {"method": "lora", "target": "attention"}])
def test_each_layer_learns_at_the_rate_that_the_formula_gives(adapt: dict[str, Any], tmp_path: Path) -> None:
    """The rate of the topmost layer is rate · decay, that of the embeddings rate · decay^(layers + 1)."""
    train = {"learning_rate": {"backbone": 1e-3, "head": 1e-2}, "layer_decay": 0.5, "weight_decay": 0.01}
    plan = plan_of(spec(tmp_path, train, adapt=adapt))
    network = assemble(plan, tmp_path / "backbone")
    found = {id(p): group for group in groups(network, plan) for p in group["params"]}
    seen = set()
    for name, tensor in learned(network, plan).items():
        power = next((LAYERS - i for i in range(LAYERS) if f".layer.{i}." in name), LAYERS + 1)
        expected = 1e-2 if name.startswith("head.") else 1e-3 * 0.5**power
        assert found[id(tensor)]["peak"] == pytest.approx(expected), name
        assert found[id(tensor)]["weight_decay"] == (0.01 if tensor.ndim > 1 else 0.0), name
        seen.add(power)
    assert seen == ({1, 2, 3, 4})


def theirs(name: str, warmup: int, steps: int) -> Iterator[float]:
    """Rates of an optimiser under a schedule of transformers, step by step, for a peak of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    if name == "constant":
        scheduler = get_constant_schedule_with_warmup(optimizer, warmup)
    else:
        make = {"linear": get_linear_schedule_with_warmup, "cosine": get_cosine_schedule_with_warmup}[name]
        scheduler = make(optimizer, warmup, steps)
    for _ in range(steps):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def by_hand(name: str, step: int, warmup: int, steps: int) -> float:
    if step < warmup:
        return step / warmup
    done = (step - warmup) / (steps - warmup)
    return {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[name]


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25])
@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
def test_schedules_are_those_of_transformers(name: str, warmup: float, tmp_path: Path) -> None:
    plan = plan_of(spec(tmp_path, {"max_steps": 40, "schedule": name, "warmup": warmup}))
    factor = schedule(plan)
    found = [factor(step) for step in range(40)]
    assert found == pytest.approx(list(theirs(name, round(40 * warmup), 40)))
    assert found == pytest.approx([by_hand(name, step, round(40 * warmup), 40) for step in range(40)])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A training of at most five epochs, at one rate, that lost patience; its folder and its history."""
    folder = tmp_path_factory.mktemp("stopped")
    return folder, history(folder, 5, early_stopping={"patience": 1})


def history(folder: Path, epochs: int, **more: Any) -> dict[str, Any]:
    train = {"epochs": epochs, "batch_size": 8, "learning_rate": 0.01, "metric": "roc_auc_macro"}
    constant = {"schedule": "constant", "warmup": 0.0}
    path = subjects.write(folder / "source", subjects.text(folder / "source", train={**train, **constant, **more}))
    _, _, out = running.trained(path, folder / "store")
    return {**json.loads((out / "history.json").read_bytes()), "learned": load_file(out / "learned.safetensors")}


def test_training_stops_once_it_has_waited_for_a_better_epoch(stopped: tuple[Path, dict[str, Any]]) -> None:
    found = stopped[1]
    scores = [epoch["roc_auc_macro"] for epoch in found["epochs"]]
    best = int(np.argmax(scores)) + 1
    assert found["best_epoch"] == best
    assert len(scores) == best + 1 < 5, "one epoch without a better score, and no more"
    assert scores == sorted(scores[:-1]) + scores[-1:], "each was better until the last"
    assert found["steps"] == len(scores) * 4


def test_what_is_kept_are_the_weights_of_the_best_epoch(stopped: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """At one rate, an epoch less is the same training cut short: its last weights are the best of the longer one."""
    long = stopped[1]
    short = history(tmp_path, long["best_epoch"])
    assert short["best_epoch"] == long["best_epoch"] == len(short["epochs"])
    assert short["learned"].keys() == long["learned"].keys()
    assert all(torch.equal(tensor, long["learned"][name]) for name, tensor in short["learned"].items())


@pytest.mark.parametrize("scale", [0.01, 1.0, 1000.0, math.inf, math.nan])
def test_gradients_are_clipped_as_torch_clips_them(scale: float) -> None:
    ours, theirs = (
        [nn.Parameter(torch.randn(3, 4, generator=torch.Generator().manual_seed(i))) for i in range(3)]
        for _ in range(2)
    )
    for mine, other in zip(ours[:2], theirs[:2], strict=True):  # the third has none
        mine.grad, other.grad = mine.detach() * scale, other.detach() * scale
    clip(ours, 1.0)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    for mine, other in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_array_equal(mine.grad, other.grad)
