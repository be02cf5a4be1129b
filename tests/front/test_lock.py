"""`graftc lock`, --locked and --no-data: what is pinned, what is refused, and what is planned without the data."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from graftc.compiler.diagnostics import pages
from graftc.compiler.facts import facts
from graftc.compiler.facts.rows import Fingerprint, Opened
from graftc.compiler.frozen import Json
from graftc.compiler.language.source import read
from graftc.compiler.locking.lock import LockedData, signature
from graftc.compiler.locking.locked import read_lock
from graftc.compiler.machine import installed
from graftc.compiler.planning.plan import read_plan
from graftc.compiler.store.hashes import TICK, WORTH, file_sha256, known_sha256

from . import ground
from .cli import Command
from .conftest import Project
from .test_explain import BLOCK, Page
from .test_golden import GOLDEN, compare

LOCK = "spec.lock.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graftc: Command) -> Path:
    """A folder with a spec, its world and its lock."""
    ground.lay(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    answer = graftc("lock", "spec.yaml")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == "spec.lock.yaml: 3 files of the backbone, 60 train rows, 15 validation rows\n"
    return tmp_path / "here"


def turned(path: Path, position: int = -20) -> None:
    """Changes one byte, which stays a letter or a digit where it was one, and puts the file's times back."""
    before, raw = path.stat(), bytearray(path.read_bytes())
    raw[position] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def grown(path: Path) -> None:
    """Makes the weights so large that their hash is worth remembering."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    entries, size = json.loads(raw[8 : 8 + length]), len(raw) - 8 - length
    entries["padding"] = {"dtype": "U8", "shape": [5_000_000], "data_offsets": [size, size + 5_000_000]}
    header = json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :] + bytes(5_000_000))


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------
# the file


def test_a_lock_is_the_same_bytes_whenever_and_wherever_it_is_written(folder: Path, graftc: Command) -> None:
    first = (folder / LOCK).read_bytes()
    assert graftc("lock", "spec.yaml").status == 0
    assert (folder / LOCK).read_bytes() == first
    moved = shutil.copytree(folder, folder.parent / "elsewhere", copy_function=shutil.copyfile)
    (moved / LOCK).unlink()
    assert graftc("lock", "../elsewhere/spec.yaml").status == 0
    assert (moved / LOCK).read_bytes() == first
    assert str(folder.parent) not in first.decode()


def test_a_copy_with_other_times_is_still_what_was_locked(folder: Path, graftc: Command) -> None:
    moved = shutil.copytree(folder, folder.parent / "elsewhere", copy_function=shutil.copyfile)
    for path in moved.rglob("*"):
        os.utime(path, (0, 0))
    answer = graftc("validate", "--locked", moved / "spec.yaml")
    assert (answer.status, answer.err) == (0, "")


def test_the_file_says_what_a_reviewer_asks(folder: Path) -> None:
    written = yaml.safe_load((folder / LOCK).read_text(encoding="utf-8"))
    assert written["labels"] == ["billing", "bug", "howto"]
    assert set(written["backbone"]["files"]) == {"config.json", "model.safetensors", "tokenizer.json"}
    train = written["data"]["splits"][0]
    assert train["tally"]["counts"] == ["20 billing", "20 bug", "20 howto"]
    assert train["tables"][0]["bytes"] == (folder / "train.jsonl").stat().st_size
    assert written["versions"]["graftc"]


LABELS = ["no", "1e-4", "<<", "a: b # c", "数据 🙂", "\u202egnillib", "two\nlines", " x", "null", "- x", "'\"", "12"]


def test_labels_that_look_like_something_else_come_back_as_they_were(folder: Path, graftc: Command) -> None:
    rows = [{"text": f"{row['text']} {i}", "label": LABELS[i % len(LABELS)]} for i, row in enumerate(ground.rows())]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(text, encoding="utf-8")
    replaced(folder / "spec.yaml", "  validation: validation.jsonl\n", "  validation: {fraction: 0.2}\n")
    assert graftc("lock", "spec.yaml").status == 0
    assert "\u202e" not in (folder / LOCK).read_text(encoding="utf-8"), "a terminal and an editor would turn the line"
    with_data = graftc("plan", "--json", "spec.yaml").out
    (folder / "train.jsonl").unlink()
    without = graftc("plan", "--json", "--no-data", "spec.yaml")
    assert without.out == with_data, without.err
    assert sorted(json.loads(with_data)["tasks"][0]["head"]["record"]["labels"]) == sorted(LABELS)


def test_a_folder_that_can_t_be_written_is_the_machine_s_fault(folder: Path, graftc: Command) -> None:
    (folder / LOCK).unlink()
    (folder / LOCK).mkdir()
    answer = graftc("lock", "spec.yaml")
    assert (answer.status, answer.codes) == (4, ["E0412"])


def test_a_store_that_can_t_be_written_costs_time_only(folder: Path, graftc: Command) -> None:
    (folder.parent / "store").write_text("a file where a folder should be")
    grown(folder / "backbone" / "model.safetensors")
    assert graftc("lock", "spec.yaml").status == 0
    assert graftc("validate", "--locked", "spec.yaml").status == 0


def test_a_lock_that_could_not_be_read_again_is_not_written(folder: Path, graftc: Command) -> None:
    before = (folder / LOCK).read_bytes()
    rows = [{"text": f"text {i}", "label": f"label {i // 2} " + "long " * 30} for i in range(8000)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(text, encoding="utf-8")
    replaced(folder / "spec.yaml", "  validation: validation.jsonl\n", "")
    answer = graftc("lock", "spec.yaml")
    assert answer.status == 1
    assert answer.codes[-1] == "E0341"
    assert (folder / LOCK).read_bytes() == before


def test_a_lock_given_for_a_spec_is_told_from_one(folder: Path, graftc: Command) -> None:
    answer = graftc("validate", LOCK)
    assert answer.codes == ["E0204"]
    assert "give the spec that lies beside it" in answer.err


def test_a_pipe_in_the_lock_s_place_is_not_waited_for(folder: Path, graftc: Command) -> None:
    (folder / LOCK).unlink()
    os.mkfifo(folder / LOCK)
    assert graftc("validate", "--locked", "spec.yaml").codes == ["E0341"]


def test_a_base_that_changed_is_a_changed_spec(folder: Path, graftc: Command) -> None:
    (folder / "child.yaml").write_text("graftc: 1\nname: child\nextends: spec.yaml\ntrain: {epochs: 3}\n")
    assert graftc("lock", "child.yaml").status == 0
    assert graftc("validate", "--locked", "child.yaml").status == 0
    replaced(folder / "spec.yaml", "batch_size: 8", "batch_size: 16")
    answer = graftc("validate", "--locked", "child.yaml")
    assert answer.codes == ["E0343"]
    assert "changed: `train`" in answer.findings[0].notes


def test_a_spec_that_is_wrong_is_not_locked(folder: Path, graftc: Command) -> None:
    before = (folder / LOCK).read_bytes()
    replaced(folder / "spec.yaml", "method: lora", "method: lroa")
    assert graftc("lock", "spec.yaml").codes == ["E0203"]
    assert (folder / LOCK).read_bytes() == before


# ---------------------------------------------------------------------------------------------------------
# drift

BYTES = {
    "model.safetensors": ("backbone/model.safetensors", "E0344"),
    "tokenizer.json": ("backbone/tokenizer.json", "E0344"),
    "config.json": ("backbone/config.json", "E0344"),
    "train.jsonl": ("train.jsonl", "E0345"),
    "validation.jsonl": ("validation.jsonl", "E0345"),
}


@pytest.mark.parametrize("verb", ["validate", "plan", "build"])
@pytest.mark.parametrize("name", BYTES)
def test_one_changed_byte_is_found_and_named(name: str, verb: str, folder: Path, graftc: Command) -> None:
    path, code = BYTES[name]
    old = {"tokenizer.json": b"pay", "config.json": b'"bert"', "model.safetensors": b""}.get(name, b"the")
    raw = (folder / path).read_bytes()
    # inside a word, so that the file can still be read; of the weights the last byte
    position = raw.index(old) + 1 if old and name != "config.json" else -1
    if name == "config.json":
        (folder / path).write_bytes(raw + b"\n")
    else:
        turned(folder / path, position)
    if verb == "validate":
        assert code not in graftc(verb, "spec.yaml").codes, "nothing is held to the lock without the option"
    answer = graftc(verb, "--locked", "spec.yaml")
    assert answer.status == 1
    found = next(finding for finding in answer.findings if finding.code == code)
    assert name in found.headline
    assert found.place.startswith(f"{LOCK}:")
    assert len(found.under) == 64, "the hash that was locked"


BESIDE = """\
backbone: {from: ./reader}
pretrain:
  - objective: causal-language-modeling
    data: {train: stage.jsonl, validation: validation.jsonl, max_length: 16}
retain: {data: kept.jsonl}
"""


@pytest.fixture
def beside(folder: Path, graftc: Command) -> Path:
    """A lock of a spec that reads more than its head's rows: those of a stage, and a text to be kept in mind."""
    for name in ("stage.jsonl", "kept.jsonl"):
        (folder / name).write_bytes((folder / "train.jsonl").read_bytes())
    (folder / "spec.yaml").write_text(ground.replaced(BESIDE), encoding="utf-8")
    assert graftc("lock", "spec.yaml").status == 0
    assert graftc("validate", "--locked", "spec.yaml").status == 0
    assert graftc("validate", "--no-data", "spec.yaml").status == 0
    return folder


@pytest.mark.parametrize("name", ["stage.jsonl", "kept.jsonl"])
def test_one_changed_byte_of_what_is_read_beside_is_found_and_named(name: str, beside: Path, graftc: Command) -> None:
    turned(beside / name, (beside / name).read_bytes().index(b"the") + 1)
    answer = graftc("validate", "--locked", "spec.yaml")
    assert (answer.status, answer.codes) == (1, ["E0345"])
    assert answer.findings[0].headline == f"`{name}` changed since it was locked"
    assert len(answer.findings[0].under) == 64


@pytest.mark.parametrize("section", ["pretrain", "retain"])
def test_of_a_changed_section_its_rows_are_not_told_too(section: str, beside: Path, graftc: Command) -> None:
    name = {"pretrain": "stage.jsonl", "retain": "kept.jsonl"}[section]
    replaced(beside / "spec.yaml", name, "other.jsonl")
    (beside / "other.jsonl").write_text((beside / name).read_text() + '{"text": "one more"}\n')
    answer = graftc("validate", "--locked", "spec.yaml")
    assert answer.codes == ["E0343"], answer.err
    assert f"changed: `{section}`" in answer.findings[0].notes


def test_a_large_file_is_read_again_when_its_times_are_put_back(folder: Path, graftc: Command) -> None:
    path = folder / "backbone" / "model.safetensors"
    grown(path)
    time.sleep(0.2)  # what changed a moment ago is not remembered
    assert graftc("lock", "spec.yaml").status == 0
    assert list((folder.parent / "store" / "digests").iterdir()), "nothing is remembered, so nothing is tested"
    assert graftc("validate", "--locked", "spec.yaml").status == 0
    turned(path, -1)
    assert graftc("validate", "--locked", "spec.yaml").codes == ["E0344"]


def test_files_that_come_and_go_are_drift(folder: Path, graftc: Command) -> None:
    (folder / "backbone" / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    answer = graftc("validate", "--locked", "spec.yaml")
    assert answer.codes == ["E0344"]
    assert "was added" in answer.findings[0].headline
    assert graftc("lock", "spec.yaml").status == 0
    (folder / "backbone" / "tokenizer_config.json").unlink()
    answer = graftc("validate", "--locked", "spec.yaml")
    assert "is gone" in answer.findings[0].headline


def test_a_comment_is_no_change_and_a_label_order_is_one(folder: Path, graftc: Command) -> None:
    replaced(folder / "spec.yaml", "name: tickets", "# routes\nname:   tickets")
    assert graftc("validate", "--locked", "spec.yaml").status == 0
    replaced(folder / "spec.yaml", "classification\n", "classification\n  labels: [howto, bug, billing]\n")
    answer = graftc("validate", "--locked", "spec.yaml")
    assert (answer.status, answer.codes) == (1, ["E0343"])
    assert "changed: `head`" in answer.findings[0].notes


def test_a_lock_taken_with_a_flag_needs_the_flag(folder: Path, graftc: Command) -> None:
    assert graftc("lock", "spec.yaml", "--set", "train.epochs=5").status == 0
    assert graftc("validate", "--locked", "spec.yaml", "--set", "train.epochs=5").status == 0
    assert graftc("validate", "--locked", "spec.yaml").codes == ["E0343"]


def test_everything_that_drifted_is_said_at_once(folder: Path, graftc: Command) -> None:
    turned(folder / "backbone" / "model.safetensors", -1)
    replaced(folder / "validation.jsonl", ground.rows()[-1]["text"], "something else")
    (folder / "train.jsonl").write_text(
        (folder / "train.jsonl").read_text() + '{"text": "it is lost", "label": "parcel"}\n'
    )
    answer = graftc("validate", "--locked", "spec.yaml")
    assert sorted(set(answer.codes) - {"W0313", "W0430"}) == ["E0344", "E0345", "E0346"]
    assert answer.codes.count("E0345") == 2
    assert "rows of the train data: locked 60, found 61" in answer.err
    assert "labels: locked billing, bug, howto, found billing, bug, howto, parcel" in answer.err


# ---------------------------------------------------------------------------------------------------------
# without data


def test_a_plan_without_data_is_the_plan_with_it(folder: Path, graftc: Command) -> None:
    with_data = graftc("plan", "--json", "spec.yaml").out
    for name in ("train.jsonl", "validation.jsonl"):
        (folder / name).unlink()
    assert graftc("plan", "spec.yaml").codes == ["E0310", "E0310"]
    assert graftc("plan", "--json", "--no-data", "spec.yaml").out == with_data
    pinned = graftc("plan", "--json", "--no-data", "--locked", "spec.yaml").out
    assert read_plan(pinned, "plan").sha256 == read_plan(with_data, "plan").sha256
    assert graftc("validate", "--no-data", "--locked", "--strict", "spec.yaml").status == 0


def test_pictures_and_several_labels_are_planned_without_data(pictures: Project, graftc: Command) -> None:
    rows = [{"image": f"pictures/{i}.png", "labels": [["dark"], [], ["dark", "light"]][i % 3]} for i in range(6)]
    pictures.write("train.jsonl", rows)
    pictures.replace("  validation: validation.jsonl\n", "  validation: {fraction: 0.4}\n")
    assert graftc("lock", "spec.yaml").status == 0
    with_data = graftc("plan", "--json", "spec.yaml").out
    (pictures.folder / "pictures" / "3.png").write_bytes((pictures.folder / "pictures" / "1.png").read_bytes())
    assert graftc("validate", "--locked", "spec.yaml").codes[0] == "E0345"
    shutil.rmtree(pictures.folder / "pictures")
    (pictures.folder / "train.jsonl").unlink()
    assert graftc("plan", "--json", "--no-data", "spec.yaml").out == with_data


def test_other_sections_are_checked_against_what_the_lock_says(folder: Path, graftc: Command) -> None:
    (folder / "train.jsonl").unlink()
    replaced(folder / "spec.yaml", "classification\n", "classification\n  labels: [howto, bug, biling]\n")
    replaced(folder / "spec.yaml", "epochs: 2", "epochs: 3")
    answer = graftc("validate", "--no-data", "spec.yaml")
    assert (answer.status, set(answer.codes)) == (1, {"E0314"})
    assert answer.findings[0].under == "biling"
    replaced(folder / "spec.yaml", ", biling]", "]")
    answer = graftc("validate", "--no-data", "spec.yaml")
    assert set(answer.codes) == {"E0314"}
    assert answer.findings[0].place.startswith(f"{LOCK}:"), "where else, without the rows"


def test_other_data_and_another_reader_are_not_guessed(folder: Path, graftc: Command) -> None:
    replaced(folder / "spec.yaml", "max_length: 64", "max_length: 32")
    assert graftc("validate", "--no-data", "spec.yaml").codes == ["E0348"]
    replaced(folder / "spec.yaml", "max_length: 32", "max_length: 64")
    replaced(folder / "backbone" / "tokenizer.json", '"pay"', '"pax"')
    assert graftc("validate", "--no-data", "spec.yaml").codes == ["E0348"]


SPOILT = [
    ("backbone:\n  from: ./backbone\n", ""),
    ("backbone:\n  from: ./backbone\n", "backbone: ./backbone\n"),
    ("from: ./backbone", "from: {a: 1}"),
    ("max_length: 64", "max_length: .nan"),
    ("data:\n", "data: 1\nmore:\n"),
    ("  type: text-classification\n", "  type: .inf\n"),
    ("graftc: 1", "graftc: 2"),
]


@pytest.mark.parametrize("flags", [["--locked"], ["--no-data"], ["--locked", "--no-data"]])
@pytest.mark.parametrize(("old", "new"), SPOILT)
def test_a_spoilt_spec_is_told_as_without_a_lock(
    old: str, new: str, flags: list[str], folder: Path, graftc: Command
) -> None:
    replaced(folder / "spec.yaml", old, new)
    without = graftc("validate", "spec.yaml")
    answer = graftc("validate", *flags, "spec.yaml")
    assert answer.status == without.status == 1
    assert {code for code in without.codes if code < "E03"} <= set(answer.codes)


# ---------------------------------------------------------------------------------------------------------
# what each says

BEFORE: dict[str, Callable[[Path, Command], object]] = {
    "E0340": lambda folder, graftc: (folder / LOCK).unlink(),
    "E0341": lambda folder, graftc: replaced(folder / LOCK, "- 20 billing", "- 21 billing"),
    "E0342": lambda folder, graftc: replaced(folder / LOCK, "lock: 1", "lock: 2"),
    "E0343": lambda folder, graftc: replaced(folder / "spec.yaml", "epochs: 2", "epochs: 3"),
    "E0344": lambda folder, graftc: turned(folder / "backbone" / "model.safetensors"),
    "E0345": lambda folder, graftc: replaced(folder / "train.jsonl", ground.rows()[0]["text"], "it is lost"),
    "E0346": lambda folder, graftc: _another_label(folder),
    "E0347": lambda folder, graftc: _another_version(folder),
    "E0348": lambda folder, graftc: replaced(folder / "spec.yaml", "validation.jsonl", "more.jsonl"),
    "E0355": lambda folder, graftc: _other_counts(folder),
    "E0354": lambda folder, graftc: ((folder / LOCK).unlink(), (folder / LOCK).symlink_to("/srv/notes.txt")),
    "E0352": lambda folder, graftc: shutil.copy(folder / "spec.yaml", folder / "spec.yml"),
    "E0349": lambda folder, graftc: graftc("plan", "spec.yaml", "-o", "plan.json"),
}
BESIDES = {"E0346": ["E0345"]}  # a label map moves only with the data


def _another_label(folder: Path) -> None:
    path = folder / "train.jsonl"
    path.write_text(path.read_text() + '{"text": "it is lost", "label": "parcel"}\n')


def _other_counts(folder: Path) -> None:
    """One training row fewer of a label, hashed anew."""
    data = read_lock(read(folder / "spec.yaml")).lock.data
    assert data is not None
    plain = data.model_dump(mode="json")
    plain["splits"][0]["tally"]["counts"][0] = "19 billing"
    signed(folder, data=LockedData.model_validate_json(json.dumps(plain)))


def _another_version(folder: Path) -> None:
    lock = read_lock(read(folder / "spec.yaml")).lock
    signed(folder, versions={**lock.versions, "torch": "1.13.1"})


def signed(folder: Path, **changes: object) -> None:
    """Changes the lock as a program would that knows how to sign one."""
    lock = read_lock(read(folder / "spec.yaml")).lock
    other = lock.model_copy(update=changes)
    other = other.model_copy(update={"sha256": signature(other)})
    (folder / LOCK).write_text(other.text("spec.yaml"), encoding="utf-8")


@pytest.mark.parametrize("code", BEFORE)
def test_what_a_page_says_is_printed_is_printed(code: str, folder: Path, graftc: Command) -> None:
    BEFORE[code](folder, graftc)
    (block,) = BLOCK.finditer(Page.of(code).parts["When"])
    typed, _, printed = block["text"].partition("\n")
    answer = graftc(*shlex.split(typed.removeprefix("$ graftc ")))
    errors = [found for found in answer.codes if found.startswith("E")]
    assert (answer.status, errors) == (1, [code, *BESIDES.get(code, [])])
    # a lock's own hash changes with every field that plans or locks get; which it is says nothing about the page
    text = re.sub(r"(?<=\| sha256: )[0-9a-f]{64}", "1f" * 32, answer.err.replace(installed("torch"), "2.9.0"))
    compare(f"lock_{code}", text)
    assert re.split(r"\n\n(?:error|warning)", text)[0].rstrip() == printed.rstrip()


def test_values_of_a_lock_are_signed_and_comments_are_not(folder: Path, graftc: Command) -> None:
    text = (folder / LOCK).read_text()
    (folder / LOCK).write_text("# reviewed\n" + text.replace("\nplan: ", "\n\n# the plan\nplan:   "))
    assert graftc("validate", "--locked", "spec.yaml").status == 0
    (folder / LOCK).write_text(text.replace("task: text-classification", "task: text-regression"))
    assert graftc("validate", "--locked", "spec.yaml").codes == ["E0341"]


def test_two_specs_of_one_name_are_not_held_to_each_others_lock(folder: Path, graftc: Command) -> None:
    before = (folder / LOCK).read_bytes()
    shutil.copy(folder / "spec.yaml", folder / "spec.yml")
    for words in (("lock",), ("validate", "--locked"), ("validate", "--no-data"), ("plan", "--locked")):
        for spec in ("spec.yaml", "spec.yml"):
            answer = graftc(*words, spec)
            assert (answer.status, answer.codes) == (1, ["E0352"]), answer.err
            assert answer.findings[0].place == spec
    assert (folder / LOCK).read_bytes() == before
    assert graftc("validate", "spec.yaml").status == 0


def test_a_lock_in_a_folder_is_named_with_it_once(
    folder: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    shutil.copy(folder / "spec.yaml", folder / "spec.yml")
    (found,) = graftc("validate", "--locked", "here/spec.yaml").findings
    assert (found.code, found.place) == ("E0352", "here/spec.yaml")
    (folder / "spec.yml").unlink()
    (folder / LOCK).write_bytes(b"\xff")
    (found,) = graftc("validate", "--locked", "here/spec.yaml").findings
    assert (found.code, found.place) == ("E0341", "here/spec.lock.yaml")
    (folder / LOCK).unlink()
    (found,) = graftc("validate", "--locked", "here/spec.yaml").findings
    assert (found.code, found.place) == ("E0340", "here/spec.lock.yaml")


def test_one_spec_that_is_wrong_keeps_no_other_from_its_lock(folder: Path, graftc: Command) -> None:
    for name, old, new in (("a", "lora", "lroa"), ("b", "epochs", "epoch"), ("c", "epochs: 2", "epochs: 3")):
        replaced(Path(shutil.copy("spec.yaml", f"{name}.yaml")), old, new)
    answer = graftc("lock", "a.yaml", "b.yaml", "c.yaml")
    assert (answer.status, answer.codes) == (1, ["E0203", "E0201"])
    assert answer.out.startswith("c.lock.yaml: ")
    assert sorted(path.name for path in folder.glob("*.lock.yaml")) == ["c.lock.yaml", LOCK]


@pytest.mark.parametrize("command", ["lock", "validate", "plan"])
def test_rows_that_are_written_while_they_are_read_make_no_lock(
    command: str, folder: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that adds a row just after the file was hashed: rows and hash would be of two states."""

    class Hurried(Fingerprint):
        def __init__(self, table: Opened) -> None:
            super().__init__(table)
            if table.shown == "train.jsonl":
                _another_label(folder)

    before = (folder / LOCK).read_bytes()
    monkeypatch.setattr(facts, "Fingerprint", Hurried)
    answer = graftc(command, "spec.yaml")
    assert (answer.status, answer.codes) == (1, ["E0351"]), answer.err
    assert (folder / LOCK).read_bytes() == before
    if command == "lock":
        compare("E0351", answer.err)
        (block,) = BLOCK.finditer(Page.of("E0351").parts["When"])
        assert answer.err.rstrip() == block["text"].partition("\n")[2].rstrip()


def test_what_changed_within_a_tick_of_the_clock_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, memory = tmp_path / "weights", tmp_path / "memory"
    path.write_bytes(bytes(WORTH))
    for later, is_remembered in ((TICK // 2, False), (2 * TICK, True)):
        now = path.stat().st_ctime_ns + later
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        file_sha256(path, memory)
        assert (known_sha256(path, memory) is not None) is is_remembered
    assert TICK >= 10_000_000, "the clocks of file systems take up to ten milliseconds"


def test_every_code_of_locks_has_its_case() -> None:
    assert {code for code in pages.codes() if code.startswith("E034")} | {"E0352", "E0355", "E0354"} == set(BEFORE)
    assert {path.stem for path in GOLDEN.glob("lock_E*.txt")} == {f"lock_{code}" for code in BEFORE}


BROKEN: dict[str, str | bytes] = {
    "empty": "",
    "no mapping": "- 1\n",
    "binary": b"\xff\xfe\x00",
    "a tab": "lock: 1\n\tspec: {}\n",
    "an alias": "lock: &a 1\nspec: *a\n",
    "a word": "lock: one\n",
    "nothing else": "lock: 1\n",
    "an older version": "lock: 0\n",
    "conflict marks": "<<<<<<< ours\nlock: 1\n=======\nlock: 1\n>>>>>>> theirs\n",
    "deep": "lock: " + "[" * 100 + "]" * 100,
    "large": "# " + "x" * (1 << 22),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_lock_is_refused_with_a_place(name: str, folder: Path, graftc: Command) -> None:
    content = BROKEN[name]
    (folder / LOCK).write_bytes(content if isinstance(content, bytes) else content.encode())
    for flag in ("--locked", "--no-data"):
        answer = graftc("validate", flag, "spec.yaml")
        assert (answer.status, answer.codes) == (1, ["E0341"]), answer.err
        assert answer.findings[0].place.startswith(LOCK)


COUNTS: dict[str, dict[str, object]] = {
    "no count": {},
    "no rows": {"counts": ("20 billing",)},
    "no number": {"rows": 20, "counts": ("many billing",)},
    "no text": {"rows": 20, "counts": (20,)},
    "other rows": {"rows": 21, "counts": ("20 billing",)},
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_that_no_head_made_are_refused(name: str, folder: Path, graftc: Command) -> None:
    data = read_lock(read(folder / "spec.yaml")).lock.data
    train = data.splits[0].model_copy(update={"tally": Json(COUNTS[name])})
    signed(folder, data=data.model_copy(update={"splits": (train, *data.splits[1:])}))
    answer = graftc("validate", "--no-data", "spec.yaml")
    assert (answer.status, answer.codes) == (1, ["E0341"])


def test_a_split_that_the_lock_leaves_out_is_drift(folder: Path, graftc: Command) -> None:
    data = read_lock(read(folder / "spec.yaml")).lock.data
    signed(folder, data=data.model_copy(update={"splits": data.splits[:1]}))
    assert graftc("validate", "--locked", "spec.yaml").codes == ["E0345"]


@pytest.mark.parametrize("line", ["lock", "validate --locked", "validate --no-data", "plan --locked --no-data"])
def test_nothing_of_it_loads_what_trains(line: str, folder: Path) -> None:
    code = (
        "import sys\n"
        "from graftc.compiler.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code in (None, 0), end.code\n"
        "assert not {'torch', 'transformers', 'peft', 'datasets', 'onnx', 'onnxruntime'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, *line.split(), "spec.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_lock_cut_anywhere_is_refused(folder: Path, graftc: Command) -> None:
    whole = (folder / LOCK).read_text(encoding="utf-8")
    start = whole.index("lock: 1")
    for end in [*range(start + 8, len(whole) - 1, 97), len(whole) - 10]:
        (folder / LOCK).write_text(whole[:end], encoding="utf-8")
        answer = graftc("validate", "--no-data", "spec.yaml")
        assert (answer.status, answer.codes) == (1, ["E0341"]), whole[:end]


def test_any_changed_line_is_refused(folder: Path, graftc: Command) -> None:
    lines = (folder / LOCK).read_text(encoding="utf-8").splitlines(keepends=True)
    for number in range(2, len(lines)):
        changed = [*lines[:number], lines[number].rstrip("\n") + "1\n", *lines[number + 1 :]]
        (folder / LOCK).write_text("".join(changed), encoding="utf-8")
        answer = graftc("validate", "--locked", "spec.yaml")
        assert answer.status == 1, lines[number]
        assert answer.codes in (["E0341"], ["E0342"]), lines[number]
