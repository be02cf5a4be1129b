"""A second build does what has become necessary, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from graftc.compiler.api import build, plan, ready_again
from graftc.compiler.cli import main
from graftc.compiler.diagnostics import Refused
from graftc.compiler.execution.executor import Built
from graftc.compiler.stages.prepare import raw_rows
from graftc.compiler.store.staging import ENDING, MARK, TEXT

from . import subjects

HEAVY = {"torch", "transformers", "peft", "accelerate", "onnx", "onnxruntime", "kornia", "torchmetrics"}
TRAINED = {"train", "evaluate", "health", "export", "checkpoint", "verify", "pack"}
DRAWN = {"prepare-train", "prepare-validation"}  # one file, some of its rows held out
PROBE = {"adapt": {"method": "probe"}, "train": {"epochs": 2, "batch_size": 8}}
SECONDS = 2.0  # of the processor, for a build that finds everything done


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class Bench:
    """A spec, a store in which it was built, and its bundle."""

    def __init__(self, folder: Path) -> None:
        self.spec, self.store, self.output = (
            folder / "source" / "spec.yaml",
            folder / "store",
            folder / "out" / "bundle",
        )

    def build(self, *sets: str, output: Path | None = None) -> Built:
        return build(self.spec, output or self.output, self.store, sets)

    def is_restored(self) -> bool:
        return contents(self.output) == contents(self.store.parent / "first")


def built(folder: Path, **sections: Any) -> Path:
    subjects.write(folder / "source", subjects.text(folder / "source", **sections))
    shutil.copytree(Bench(folder).build().folder, folder / "first")
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("done"))


@pytest.fixture
def bench(done: Path, tmp_path: Path) -> Bench:
    """A built spec that a test may spoil."""
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(built(tmp_path_factory.mktemp("probe"), **PROBE))


def test_a_second_build_runs_nothing_loads_no_torch_and_takes_no_time(bench: Bench) -> None:
    program = f"""
import resource, sys
from graftc.compiler.cli import main
main(["build", {str(bench.spec)!r}, "-o", {str(bench.output)!r}, "--store", {str(bench.store)!r}])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, *({HEAVY!r} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *_, last = done.stdout.splitlines()
    seconds, *loaded = last.split()
    assert "nothing to do" in done.stdout
    assert loaded == []
    assert float(seconds) < SECONDS


@pytest.mark.parametrize(
    ("sets", "ran"),
    [
        (["export.precision=[fp32, int8]", "export.gate.metric_drop=1.0"], {"quantize", "verify", "pack"}),
        (["export.gate.metric_drop=0.02"], {"verify", "pack"}),
        (["export.gate.parity=2e-4"], {"export", "verify", "pack"}),
        (["export.samples=validation"], {"verify", "pack"}),
        (["export.opset=18"], {"export", "verify", "pack"}),
        (["description=Other words."], {"pack"}),
        (["train.learning_rate=0.005"], TRAINED),
        (["data.test=null"], {"floor", "evaluate", "health", "verify", "pack"}),
        (["seed=2"], {*DRAWN, "rehearse", "floor", *TRAINED}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_edit_runs_what_depends_on_it(bench: Bench, sets: list[str], ran: set[str]) -> None:
    assert set(bench.build(*sets).ran) == ran
    assert bench.build(*sets).ran == {}
    assert bench.build().ran == {}, "and going back runs nothing"
    assert bench.is_restored()


def edit(path: Path) -> None:
    """Another word in one row; its labels and their number stay."""
    path.write_text(path.read_text().replace("the ", "that ", 1))


@pytest.mark.parametrize(
    ("file", "ran"),
    [
        ("test", {"prepare-test", "floor", "evaluate", "health", "verify", "pack"}),
        ("train", DRAWN | {"floor"} | TRAINED),
    ],
)
def test_edited_rows_run_what_reads_them(bench: Bench, file: str, ran: set[str]) -> None:
    path = bench.spec.parent / f"{file}.jsonl"
    text = path.read_text()
    edit(path)
    assert set(bench.build().ran) == ran
    path.write_text(text)
    assert bench.build().ran == {}
    assert bench.is_restored()


def test_edited_validation_rows_train_again_for_they_choose_the_checkpoint(bench: Bench) -> None:
    own = "data.validation=validation.jsonl"
    bench.build(own)
    edit(bench.spec.parent / "validation.jsonl")
    assert set(bench.build(own).ran) == {"prepare-validation", "floor", *TRAINED}


def test_edited_test_rows_take_the_other_features_from_the_store(probe: Bench) -> None:
    path = probe.spec.parent / "test.jsonl"
    text = path.read_text()
    edit(path)
    assert set(probe.build().ran) == {"prepare-test", "features-test", "floor", "evaluate", "health", "verify", "pack"}
    path.write_text(text)


def test_where_files_lie_changes_no_result(bench: Bench) -> None:
    folder = bench.spec.parent
    (folder / "moved").mkdir()
    for name in ("train.jsonl", "test.jsonl", "bert"):
        (folder / name).rename(folder / "moved" / name)
    data = ["data.train=moved/train.jsonl", "data.test=moved/test.jsonl"]
    assert set(bench.build(*data, "backbone.from=./moved/bert").ran) == {"checkpoint", "pack"}


def test_another_name_packs_again(bench: Bench, tmp_path: Path) -> None:
    assert set(bench.build("name=another", output=tmp_path / "another").ran) == {"pack"}


def test_another_learning_rate_takes_the_features_of_the_frozen_backbone_from_the_store(probe: Bench) -> None:
    assert (probe.store / "stages" / "features-train").is_dir()
    assert set(probe.build("train.learning_rate=0.05").ran) == TRAINED


def test_rows_are_prepared_anew_for_another_tokenizer_of_the_same_name(bench: Bench) -> None:
    path = bench.spec.parent / "bert" / "tokenizer.json"
    settings = json.loads(path.read_bytes())
    settings["normalizer"]["lowercase"] = not settings["normalizer"]["lowercase"]
    path.write_text(json.dumps(settings))
    assert {*DRAWN, "prepare-test", "rehearse", "train"} <= set(bench.build().ran)


def test_times_of_files_change_nothing(bench: Bench) -> None:
    for path in bench.spec.parent.rglob("*"):
        os.utime(path, (1, 1))
    assert bench.build().ran == {}


def test_how_the_spec_is_written_changes_nothing(bench: Bench) -> None:
    sections = yaml.safe_load(bench.spec.read_text())
    bench.spec.write_text("# a comment\n\n" + yaml.safe_dump(sections, sort_keys=True, default_flow_style=True))
    assert bench.build().ran == {}
    bench.store = bench.store.parent / "cold"
    bench.build()
    assert bench.is_restored()


@pytest.mark.parametrize("change", ["byte", "column", "broken", "gone"])
def test_a_plan_is_refused_once_its_data_changed(bench: Bench, change: str) -> None:
    planned = plan(bench.spec)
    data = bench.spec.parent / "train.jsonl"
    text = data.read_text()
    if change == "gone":
        data.unlink()
    else:
        changes = {"byte": ("warm", "cold"), "column": ('"text"', '"body"'), "broken": ("{", "[")}
        data.write_text(text.replace(*changes[change], 1))
    with pytest.raises(Refused) as refused:
        ready_again(planned, "plan.json", bench.spec.parent)
    codes = {"byte": "E0405", "gone": "E0405", "column": "E0313", "broken": "E0317"}
    assert codes[change] in [d.code for d in refused.value.diagnostics]


def test_a_table_that_changes_while_it_is_read_is_refused(bench: Bench) -> None:
    """Its hash was right before the first row was read."""
    planned = plan(bench.spec)
    (task,), data = planned.tasks, bench.spec.parent / "train.jsonl"
    split = task.split("train")
    assert split is not None
    rows = raw_rows(planned, task, split, bench.spec.parent)
    next(rows)
    data.write_text(data.read_text()[::-1])
    with pytest.raises(Refused) as refused:
        list(rows)
    assert [found.code for found in refused.value.diagnostics] == ["E0405"]


def test_a_plan_gives_the_bundle_of_its_spec(bench: Bench, tmp_path: Path) -> None:
    written = tmp_path / "plans" / "plan.json"
    written.parent.mkdir()
    main(["plan", str(bench.spec), "-o", str(written)])
    shutil.rmtree(bench.output)
    words = ["--root", str(bench.spec.parent), "-o", str(bench.output), "--store", str(tmp_path / "cold")]
    main(["build", str(written), *words])
    assert (tmp_path / "cold" / "stages" / "train").is_dir()
    assert bench.is_restored()


def spoil_byte(folder: Path) -> None:
    path = folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


def leave_behind(folder: Path) -> None:
    left = folder.parent / f".bundle.abc{ENDING}"
    shutil.copytree(folder, left / "old")
    (left / MARK).write_text(TEXT)


SPOILT = {
    "gone": shutil.rmtree,
    "empty": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
    "a changed byte": spoil_byte,
    "a missing file": lambda folder: (folder / "predict.py").unlink(),
    "a missing folder": lambda folder: shutil.rmtree(folder / "checkpoint"),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "half a manifest": lambda folder: os.truncate(folder / "manifest.json", 99),
    "left behind by a kill": leave_behind,
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_bundle_is_restored_from_the_store(bench: Bench, case: str) -> None:
    SPOILT[case](bench.output)
    assert bench.build().ran == {}
    assert bench.is_restored()
    assert [path.name for path in bench.output.parent.iterdir()] == ["bundle"]


def test_what_a_user_put_into_the_bundle_stays_there(bench: Bench) -> None:
    (bench.output / "notes.txt").write_text("mine")
    with suppress(Refused):
        bench.build("description=Other words.")
    assert (bench.output / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("names", [["README.md"], ["manifest.json"], ["README.md", "model.onnx", "notes.txt"]])
def test_a_folder_of_other_things_is_not_replaced(bench: Bench, tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("mine")
    with pytest.raises(Refused, match="E0501"):
        bench.build(output=folder)
    assert contents(folder) == dict.fromkeys(names, b"mine")


def test_a_build_elsewhere_gives_the_same_bundle_and_says_nothing_else_when_quiet(bench: Bench, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    shutil.copytree(bench.spec.parent, elsewhere / "specs", copy_function=shutil.copyfile)
    one_target = ["--set", "adapt.target=[query]"]
    words = ["build", "specs/spec.yaml", "-o", "bundle", "--store", "store", "--quiet", *one_target]
    settings = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-m", "graftc", *words], cwd=elsewhere, env=settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line[:1].isalpha()]
    assert all(line.startswith("warning[W04") for line in said), "findings of the training, and nothing else"
    bench.build(one_target[1])
    assert contents(elsewhere / "bundle") == contents(bench.output)
    assert subprocess.run(["diff", "-r", elsewhere / "bundle", bench.output]).returncode == 0


def test_an_adapter_names_its_targets_in_one_order(bench: Bench) -> None:
    targets = json.loads((bench.output / "checkpoint" / "adapter_config.json").read_bytes())["target_modules"]
    assert targets == sorted(targets)


def test_evaluation_between_epochs_shifts_nothing(bench: Bench, tmp_path: Path) -> None:
    """With and without validation rows of their own, the same training rows give the same losses."""
    losses = []
    for validation in ("validation.jsonl", "null"):
        store = tmp_path / validation
        sets = [f"data.validation={validation}", "train.early_stopping=null", "train.epochs=2"]
        build(bench.spec, tmp_path / "bundles" / validation, store, sets)
        (path,) = store.glob("stages/train/*/losses.npy")
        losses.append(np.load(path).tolist())
    assert len(losses[0]) > 4
    assert losses[0] == losses[1]


def test_dropout_is_at_work_in_these_tests(bench: Bench, tmp_path: Path) -> None:
    """Else none of them would see a random state that was lost."""
    losses = []
    for dropout in (0.1, 0.0):
        store = tmp_path / str(dropout)
        sets = [f"adapt.dropout={dropout}", f"head.dropout={dropout}", "train.epochs=1", "train.early_stopping=null"]
        build(bench.spec, tmp_path / "bundles" / str(dropout), store, sets)
        (path,) = store.glob("stages/train/*/losses.npy")
        losses.append(np.load(path).tolist())
    assert losses[0] != losses[1]
