"""A build that was killed, interrupted or starved goes on to the bundle it would have made, to the byte."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .. import loaded
from . import subjects

HERE = Path(__file__).resolve().parent
MEMORY = Path("/dev/shm")  # where a kill leaves what it would leave on a disk, and fsync costs nothing
STAGES = (
    "start",
    "prepare",
    "rehearse",
    "floor",
    "train",
    "evaluate",
    "health",
    "export",
    "checkpoint",
    "verify",
    "pack",
    "deliver",
)
STEPS_PER_EPOCH = 4
TARGETS = {"adapt": {"method": "lora", "rank": 2, "dropout": 0.1, "target": "all-linear"}}  # a set of many words
Outcome = dict[str, Any]


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    folder = tempfile.mkdtemp(prefix="graftc-", dir=MEMORY if MEMORY.is_dir() else None)
    try:
        done = loaded.run(HERE / "forked.py", folder)
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def text(told: dict[str, Any]) -> dict[str, Any]:
    return told["text"]


@pytest.fixture(scope="module")
def features(told: dict[str, Any]) -> dict[str, Any]:
    return told["features"]


@pytest.fixture(scope="module")
def fitted(told: dict[str, Any]) -> dict[str, Any]:
    return told["fitted"]


@pytest.fixture(scope="module")
def images(told: dict[str, Any]) -> dict[str, Any]:
    return told["images"]


def of(told: dict[str, Any], scenario: str) -> list[Outcome]:
    return [outcome for outcome in told["outcomes"] if outcome["scenario"] == scenario]


def assert_whole(outcome: Outcome, left: tuple[str, ...] = ()) -> None:
    """The later build ended well, with the undisturbed bundle, and cleaned up."""
    where = f"{outcome['scenario']} {outcome['point']}"
    assert outcome["status"] == 0, f"{where}: {outcome['said']}"
    assert outcome["differs"] == [], where
    assert outcome["beside"] == [], where
    assert outcome["staging"] == list(left), where


@pytest.mark.parametrize("stage", STAGES)
def test_a_build_killed_in_any_stage_goes_on_to_the_same_bundle(text: dict[str, Any], stage: str) -> None:
    kills = [outcome for outcome in of(text, "kill") if outcome["stage"] == stage]
    assert kills
    assert text["stages"][stage] >= 10
    for outcome in kills:
        assert outcome["disturbed"] == -9, outcome["point"]
        assert_whole(outcome)


def test_kills_fall_on_the_last_rename_of_every_stage_and_within_checkpoints(text: dict[str, Any]) -> None:
    points = [(outcome["stage"], outcome["point"]) for outcome in of(text, "kill")]
    for stage in STAGES[1:]:
        assert any(s == stage and p.startswith("after rename") for s, p in points), stage
    assert points.count(("train", "half save checkpoint.safetensors.partial")) >= 4
    assert points.count(("train", "after save checkpoint.safetensors.partial")) >= 4
    assert points.count(("train", "after replace checkpoint.safetensors")) >= 4


def test_a_build_was_killed_in_every_state_that_it_leaves_on_the_disk(text: dict[str, Any]) -> None:
    """All but those within a checkpoint: of the three that each of them has, in turn one."""
    covered = text["covered"]
    at_checkpoints = [
        outcome for outcome in of(text, "kill")
        if outcome["point"] in ("half save checkpoint.safetensors.partial", "after save checkpoint.safetensors.partial", "after replace checkpoint.safetensors")
    ]  # fmt: skip
    assert sum(text["stages"].values()) == covered["points"] > 500, covered
    assert len(at_checkpoints) >= covered["checkpoints"] >= 12, covered
    assert covered["states"] - covered["killed_states"] <= 2 * covered["checkpoints"], covered
    assert covered["killed_states"] > 30, covered


KILLED = """
import os, signal, sys
import torch
from graftc.compiler.cli import main
from graftc.compiler.execution import saves
saves.EVERY = saves.SHARE = 0.0
update, steps = torch.optim.AdamW.step, iter(range(1, 100))
def killed(*args, **more):
    if next(steps) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return update(*args, **more)
torch.optim.AdamW.step = killed
main(sys.argv[1:])
"""


def test_a_build_goes_on_in_a_process_that_hashes_otherwise(tmp_path: Path) -> None:
    spec = subjects.write(tmp_path / "source", subjects.text(tmp_path / "source", **TARGETS))

    def words(place: str) -> list[str]:
        return ["build", str(spec), "-o", str(tmp_path / place / "bundle"), "--store", str(tmp_path / place / "store")]

    killed = [sys.executable, "-c", KILLED, *words("resumed")]
    assert subprocess.run(killed, env={**os.environ, "PYTHONHASHSEED": "1"}, capture_output=True).returncode == -9
    resumed = loaded.run("-m", "graftc", *words("resumed"))  # whose seed is drawn
    assert "going on from step 5 of 20" in resumed.stderr
    assert loaded.run("-m", "graftc", *words("whole")).returncode == 0
    found, expected = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "resumed" / "bundle", tmp_path / "whole" / "bundle")
    )
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_training_goes_on_from_the_step_of_the_last_checkpoint(text: dict[str, Any]) -> None:
    steps = [int(n) for outcome in of(text, "kill") for n in re.findall(r"going on from step (\d+)", outcome["said"])]
    assert len({step for step in steps if step % STEPS_PER_EPOCH}) >= 6, "in the middle of an epoch"
    assert {4, 8, 12} & set(steps), "between epochs"


def test_a_kill_while_an_older_bundle_is_replaced_leaves_nothing_behind(text: dict[str, Any]) -> None:
    kills = of(text, "kill over an older bundle")
    assert {"after rename old", "after rename bundle"} <= {outcome["point"] for outcome in kills}
    for outcome in kills:
        assert outcome["disturbed"] == -9, outcome["point"]
        assert_whole(outcome)


def test_features_that_were_half_computed_go_on_to_the_same_bundle(features: dict[str, Any]) -> None:
    kills = of(features, "kill")
    assert 3 * len(kills) >= features["states"] > 50
    for outcome in kills:
        assert (outcome["stage"], outcome["disturbed"]) == ("features", -9), outcome["point"]
        assert_whole(outcome)
    assert any("going on from row" in outcome["said"] for outcome in kills)


def test_a_head_that_was_half_fitted_is_fitted_to_the_same_bundle(fitted: dict[str, Any]) -> None:
    kills = of(fitted, "kill")
    stages = [outcome["stage"] for outcome in kills]
    assert stages.count("fit") >= fitted["fit"] >= 5
    assert 5 * stages.count("features") >= fitted["features"] >= 10
    assert any(o["stage"] == "fit" and o["point"].startswith("after rename") for o in kills)
    for outcome in kills:
        assert outcome["disturbed"] == -9, outcome["point"]
        assert_whole(outcome)


def test_statistics_of_batch_norms_and_augmentation_go_on_as_well(images: dict[str, Any]) -> None:
    kills = of(images, "kill")
    assert sum("going on from step" in outcome["said"] for outcome in kills) >= 2
    for outcome in kills:
        assert outcome["disturbed"] == -9, outcome["point"]
        assert_whole(outcome)


@pytest.mark.parametrize(
    ("pressed", "goes_on"),
    [("step 6, 1", "from step 6 of 20"), ("step 8, 1", "from step 8 of 20"), ("step 6, 2", "from step 4 of 20")],
    ids=["in an epoch", "in its last step", "pressed twice"],
)
def test_ctrl_c_saves_the_step_says_how_to_go_on_and_exits_130(
    text: dict[str, Any], pressed: str, goes_on: str
) -> None:
    (outcome,) = (o for o in of(text, "interrupt") if o["point"] == pressed)
    assert outcome["disturbed"] == 130
    assert outcome["disturbed_said"].rstrip().endswith("interrupted; run the same command to go on")
    assert f"going on {goes_on}" in outcome["said"]
    assert_whole(outcome)


def test_a_checkpoint_that_lost_its_end_makes_training_start_again(text: dict[str, Any]) -> None:
    (outcome,) = of(text, "damage")
    assert "starting again" in outcome["said"]
    assert "going on" not in outcome["said"]
    assert_whole(outcome)


def test_what_another_spec_left_unfinished_is_not_gone_on_with(text: dict[str, Any]) -> None:
    (outcome,) = of(text, "other")
    assert len(outcome["before"]) == 1
    assert "going on" not in outcome["said"]
    assert_whole(outcome, left=outcome["before"])


def test_builds_at_the_same_time_over_one_store_share_the_work(text: dict[str, Any]) -> None:
    (outcome,) = of(text, "together")
    assert outcome["disturbed"] == 0, outcome["disturbed_said"]
    assert outcome["disturbed_said"].splitlines().count("train …") == 1
    assert "waiting for another build that makes the same" in outcome["disturbed_said"]
    assert_whole(outcome)
    assert "nothing to do" in outcome["said"]


@pytest.mark.parametrize("stage", ["prepare", "rehearse", "train", "checkpoint", "deliver"])
def test_a_full_disk_is_said_as_such_and_costs_nothing_but_the_stage(text: dict[str, Any], stage: str) -> None:
    (outcome,) = (o for o in of(text, "full disk") if o["point"] == stage)
    assert outcome["disturbed"] == 4
    assert "error[E0410]: the disk is full" in outcome["disturbed_said"]
    assert_whole(outcome)
