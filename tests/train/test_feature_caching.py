"""Frozen layers computed once: training from what they hand on is, to the bit, training with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from transformers.models.bert.modeling_bert import BertLayer

from graftc.compiler import variants
from graftc.compiler.api import plan
from graftc.compiler.cli import cli
from graftc.compiler.contracts.stage import Stage
from graftc.compiler.diagnostics import Refused
from graftc.compiler.execution import pipeline, steps
from graftc.compiler.execution.work import Work
from graftc.compiler.features.cache import VALUES, FeatureCache, FeatureWriter, read_cache
from graftc.compiler.features.layers import Prefix
from graftc.compiler.machine import describe
from graftc.compiler.planning.feature_caching import STACK
from graftc.compiler.stages import features as features_stage
from graftc.compiler.training import loop, validation
from graftc.compiler.training.loaders import arrays
from graftc.compiler.training.loop import Training
from graftc.compiler.training.mixed_batches import RowSet

from ..backbones import tiny
from ..builds import subjects
from . import running

FOLDS = sorted(
    word
    for word in variants.words("backbones")
    if STACK in (family := variants.family(word)).parts and "tokens" in family.provides and not family.uncacheable
)


def write(folder: Path, name: str = "spec.yaml", **sections: Any) -> Path:
    """Forty rows of ragged lengths, two epochs, the lowest of three layers frozen unless it is said otherwise."""
    rows = (running.TICKETS / "train.jsonl").read_text().splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join(rows[:40]))
    spec = {
        "graftc": 1,
        "name": "t",
        "backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:1]"]},
        "head": {"type": "text-classification", "dropout": 0.1, "start": "random"},
        "data": {
            "train": "train.jsonl",
            "validation": {"fraction": 0.2},
            "columns": {"text": "body", "label": "queue"},
            "max_length": 24,
        },
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3},
    }
    path = folder / name
    path.write_text(yaml.safe_dump({**spec, **sections}, sort_keys=False))
    return path


def losses(spec: Path, store: str, **train: Any) -> tuple[str, np.ndarray]:
    """What is folded, and the loss of every step."""
    text = yaml.safe_load(spec.read_text())
    spec.write_text(yaml.safe_dump({**text, "train": {**text["train"], **train}}, sort_keys=False))
    planned, _, out = running.trained(spec, spec.parent / store)
    return planned.train.fold, np.load(out / "losses.npy")


@pytest.mark.parametrize("family", FOLDS)
def test_every_family_that_folds_loses_the_same_to_the_bit(family: str, tmp_path: Path) -> None:
    tiny.save(family, tmp_path / "backbone")
    spec = write(tmp_path)
    folded, ours = losses(spec, "folded")
    plain, theirs = losses(spec, "plain", fold="off")
    assert (folded, plain) == ("layers[0:1]", "none")
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("sections", "fold"),
    [
        ({"adapt": {"method": "lora"}}, "layers[0:1]"),
        ({"backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:3]"]}}, "feature"),
        ({"adapt": {"method": "lora", "dropout": 0.1}, "backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]}}, "layers[0:2]"),
        ({"adapt": {"method": "adapter"}, "backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]}}, "layers[0:2]"),
    ],
)  # fmt: skip
def test_methods_and_depths(sections: dict[str, Any], fold: str, tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path, **sections)
    folded, ours = losses(spec, "folded", group_by_length=False)  # features have no length that batches could share
    assert folded == fold
    _, theirs = losses(spec, "plain", fold="off")
    assert np.array_equal(ours, theirs) if fold.startswith("layers") else np.allclose(ours, theirs, rtol=1e-5)


TOKENS = {"train": "rows.jsonl", "columns": {"tokens": "tokens", "tags": "tags"}, "max_length": 24}


def test_a_probe_that_reads_tokens_folds_every_layer(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    rows = ['{"tokens": ["my", "parcel", "is", "late"], "tags": ["O", "B-thing", "O", "O"]}\n'] * 20
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    spec = write(
        tmp_path,
        backbone={"from": "./backbone"},
        adapt={"method": "probe"},
        head={"type": "token-classification"},
        data=TOKENS,
    )
    folded, ours = losses(spec, "folded")
    _, theirs = losses(spec, "plain", fold="off")
    assert folded == "layers[0:3]"
    assert np.allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "sections", "reason"),
    [
        ("albert", {}, "share"),
        ("bert", {"backbone": {"from": "./backbone", "freeze": ["layers[0:1]"]}}, "beneath"),
        ("bert", {"train": {"epochs": 1, "batch_size": 8}}, "one epoch"),
        ("bert", {"adapt": {"method": "prompt"}, "backbone": {"from": "./backbone"}}, "beneath"),
    ],
)
def test_what_can_t_be_folded_says_why(family: str, sections: dict[str, Any], reason: str, tmp_path: Path) -> None:
    tiny.save(family, tmp_path / "backbone", **({"num_hidden_groups": 3} if family == "albert" else {}))
    spec = write(tmp_path, **sections)
    assert plan(spec).train.fold == "none"
    said = CliRunner().invoke(cli, ["plan", str(spec), "--why", "train.fold"]).output
    assert reason in said


def test_what_is_kept_is_shared_by_specs_of_the_same_prefix(tmp_path: Path) -> None:
    """Another rate, another method above the prefix, another head of the same labels: the states stay."""
    tiny.save("bert", tmp_path / "backbone")
    running.trained(write(tmp_path), tmp_path / "store")
    made = set((tmp_path / "store" / "stages").glob("features-*/*"))
    for sections in ({"adapt": {"method": "lora"}}, {"train": {"epochs": 3, "batch_size": 4}}, {"head": {"type": "text-classification", "hidden": [8]}}):  # fmt: skip
        running.trained(write(tmp_path, "other.yaml", **sections), tmp_path / "store")
    assert len(made) == 2, "training and validation rows"
    assert set((tmp_path / "store" / "stages").glob("features-*/*")) == made
    running.trained(write(tmp_path, "other.yaml", backbone={"from": "./backbone", "freeze": ["embeddings", "layers[0:2]"]}), tmp_path / "store")  # fmt: skip
    assert len(set((tmp_path / "store" / "stages").glob("features-*/*"))) == 4, "another depth hands on other states"


def test_the_estimate_is_what_the_store_holds(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path, data={"train": "train.jsonl", "columns": {"text": "body", "label": "queue"}})
    planned, _, _ = running.trained(spec, tmp_path / "store")
    found = sum(p.stat().st_size for p in (tmp_path / "store" / "stages").glob("features-*/*/*"))
    assert planned.estimates.cached_bytes == pytest.approx(found, rel=0.1)


def test_states_that_are_not_the_network_s_stop_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.save("bert", tmp_path / "backbone")
    right = Prefix.states
    monkeypatch.setattr(Prefix, "states", lambda self, given: right(self, given) * 1.5)
    with pytest.raises(Refused, match="E0418"):
        running.trained(write(tmp_path), tmp_path / "store")


@pytest.mark.parametrize(("epochs", "runs"), [(2, 5), (5, 5)])
def test_a_folded_layer_runs_to_be_compared_and_never_to_train(
    epochs: int, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is loaded, in two batches and one of validation, and to see what else it answers; those above in every step."""
    tiny.save("bert", tmp_path / "backbone")
    counts: Counter[int] = Counter()
    forward = BertLayer.forward

    def counted(self: BertLayer, *args: Any, **kwargs: Any) -> Any:
        counts[id(self)] += 1
        return forward(self, *args, **kwargs)

    init = Training.__init__

    def begun(self: Training, *given: Any) -> None:
        monkeypatch.setattr(BertLayer, "forward", counted)  # of this stage alone
        init(self, *given)

    monkeypatch.setattr(Training, "__init__", begun)
    running.trained(write(tmp_path, train={"epochs": epochs, "batch_size": 8}), tmp_path / "store")
    lowest, *above = sorted(counts.values())
    assert lowest == runs
    steps = 4 * epochs  # of 32 rows
    assert above == [lowest + 3 + steps + epochs] * 2, "and once for the validation rows of each epoch"


def test_specs_of_one_process_that_share_features_ask_the_network_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.save("bert", tmp_path / "backbone")
    runs: list[int] = []
    forward = BertLayer.forward

    def counted(self: BertLayer, states: Any, *args: Any, **kwargs: Any) -> Any:
        if states.shape[:2] != (1, 2):  # the two tokens on which a backbone is tried as it is loaded
            runs.append(1)
        return forward(self, states, *args, **kwargs)

    monkeypatch.setattr(BertLayer, "forward", counted)

    def asked(rate: float, store: str) -> int:
        before = len(runs)
        probe = {"method": "probe"}
        train = {"epochs": 1, "batch_size": 8, "learning_rate": rate}
        spec = write(tmp_path, backbone={"from": "./backbone"}, adapt=probe, train=train)
        running.trained(spec, tmp_path / store, "evaluate")
        return len(runs) - before

    first, second, cold = asked(1e-3, "store"), asked(2e-3, "store"), asked(2e-3, "other")
    assert second == 0 < first == cold


def test_what_is_compared_are_the_first_batches_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.save("bert", tmp_path / "backbone")
    compared: list[list[int]] = []
    trained: list[list[int]] = []
    step = Training._step
    monkeypatch.setattr(
        loop, "refuse_unlike", lambda network, rows, batches: compared.extend(b.tolist() for b in batches)
    )

    def seen(self: Training, rows: RowSet, chosen: Sequence[int]) -> None:
        trained.append(rows.inputs([chosen])[0][1][0].tolist())
        step(self, rows, chosen)

    monkeypatch.setattr(Training, "_step", seen)
    running.trained(write(tmp_path), tmp_path / "store")
    assert compared[:2] == trained[:2]
    assert len(compared) == 3, "and one of validation rows"


@pytest.mark.parametrize("frozen", [["embeddings", "layers[0:1]"], ["embeddings", "layers[0:3]"]])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_states_of_any_split_that_are_one_percent_off_stop_the_build(
    split: str, frozen: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.save("bert", tmp_path / "backbone")
    run = features_stage.run

    def spoilt(work: Work) -> None:
        run(work)
        if work.split == split:
            values = np.load(work.out / VALUES, mmap_mode="r+")
            values *= 1.01
            values.flush()

    monkeypatch.setattr(features_stage, "STAGE", Stage(run=spoilt))
    data = {"train": "train.jsonl", "validation": {"fraction": 0.2}, "test": str(running.TICKETS / "test.jsonl")}
    data = {**data, "columns": {"text": "body", "label": "queue"}, "max_length": 24}
    spec = write(tmp_path, backbone={"from": "./backbone", "freeze": frozen}, data=data)
    with pytest.raises(Refused, match="E0418"):
        running.trained(spec, tmp_path / "store", "evaluate")


def test_a_loss_that_is_no_number_is_no_agreement(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    run = running.training(write(tmp_path), tmp_path / "store")[2]
    (rows,) = run.sets[0].rows
    validation.refuse_unlike(run.network, rows, validation.first(rows, 8))
    with torch.no_grad():
        next(run.network.heads.parameters()).fill_(torch.nan)
    with pytest.raises(Refused, match="E0418"):
        validation.refuse_unlike(run.network, rows, validation.first(rows, 8))


def test_what_is_kept_has_its_place_on_the_disk_before_it_is_computed(tmp_path: Path) -> None:
    """A disk that is full is told when the file is made: at a write through the memory it would kill the process."""
    FeatureWriter(tmp_path, 1000, 384, None)
    assert (tmp_path / VALUES).stat().st_blocks * 512 >= 1000 * 384 * 4


def test_numbers_that_half_precision_can_t_hold_are_refused(tmp_path: Path) -> None:
    writer = FeatureWriter(tmp_path, 1, 2, None, "fp16")
    writer.put([0], np.array([[6e4, 1]], np.float32))
    with pytest.raises(Refused, match="E0419") as caught:
        writer.put([0], np.array([[7e4, 1]], np.float32))
    assert "fp32" in caught.value.diagnostics[0].help


@pytest.mark.parametrize(
    ("sections", "is_other"),
    [
        ({"train": {"epochs": 2, "batch_size": 8, "fold": {"precision": "fp16"}}}, True),
        ({"head": {"type": "text-classification", "pooling": "cls"}}, True),
        ({"seed": 3}, False),
        ({"train": {"epochs": 5, "batch_size": 4}}, False),
        ({"head": {"type": "text-classification", "dropout": 0.3}}, False),
    ],
)
def test_what_features_depend_on_is_in_their_key(sections: dict[str, Any], is_other: bool, tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")

    def key(**more: Any) -> str:
        stages = steps.stages(plan(write(tmp_path, **{"adapt": {"method": "probe"}, **more})), "weights")
        return pipeline.keys(stages, describe())["features-train"]

    held = {"data": {"train": "train.jsonl", "columns": {"text": "body", "label": "queue"}, "max_length": 24}}
    assert (key(**held) != key(**held, **sections)) == is_other


def test_drawn_views_depend_on_the_seed(tmp_path: Path) -> None:
    found = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / place).mkdir()
        spec = pictures(tmp_path / place, fold={"views": 3})
        text = yaml.safe_load(spec.read_text())
        spec.write_text(yaml.safe_dump({**text, "seed": seed}))
        found.append(read_cache(running.trained(spec, tmp_path / place / "store", "features-train")[2], 3).values)
    assert np.array_equal(found[0], found[1])
    assert found[0].shape == found[2].shape
    assert not np.allclose(found[0], found[2])


def test_a_training_draws_a_view_of_each_row_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[np.ndarray] = []
    features = FeatureCache.features
    monkeypatch.setattr(
        FeatureCache, "features", lambda kept, places: (asked.append(places), features(kept, places))[1]
    )
    run = running.training(pictures(tmp_path, fold={"views": 3}, epochs=6), tmp_path / "store")[2]
    (rows,) = run.sets[0].rows
    seen = np.concatenate(asked[-run.step :])  # what came before is the comparison
    assert len(seen) == 6 * len(rows)
    assert set(seen // len(rows)) == {0, 1, 2}
    assert all(len(set(seen[seen % len(rows) == row])) > 1 for row in range(len(rows)))


def test_every_pass_and_every_set_has_an_order_of_its_own(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    plan_, _, run = running.training(write(tmp_path), tmp_path / "store")
    (rows,) = run.sets
    size = -(-rows.planned // plan_.train.batch_size)
    passes = [list(islice(rows.batches(plan_, 0, place), 2 * size)) for place in (0, 1)]
    orders = [list(chain(*batches)) for both in passes for batches in (both[:size], both[size:])]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_a_precision_of_what_is_not_kept_trains_nothing_again(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    found = [
        plan(write(tmp_path, train={"epochs": 2, "batch_size": 8, "fold": {"precision": p, "budget": "1kB"}}))
        for p in ("fp32", "fp16")
    ]
    assert found[0].train == found[1].train


def test_what_is_kept_comes_back_row_by_row(tmp_path: Path) -> None:
    lengths = np.array([3, 1, 2])
    writer = FeatureWriter(tmp_path, 3, 4, lengths)
    states = np.arange(36, dtype=np.float32).reshape(3, 3, 4)
    writer.put([2, 0, 1], states[[2, 0, 1]])
    writer.close()
    found = read_cache(tmp_path).states(np.array([1, 2]), 3)
    assert np.array_equal(found[0, :1], states[1, :1])
    assert np.array_equal(found[1, :2], states[2, :2])
    assert not found[0, 1:].any()
    assert not found[1, 2:].any()


def pictures(folder: Path, **train: Any) -> Path:
    """A frozen network over twenty augmented pictures."""
    spec = subjects.images(folder, adapt={"method": "probe"})
    return subjects.write(folder, {**spec, "train": {**spec["train"], **train}})


def test_augmented_pictures_are_kept_in_as_many_views_as_the_spec_says(tmp_path: Path) -> None:
    assert plan(pictures(tmp_path)).train.fold == "none"
    spec = pictures(tmp_path, fold={"views": 3}, epochs=6)
    planned, _, run = running.training(spec, tmp_path / "store")
    assert (planned.train.fold, planned.train.fold_views) == ("feature", 3)
    (rows,) = run.sets[0].rows
    assert rows.cache is not None
    values, every = np.asarray(rows.cache.values), np.arange(len(rows))
    assert len(values) == 3 * len(rows)
    assert planned.estimates.cached_bytes == values.nbytes + 4 * values.shape[1] * (20 - len(rows)), "and of validation"
    views = values.reshape(3, len(rows), -1)
    assert not np.allclose(views[0], views[1])
    assert not np.allclose(views[1], views[2])
    for number, view in enumerate(rows.views):  # what is kept is what the network sees in these drawn changes
        batch = rows.processor.collate(view([rows.prepared.row(i) for i in every], every))
        run.network.eval()
        with torch.inference_mode():
            found = run.network.features(arrays(batch, "cpu"), [rows.task.name])[rows.task.name]
        assert np.allclose(views[number], found.numpy(), rtol=1e-4, atol=1e-5)
    drawn = np.stack([rows.cache.drawn(every, seed) // len(rows) for seed in range(60)])
    assert set(np.unique(drawn)) == {0, 1, 2}
    assert 0.25 < (drawn == 1).mean() < 0.42
    assert not np.array_equal(drawn[0], drawn[1]), "each step draws its own"
    assert np.array_equal(rows.cache.drawn(every[3:5], 7), rows.cache.drawn(every, 7)[3:5]), "whatever the batch"


def test_what_is_kept_in_half_precision_takes_half_the_space(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path)
    _, full = losses(spec, "full")
    planned = plan(spec)
    fold, half = losses(spec, "half", fold={"precision": "fp16"})
    assert fold == "layers[0:1]"
    assert plan(spec).estimates.cached_bytes * 2 == pytest.approx(planned.estimates.cached_bytes, abs=2)
    assert np.allclose(half, full, rtol=5e-3)
    assert not np.array_equal(half, full)
    (kept,) = (path for path in (tmp_path / "half").rglob("values.npy") if "features-train" in str(path))
    assert np.load(kept).dtype == np.float16


@pytest.mark.parametrize(("budget", "fold"), [("1 GB", "layers[0:1]"), ("10kB", "none")])
def test_what_would_take_more_than_the_budget_is_not_kept(budget: str, fold: str, tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path, train={"epochs": 2, "batch_size": 8, "fold": {"budget": budget}})
    assert plan(spec).train.fold == fold
    why = CliRunner().invoke(cli, ["plan", str(spec), "--why", "train.fold"]).output
    assert (f"more than `budget: {budget}`" in why) == (fold == "none")


def test_views_of_what_is_not_augmented_have_no_effect(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path, train={"epochs": 2, "batch_size": 8, "fold": {"views": 4}})
    said = CliRunner().invoke(cli, ["validate", str(spec)])
    assert "`views` has no effect" in said.output
    found = plan(spec)
    assert found.train.fold_views == 1
    budget = f"{found.estimates.cached_bytes}B"  # which one view just fills
    spec = write(tmp_path, train={"epochs": 2, "batch_size": 8, "fold": {"views": 4, "budget": budget}})
    assert plan(spec).train.fold == "layers[0:1]"
