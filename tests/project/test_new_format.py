"""A new data format is one file and no other edit: one is added to a copy of the package and used in full."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ..backbones import tiny
from ..matrix import rows
from .copied import Copy, files

OVERLAY = Path(__file__).with_name("new_format")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Rows that lie as lines too, which say what a table of them must give."""
    folder = tmp_path_factory.mktemp("copy")
    tiny.save("bert", folder / "backbone")
    lines = rows.write(folder, "text-classification")
    for split, file in lines.items():
        table(folder / f"{split}.sqlite", map(json.loads, Path(file).read_text().splitlines()))
    spec = {
        "graftc": 1, "name": "copied", "backbone": {"from": "./backbone"}, "adapt": {"method": "probe"},
        "head": {"type": "text-classification"},
        "data": {"train": "train.sqlite", "validation": "validation.sqlite", "max_length": 32},
        "train": {"max_steps": 4, "batch_size": 8}, "export": {"gate": {"metric_drop": 1.0}},
    }  # fmt: skip
    return Copy(folder, OVERLAY, spec)


def table(path: Path, numbered: Iterable[Mapping[str, Any]], name: str = "rows of a shop") -> None:
    """Adds a table of texts and labels to a database."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f'CREATE TABLE "{name}" (text TEXT, label INTEGER)')
        database.executemany(
            f'INSERT INTO "{name}" VALUES (CAST(? AS TEXT), ?)', [(row["text"], row["label"]) for row in numbered]
        )


def refused(copy: Copy, file: str, **changes: Any) -> str:
    """What validation says of a spec that trains on a file."""
    return copy.run("validate", copy.write("bad.yaml", data={**copy.spec["data"], "train": file} | changes), status=1)


def test_only_a_module_is_added() -> None:
    assert files(OVERLAY) == ["compiler/formats/sqlite.py"]


def test_validation_knows_it(copy: Copy) -> None:
    assert "fine" in copy.run("validate", copy.write("spec.yaml"))
    said = refused(copy, "train.sqlite", columns={"text": "body"})
    assert "error[E0312]: `train.sqlite` has no column `body`" in said
    assert "its columns: text, label" in said
    (copy.folder / "train.data").write_bytes((copy.folder / "train.sqlite").read_bytes())
    assert "one of: conll, csv, image-folder, json, jsonl, parquet, sqlite, tsv, txt" in refused(copy, "train.data")
    data = {**copy.spec["data"], "train": {"from": "train.data", "format": "sqlite"}}
    assert "fine" in copy.run("validate", copy.write("other.yaml", data=data))


def test_a_bad_file_is_told(copy: Copy) -> None:
    whole = (copy.folder / "train.sqlite").read_bytes()
    (copy.folder / "text.sqlite").write_text("text,label\n")
    (copy.folder / "cut.sqlite").write_bytes(whole[:6000])
    (copy.folder / "half.sqlite").write_bytes(whole[:4096])
    (copy.folder / "two.sqlite").write_bytes(whole)
    table(copy.folder / "two.sqlite", [], "customers")
    sqlite3.connect(copy.folder / "none.sqlite").executescript("CREATE TABLE a (b); DROP TABLE a;").connection.close()
    reasons = {
        "text": "it does not begin as a SQLite database does",
        "cut": "the database is damaged: ",
        "half": "the database is damaged: ",
        "two": "it has 2 tables, and one is read",
        "none": "it has 0 tables, and one is read",
    }
    for name, reason in reasons.items():
        said = refused(copy, f"{name}.sqlite")
        assert f"error[E0317]: `{name}.sqlite` can't be read\n" in said
        assert f"--> {name}.sqlite\n" in said
        assert reason in said


def test_a_bad_row_is_told_at_its_place_and_may_be_left_out(copy: Copy) -> None:
    sound = [{"text": f"a text of number {i}", "label": i % 2} for i in range(40)]
    table(copy.folder / "odd.sqlite", [*sound[:6], {"text": b"caf\xe9", "label": 0}, *sound[6:]])
    said = refused(copy, "odd.sqlite")
    assert "--> odd.sqlite:7\n" in said
    assert "a text is not UTF-8" in said
    data = {**copy.spec["data"], "train": "odd.sqlite", "bad_rows": {"skip": 0.1}}
    plan = json.loads(copy.run("plan", copy.write("skip.yaml", data=data), "--json"))
    assert plan["tasks"][0]["data"]["splits"][0]["rows"] == len(sound)


def test_it_is_planned_built_and_asked(copy: Copy) -> None:
    spec = copy.write("spec.yaml")
    plan = json.loads(copy.run("plan", spec, "--json"))
    lines = {split: f"text-classification.{split}.jsonl" for split in ("train", "validation")}
    other = json.loads(copy.run("plan", copy.write("lines.yaml", data={**lines, "max_length": 32}), "--json"))
    assert plan["tasks"][0]["head"] == other["tasks"][0]["head"]
    splits = [[split["rows"] for split in each["tasks"][0]["data"]["splits"]] for each in (plan, other)]
    assert splits == [[24, 12]] * 2
    copy.run("build", spec, "--quiet")
    copy.run("verify", "bundles/copied")
    assert json.loads(copy.run("predict", "bundles/copied", "where is my parcel?"))["label"] in (0, 1, "0", "1")
    said = copy.run("predict", "bundles/copied", "--input", "train.sqlite", status=1)
    assert "error[E0505]: a table is no list of inputs" in said
