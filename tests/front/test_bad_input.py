"""What the world can hold against a spec: backbones, data, labels, disks. Each ends in a code at its place."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .cli import Answer
from .conftest import LABELS, ROWS, SPEC, Project

# ---------------------------------------------------------------------------------------------------------
# the backbone


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def put(name: str, content: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(content)

    return spoil


def edit(name: str, **more: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        content = json.loads((folder / name).read_bytes())
        (folder / name).write_text(json.dumps({**content, **more}))

    return spoil


def header(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Rewrites the header of model.safetensors, its length made to fit."""

    def spoil(folder: Path) -> None:
        raw = (folder / "model.safetensors").read_bytes()
        length = struct.unpack("<Q", raw[:8])[0]
        entries = json.loads(raw[8 : 8 + length])
        changed = change(entries)
        text = json.dumps(entries if changed is None else changed).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])

    return spoil


def first(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return header(lambda entries: change(entries["embeddings.LayerNorm.bias"]))


def cut(size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / "model.safetensors", size)


def grow(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"\0" * 8)


def length(claimed: int) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        raw = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", claimed) + raw[8:])

    return spoil


def index(content: Any, keep: bool = False) -> Callable[[Path], None]:
    """Names the file by an index, `content` given by {} as JSON."""

    def spoil(folder: Path) -> None:
        if not keep:
            (folder / "model.safetensors").rename(folder / "part-1.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))

    return spoil


def both(*spoils: Callable[[Path], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for one in spoils:
            one(folder)

    return spoil


def template(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_bytes())
    content["post_processor"]["special_tokens"] = {}
    (folder / "tokenizer.json").write_text(json.dumps(content))


BACKBONES: list[tuple[str, Callable[[Path], Any], str, str]] = [
    ("no folder", lambda folder: shutil.rmtree(folder), "E0301", "there is no folder"),
    ("a file", lambda folder: (shutil.rmtree(folder), folder.write_text("x")), "E0301", "is a file"),
    ("no config.json", remove("config.json"), "E0301", "no config.json"),
    ("config.json is a folder", both(remove("config.json"), lambda f: (f / "config.json").mkdir()), "E0301", "no config"),
    ("config.json is no JSON", put("config.json", b"{"), "E0305", "is not JSON"),
    ("config.json is a list", put("config.json", b"[1]"), "E0305", "holds a list, not an object"),
    ("config.json is bottomless", put("config.json", b"[" * 100_000), "E0305", "is not JSON"),
    ("config.json is binary", put("config.json", b"\xff\xfe\x00"), "E0305", "is not JSON"),
    ("no model_type", put("config.json", b"{}"), "E0305", "names no model_type"),
    ("unknown model_type", edit("config.json", model_type="gpt5"), "E0305", "the family `gpt5` is not known"),
    ("misspelt model_type", edit("config.json", model_type="brt"), "E0305", "did you mean `bert`?"),
    ("hostile model_type", edit("config.json", model_type="\x1b[31m\n../x"), "E0305", r"`\x1b[31m\n../x`"),
    ("model_type is a list", edit("config.json", model_type=["bert"]), "E0305", "is not known"),
    ("a byte order mark", lambda folder: put("config.json", b"\xef\xbb\xbf" + (folder / "config.json").read_bytes())(folder), "E0305", "is not JSON"),
    ("metadata of numbers", header(lambda entries: {**entries, "__metadata__": {"format": 5}}), "E0304", "holds what is no text"),
    ("size is a word", edit("config.json", hidden_size="wide"), "E0382", "expected a whole number"),
    ("size is null", edit("config.json", hidden_size=None), "E0382", "can't be `null`"),
    ("size is negative", edit("config.json", hidden_size=-5), "E0382", "at least 1"),
    ("positions are a list", edit("config.json", max_position_embeddings=[1]), "E0382", "expected a whole number"),
    ("no weights", remove("model.safetensors"), "E0303", "has no weights"),
    ("a pickle only", both(remove("model.safetensors"), put("pytorch_model.bin", b"x")), "E0303", "pytorch_model.bin"),
    ("other formats only", both(remove("model.safetensors"), put("tf_model.h5", b"x")), "E0303", "tf_model.h5"),
    ("empty weights", cut(0), "E0304", "the file has 0"),
    ("weights of five bytes", cut(5), "E0304", "the file has 5"),
    ("weights cut in the header", cut(500), "E0304", "is damaged"),
    ("weights cut short", cut(60_000), "E0304", "cut short or padded"),
    ("weights padded", grow, "E0304", "cut short or padded"),
    ("header claims more than the file", length(1 << 40), "E0304", "it claims 1099511627776 bytes"),
    ("header claims nothing", length(0), "E0304", "it claims 0 bytes"),
    ("header claims less than it has", length(100), "E0304", "is damaged"),
    ("header is a list", header(lambda entries: [1]), "E0304", "is damaged"),
    ("header is empty", header(lambda entries: {}), "E0304", "cut short or padded"),
    ("a tensor that is no object", header(lambda entries: {"a": 5}), "E0304", "is damaged"),
    ("a shape that lies", first(lambda tensor: tensor.update(shape=[33])), "E0304", "its shape and dtype"),
    ("a negative shape", first(lambda tensor: tensor.update(shape=[-32])), "E0304", "not made of whole numbers"),
    ("a shape of words", first(lambda tensor: tensor.update(shape=["a"])), "E0304", "not made of whole numbers"),
    ("an unknown dtype", first(lambda tensor: tensor.update(dtype="Q4_K")), "E0304", "dtype `Q4_K`"),
    ("a dtype of another size", first(lambda tensor: tensor.update(dtype="F16")), "E0304", "its shape and dtype"),
    ("offsets of words", first(lambda tensor: tensor.update(data_offsets=["a", "b"])), "E0304", "is damaged"),
    ("one offset", first(lambda tensor: tensor.update(data_offsets=[0])), "E0304", "is damaged"),
    ("tensors that overlap", header(lambda e: e["embeddings.LayerNorm.weight"].update(e["embeddings.LayerNorm.bias"])), "E0304", "starts at byte"),
    ("no tensors of the family", header(lambda entries: {f"x.{key}": value for key, value in entries.items() if key[0] != "_"}), "E0383", "is missing"),
    ("no layers", header(lambda entries: {key.replace("encoder", "decoder"): value for key, value in entries.items()}), "E0383", "is missing"),
    ("an index that is no JSON", both(remove("model.safetensors"), put("model.safetensors.index.json", b"{")), "E0304", "index.json can't be read"),
    ("an index of nothing", index({"weight_map": {}}), "E0304", "index.json can't be read"),
    ("an index of numbers", index({"weight_map": {"a": 1}}), "E0304", "index.json can't be read"),
    ("an index that leads out", index({"weight_map": {"a": "../x.safetensors"}}), "E0304", "index.json can't be read"),
    ("a shard that is missing", index({"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}), "E0304", "`part-2.safetensors` is missing"),
    ("a tensor that is missing", index({"weight_map": {"lost": "part-1.safetensors"}}), "E0304", "tensor `lost`"),
    ("no tokenizer.json", remove("tokenizer.json"), "E0306", "no tokenizer.json"),
    ("tokenizer.json is no JSON", put("tokenizer.json", b"nope"), "E0306", "can't be read"),
    ("tokenizer.json is empty", put("tokenizer.json", b""), "E0306", "can't be read"),
    ("tokenizer.json is a list", put("tokenizer.json", b"[]"), "E0306", "can't be read"),
    ("tokenizer.json is bottomless", put("tokenizer.json", b"[" * 100_000), "E0306", "can't be read"),
    ("tokenizer.json has no model", put("tokenizer.json", b'{"added_tokens": []}'), "E0306", "can't be read"),
    ("tokenizer.json of an unknown kind", put("tokenizer.json", b'{"model": {"type": "Magic", "vocab": {}}}'), "E0306", "can't be read"),
    ("a template of an unknown token", template, "E0306", "can't be read"),
    ("a padding token without a number", both(put("tokenizer_config.json", b'{"pad_token": "none"}'), edit("config.json", pad_token_id="x")), "E0382", "expected a whole number or null"),
    ("a padding token of numbers", put("tokenizer_config.json", b'{"pad_token": {"text": 1}}'), "E0306", "tokenizer_config.json can't be read"),
    ("tokenizer_config.json is a list", put("tokenizer_config.json", b"[1]"), "E0306", "tokenizer_config.json can't be read"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "code", "words"), [case[1:] for case in BACKBONES], ids=[case[0] for case in BACKBONES]
)
def test_a_backbone_that_is_not_whole(spoil: Callable[[Path], Any], code: str, words: str, project: Project) -> None:
    spoil(project.backbone())
    answer = project.validate()
    assert (answer.status, answer.codes) == ((1, [code]) if code else (0, [])), answer.err
    if code:
        assert words in answer.err
        place, under = answer.findings[0].place, answer.findings[0].under
        # a key of config.json or a file where that is known, and the line of the spec in any case
        assert (place, under) == ("spec.yaml:5:9", "./backbone") or place.startswith("backbone/")
        assert "spec.yaml:5:9" in answer.err


SOURCES = [
    ("./nowhere", 1, "E0301", "relative paths start at"),
    ("~/model", 1, "E0301", "`~` is not expanded"),
    ("/nowhere/at/all", 1, "E0301", "there is no folder"),
    ('"a\\0b"', 1, "E0301", r"`a\x00b`"),
    ("x" * 5000, 1, "E0301", "there is no folder"),
    ("'hub:'", 1, "E0301", "is no repository"),
    ("hub:../../etc@main", 1, "E0301", "is no repository"),
    ("hbu:org/name", 1, "E0301", "did you mean `hub`?"),
    ("folder:backbone", 1, "E0301", "names no source"),
    ("package:yaml", 1, "E0301", "names no folder"),
    ("package:yaml/../..", 1, "E0301", "leads out of the package"),
    ("package:not_installed_at_all/x", 4, "E0320", "no package"),
    ("bundle:nowhere", 1, "E0301", "there is no bundle"),
    ("bundle:backbone", 1, "E0301", "checkpoint/config.json"),
]


@pytest.mark.parametrize(("reference", "status", "code", "words"), SOURCES, ids=[case[0][:30] for case in SOURCES])
def test_a_backbone_that_can_not_be_found(reference: str, status: int, code: str, words: str, project: Project) -> None:
    project.replace("from: ./backbone", f"from: {reference}")
    answer = project.validate()
    absolute = ["W0330"] if reference.startswith("/") else []
    assert (answer.status, answer.codes) == (status, [code, *absolute]), answer.err
    assert words in answer.err
    assert answer.findings[0].place.startswith("spec.yaml:5:9")


FREEZE = [
    ("layers[0:7]", "E0302", "names parts outside of this backbone", "all of them are `layers[0:3]`"),
    ("layers[3:6]", "E0302", "names no part of this backbone", "layers 0 to 2 exist"),
    ("layers[7]", "E0302", "names no part of this backbone", "layers 0 to 2 exist"),
    ("layers[2:1]", "E0302", "names no part of this backbone", "an empty slice"),
    ("layers[-9:]", "E0302", "names parts outside", "layers 0 to 2 exist"),
    ("layers[-:]", "E0302", "matches nothing", "selectors of this backbone"),
    ("layers[:99999999999999999999999]", "E0302", "matches nothing", "layers[0:3]"),
    ("layers[0:2:1]", "E0302", "matches nothing", ""),
    ("layers", "E0302", "needs a slice", "write `layers[0:3]`"),
    ("layer[0:2]", "E0302", "matches nothing", "did you mean `layers[0:2]`?"),
    ("stages[0:2]", "E0302", "matches nothing", "embeddings, layers[0:3]"),
    ("encoder.layers[0:2]", "E0302", "matches nothing", ""),
    ("'embeding'", "E0302", "matches nothing", "did you mean `embeddings`?"),
    ("'nothing.*'", "E0302", "matches nothing", "or a glob over its tensors"),
    ("''", "E0302", "matches nothing", ""),
    ("'" + "*a" * 300 + "'", "E0302", "matches nothing", ""),
    ('"\\e[31mred"', "E0302", r"`\x1b[31mred` matches nothing", ""),
    ("embeddings", "W0301", "freezes nothing more", "freezes it too"),
    ("layers[0]", "W0301", "freezes nothing more", "freezes it too"),
]


@pytest.mark.parametrize(("selector", "code", "headline", "words"), FREEZE, ids=[case[0][:30] for case in FREEZE])
def test_a_selector_that_selects_nothing(selector: str, code: str, headline: str, words: str, project: Project) -> None:
    project.replace("- layers[0:2]", f"- layers[0:2]\n    - {selector}")
    answer = project.validate()
    assert answer.codes == [code], answer.err
    assert answer.status == (1 if code[0] == "E" else 0)
    assert headline in answer.findings[0].headline
    assert words in answer.err
    under = answer.findings[0].under
    assert under == selector or (len(selector) > 160 and selector.startswith(under.rstrip("…")))


def test_every_selector_that_is_wrong_is_told(project: Project) -> None:
    project.replace("    - layers[0:2]", "    - layers[0:9]\n    - lyaers[0:1]\n    - stem")
    assert project.validate().codes == ["E0302"] * 3


TARGETS = [
    ("target: [query, valeu]", "E0308", "target `valeu` matches no module", "did you mean `value`?"),
    ("target: nothing", "E0308", "target `nothing` matches no module", "kinds of this backbone"),
    ("target: ''", "E0308", "target `` matches no module", ""),
]


@pytest.mark.parametrize(("target", "code", "headline", "help"), TARGETS)
def test_a_target_that_matches_no_module(target: str, code: str, headline: str, help: str, project: Project) -> None:
    project.replace("target: [query, value]", target)
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, [code])
    assert headline in answer.findings[0].headline
    assert help in answer.findings[0].notes


def test_targets_that_are_all_frozen(project: Project) -> None:
    project.replace("layers[0:2]", "layers[0:3]")
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, ["E0308"])
    assert "every module that `lora` would adapt is frozen" in answer.err
    assert "use `method: probe`" in answer.err


def test_a_head_that_takes_other_inputs_than_the_backbone(project: Project, pictures: Project) -> None:
    pictures.replace("image-classification", "text-classification")
    answer = pictures.validate()
    assert (answer.status, answer.codes) == (1, ["E0307"]), "the data is held against no head at all"
    assert answer.findings[0].under == "text-classification"
    assert "a vit backbone takes image inputs" in answer.err
    assert "heads for it: image-classification" in answer.err


def test_max_length_beyond_the_positions(project: Project) -> None:
    project.replace("max_length: 32", "max_length: 65")
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, ["E0319"])
    assert answer.findings[0].under == "65"
    assert "write `max_length: 64` or less" in answer.err
    project.replace("max_length: 65", "max_length: 64")
    assert project.validate().status == 0


# ---------------------------------------------------------------------------------------------------------
# the data

ROW = '{"body": "a text", "queue": "bug"}\n'
TABLES: list[tuple[str, str, bytes | None, str, str, str]] = [
    # name, file, content, code, place, words
    ("missing", "tickets.jsonl", None, "E0310", "spec.yaml:20:10", "does not exist"),
    ("nearly there", "trian.jsonl", None, "E0310", "spec.yaml:20:10", "did you mean `train.jsonl`?"),
    ("no such folder", "there/is/none.jsonl", None, "E0310", "spec.yaml:20:10", "there is no folder `there/is`"),
    ("a name too long", "x" * 300 + ".jsonl", None, "E0310", "spec.yaml:20:10", "does not exist"),
    ("a name with a NUL", '"a\\0b.jsonl"', None, "E0310", "spec.yaml:20:10", r"`a\x00b.jsonl` does not exist"),
    ("no ending", "rows", b"x", "E0310", "spec.yaml:20:10", "names no data format"),
    ("unknown ending", "rows.xlsx", b"x", "E0310", "spec.yaml:20:10", "names no data format"),
    ("unknown format", "{from: train.jsonl, format: jsonlines}", None, "E0310", "spec.yaml:20:38", "unknown format `jsonlines`"),
    ("a folder read as csv", "{from: ., format: csv}", None, "E0310", ".", "is a directory"),
    ("a file read as a folder", "{from: train.jsonl, format: image-folder}", None, "E0310", "train.jsonl", "not a directory"),
    ("a split without its column", "{from: train.jsonl, split: train}", None, "E0312", "train.jsonl", "has no column `split`"),
    ("empty csv", "rows.csv", b"", "E0317", "rows.csv", "the file is empty"),
    ("empty jsonl", "rows.jsonl", b"", "E0311", "spec.yaml:20:10", "has no rows"),
    ("empty json", "rows.json", b"", "E0317", "rows.json", "the file is empty"),
    ("an empty list", "rows.json", b"[]", "E0311", "spec.yaml:20:10", "has no rows"),
    ("header only", "rows.csv", b"body,queue\n", "E0311", "spec.yaml:20:10", "has no rows"),
    ("blank lines only", "rows.jsonl", b"\n\n  \n\n", "E0311", "spec.yaml:20:10", "has no rows"),
    ("blank csv", "rows.csv", b"\n\n\n", "E0317", "rows.csv", "the file is empty"),
    ("a broken row", "rows.jsonl", (ROW * 2 + '{"body": \n' + ROW).encode(), "E0317", "rows.jsonl:3", "invalid JSON"),
    ("a row that is no object", "rows.jsonl", (ROW + "[1]\n").encode(), "E0317", "rows.jsonl:2", "a row must be an object, not a list"),
    ("two objects in a row", "rows.jsonl", (ROW + ROW.strip() + ROW).encode(), "E0317", "rows.jsonl:2", "something follows the object"),
    ("not UTF-8", "rows.jsonl", (ROW * 4).encode() + b'{"body": "\xff"}\n', "E0317", "rows.jsonl:5", "not UTF-8"),
    ("half a character", "rows.jsonl", (ROW + '{"body": "\\ud800", "queue": "bug"}\n').encode(), "E0317", "rows.jsonl:2", "half of a character"),
    ("bottomless", "rows.jsonl", ROW.encode() + b"[" * 200_000, "E0317", "rows.jsonl:2", "nested too deeply"),
    ("ragged", "rows.csv", b"body,queue\na,b,c\n", "E0317", "rows.csv:2", "3 cells, but the header names 2 columns"),
    ("an open quote", "rows.csv", b'body,queue\n"a,b\n', "E0317", "rows.csv:2", "a quote"),
    ("a column twice", "rows.csv", b"body,body\na,b\n", "E0317", "rows.csv:1", "names a column twice"),
    ("no parquet", "rows.parquet", b"PAR1", "E0317", "rows.parquet", "not a sound Parquet file"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "content", "code", "place", "words"), [case[1:] for case in TABLES], ids=[case[0] for case in TABLES]
)
def test_a_table_that_can_not_be_read(
    file: str, content: bytes | None, code: str, place: str, words: str, project: Project
) -> None:
    if content is not None:
        project.write(file, content)
    project.replace("train: train.jsonl", f"train: {file}")
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, [code]), answer.err
    assert answer.findings[0].place == place
    assert words in answer.err


COLUMNS = [
    ("{text: bodi, label: queue}", "E0312", "has no column `bodi`", "bodi", "did you mean `body`?"),
    ("{label: queue}", "E0312", "has no column `text`", "train.jsonl", "name it under `data.columns`"),
    ("{text: body}", "E0312", "has no column `label`", "train.jsonl", "`label: <column>`"),
    ("{txt: body, label: queue}", "E0312", "`txt` is not a role of `text-classification`", "txt", "did you mean `text`?"),
    ("{text: body, label: queue, score: body}", "E0312", "`score` is not a role", "score", "roles: text, text_pair, label, labels"),
    ("{text: body, label: queue, labels: queue}", "E0312", "`label` and `labels` are both given", "labels", "any number"),
    ("{text: body, label: [queue, body]}", "E0312", "`label` takes one column", "[queue, body]", ""),
    ("{text: [body, nothing], label: queue}", "E0312", "has no column `nothing`", "[body, nothing]", ""),
    ("{text: body, text_pair: other, label: queue}", "E0312", "has no column `other`", "other", ""),
    ("{text: \"\\e[31m\\n\", label: queue}", "E0312", r"has no column `\x1b[31m\n`", '"\\e[31m\\n"', ""),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "code", "headline", "under", "notes"), COLUMNS, ids=[case[0] for case in COLUMNS])
def test_columns_and_roles(columns: str, code: str, headline: str, under: str, notes: str, project: Project) -> None:
    project.replace("{text: body, label: queue}", columns)
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, [code]), answer.err
    assert headline in answer.findings[0].headline
    assert answer.findings[0].under == under
    assert notes in answer.findings[0].notes


def rows_with(change: Callable[[int, dict[str, Any]], Any]) -> list[dict[str, Any]]:
    found = [dict(row) for row in ROWS]
    for i, row in enumerate(found):
        change(i, row)
    return found


CELLS: list[tuple[str, Callable[[int, dict[str, Any]], Any], str, str, int]] = [
    # what, how the rows are spoilt, headline, and how many rows
    ("a text that is missing", lambda i, row: i % 2 or row.pop("body"), "`body` is missing", "1", 12),
    ("a text that is null", lambda i, row: i == 3 and row.update(body=None), "`body` is missing", "4", 1),
    ("a text that is empty", lambda i, row: i > 5 and row.update(body=" \n"), "`body` is empty", "7", 18),
    ("a text that is a number", lambda i, row: i == 2 and row.update(body=7), "`body` is a number, not text", "3", 1),
    ("a text that is a list", lambda i, row: i == 2 and row.update(body=["a"]), "`body` is a list, not text", "3", 1),
    ("a label that is missing", lambda i, row: i == 9 and row.pop("queue"), "`queue` is missing", "10", 1),
    ("a label that is empty", lambda i, row: i == 9 and row.update(queue=""), "`queue` is missing", "10", 1),
    ("a label that is a fraction", lambda i, row: i == 9 and row.update(queue=1.5), "`queue` holds a number that is not whole, not a label", "10", 1),
    ("a label that is a list", lambda i, row: i == 9 and row.update(queue=["bug"]), "`queue` holds a list, not a label", "10", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "headline", "row", "count"), [case[1:] for case in CELLS], ids=[case[0] for case in CELLS]
)
def test_cells_are_told_by_row_and_counted(
    change: Callable[[int, dict[str, Any]], Any], headline: str, row: str, count: int, project: Project
) -> None:
    project.write("train.jsonl", rows_with(change))
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, ["E0313"]), answer.err
    assert answer.findings[0].headline == headline
    assert answer.findings[0].place == f"train.jsonl:{row}"
    assert (f"{count} rows of the train data: {row}" in answer.findings[0].notes) == (count > 1)


def test_several_kinds_of_mistakes_and_a_broken_row_are_told_together(project: Project) -> None:
    rows = rows_with(lambda i, row: row.update(body="" if i % 3 == 0 else "x", queue=None if i % 5 == 0 else "bug"))
    project.write("train.jsonl", "".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    project.write("validation.jsonl", rows)
    answer = project.validate()
    assert [(f.code, f.place) for f in answer.findings] == [
        ("E0313", "train.jsonl:1"),
        ("E0313", "train.jsonl:6"),
        ("E0317", "train.jsonl:25"),
        ("E0313", "validation.jsonl:1"),
        ("E0313", "validation.jsonl:6"),
    ]


def test_nan_in_a_table_is_a_missing_value(project: Project) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    values = {"body": ["a", "b", None], "queue": pyarrow.array([1.0, float("nan"), 2.0])}
    parquet.write_table(pyarrow.table(values), project.folder / "rows.parquet")
    project.replace("train: train.jsonl", "train: rows.parquet")
    answer = project.validate()
    assert [(f.headline, f.place) for f in answer.findings] == [
        ("`queue` is missing", "rows.parquet:2"),
        ("`body` is missing", "rows.parquet:3"),
    ]


def test_a_table_of_several_has_its_own_place(project: Project) -> None:
    project.write("more.jsonl", [{"body": "x", "queue": None}])
    project.write("odd.jsonl", [{"text": "x", "queue": "bug"}])
    project.replace("train: train.jsonl", "train: [train.jsonl, more.jsonl, odd.jsonl]")
    answer = project.validate()
    assert [(f.code, f.place) for f in answer.findings] == [("E0312", "spec.yaml:22:19"), ("E0313", "more.jsonl:1")]


def test_a_column_missing_everywhere_is_one_mistake(project: Project) -> None:
    project.replace("validation: validation.jsonl", "validation: validation.jsonl\n  test: validation.jsonl")
    project.replace("{text: body, label: queue}", "{text: bdy, label: queue}")
    assert project.validate().codes == ["E0312"]


def test_the_first_row_of_json_may_leave_a_cell_out(project: Project) -> None:
    project.write("train.jsonl", [{"body": "x"}, *ROWS])
    answer = project.validate()
    assert [(f.code, f.place) for f in answer.findings] == [("E0313", "train.jsonl:1")]


LABELLED: list[tuple[str, str, Any, Any, list[tuple[str, str]], str]] = [
    # what, head.labels, training labels, validation labels, code and place, words
    ("a stranger in validation", "", LABELS, ("bug", "spam"), [("E0314", "validation.jsonl:2")], "label `spam` of the validation data is not in the training rows"),
    ("strangers are counted", "", LABELS, ("a", "b", "a", "c", "d", "bug"), [("E0314", "validation.jsonl:1")], "`a` 2, `b` 1, `c` 1, … 1 more"),
    ("a misspelt stranger", "", LABELS, ("bilding",), [("E0314", "validation.jsonl:1")], "did you mean `billing`?"),
    ("written labels decide", "[billing, bug]", LABELS, ("bug",), [("E0314", "train.jsonl:3")], "label `howto` of the train data is not in `head.labels`"),
    ("a written label of no row", "[billing, bug, howto, spam]", LABELS, ("bug",), [("E0314", "spec.yaml:17:33")], "no training row has the label `spam`"),
    ("a misspelt written label", "[billing, bgu, howto]", ("billing", "howto"), ("howto",), [("E0314", "spec.yaml:17:21")], "no training row has the label `bgu`"),
    ("a label written twice", "[billing, bug, howto, bug]", LABELS, ("bug",), [("E0314", "spec.yaml:17:33")], "label `bug` is listed twice"),
    ("a label that differs by kind only", "[1, '1', 2]", (1, 2), (1,), [("E0314", "spec.yaml:17:15")], "label `1` is listed twice"),
    ("an empty label", "[billing, bug, howto, '']", LABELS, ("bug",), [("E0314", "spec.yaml:17:33")], "a label is empty"),
    ("one class", "", ("bug",), ("bug",), [("E0315", "spec.yaml:20:10")], "every row says `bug`"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "train", "validation", "findings", "words"),
    [case[1:] for case in LABELLED],
    ids=[case[0] for case in LABELLED],
)
def test_labels(
    written: str, train: Any, validation: Any, findings: list[tuple[str, str]], words: str, project: Project
) -> None:
    project.replace("  dropout: 0.1", f"  labels: {written}" if written else "  dropout: 0.2")
    project.write("train.jsonl", [{"body": "x", "queue": label} for label in [*train] * 3])
    project.write("validation.jsonl", [{"body": "x", "queue": label} for label in validation])
    answer = project.validate()
    assert answer.status == 1
    assert [(f.code, f.place) for f in answer.findings] == findings, answer.err
    assert words in answer.err


def test_weights_of_labels_that_there_are_not(project: Project) -> None:
    project.replace("dropout: 0.1", "loss: {class_weights: {bug: 2, spam: 3, biling: 1}}")
    answer = project.validate()
    assert [(f.code, f.under) for f in answer.findings] == [("E0314", "spam"), ("E0314", "biling")]
    assert "did you mean `billing`?" in answer.err


def test_any_number_of_labels(project: Project) -> None:
    project.replace("label: queue", "labels: queue")
    project.write("train.jsonl", [{"body": "x", "queue": value} for value in (["a", "b"], [], None, "a|b", ["b"])])
    project.write("validation.jsonl", [{"body": "x", "queue": ["a"]}])
    assert project.validate().status == 0
    project.write("train.jsonl", [{"body": "x", "queue": value} for value in (["a"], 5, [1.5], {"a": 1}, [None])])
    answer = project.validate()
    assert [(f.headline, f.place) for f in answer.findings] == [
        ("`queue` is a number, not a list of labels", "train.jsonl:2"),
        ("`queue` holds a number that is not whole, not a label", "train.jsonl:3"),
        ("`queue` is an object, not a list of labels", "train.jsonl:4"),
        ("`queue` holds an empty label", "train.jsonl:5"),
    ]
    project.write("train.jsonl", [{"body": "x", "queue": []}])
    project.replace("  validation: validation.jsonl\n", "")
    assert project.validate().codes == ["E0315", "W0304"]


def test_a_metric_of_one_label_does_not_measure_several(project: Project) -> None:
    project.write("train.jsonl", [{"text": "x", "labels": ["a", "b"]}] * 4)
    project.write("validation.jsonl", [{"text": "x", "labels": ["a"]}])
    project.replace("  columns: {text: body, label: queue}\n", "")
    project.replace("metric: f1_macro", "metric: accuracy")
    assert project.validate().codes[0] == "E0321", "the columns' own names decide what the head does"


def test_too_few_rows_to_hold_some_out(project: Project) -> None:
    project.replace("validation: validation.jsonl", "validation: {fraction: 0.5}")
    for labels in (("a", "b"), ("a", "b", "c", "d", "e")):
        project.write("train.jsonl", [{"body": "x", "queue": label} for label in labels])
        answer = project.validate()
        assert (answer.status, answer.codes) == (1, ["E0311"])
        assert answer.findings[0].under == "{fraction: 0.5}"


HOSTILE = [
    'a "quote"',
    "an 'apostrophe'",
    "two\nlines",
    "error[E0101]: forged\n --> x",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "%}",
    "back\\slash",
    "🙂👩‍👩‍👧",
    "\u202egnp.exe",
    "\x1b[31mred\x1b[0m",
    "\x9b31m",
    "\r\x08\x07",
    "`backticks`",
    "*",
    "[0:2]",
    "a" * 10_000,
    "$(true)",
    "../../etc",
    "a\u2028b",
]


def test_hostile_labels_reach_no_terminal(project: Project, graftc: Callable[..., Answer]) -> None:
    project.write("train.jsonl", [{"body": f"x {label}", "queue": label} for label in HOSTILE * 2])
    project.write("validation.jsonl", [{"body": "x", "queue": f"{label}?"} for label in HOSTILE])
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, ["E0314"])
    assert len(answer.err) < 1500, "long labels are cut"
    project.replace("  validation: validation.jsonl\n", "")
    assert project.validate().status == 0
    shown = graftc("plan", "spec.yaml")
    assert shown.status == 0
    assert len(shown.out) < 5000
    planned = json.loads(graftc("plan", "spec.yaml", "--json").out)
    assert planned["tasks"][0]["head"]["record"]["labels"] == sorted(HOSTILE)


@pytest.mark.parametrize("name", [*HOSTILE[:-4], "$(true)"], ids=range(len(HOSTILE) - 3))
def test_hostile_names_in_a_spec_reach_no_terminal(name: str, project: Project) -> None:
    spec = json.dumps({"graftc": 1, "name": "a", "backbone": {"from": name, name: 1}, "head": {"type": name}})
    project.write("spec.yaml", spec)
    answer = project.validate()
    assert answer.status == 1
    assert set(answer.codes) <= {"E0201", "E0203", "E0204", "E0301"}  # no such backbone either
    assert len(answer.err) < 4000
    project.write(
        "spec.yaml", SPEC.replace("train.jsonl", json.dumps(f"{name}.jsonl")).replace("./backbone", json.dumps(name))
    )
    assert project.validate().codes == ["E0301", "E0310"]
    project.write("spec.yaml", SPEC.replace("body", json.dumps(name)).replace("f1_macro", json.dumps(name)))
    assert project.validate().codes == ["E0312", "E0321"]
    listing = project.validate("--format", "json")
    assert [item["code"] for item in json.loads(listing.out)["findings"]] == ["E0312", "E0321"]


def test_a_hostile_file_name_reaches_no_terminal(project: Project, graftc: Callable[..., Answer]) -> None:
    name = "\x1b[31mred\u202e.yaml"
    shutil.copy(project.spec, project.folder / name)
    answer = graftc("validate", name)
    assert (answer.status, answer.out) == (0, "\\x1b[31mred\\u202e.yaml: fine\n")
    (project.folder / name).write_text("a: 1\na: 2\n")
    assert graftc("validate", name).codes == ["E0102"]


def test_ten_thousand_labels_stay_fast_and_short(project: Project) -> None:
    labels = [f"label {i:05d}" for i in range(10_000)]
    project.write("train.jsonl", [{"body": "x", "queue": label} for label in labels * 2])
    project.write("validation.jsonl", [{"body": "x", "queue": f"{label}x"} for label in labels])
    start = time.monotonic()
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, ["E0314"])
    assert len(answer.err) < 1000
    project.replace("  dropout: 0.1", "  labels:\n" + "".join(f"    - Label {label}\n" for label in labels))
    answer = project.validate()
    assert len(answer.findings) == 10
    assert answer.err.rstrip().endswith("... and 9992 more")
    assert len(answer.err) < 6000
    assert time.monotonic() - start < 15


# ---------------------------------------------------------------------------------------------------------
# pictures

PICTURES: list[tuple[str, Callable[[Path], Any], Any, str, str, str]] = [
    ("missing", lambda folder: None, "pictures/none.png", "names an image that does not exist", "`pictures/none.png`", "E0316"),
    ("a folder", lambda folder: None, "pictures", "names a folder, not an image", "`pictures`", "E0316"),
    ("no image", lambda folder: (folder / "x.png").write_text("hello"), "x.png", "is no image that can be read", "not an image", "E0316"),
    ("empty", lambda folder: (folder / "x.png").write_bytes(b""), "x.png", "is no image that can be read", "not an image", "E0316"),
    ("a URL", lambda folder: None, "https://example.org/x.png", "is no image that can be read", "nothing is fetched here", "E0316"),
    ("a broken data URI", lambda folder: None, "data:image/png;base64,@@", "is no image that can be read", "base64", "E0316"),
    ("a number", lambda folder: None, 7, "is no image that can be read", "a number", "E0316"),
    ("null", lambda folder: None, None, "is missing", "", "E0313"),
    ("a name with a NUL", lambda folder: None, "a\0b.png", "names an image that does not exist", r"`a\x00b.png`", "E0316"),
    ("a name too long", lambda folder: None, "x" * 5000, "names an image that does not exist", "…", "E0316"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "value", "headline", "notes", "code"), [case[1:] for case in PICTURES], ids=[case[0] for case in PICTURES]
)
def test_a_picture_that_is_none(
    spoil: Callable[[Path], Any], value: Any, headline: str, notes: str, code: str, pictures: Project
) -> None:
    spoil(pictures.folder)
    rows = [json.loads(line) for line in (pictures.folder / "train.jsonl").read_text().splitlines()]
    rows[3]["image"] = rows[5]["image"] = value
    pictures.write("train.jsonl", rows)
    answer = pictures.validate()
    assert (answer.status, answer.codes) == (1, [code]), answer.err
    found = answer.findings[0]
    assert (found.headline, found.place) == (f"`image` {headline}", "train.jsonl:4")
    assert notes in found.notes
    assert "2 rows of the train data: 4, 6" in found.notes


def test_a_picture_may_lie_outside_of_its_tables_folder(pictures: Project) -> None:
    pictures.write(
        "tables/train.jsonl", (pictures.folder / "train.jsonl").read_text().replace("pictures/", "../pictures/")
    )
    pictures.replace("train: train.jsonl", "train: tables/train.jsonl")
    assert pictures.validate().status == 0


def test_a_row_without_its_picture_is_told(pictures: Project) -> None:
    with (pictures.folder / "train.jsonl").open("a") as file:
        file.write('{"label": "dark"}\n')
    answer = pictures.validate()
    assert [(f.code, f.place) for f in answer.findings] == [("E0313", "train.jsonl:7")]


def test_two_columns_make_no_picture(pictures: Project) -> None:
    pictures.replace("validation: validation.jsonl", "validation: validation.jsonl\n  columns: {image: [image, label]}")
    assert pictures.validate().codes == ["E0312"]


FOLDERS: list[tuple[str, Callable[[Path], Any], str]] = [
    ("no classes", lambda folder: [shutil.rmtree(path) for path in folder.iterdir()], "needs one per class"),
    ("a stray file", lambda folder: (folder / "notes.txt").write_text("x"), "stands beside the classes"),
    ("an empty class", lambda folder: (folder / "grey").mkdir(), "has no images"),
    ("a folder in a class", lambda folder: (folder / "dark" / "more").mkdir(), "a folder inside a class"),
    ("a link that leads out", lambda folder: (folder / "dark" / "x.png").symlink_to("/etc/hostname"), "leads out"),
    ("no image by its name", lambda folder: (folder / "dark" / "x.txt").write_text("x"), "no image by its name"),
]


@pytest.fixture
def classes(pictures: Project) -> Project:
    """Pictures in one folder per class."""
    for i in range(6):
        label = "dark" if i % 2 else "light"
        (pictures.folder / "classes" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures.folder / "pictures" / f"{i}.png", pictures.folder / "classes" / label)
    pictures.replace("train: train.jsonl", "train: classes")
    return pictures


@pytest.mark.parametrize(("spoil", "words"), [case[1:] for case in FOLDERS], ids=[case[0] for case in FOLDERS])
def test_a_folder_of_pictures_that_is_not_sound(spoil: Callable[[Path], Any], words: str, classes: Project) -> None:
    spoil(classes.folder / "classes")
    answer = classes.validate()
    assert [(f.code, f.under) for f in answer.findings] == [("E0317", "classes")]
    assert words in answer.err


def test_a_broken_picture_in_a_folder_is_named(classes: Project) -> None:
    (classes.folder / "classes" / "light" / "9.png").write_text("x")
    answer = classes.validate()
    assert answer.codes == ["E0316"]
    assert "`light/9.png`" in answer.err


def test_a_picture_moved_to_another_class_is_another_table(classes: Project, graftc: Callable[..., Answer]) -> None:
    def sha256() -> str:
        return str(
            json.loads(graftc("plan", "spec.yaml", "--json").out)["tasks"][0]["data"]["splits"][0]["tables"][0][
                "sha256"
            ]
        )

    before, folder = sha256(), classes.folder / "classes"
    # in the order of classes and names it stays where it was
    os.rename(folder / "dark" / "5.png", folder / "light" / "-.png")
    assert sha256() != before


def test_a_split_that_is_a_sub_folder_is_planned_as_one(classes: Project, graftc: Callable[..., Answer]) -> None:
    (classes.folder / "all").mkdir()
    os.rename(classes.folder / "classes", classes.folder / "all" / "train")
    classes.replace("train: classes", "train: {from: all, split: train}")
    plan = json.loads(graftc("plan", "spec.yaml", "--json").out)
    table = plan["tasks"][0]["data"]["splits"][0]["tables"][0]
    assert (table["path"], table["split"]) == ("all/train", None)


def test_the_processor_of_a_backbone_for_pictures(pictures: Project) -> None:
    folder = pictures.backbone()
    (folder / "preprocessor_config.json").write_text('{"image_processor_type": "MagicProcessor"}')
    answer = pictures.validate()
    assert (answer.status, answer.codes[0]) == (1, "E0306")
    for content in ("{", "[]", ""):
        (folder / "preprocessor_config.json").write_text(content)
        assert pictures.validate().codes[0] == "E0306"
    (folder / "preprocessor_config.json").unlink()
    assert pictures.validate().codes[0] == "E0306"


# ---------------------------------------------------------------------------------------------------------
# the machine


def test_a_plan_that_can_not_be_written_leaves_nothing_behind(project: Project, graftc: Callable[..., Answer]) -> None:
    full = graftc("plan", "spec.yaml", "-o", "/dev/full")
    assert (full.status, full.codes) == (4, ["E0410"])
    nowhere = graftc("plan", "spec.yaml", "-o", "nowhere/plan.json")
    assert (nowhere.status, nowhere.codes) == (4, ["E0412"])
    assert graftc("plan", "spec.yaml", "-o", ".").status == 2
    before = project.write("plan.json", "mine")
    project.replace("epochs: 2", "epochs: two")
    assert graftc("plan", "spec.yaml", "-o", "plan.json").status == 1
    assert before.read_text() == "mine"
    assert not [path for path in project.folder.iterdir() if "partial" in path.name]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=False)


def test_a_full_disk_under_the_store_is_the_machines_fault(
    project: Project, graftc: Callable[..., Answer], small: Callable[[str], Path]
) -> None:
    disk = small("size=64k")
    for size in (64, 48):
        (disk / "ballast").write_bytes(b"x" * (size << 10))
        answer = graftc("build", "spec.yaml", "--store", disk / "store", "-o", "out", "--quiet")
        assert (answer.status, answer.codes) == (4, ["E0410"]), answer.err
        assert "free space, or point the output or --store at another disk" in answer.err
        assert not (project.folder / "out").exists()
        assert not list((disk / "store").glob("stages/*/*"))


def test_a_store_that_can_not_be_written_is_the_machines_fault(
    project: Project, graftc: Callable[..., Answer], small: Callable[[str], Path]
) -> None:
    disk = small("ro")
    answer = graftc("build", "spec.yaml", "--store", disk / "store", "-o", "out", "--quiet")
    assert (answer.status, answer.codes) == (4, ["E0412"])
    assert "read-only file system" in answer.err
    assert not (project.folder / "out").exists()


def link(place: Path) -> None:
    place.with_name("elsewhere").mkdir()
    place.symlink_to("elsewhere")


def other_bundle(place: Path) -> None:
    place.mkdir()
    (place / "manifest.json").write_text('{"bundle": 2, "name": "another", "files": {}}')


def strangers(place: Path) -> None:
    place.mkdir()
    (place / "thesis.tex").write_text("years of work")


def nonsense(place: Path) -> None:
    place.mkdir()
    (place / "manifest.json").write_text("[1]")


OUTPUTS: list[tuple[str, Callable[[Path], Any], str]] = [
    ("a file", lambda place: place.write_text("mine"), "is not a folder"),
    ("a link", link, "is not a folder"),
    ("a dead link", lambda place: place.symlink_to("nowhere"), "is not a folder"),
    ("something else", strangers, "holds something else"),
    ("another bundle", other_bundle, "that one is `another`"),
    ("a manifest of nothing", nonsense, "holds something else"),
]


@pytest.mark.parametrize(("make", "words"), [case[1:] for case in OUTPUTS], ids=[case[0] for case in OUTPUTS])
def test_an_output_that_is_not_ours_is_refused_before_any_work(
    make: Callable[[Path], Any], words: str, project: Project, graftc: Callable[..., Answer]
) -> None:
    place = project.folder / "out"
    make(place)
    before = sorted(path for path in place.rglob("*")) if place.is_dir() else place.lstat().st_ino
    answer = graftc("build", "spec.yaml", "-o", "out", "--quiet")
    assert (answer.status, answer.codes) == (1, ["E0501"]), answer.err
    assert words in answer.err
    assert before == (sorted(path for path in place.rglob("*")) if place.is_dir() else place.lstat().st_ino)
    assert not (project.folder / "store" / "stages").exists()


def test_two_specs_of_one_name_do_not_share_an_output(project: Project, graftc: Callable[..., Answer]) -> None:
    other = project.write("other/spec.yaml", SPEC).parent
    for path in {*project.folder.iterdir()} - {other, project.folder / "spec.yaml"}:
        (other / path.name).symlink_to(path)
    answer = graftc("build", "spec.yaml", "other/spec.yaml", "-o", "out")
    assert answer.status == 1
    assert answer.codes == ["E0415"]
