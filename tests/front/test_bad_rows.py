"""`data.bad_rows`: rows that can't be used are left out, counted, listed and part of what is planned and locked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.api import CheckOptions, look
from graftc.compiler.facts.bad_rows import BadRows, numbers, ranges
from graftc.compiler.facts.rows import Opened, Unusable
from graftc.compiler.language.source import read

from . import ground
from .cli import Answer, Command

BAD = {
    4: '{"text": "no label", "label": null}',
    11: '{"text": "cut", "lab',
    21: '{"text": "", "label": "bug"}',
    30: "[1, 2]",
}
SPLIT = "  validation: {fraction: 0.2}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ground.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spoil(name: str = "train.jsonl", bad: dict[int, str] = BAD) -> list[str]:
    """Puts bad lines in place of sound ones; returns the sound ones that are left."""
    lines = Path(name).read_text(encoding="utf-8").splitlines()
    left = [line for number, line in enumerate(lines, 1) if number not in bad]
    for number, line in bad.items():
        lines[number - 1] = line
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return left


def spec(bad_rows: str = "{skip: 0.1}", data: str = SPLIT, name: str = "spec.yaml", train: str = "train.jsonl") -> None:
    fragment = f"data:\n  train: {train}\n{data}  bad_rows: {bad_rows}\n  max_length: 64\n"
    Path(name).write_text(ground.replaced(fragment), encoding="utf-8")


def planned(graftc: Command, *arguments: str, name: str = "spec.yaml") -> dict[str, Any]:
    answer = graftc("plan", "--json", *arguments, name)
    assert answer.status == 0, answer.err
    found: dict[str, Any] = json.loads(answer.out)
    return found


def splits(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {split["name"]: split for split in plan["tasks"][0]["data"]["splits"]}


def test_by_default_they_are_refused(folder: Path, graftc: Command) -> None:
    spoil(bad={4: BAD[4], 21: BAD[21]})
    for bad_rows in ("refuse", '"refuse"'):
        spec(bad_rows)
        answer = graftc("validate", "spec.yaml")
        assert answer.codes == ["E0313", "E0313"]
        assert answer.err.count("or leave such rows out: `bad_rows: {skip: 0.01}` under `data`\n") == 1
        assert answer.err.count("out\n") == 1, "the other's help ends with the words before"


def test_a_row_that_cannot_be_read_may_be_left_out_and_a_whole_file_may_not(folder: Path, graftc: Command) -> None:
    spoil(bad={11: BAD[11]})
    spec("refuse")
    assert "help: mend it, or leave such rows out" in graftc("validate", "spec.yaml").err
    Path("train.csv").write_text("text,text\na,b\n")
    spec("refuse", train="train.csv")
    answer = graftc("validate", "spec.yaml")
    assert (answer.codes, "skip" in answer.err) == (["E0317"], False)


def test_they_are_left_out_and_counted_by_kind(folder: Path, graftc: Command) -> None:
    left = spoil()
    spec()
    assert graftc("validate", "spec.yaml").status == 0
    train = splits(planned(graftc))["train"]
    assert train["left_out"] == {"`label` is missing": 1, "`text` is empty": 1, "can't be read": 2}
    assert train["tables"][0]["skipped"] == "4, 11, 21, 30"
    shown = graftc("plan", "spec.yaml").out
    assert re.search(r"left out +4 rows  1 `label` is missing, 1 `text` is empty, 2 can't be read", shown)
    # the rows that are left are those of a file without the bad ones
    Path("clean.jsonl").write_text("\n".join(left) + "\n", encoding="utf-8")
    spec("refuse", name="clean.yaml", train="clean.jsonl")
    clean = splits(planned(graftc, name="clean.yaml"))
    assert {name: split["rows"] for name, split in clean.items()} == {
        name: split["rows"] for name, split in splits(planned(graftc)).items()
    }


def test_nothing_of_them_is_looked_at(folder: Path) -> None:
    left = spoil()
    spec()
    facts = look(read(Path("spec.yaml")), CheckOptions()).facts.splits["train"]
    assert sorted(facts.sample) == sorted(json.loads(line)["text"] for line in left)
    assert facts.tally.rows == facts.rows == len(left)
    assert len(facts.sketch.first) == len({json.loads(line)["text"] for line in left})


@pytest.mark.parametrize(
    ("written", "code"),
    [("{skip: 0.51}", "E0205"), ("{skip: 0}", "E0205"), ("{skip: -1}", "E0205"), ("{skip: yes}", "E0202"),
     ("skip", "E0202"), ("0.1", "E0202"), ("{share: 0.1}", "E0201"), ("{}", "E0204"), ("{skip: .inf}", "E0202")],
)  # fmt: skip
def test_a_share_that_can_t_be_is_told_at_its_key(written: str, code: str, folder: Path, graftc: Command) -> None:
    spec(written)
    answer = graftc("validate", "spec.yaml")
    assert answer.status == 1
    assert all(found.place.startswith("spec.yaml:17:") for found in answer.findings), answer.err
    assert code in answer.codes, answer.err
    assert written != "0.1" or "write `{skip: 0.1}`" in answer.err


def test_a_word_for_a_map_is_told_the_map(folder: Path, graftc: Command) -> None:
    spec("refuse")
    for written, way in (("skip", "write `{skip: 0.01}`"), ("leave", "")):
        answer = graftc("plan", "--set", f"data.bad_rows={written}", "spec.yaml")
        assert answer.codes == ["E0202"]
        assert "one of: refuse, {skip: 0.01}" in answer.err
        assert way in answer.err


@pytest.mark.parametrize(
    ("count", "every", "share"),
    [(17, 1000, "0.02"), (1, 10_000, "0.001"), (100, 1000, "0.1"), (101, 1000, "0.2"), (501, 1000, "")],
)
def test_the_next_round_share_is_proposed(count: int, every: int, share: str) -> None:
    left = BadRows(0.00001)
    for number in range(count):
        left.unusable(Opened(Path("a.jsonl"), "a.jsonl", "jsonl", None), number + 1, Unusable("text", "is empty"))
    (found,) = left.too_many("train", every - count)
    assert found.help.partition("or allow more, ")[2] == (f"`skip: {share}`" if share else "")


def test_the_share_is_of_each_split(folder: Path, graftc: Command) -> None:
    spoil(bad={4: BAD[4]})
    spoil("validation.jsonl", bad={2: BAD[4], 3: BAD[11], 5: BAD[21]})  # 3 of 15
    data = "  validation: validation.jsonl\n"
    spec("{skip: 0.2}", data)
    assert graftc("validate", "spec.yaml").status == 0
    assert {name: sum(split.get("left_out", {}).values()) for name, split in splits(planned(graftc)).items()} == {
        "train": 1, "validation": 3,
    }  # fmt: skip
    spec("{skip: 0.19}", data)
    answer = graftc("validate", "spec.yaml")
    (found,) = answer.findings
    assert (answer.status, found.code, found.under) == (1, "E0397", "0.19")
    assert found.headline == "3 of 15 rows of the validation data can't be used, and 0.19 of them may be left out"
    assert "validation.jsonl:3" in found.notes
    assert "`skip: 0.2`" in found.notes


def test_a_column_that_is_wrong_is_no_bad_row(folder: Path, graftc: Command) -> None:
    spec(data=SPLIT + "  columns: {text: body, label: label}\n")
    assert graftc("validate", "spec.yaml").codes == ["E0312"]
    spec("{skip: 0.5}", data=SPLIT + "  columns: {text: label, label: id}\n")
    assert graftc("validate", "spec.yaml").codes == ["E0312"]
    Path("train.jsonl").write_bytes(b"")
    spec()
    assert graftc("validate", "spec.yaml").codes == ["E0311"]


def test_a_lock_lists_them_and_holds_the_spec_to_them(folder: Path, graftc: Command) -> None:
    spoil()
    spec()
    answer = graftc("lock", "spec.yaml")
    assert "spec.bad_rows.jsonl: 4 rows that are left out" in answer.out
    listed = [json.loads(line) for line in Path("spec.bad_rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(each["split"], each["file"], each["row"]) for each in listed] == [("train", "train.jsonl", n) for n in BAD]
    assert listed[0]["reason"] == "`label` is missing"
    assert "invalid JSON" in listed[1]["detail"]
    assert graftc("validate", "--locked", "spec.yaml").status == 0
    with_data = planned(graftc)
    Path("train.jsonl").rename("away.jsonl")
    assert planned(graftc, "--no-data") == with_data
    assert "4 rows" in graftc("plan", "--no-data", "spec.yaml").out
    Path("away.jsonl").rename("train.jsonl")
    spoil(bad={40: BAD[21]})
    drifted = graftc("validate", "--locked", "spec.yaml")
    assert drifted.codes == ["E0345"]
    assert "rows left out: locked 4, 11, 21, 30, found 4, 11, 21, 30, 40" in drifted.findings[0].notes


def test_without_any_no_list_stays(folder: Path, graftc: Command) -> None:
    spec()
    left = {"split": "train", "file": "train.jsonl", "row": 3, "reason": "no label", "detail": ""}
    Path("spec.bad_rows.jsonl").write_text(json.dumps(left) + "\n")
    assert graftc("lock", "spec.yaml").status == 0
    assert not Path("spec.bad_rows.jsonl").exists()
    assert "skipped" not in Path("spec.lock.yaml").read_text(encoding="utf-8")


def test_a_plan_without_them_is_what_it_was(folder: Path, graftc: Command) -> None:
    spec()
    skipping = planned(graftc)
    spec("refuse")
    refusing = planned(graftc)
    del skipping["spec"], refusing["spec"]
    assert skipping == refusing
    assert "left_out" not in json.dumps(refusing)


def test_which_rows_are_left_out_is_part_of_the_plan(folder: Path, graftc: Command) -> None:
    spoil()
    spec()
    first = graftc("plan", "spec.yaml").out.splitlines()[0]
    spoil(bad={40: BAD[21]})
    assert graftc("plan", "spec.yaml").out.splitlines()[0] != first


def test_each_head_has_its_own(folder: Path, graftc: Command) -> None:
    spoil(bad={4: '{"text": "x", "label": [1]}', 5: '{"text": "", "label": "bug", "mood": 1}'})
    lines = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    rows = [{"mood": 0.5 * (i % 3), **row} for i, row in enumerate(lines)]
    Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    heads = "heads:\n  topic:\n    type: text-classification\n{}  mood:\n    type: text-regression\n    data: {{columns: {{score: mood}}}}\n"  # fmt: skip
    for own, top in (("", "  bad_rows: {skip: 0.1}\n"), ("    data: {bad_rows: {skip: 0.1}}\n", "")):
        text = ground.replaced(heads.format(own) + f"data:\n  train: train.jsonl\n{SPLIT}{top}")
        Path("spec.yaml").write_text(text, encoding="utf-8")
        answer = graftc("validate", "spec.yaml")
        if not top:  # the other head refuses what it can't use
            assert answer.codes == ["E0313"]
            continue
        tasks = {task["name"]: task["data"]["splits"] for task in planned(graftc)["tasks"]}
        assert next(split["left_out"] for split in tasks["topic"]) == {"`label` holds a list, not a label": 1, "`text` is empty": 1}  # fmt: skip
        assert next(split["left_out"] for split in tasks["mood"]) == {"`text` is empty": 1}


def test_the_text_of_retain_leaves_rows_out_too(folder: Path, graftc: Command) -> None:
    Path("kept.jsonl").write_bytes(Path("train.jsonl").read_bytes())
    spoil("kept.jsonl", bad={11: BAD[11], 21: BAD[21]})  # 2 of 60

    def retaining(bad_rows: str) -> None:
        retain = f"retain:\n  data: kept.jsonl\n  bad_rows: {bad_rows}\n"
        Path("spec.yaml").write_text(ground.replaced("backbone: {from: ./reader}\n" + retain), encoding="utf-8")

    retaining("refuse")
    assert graftc("validate", "spec.yaml").codes == ["E0317"]
    retaining("{skip: 0.02}")
    (found,) = graftc("validate", "spec.yaml").findings
    assert (found.code, found.under) == ("E0397", "0.02")
    retaining("{skip: 0.6}")
    assert "E0205" in graftc("validate", "spec.yaml").codes
    retaining("{skip: 0.1}")
    (split,) = planned(graftc)["retain"]["tasks"][0]["data"]["splits"]
    assert split["left_out"] == {"`text` is empty": 1, "can't be read": 1}
    assert split["tables"][0]["skipped"] == "11, 21"
    shown = graftc("plan", "spec.yaml").out
    assert re.search(r"kept.jsonl\n +left out +2 rows  1 `text` is empty, 1 can't be read", shown), shown
    assert graftc("lock", "spec.yaml").status == 0
    listed = [json.loads(line) for line in Path("spec.bad_rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(each["file"], each["row"]) for each in listed] == [("kept.jsonl", 11), ("kept.jsonl", 21)]
    with_data = planned(graftc)
    Path("kept.jsonl").rename("away.jsonl")
    assert planned(graftc, "--no-data") == with_data


def test_tables_of_every_kind_leave_rows_out(folder: Path, graftc: Command) -> None:
    rows = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    cells = [f'"{row["text"]}",{row["label"]}' for row in rows]
    cells[3], cells[7] = 'a "b,bug', "one,two,bug"
    Path("train.csv").write_text("text,label\n" + "\n".join(cells) + "\n")
    spec("{skip: 0.1}", train="train.csv")
    assert splits(planned(graftc))["train"]["left_out"] in ({"can't be read": 1}, {"can't be read": 2})
    Path("train.json").write_text(json.dumps([*rows[:5], 5, {"text": "", "label": "bug"}, *rows[5:]]))
    spec("{skip: 0.1}", train="[train.json, train.csv]")
    tables = splits(planned(graftc))["train"]["tables"]
    assert tables[0]["skipped"] == "6-7"


def pictures(answer: Answer) -> str:
    return re.sub(r"\s+", " ", answer.err)


def test_damaged_pictures_are_named_at_once_or_left_out(folder: Path, graftc: Command) -> None:
    head = "backbone:\n  from: ./vit\nhead:\n  type: image-classification\n"
    text = ground.replaced(head + "data:\n  train: pictures\n  validation: {fraction: 0.25}\n")
    Path("spec.yaml").write_text(text, encoding="utf-8")
    sound = Path("pictures/dark/0.png").read_bytes()
    Path("pictures/dark/3.png").write_bytes(sound[: len(sound) // 2])  # cut while it was copied
    Path("pictures/light/5.png").write_bytes(b"")
    flipped = bytearray(sound)
    flipped[sound.index(b"IDAT") + 6] ^= 255  # damaged inside, which only its pixels tell
    answer = graftc("validate", "spec.yaml")
    assert answer.codes == ["E0316"]
    assert answer.findings[0].place == "pictures/dark/3.png"
    assert "2 rows of the train data: pictures/dark/3.png, pictures/light/5.png" in answer.findings[0].notes
    Path("pictures/light/6.png").write_bytes(bytes(flipped))
    Path("pictures/light/7.txt").write_text("not a picture")
    Path("spec.yaml").write_text(text + "  bad_rows: {skip: 0.25}\n", encoding="utf-8")
    train = splits(planned(graftc))["train"]
    assert train["left_out"] == {"`image` is no image that can be read": 3, "can't be read": 1}
    assert graftc("lock", "spec.yaml").status == 0
    listed = [json.loads(line) for line in Path("spec.bad_rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [each["file"] for each in listed][:2] == ["pictures/dark/3.png", "pictures/light/5.png"]


@pytest.mark.parametrize("rows", [[], [1], [1, 2], [1, 3, 4, 5, 9, 10], list(range(1, 1000, 2))])
def test_numbers_of_rows_are_written_short_and_read_again(rows: list[int]) -> None:
    assert sorted(numbers(ranges(reversed(rows)))) == rows
