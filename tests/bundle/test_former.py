"""Bundles of every former format, each built by the commit that wrote it, verify and answer as they did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from graftc.runtime.former import OLDEST
from graftc.runtime.manifest import FORMAT, SEALED, read_manifest
from graftc.runtime.model import Model
from graftc.runtime.verify import plain, verify

from ..front.cli import Command

FORMATS = range(OLDEST, FORMAT)


@pytest.fixture(params=FORMATS)
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    shutil.unpack_archive(Path(__file__).with_name(f"format_{request.param}.zip"), folder)
    assert json.loads((folder / "manifest.json").read_bytes())["bundle"] == request.param
    return folder


def test_it_verifies_and_answers_as_it_did(bundle: Path) -> None:
    assert verify(bundle)["fp32"] < 1e-4
    samples = [json.loads(line) for line in (bundle / "samples.jsonl").read_text().splitlines()]
    answers = Model(bundle).predict([sample["input"] for sample in samples])
    kept = [[answer["label"] for answer in sample["answer"]] for sample in samples]
    assert [[answer["label"] for answer in plain(row)] for row in answers] == kept


def test_every_verb_takes_it(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graftc = Command(capsys)
    for words in (["verify", bundle], ["inspect", bundle], ["predict", bundle, "the warm film"]):
        answer = graftc(*map(str, words))
        assert answer.status == 0, answer.err


def test_it_is_lifted_to_the_newest(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert manifest["graphs"]["model"]["files"] == {"fp32": "model.onnx", "int8": "model.int8.onnx"}
    assert "sequence" in manifest["graphs"]["model"]["inputs"]["input_ids"]["shape"]
    assert "outputs" not in manifest
    assert set(manifest["calibrated"]) <= {"fp32", "int8"}


def test_one_that_was_sealed_is_held_to_its_seal(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["description"] = "of somebody else"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    if manifest["bundle"] < SEALED:
        assert read_manifest(bundle)["description"] == "of somebody else"
    else:
        with pytest.raises(Exception, match="can't be read"):
            read_manifest(bundle)


def test_a_name_that_format_3_had_at_first_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    shutil.unpack_archive(Path(__file__).with_name("format_3.zip"), bundle)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    told = manifest["quantization"]["int8"]
    told["is_alone"] = not told.pop("is_batch_invariant")
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert read_manifest(bundle)["quantization"]["int8"]["is_batch_invariant"] is True
    assert "is the same in every batch" in Command(capsys)("inspect", str(bundle)).out
