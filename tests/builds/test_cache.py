"""What is kept can be listed, explained, verified and collected, also while a build uses it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.api import build
from graftc.compiler.cli import main
from graftc.compiler.diagnostics import Refused
from graftc.compiler.store import collection
from graftc.compiler.store.store import Store

from . import subjects

PROBE = {"adapt": {"method": "probe"}, "train": {"epochs": 2, "batch_size": 8, "learning_rate": 0.01}}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    subjects.write(folder, subjects.text(folder, **PROBE))
    build(folder / "spec.yaml", folder / "bundle", folder / "store")
    return folder


@pytest.fixture
def place(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a built spec with its store, in the folder where the test stands."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    return tmp_path


def graftc(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    capsys.readouterr()  # what builds said before
    try:
        main(["cache", *words])
        code = 0
    except SystemExit as left:
        code = int(left.code or 0)
    answer = capsys.readouterr()
    assert code == status, answer.err
    return answer.out + answer.err


def why(capsys: pytest.CaptureFixture[str], *sets: str) -> dict[str, Any]:
    flags = [word for item in sets for word in ("--set", item)]
    return {row["stage"]: row for row in json.loads(graftc(capsys, "why", "spec.yaml", "--json", *flags))}


def test_a_list_has_every_stage_with_its_size_and_plan(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = json.loads(graftc(capsys, "ls", "--json"))
    stages = {path.parent.name for path in (place / "store" / "stages").glob("*/*")}
    assert {row["stage"] for row in there} == stages
    assert {row["plan"] for row in there} == {"tiny"}
    for row in there:
        files = [path for path in Path(row["folder"]).rglob("*") if path.is_file()]
        assert row["bytes"] == sum(path.stat().st_size for path in files)
    text = graftc(capsys, "ls")
    assert f"{len(stages)} stages" in text
    assert all(stage in text for stage in stages)


def test_nothing_runs_where_nothing_changed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert all(row["is_there"] and not row["is_needed"] for row in why(capsys).values())


def test_why_names_the_input_that_changed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = why(capsys, "train.learning_rate=0.02")
    assert rows["train"]["because"] == ["train.learning_rate 0.01 → 0.02"]
    assert rows["features-train"]["is_there"]
    assert "after train" in rows["export"]["because"][0]
    lines = (place / "train.jsonl").read_text().replace("the ", "that ", 1)
    (place / "train.jsonl").write_text(lines)
    rows = why(capsys)
    assert rows["prepare-train"]["because"] == ["tables of train changed"]
    assert rows["prepare-test"]["is_there"]


def test_what_why_says_runs_is_what_a_build_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for sets in (("export.opset=18",), ("train.epochs=1",), ("seed=5",)):
        said = {name for name, row in why(capsys, *sets).items() if row["is_needed"]}
        assert set(build("spec.yaml", "bundle", sets=sets).ran) == said


def test_why_says_what_was_begun(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = why(capsys, "train.learning_rate=0.02")
    store = Store(place / "store")
    for stage in ("train", "export"):
        store.staging(stage, rows[stage]["key"]).mkdir(parents=True)
    rows = why(capsys, "train.learning_rate=0.02")
    assert rows["train"]["because"] == ["begun, not finished"]
    assert "after train" in rows["export"]["because"][0], "it does not resume"
    assert rows["train"]["is_needed"]


def test_why_of_an_empty_store(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("store")
    assert {row["because"][0] for row in why(capsys).values()} == {"never made in this store"}


def test_what_was_used_longest_ago_goes_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(place / "store")
    old = next(entry for entry in collection.entries(store) if entry.stage == "rehearse")
    os.utime(store.record(old.stage, old.key), (1, 1))
    size = sum(entry.bytes for entry in collection.entries(store))
    graftc(capsys, "gc", "--limit", str(size - 1) if old.bytes else str(size))
    graftc(capsys, "gc", "--unused", "30d")
    left = {entry.stage for entry in collection.entries(store)}
    assert old.stage not in left
    assert "pack" in left
    assert build("spec.yaml", "bundle").ran == {}, "a packed bundle needs none of its stages"


def test_of_what_one_build_used_the_largest_goes_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(place / "store")
    build("spec.yaml", "bundle")
    newest = collection.entries(store)[0].used
    for older in (entry for entry in collection.entries(store) if entry.used < newest):
        assert collection.remove(store, older)
    every = collection.entries(store)
    assert {"train", "export", "pack"} <= {entry.stage for entry in every}
    largest = max(every, key=lambda entry: entry.bytes)
    graftc(capsys, "gc", "--limit", str(sum(entry.bytes for entry in every) - 1))
    left = {entry.folder for entry in collection.entries(store)}
    assert [entry.stage for entry in every if entry.folder not in left] == [largest.stage]


def test_collectors_at_once_leave_nothing_without_its_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(60):
        store.make("train", f"{i:064}", lambda out: (out / "file").write_bytes(b"1" * 100) and None)
    program = f"""
from pathlib import Path
from graftc.compiler.store.collection import collect
from graftc.compiler.store.store import Store
print(len(collect(Store(Path({str(tmp_path)!r})), 0, None)))
"""
    others = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    removed = [int(other.communicate()[0]) for other in others]
    assert sum(removed) == 60, "each is taken by one of them"
    assert not list((tmp_path / "stages").glob("*/*"))
    assert not list((tmp_path / "records").glob("*/*"))
    assert not list((tmp_path / "trash").iterdir())


def test_a_build_marks_what_it_uses(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(place / "store")
    for entry in collection.entries(store):
        os.utime(store.record(entry.stage, entry.key), (1, 1))
    build("spec.yaml", "bundle")
    graftc(capsys, "gc", "--unused", "1d")
    assert {entry.stage for entry in collection.entries(store)} >= {"train", "pack", "prepare-train"}


def test_what_is_in_use_stays(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(place / "store")
    used = next(entry for entry in collection.entries(store) if entry.stage == "train")
    program = f"""
import sys
from pathlib import Path
from graftc.compiler.store.store import Store
with Store(Path({str(store.root)!r})).using([({used.stage!r}, {used.key!r})]):
    print("holding", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holding\n"
        said = graftc(capsys, "gc", "--limit", "0")
        assert [entry.stage for entry in collection.entries(store)] == ["train"]
        assert "builds are using them" in said
        other.communicate()
    graftc(capsys, "gc", "--limit", "0")
    assert collection.entries(store) == []


def test_builds_beside_a_collector_end_right(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A collector that empties the store again and again never takes from a build what it reads."""
    store, is_over = Store(place / "store"), threading.Event()
    first = {path.name: path.read_bytes() for path in Path("bundle").iterdir() if path.is_file()}

    def empty() -> None:
        while not is_over.is_set():
            collection.collect(store, 0, None)
            time.sleep(0.01)

    collector = threading.Thread(target=empty)
    collector.start()
    try:
        shutil.rmtree("bundle")
        build("spec.yaml", "bundle")
    finally:
        is_over.set()
        collector.join()
    assert {path.name: path.read_bytes() for path in Path("bundle").iterdir() if path.is_file()} == first


def test_a_changed_byte_is_found_and_made_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "fine" in graftc(capsys, "verify")
    (path,) = (place / "store" / "stages" / "evaluate").glob("*/metrics.json")
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    said = graftc(capsys, "verify", status=1)
    assert "E0416" in said
    assert "metrics.json has changed" in said
    assert "evaluate" in graftc(capsys, "verify", "--remove")
    assert "fine" in graftc(capsys, "verify")
    shutil.rmtree("bundle")
    assert build("spec.yaml", "bundle", sets=["description=Other."]).ran.keys() == {"evaluate", "pack"}


def test_a_build_keeps_the_store_below_its_limit(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(entry.bytes for entry in collection.entries(Store(place / "store")))
    monkeypatch.setenv("GRAFTC_STORE_LIMIT", f"{size / 1e6:.3f} MB")
    build("spec.yaml", "bundle", sets=["seed=3"])
    left = collection.entries(Store(place / "store"))
    assert 0 < sum(entry.bytes for entry in left) <= size
    assert left[0].made["record"], "what was used last is what is left"
    monkeypatch.setenv("GRAFTC_STORE_LIMIT", "plenty")
    with pytest.raises(Refused, match="E0417"):
        build("spec.yaml", "bundle")


@pytest.mark.parametrize("words", [["gc"], ["gc", "--limit", "many"], ["gc", "--unused", "3"]])
def test_words_that_say_nothing(place: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    graftc(capsys, *words, status=2)
    assert collection.entries(Store(place / "store"))


def test_specs_of_one_call_share_what_they_have_in_common(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = subjects.text(place, **PROBE)
    names = [f"rate{i}.yaml" for i in range(3)]
    for i, name in enumerate(names):
        train = {**PROBE["train"], "learning_rate": 0.01 * (i + 1)}
        subjects.write(place, {**spec, "name": name.removesuffix(".yaml"), "train": train}, name)
    capsys.readouterr()
    main(["build", "--quiet", "--store", "shared", *names])
    *lines, last = capsys.readouterr().out.splitlines()
    ran = [line.partition(": ")[2] for line in lines if line.startswith("rate")]
    shared = ("prepare", "features", "rehearse")
    assert all(word in ran[0] for word in (*shared, "train", "export"))
    assert not any(word in later for later in ran[1:] for word in shared), "the rows, the features, the rehearsal"
    assert last.startswith("all 3: ")
    words = dict(part.split(" ", 1) for part in last.removeprefix("all 3: ").split(", "))
    folds = [float(took) for took in re.findall(r"features-\w+ (\d+\.\d) s", ran[0])]
    assert len(folds) > 1
    assert float(words["features"].removesuffix(" s")) == pytest.approx(sum(folds), abs=0.06 * len(folds))
    seconds = [float(taken.removesuffix(" s")) for taken in words.values()]
    assert seconds == sorted(seconds, reverse=True)
    assert {"prepare", "features", "train", "export", "verify", "pack"} <= words.keys()
    main(["build", "--quiet", "--store", "shared", *names])
    assert capsys.readouterr().out.splitlines()[-1] == "all 3: nothing to do"
