"""Door 10: `graftc lock` writes nowhere but beside the spec, and a lock that counts what is not there is found out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.language.source import read
from graftc.compiler.locking.lock import Lock, signature
from graftc.compiler.locking.locked import read_lock

from ..front import ground
from ..front.cli import Command

LOCK, LIST = "spec.lock.yaml", "spec.bad_rows.jsonl"
HEADS = "heads:\n  topic: {type: text-classification}\n  again: {type: text-classification}\n"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


def skipping(folder: Path) -> None:
    """A spec that leaves a row out, so that there is a list of such rows."""
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"text": ""}\n')
    with_bad_rows = ground.SPEC.replace("  max_length: 64\n", "  max_length: 64\n  bad_rows: {skip: 0.1}\n")
    (folder / "spec.yaml").write_text(with_bad_rows)


@pytest.mark.parametrize("name", [LOCK, LIST])
@pytest.mark.parametrize("is_dangling", [False, True])
def test_nothing_is_written_through_a_link(
    folder: Path, victim: Path, name: str, is_dangling: bool, graftc: Command
) -> None:
    skipping(folder)
    if is_dangling:
        victim.unlink()
    (folder / name).symlink_to(victim)
    assert graftc("lock", "spec.yaml").codes == ["E0354"]
    assert not victim.exists() if is_dangling else victim.read_text() == "precious"
    assert sorted(path.name for path in folder.glob("spec.*")) == sorted({name, "spec.yaml"}), "nothing is half written"


@pytest.mark.parametrize("name", [LOCK, LIST])
def test_a_pipe_at_a_lock_s_name_is_not_waited_for(folder: Path, name: str, graftc: Command) -> None:
    skipping(folder)
    os.mkfifo(folder / name)
    assert graftc("lock", "spec.yaml").codes == ["E0354"]


def test_a_staged_file_is_no_link_that_others_laid(
    folder: Path, victim: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of staged files can't be guessed; of one that is there already, nothing is taken."""
    (folder / f".{LOCK}.{os.getpid()}.partial").symlink_to(victim)
    assert graftc("lock", "spec.yaml").status == 0
    (folder / f".{LOCK}.aa.partial").symlink_to(victim)
    monkeypatch.setattr("graftc.compiler.cli._output.secrets.token_hex", lambda count: "aa")
    assert graftc("lock", "spec.yaml").status != 0
    assert victim.read_text() == "precious"


def test_what_the_user_names_may_be_a_link(folder: Path, graftc: Command) -> None:
    (folder / "out.json").symlink_to("real.json")
    assert graftc("plan", "spec.yaml", "-o", "out.json").status == 0
    assert (folder / "out.json").is_symlink()
    assert json.loads((folder / "real.json").read_text())["name"] == "tickets"


# ---------------------------------------------------------------------------------------------------------
# counts


def edited(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Changes a lock as somebody would who knows how to hash one, and how to plan from it."""
    lock = read_lock(read(folder / "spec.yaml")).lock
    plain = lock.model_dump(mode="json", by_alias=True, exclude_none=True)
    edit(plain)
    other = Lock.model_validate_json(json.dumps(plain))
    other = other.model_copy(update={"sha256": signature(other)})
    (folder / LOCK).write_text(other.text("spec.yaml"), encoding="utf-8")


def at(*path: str | int) -> Callable[[dict[str, Any]], Any]:
    def reach(plain: dict[str, Any]) -> Any:
        for key in path:
            plain = plain[key]
        return plain

    return reach


def put(value: Any, *path: str | int) -> Callable[[dict[str, Any]], object]:
    return lambda plain: at(*path[:-1])(plain).__setitem__(path[-1], value)


EDITS = {
    "rows": put(61, "data", "splits", 0, "rows"),
    "rows of the tally": put(6000, "data", "splits", 1, "tally", "rows"),
    "labels": put("19 billing", "data", "splits", 0, "tally", "counts", 0),
    "a label more": lambda plain: at("data", "splits", 0, "tally", "counts")(plain).append("1 parcel"),
    "rows left out": put({"empty": 3}, "data", "splits", 0, "left_out"),
    "lengths": put(9.5, "data", "measured", "tokens_mean"),
    "preprocessing": put("0" * 64, "data", "preprocessing"),
    "a split fewer": lambda plain: at("data", "splits")(plain).pop(),
    "a table fewer": lambda plain: at("data", "splits", 0, "tables")(plain).pop(),
    "a stage": lambda plain: plain.__setitem__("stages", {"pretrain-1": plain["data"]}),
    "header": put("0" * 64, "backbone", "header"),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("words", [("validate",), ("plan",)])
def test_a_lock_that_was_edited_and_hashed_anew_is_refused(
    folder: Path, edit: str, words: tuple[str, ...], graftc: Command
) -> None:
    assert graftc("lock", "spec.yaml").status == 0
    assert graftc(*words, "--locked", "spec.yaml").status == 0
    edited(folder, EDITS[edit])
    answer = graftc(*words, "--locked", "spec.yaml")
    assert answer.status == 1
    assert set(answer.codes) <= {"E0344", "E0345", "E0355"}


def test_a_lock_of_several_heads_is_held_too(folder: Path, graftc: Command) -> None:
    (folder / "spec.yaml").write_text(ground.replaced(HEADS))
    assert graftc("lock", "spec.yaml").status == 0
    before = (folder / LOCK).read_bytes()
    for edit, code in (
        (put(59, "heads", "again", "data", "splits", 0, "rows"), "E0355"),
        (put([], "together"), "E0355"),
        (lambda plain: plain["heads"].pop("again"), "E0346"),
    ):
        (folder / LOCK).write_bytes(before)
        assert graftc("validate", "--locked", "spec.yaml").status == 0
        edited(folder, edit)
        assert graftc("validate", "--locked", "spec.yaml").codes == [code]


def test_counts_that_are_trusted_are_said_to_be(folder: Path, graftc: Command) -> None:
    said = "the data was not read: its rows, labels and lengths are taken as spec.lock.yaml counts them"
    assert graftc("lock", "spec.yaml").status == 0
    edited(folder, put(600, "data", "splits", 0, "rows"))
    for name in ("train.jsonl", "validation.jsonl"):
        (folder / name).unlink()
    words = ("validate", "--no-data", "--strict", "spec.yaml")
    answer = graftc(*words)
    assert (answer.status, answer.out) == (0, f"spec.yaml: fine\n  = note: {said}\n")
    document = json.loads(graftc(*words, "--format", "json").out)
    assert document["notes"] == [{"spec": "spec.yaml", "message": said}]
    (run,) = json.loads(graftc(*words, "--format", "sarif").out)["runs"]
    (notice,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notice == {"level": "note", "message": {"text": f"spec.yaml: {said}"}}
    assert graftc(*words, "--format", "github").out.startswith(f"::notice file=spec.yaml::{said}\n")
    for flags in ((), ("--json",), ("--why", "train.steps")):
        assert graftc("plan", "--no-data", *flags, "spec.yaml").err == f"note: {said}\n"


def test_nothing_is_said_where_the_data_was_read(folder: Path, graftc: Command) -> None:
    assert graftc("lock", "spec.yaml").status == 0
    for flags in ((), ("--locked",)):
        assert graftc("plan", *flags, "spec.yaml").err == ""
        assert graftc("validate", *flags, "spec.yaml").out == "spec.yaml: fine\n"
        assert "notes" not in json.loads(graftc("validate", *flags, "spec.yaml", "--format", "json").out)


def test_a_lock_takes_no_backbone_from_elsewhere(folder: Path, graftc: Command) -> None:
    """The attack: all that a lock says is of other weights, and hashed anew; the spec still names its own."""
    shutil.copytree(folder / "backbone", folder / "evil")
    with (folder / "evil/model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    (folder / "evil.yaml").write_text(ground.SPEC.replace("./backbone", "./evil"))
    for name in ("evil.yaml", "spec.yaml"):
        assert graftc("lock", name).status == 0
    other = read_lock(read(folder / "evil.yaml")).lock.backbone.model_dump(mode="json", by_alias=True)
    edited(folder, put({**other, "from": "./backbone"}, "backbone"))
    locked = read_lock(read(folder / "spec.yaml"))
    assert locked.reference() == ""
    # whoever plans from such a lock can write the plan's hash too
    words = ("validate", "--locked", "spec.yaml")
    answer = graftc(*words)
    assert (answer.status, set(answer.codes)) == (1, {"E0344"})
    assert "./evil" in answer.err
