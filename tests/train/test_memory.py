"""A batch that is too large for the memory is taken in parts, and the step stays what it is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from graftc.compiler.model.network import Network
from graftc.compiler.training.memory import Parts

from .. import loaded
from ..backbones import tiny
from . import running

ROWS = 1024
FILES = ("receipt", "manifest")
WORDS = [
    "the",
    "lift",
    "on",
    "the",
    "third",
    "floor",
    "stops",
    "between",
    "two",
    "doors",
    "and",
    "nobody",
    "has",
    "come",
    "to",
    "look",
    "at",
    "it",
    "since",
    "monday",
]
# what a step may take beside what the process has when training begins: a fraction of what this batch needs
SCARCE = """
import resource, sys
from pathlib import Path
from graftc.compiler.cli import main
from graftc.compiler.execution.progress import Progress
from graftc.compiler.training import loop

epochs = loop.Training.epochs

def scarce(self):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 1_000_000, hard))
    try:
        epochs(self)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

loop.Training.epochs = scarce
main(sys.argv[2:])
"""


def spec(folder: Path, rows: int = ROWS, **sections: Any) -> Path:
    """A tiny network in full, without dropout, over rows that are many and long for it."""
    folder.mkdir(exist_ok=True)
    tiny.save("bert", folder / "backbone")
    chance = np.random.default_rng(0)
    drawn = [(f"l{i % 2}", *(" ".join(chance.choice(WORDS, words)) for words in (60, 9))) for i in range(rows)]
    lines = [json.dumps({"label": label, "text": text, "other": other}) + "\n" for label, text, other in drawn]
    (folder / "train.jsonl").write_text("".join(lines))
    data = {"train": "train.jsonl", "columns": {"text": "text", "label": "label"}, "max_length": 64}
    whole = {
        "backbone": {"from": "./backbone", "dropout": 0.0},
        "head": {"type": "text-classification", "dropout": 0.0, "start": "random"},
        "data": {**data, **sections.pop("data", {})},
        "train": {"epochs": 2, "batch_size": rows, "learning_rate": 1e-3, "warmup": 0},
    }
    return running.write_spec(folder, **{**whole, **sections})


def losses(path: Path, parts: int) -> np.ndarray:
    """The loss of every step where each batch is cut into so many parts from the start."""
    before = Parts.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parts, "__init__", lambda self, *given: (before(self, *given), setattr(self, "count", parts))[0])
        _, _, run = running.training(path, path.parent / f"store{parts}")
    assert run.parts.count == parts
    return np.array(run.losses)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and read as Linux has it")
def test_a_build_that_memory_is_too_small_for_takes_its_batches_in_parts(tmp_path: Path) -> None:
    path = spec(tmp_path / "scarce")
    settings = {**os.environ, "GRAFTC_STORE": str(tmp_path / "store")}
    done = loaded.run("-c", SCARCE, "160", "build", path, "--output", tmp_path / "bundle", env=settings)
    assert done.returncode == 0, done.stderr[-3000:]
    receipt, manifest = (json.loads((tmp_path / "bundle" / f"{name}.json").read_bytes()) for name in FILES)
    rows = receipt["micro_batch"]["train"]
    assert 1 < rows < ROWS
    assert f"out of memory: {rows} rows at once, {ROWS} in each step" in done.stderr
    assert "micro_batch" not in manifest["training"], "what the memory allows is no part of the model"
    _, _, plain = running.training(spec(tmp_path / "plain"), tmp_path / "other")
    assert plain.parts.count == 1
    found = [entry["train_loss"] for entry in manifest["training"]["epochs"]]
    np.testing.assert_allclose(found, plain.losses, rtol=1e-5)


PAIRS = {"head": {"type": "sentence-similarity"}, "data": {"columns": {"text": "text", "text_pair": "other"}}}
HEADS = {
    "one": {"head": {"type": "text-classification", "dropout": 0.0, "loss": {"class_weights": {"l0": 3.0}}}},
    "in-batch negatives": PAIRS,
}


@pytest.mark.parametrize("sections", HEADS.values(), ids=HEADS)
def test_the_loss_of_a_step_is_that_of_its_whole_batch(tmp_path: Path, sections: dict[str, Any]) -> None:
    path = spec(tmp_path / "spec", 90, **sections, train={"epochs": 2, "batch_size": 24, "learning_rate": 1e-3})
    whole, cut = losses(path, 1), losses(path, 8)
    assert len(whole) == 8
    np.testing.assert_allclose(cut, whole, rtol=2e-5)


def test_parts_may_have_other_numbers_of_masked_words(tmp_path: Path) -> None:
    train = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "group_by_length": False}
    path = spec(tmp_path / "spec", 8, head={"type": "fill-mask"}, data={"columns": {"text": "text"}}, train=train)
    texts = [" ".join(WORDS[: 2 + 9 * (i % 3)]) for i in range(24)]
    (path.parent / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    whole, cut = losses(path, 1), losses(path, 8)
    assert len(whole) == 3
    np.testing.assert_allclose(cut, whole, rtol=2e-5)


def test_states_are_kept_in_parts_of_which_none_is_empty(tmp_path: Path) -> None:
    """The last of many rows may be fewer than the parts that the memory allows."""
    path = spec(tmp_path / "spec", 67, adapt={"method": "probe"}, train={"max_steps": 3, "batch_size": 16})
    np.testing.assert_allclose(losses(path, 16), losses(path, 1), rtol=2e-5)


def test_no_step_of_a_training_needs_more_memory_than_its_parts(tmp_path: Path) -> None:
    """Not even the look at whether what was computed once is what the network computes."""
    freeze = {"from": "./backbone", "dropout": 0.0, "freeze": ["embeddings", "layers[0:2]"]}
    more = {"data": {"validation": {"fraction": 0.2}}, "train": {"max_steps": 3, "batch_size": 64}}
    path, seen, answers = spec(tmp_path / "spec", 120, backbone=freeze, **more), [], Network.answers

    def scarce(self: Network, arrays: Any, names: Any) -> Any:
        seen.append(len(next(iter(arrays.values()))))
        if seen[-1] > 16:  # what a rehearsal asks is less
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes")
        return answers(self, arrays, names)

    whole = running.training(path, path.parent / "whole")[2]
    assert whole.plan.train.fold == "layers[0:2]"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "answers", scarce)
        cut = running.training(path, path.parent / "cut")[2]
    assert cut.parts.count == 4
    assert max(seen) == 64
    np.testing.assert_allclose(cut.losses, whole.losses, rtol=2e-5)


def test_a_network_that_normalises_over_its_rows_is_not_cut() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    tried = []

    def never(parts: int) -> None:
        tried.append(parts)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes")

    with pytest.raises(MemoryError, match="5 bytes"):
        Parts(network).fit(32, never)
    assert tried == [1]
    with pytest.raises(MemoryError, match="5 bytes"):
        Parts(network.eval()).fit(32, never)
    assert tried[1:] == [1, 2, 4, 8, 16, 32]


def test_other_mistakes_are_not_taken_for_a_lack_of_memory() -> None:
    tried = []

    def wrong(parts: int) -> None:
        tried.append(parts)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        Parts().fit(32, wrong)
    assert tried == [1]


def test_what_onednn_says_may_mean_memory_and_may_not() -> None:
    tried = []

    def few(parts: int) -> str:
        tried.append(parts)
        if parts < 4:
            raise RuntimeError("could not create a primitive")
        return "done"

    assert Parts().fit(32, few) == "done"
    assert tried == [1, 2, 4]
    with pytest.raises(RuntimeError, match="primitive"):
        Parts().fit(2, few)
