"""Several heads on one backbone: planned, learned together, asked together or one by one."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from graftc.compiler.api import plan
from graftc.compiler.planning.sampling import batches
from graftc.runtime.errors import BundleError
from graftc.runtime.model import Model
from graftc.runtime.verify import verify

from ..train import running
from . import building

THINGS, MOODS = ("ship", "bill", "login"), ("good", "bad")
MOOD = {"type": "text-classification", "data": {"columns": {"label": "mood"}}}
THING = {"type": "text-classification", "pooling": "cls", "data": {"columns": {"label": "thing"}}}
NAMES = {"type": "token-classification", "data": {"columns": {"text": "text", "spans": "spans"}}}
SHARED = {"train": "rows.jsonl", "validation": "more.jsonl", "columns": {"text": "text"}, "max_length": 24}
TRAIN = {"max_steps": 6, "batch_size": 8, "learning_rate": 1e-3}


def rows(count: int, seed: int, is_whole: bool = False) -> list[dict[str, Any]]:
    """Texts with a mood, a thing and its place; not all rows have all answers, but each has one."""
    draw = random.Random(seed)
    found = []
    for i in range(count):
        thing, mood = draw.choice(THINGS), draw.choice(MOODS)
        text = f"the {thing} was {mood} {i}"
        answers: dict[str, Any] = {
            "mood": mood,
            "thing": thing,
            "spans": [{"start": 4, "end": 4 + len(thing), "label": "thing"}],
        }
        kept = [key for key in answers if is_whole or draw.random() < 0.7] or ["mood"]
        found.append({"text": text, **{key: answers[key] for key in kept}})
    return found


def write(folder: Path, heads: dict[str, Any], is_whole: bool = False, data: Any = SHARED, **sections: Any) -> Path:
    """A spec with heads on a tiny BERT, and its rows."""
    building.write_rows(folder / "rows.jsonl", rows(60, 0, is_whole))
    building.write_rows(folder / "more.jsonl", rows(30, 1, is_whole))
    spec = building.written(folder, "bert", {}, {}, **{"train": TRAIN, **sections})
    values = yaml.safe_load(spec.read_text())
    del values["head"]
    spec.write_text(yaml.safe_dump({**values, "heads": heads, "data": data}, sort_keys=False))
    return spec


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    heads = {"mood": MOOD, "thing": {**THING, "weight": 2.0}, "names": NAMES}
    spec = write(folder, heads, adapt={"method": "lora"}, train={**TRAIN, "max_steps": 12})
    built: Path = building.built(spec)
    return built


def test_one_graph_answers_for_all_and_for_one(bundle: Path) -> None:
    model = Model(bundle)
    assert set(model.graphs.model.outputs) == {"mood.logits", "thing.logits", "names.logits"}
    whole = model.predict(["the ship was bad", "the bill"])
    assert [set(answer) for answer in whole] == [{"mood", "thing", "names"}] * 2
    alone = model.predict("the ship was bad")
    assert alone["mood"].score == pytest.approx(whole[0]["mood"].score, abs=1e-5)
    assert model.predict("the ship was bad", head="mood") == alone["mood"]
    assert [a["thing"] for a in whole] == model.predict(["the ship was bad", "the bill"], head="thing")
    assert len(model.predict("the ship", head="thing", top_k=3)) == 3
    assert model.predict([]) == []
    assert model.labels["mood"] == ("bad", "good")
    with pytest.raises(BundleError, match="no head `moods`"):
        model.predict("x", head="moods")
    with pytest.raises(BundleError, match="takes no option"):
        model.predict("x", head="names", top_k=2)
    for count in (0, -1, "2", True):
        with pytest.raises(BundleError, match="not a number of answers"):
            model.predict("x", head="thing", top_k=count)


def test_parity_is_gated_over_all_outputs_and_scores_by_head(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    assert manifest["gates"]["parity"]["worst"] < 1e-4
    assert set(manifest["gates"]["metric"]) == {"mood.fp32", "thing.fp32", "names.fp32"}
    scores = manifest["metrics"]["validation"]
    assert {"mood.accuracy", "thing.accuracy", "names.f1_micro"} <= scores["torch"].keys()
    assert scores["torch"]["mood.accuracy"] == pytest.approx(scores["fp32"]["mood.accuracy"], abs=0.05)
    assert verify(bundle)["fp32"] < 1e-4


def test_the_wrapper_answers_on_the_command_line(bundle: Path) -> None:
    (whole,) = building.script(bundle, "the ship was bad")
    assert whole["mood"] == building.script(bundle, "--head", "mood", "the ship was bad")[0]
    (things,) = building.script(bundle, "--top-k", "2", "--head", "thing", "the ship was bad")
    assert things[0] == whole["thing"]
    assert len(things) == 2
    assert building.script(bundle, "the ship was bad", "--top-k", "2", "--head", "thing") == [things]
    assert len(building.script(bundle, "one", "--head", "thing", "two", "--", "--three")) == 3
    assert building.script(bundle, "--", "--topk", "2") == building.script(bundle, "--", "--topk", "--", "2")[::2]


def test_a_flag_of_the_command_line_that_there_is_not_is_no_text(bundle: Path) -> None:
    for words in (["--topk", "2", "the ship was bad"], ["the ship was bad", "--topk", "2"], ["the ship", "--top-k"]):
        command = [sys.executable, str(bundle / "predict.py"), *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "[--top-k N] [--] INPUT" in ran.stderr


def test_rows_without_an_answer_are_for_the_other_heads(tmp_path: Path) -> None:
    found = plan(write(tmp_path, {"mood": MOOD, "thing": THING}))
    read = rows(60, 0)
    for task in found.tasks:
        (train,) = (split for split in task.data.splits if split.name == "train")
        assert train.rows == sum(task.name in row for row in read) < 60
    (shared,) = found.train.sets
    assert shared.tasks == ("mood", "thing")
    assert shared.rows == sum("mood" in row or "thing" in row for row in read)


def test_the_same_rows_are_held_out_for_all(tmp_path: Path) -> None:
    data = {**SHARED, "validation": {"fraction": 0.25}}
    spec = write(tmp_path, {"mood": MOOD, "thing": THING}, data=data)
    found, _, run = running.training(spec, tmp_path / "store")
    (shared,) = run.sets
    held = {int(n) for each in run.validation.values() for n in each.prepared.numbers}
    assert held.isdisjoint(shared.every.tolist())
    assert len(shared.every) == found.train.sets[0].rows
    for task in found.tasks:
        planned = {split.name: split.rows for split in task.data.splits}
        assert planned["validation"] == len(run.validation[task.name])


@pytest.mark.parametrize("method", ["lora", "probe"])
def test_one_entry_learns_what_head_learns(method: str, tmp_path: Path) -> None:
    for place in ("one", "several"):
        (tmp_path / place).mkdir()
    spec = write(tmp_path / "several", {"mood": MOOD}, is_whole=True, adapt={"method": method})
    values = yaml.safe_load(spec.read_text())
    (head,) = values.pop("heads").values()
    values |= {"head": {"type": head["type"]}, "data": {**SHARED, "columns": {"text": "text", "label": "mood"}}}
    write(tmp_path / "one", {}, is_whole=True).write_text(yaml.safe_dump(values))
    learned = {}
    for place in ("one", "several"):
        _, _, folder = running.trained(tmp_path / place / "spec.yaml", tmp_path / place / "store")
        learned[place] = load_file(folder / "learned.safetensors")
    named = {name.replace("head.mood.", "head."): tensor for name, tensor in learned["several"].items()}
    assert named.keys() == learned["one"].keys()
    assert all((named[name] == tensor).all() for name, tensor in learned["one"].items())


@pytest.mark.parametrize(("method", "adapt"), [("full", "shared"), ("lora", "own")])
def test_a_resumed_training_is_the_same(method: str, adapt: str, tmp_path: Path) -> None:
    own = {**THING, "data": {"train": "more.jsonl", "validation": "rows.jsonl", "columns": {"label": "thing"}}}
    heads = {"mood": {**MOOD, "adapt": adapt}, "thing": {**own, "adapt": adapt}}
    spec = write(tmp_path, heads, is_whole=True, adapt={"method": method})
    _, _, whole = running.training(spec, tmp_path / "store")
    assert len(whole.sets) == 2
    halfway = type(whole)(whole.job, whole.progress)
    calls = iter(range(100))

    def interrupted(is_interrupted: bool) -> None:
        if next(calls) == 3:
            halfway.save()
            raise KeyboardInterrupt

    halfway._save_if_due = interrupted
    with pytest.raises(KeyboardInterrupt):
        halfway.epochs()
    again = type(whole)(whole.job, whole.progress)
    again.resume()
    assert 0 < again.step < whole.step
    again.epochs()
    assert again.losses == whole.losses


def test_the_loss_of_a_step_is_the_sum_of_the_heads_by_their_weights(tmp_path: Path) -> None:
    lost = []
    for weight in (1.0, 2.0, 4.0):
        (folder := tmp_path / f"{weight}").mkdir()
        heads = {"mood": MOOD, "thing": {**THING, "weight": weight}}
        spec = write(folder, heads, is_whole=True, train={**TRAIN, "max_steps": 1})
        lost.append(float(np.load(running.trained(spec, folder / "store")[2] / "losses.npy")[0]))
    assert lost[1] - lost[0] > 0.5, "the loss of one among three, at chance"
    assert lost[2] - lost[1] == pytest.approx(2 * (lost[1] - lost[0]), rel=1e-4)


def test_sampling_draws_from_every_set() -> None:
    assert batches([100, 10], 10, 1.0) == (10, 1)
    assert batches([100, 10], 10, None) == (10, 10)
    assert batches([100, 10], 10, 1e6) == (10, 10)
    assert np.all(np.array(batches([100, 10, 1], 1, 2.0)) == (100, 32, 10))


OTHER = {"type": "text-classification"}
WRONG: list[tuple[str, Callable[[dict[str, Any]], Any], str, str]] = [
    ("no name", lambda s: s["heads"].update({"a b": s["heads"].pop("thing")}), "E0380", "`a b` can't name a head"),
    ("another length", lambda s: s["heads"]["thing"]["data"].update(max_length=16), "E0381", "`max_length` differs between"),
    ("a pair", lambda s: s["heads"]["thing"]["data"]["columns"].update(text_pair="text2"), "E0381", "read different inputs"),
    ("its own adapter", lambda s: s["heads"]["thing"].update(adapt="own"), "E0550", "`full` adds no tensors that `thing`"),
    ("no type", lambda s: s["heads"]["thing"].pop("type"), "E0204", "`type` is missing under"),
    ("an unknown key", lambda s: s["heads"]["thing"].update(wieght=2), "E0201", "wieght"),
    ("a weight of nothing", lambda s: s["heads"]["thing"].update(weight=0), "E0205", "weight"),
    ("no column", lambda s: s["heads"]["thing"]["data"]["columns"].update(label="thin"), "E0312", "no column `thin`"),
    ("a label", lambda s: s["heads"]["thing"].update(labels=["ship", "bill", "logon"]), "E0314", "`logon`"),
    ("no metric", lambda s: s["heads"]["thing"].update(metric="f1"), "E0321", "`f1` is not a metric"),
    ("nobody's metric", lambda s: s["train"].update(metric="accuracy"), "E0321", "the metric of no head"),
    ("a head's other metric", lambda s: s["train"].update(metric="thing.f1"), "E0321", "`f1` is not a metric"),
    ("head too", lambda s: s.update(head=OTHER), "E0209", "`head` and `heads` are both given"),
    ("no heads", lambda s: s.update(heads={}), "E0204", "`heads` is empty"),
    ("a list", lambda s: s.update(heads=[OTHER]), "E0202", "not a mapping"),
    ("nothing", lambda s: s["heads"].update(thing=None), "E0202", "has no value"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_told_once_at_its_place(case: Any, tmp_path: Path) -> None:
    _, change, code, words = case
    spec = write(tmp_path, {"mood": MOOD, "thing": THING})
    building.write_rows(tmp_path / "rows.jsonl", [{**row, "text2": "x"} for row in rows(60, 0, True)])
    building.write_rows(tmp_path / "more.jsonl", [{**row, "text2": "x"} for row in rows(30, 1, True)])
    values = yaml.safe_load(spec.read_text())
    change(values)
    spec.write_text(yaml.safe_dump(values, sort_keys=False))
    errors = [found for found in building.found(spec) if found.code.startswith("E")]
    assert [found.code for found in errors] == [code], errors
    assert words in errors[0].headline, errors[0]
    assert errors[0].at is not None


def test_sampling_without_effect_is_told(tmp_path: Path) -> None:
    spec = write(tmp_path, {"mood": MOOD, "thing": THING}, train={**TRAIN, "sampling": "round-robin"})
    assert "W0302" in [found.code for found in building.found(spec)]
