"""Door 8, the command line: what others named is shown as text, an odd store ends no run, and what is not heard has a status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.execution.progress import Progress
from graftc.compiler.store.store import Store

from ..front import ground
from ..front.cli import CONTROL, Command
from ..front.test_bad_bundle import seal, text_bundle

__all__ = ["text_bundle"]
EVIL = "\x1b]0;mine\x07\x1b[2J\r\u202e\x9b"
SHOWN = r"\x1b]0;mine\x07\x1b[2J\r\u202e\x9b"
KEY = "0" * 64

# what a forked child of one process does: it saves each verb the start of an interpreter
EACH = """
import importlib, json, os, sys
from graftc.compiler.cli import VERBS, main
import graftc.compiler.heads.text_classification, graftc.compiler.locking.locked, graftc.runtime.model
for verb in VERBS:
    importlib.import_module(f"graftc.compiler.cli.{verb}")
for words in json.loads(sys.argv[2]):
    child = os.fork()
    if not child:
        sys.stderr = open(f"{sys.argv[3]}", "w")
        os.dup2(sys.stderr.fileno(), 2)
        if sys.argv[1] == "full":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        else:
            os.close(1)
            sys.stdout = None
        main(words)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([words, status, open(sys.argv[3]).read()]), flush=True)
"""
VERBS = (
    *(["validate", "spec.yaml", "--format", form] for form in ("text", "json", "github")),
    ["validate", "wrong.yaml"],
    ["plan", "spec.yaml"],
    ["plan", "spec.yaml", "--json"],
    ["plan", "spec.yaml", "--diff", "other.yaml"],
    ["lock", "spec.yaml"],
    *(["cache", *words] for words in (["ls"], ["ls", "--json"], ["verify"], ["gc", "--limit", "0"])),
    *(["explain"], ["schema"], ["init"], ["--help"], ["--version"], ["build", "--help"]),
    *(["inspect", "bundle"], ["inspect", "bundle", "--json"], ["verify", "bundle"], ["predict", "bundle", "a text"]),
)


@pytest.fixture
def folder(tmp_path: Path, text_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    spec = ground.lay(tmp_path)
    (tmp_path / "other.yaml").write_text(ground.SPEC.replace("epochs: 2", "epochs: 3"))
    (tmp_path / "wrong.yaml").write_text(ground.SPEC.replace("epochs: 2", "epoch: 3"))
    (tmp_path / "bundle").symlink_to(text_bundle)
    monkeypatch.chdir(spec.parent)
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    return tmp_path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize(("how", "code"), [("full", "E0410"), ("closed", "E0412")])
def test_what_is_not_heard_ends_with_a_status_in_every_verb(folder: Path, how: str, code: str) -> None:
    words = [sys.executable, "-c", EACH, how, json.dumps(VERBS), "said.txt"]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    ended = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [words for words, _, _ in ended] == [*VERBS]
    for words, status, said in ended:
        assert status == 4, (words, said)
        assert f"error[{code}]" in said, (words, said)
        assert "Traceback" not in said, words
        assert "Exception ignored" not in said, words


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&-", ">&- 2>&-", "2>/dev/full", ">/dev/full 2>/dev/full"])
def test_a_shell_that_closed_them_gets_a_status(folder: Path, streams: str) -> None:
    """The real thing, from the start of the interpreter; findings that can't be told are no "fine"."""
    script = f"{sys.executable} -m graftc validate wrong.yaml {streams}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert ran.returncode == (1 if streams in ("2>&-", "<&-") else 4)
    assert "Traceback" not in ran.stderr + ran.stdout
    assert "error[" not in ran.stdout


def test_names_in_a_store_are_shown_as_text(folder: Path, graftc: Command) -> None:
    kept = Store(folder / "store")
    made = {"plan": EVIL, "stage": "train", "record": {}, "inputs": {}, "versions": {}, "machine": {}}
    kept.make("train", KEY, lambda out: (out / EVIL).write_text("a") and None, made=made)
    kept.make(f"train{EVIL}", f"{EVIL}{KEY}", lambda out: (out / "a").write_text("a") and None)
    (folder / "store/staging" / f"fold{EVIL}-1").mkdir(parents=True)
    (folder / "store/staging" / f"fold{EVIL}-1" / "a").write_text("a")
    (kept.path("train", KEY) / EVIL).write_text("otherwise")
    listing = graftc("cache", "ls")  # which asserts that nothing moves a cursor
    assert SHOWN in listing.out
    assert len(listing.out.splitlines()) == 4
    graftc("cache", "ls", "--json")
    assert graftc("cache", "verify").status == 1
    graftc("cache", "why", "spec.yaml")
    assert graftc("cache", "gc", "--limit", "0").out.count("removing") == 3


RECORDS: dict[str, Any] = {
    "no object": [],
    "nothing made": {"made": None},
    "a list": {"made": [1, 2]},
    "numbers": {"made": {"plan": 5, "stage": 7}},
    "no inputs": {"made": {"plan": "tickets", "stage": "train", "inputs": [1], "record": "x"}},
    "odd records": {
        "made": {"plan": "tickets", "stage": "prepare-train", "record": {"tasks": [[]], "seed": {"a": []}}}
    },
    "odd versions": {"made": {"plan": "tickets", "stage": "prepare-train", "versions": {"torch": {"x": [None]}}}},
    "no files": {"files": [], "made": {}},
    "odd files": {"files": {"a": 7, "b": {"c": None}, "": []}, "made": {"stage": "prepare-train"}},
    "wide": {"made": {"plan": "x" * 100_000, "stage": "\ud800"}},
    "cut": b'{"made": {',
    "bytes": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "huge number": b'{"made": {"plan": ' + b"9" * 5000 + b"}}",
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_an_odd_record_counts_as_none(folder: Path, graftc: Command, record: Any) -> None:
    kept = Store(folder / "store")
    kept.make("prepare-train", KEY, lambda out: (out / "a").write_text("") and None)
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    kept.record("prepare-train", KEY).write_bytes(raw)
    kept.offer("like", "prepare-train", KEY)
    (folder / "store/content-keys/other").write_bytes(raw)
    assert kept.take("other", folder / "store/staging") is None
    for words in (["ls"], ["ls", "--json"], ["why", "spec.yaml"], ["why", "spec.yaml", "--json"]):
        assert graftc("cache", *words).status == 0
    assert graftc("cache", "verify").status == 1
    assert graftc("cache", "gc", "--limit", "0").status == 0


def test_a_store_of_files_where_folders_should_be_is_told(folder: Path, graftc: Command) -> None:
    for name in ("stages/train/file", "records/train/dir.json/x", "staging/file", "stages/loose"):
        (folder / "store" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "store" / name).write_text("")
    (folder / "store/stages/train/dir").mkdir()
    (folder / "store/stages/train/link").symlink_to("nowhere")
    for words in (["ls"], ["verify"], ["gc", "--limit", "0"]):
        assert graftc("cache", *words).status in (0, 1, 4)


def test_what_was_remembered_of_files_is_taken_for_nothing_else(folder: Path, graftc: Command) -> None:
    from graftc.compiler.store.hashes import _name, _read, file_sha256, known_sha256
    from graftc.compiler.store.ownership import make_folders

    large = folder / "large"
    large.write_bytes(bytes(4_000_001))
    memory = folder / "store/digests"
    make_folders(memory)
    for odd in (b"\xff" * 64, b"\x1b" * 64, b"x" * 64, b""):
        (memory / _name(large, large.stat())).write_bytes(odd)
        assert file_sha256(large, memory) == _read(large)
        (memory / _name(large, large.stat())).write_bytes(odd)
        assert known_sha256(large, memory) is None


def test_a_bundle_s_words_are_shown_as_text(folder: Path, text_bundle: Path, graftc: Command) -> None:
    import shutil

    place = Path(shutil.copytree(text_bundle, folder / f"b{EVIL}"))
    manifest = json.loads((place / "manifest.json").read_bytes())
    ((_, head),) = manifest["heads"].items()
    head["labels"] = [EVIL, "b", "c"]
    seal(place, {**manifest, "description": EVIL, "licences": {**manifest["licences"], "backbone": EVIL}})
    for words in (["inspect", place], ["inspect", place, "--json"], ["verify", place], ["predict", place, "a", EVIL]):
        graftc(*words)


@pytest.mark.parametrize(
    "words",
    [
        ["validate", EVIL],
        ["validate", f"--{EVIL}"],
        [EVIL],
        ["plan", "spec.yaml", "--set", EVIL],
        ["plan", "spec.yaml", "-o", f"{EVIL}/x.json"],
        ["plan", "spec.yaml", "--diff", EVIL],
        ["build", f"{EVIL}.json"],
        ["predict", EVIL, "x"],
        ["inspect", EVIL],
        ["explain", EVIL],
        ["init", EVIL],
        ["init", "tickets", f"a{EVIL}"],
        ["cache", "gc", "--limit", EVIL],
    ],
    ids=lambda words: " ".join(words).replace(EVIL, "EVIL"),
)
def test_what_is_typed_is_said_again_as_text(folder: Path, graftc: Command, words: list[str]) -> None:
    """A file's name reaches the command line by a pattern, and others chose it."""
    answer = graftc(*words)
    assert answer.status in (0, 1, 2, 4)


def test_progress_tells_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().say(f"train 1 s, as {EVIL} made it")
    assert not CONTROL.search(capsys.readouterr().err)
