"""A head with two inputs, a text and a picture, is two files and no other edit: it is added to a copy and used in full."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from ..backbones import tiny
from .copied import Copy, files

OVERLAY = Path(__file__).with_name("new_inputs")
WORD = "offer-classification"
COLOURS = {"red": (220, 20, 20), "blue": (20, 20, 220)}
SPEC = {
    "graftc": 1,
    "name": "offers",
    "backbone": {"from": "./backbone"},
    "head": {"type": WORD},
    "data": {"train": "train.jsonl", "validation": {"fraction": 0.2}, "max_length": 16},
    "train": {"epochs": 25, "batch_size": 16, "learning_rate": {"backbone": 1e-3, "head": 2e-2}},
    "export": {"precision": ["fp32", "int8"], "gate": {"metric_drop": 1.0}},
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Rows whose label says what the text is about and which colour the picture has: neither tells it alone."""
    made = Copy(tmp_path_factory.mktemp("copy"), OVERLAY, SPEC)
    tiny.save("bert", made.folder / "backbone")
    draw, rows = random.Random(0), []
    for colour, (red, green, blue) in COLOURS.items():
        for i in range(8):
            shade = (red + i, green + i, blue + i)
            Image.new("RGB", (30 + i, 24), shade).save(made.folder / f"{colour}{i}.png")
    for _ in range(160):
        colour, topic = draw.choice([*COLOURS]), draw.choice(["film", "parcel"])
        image = f"{colour}{draw.randrange(8)}.png"
        rows.append({"text": f"the {topic} was late", "image": image, "label": f"{colour} {topic}"})
    (made.folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


@pytest.fixture(scope="module")
def bundle(copy: Copy) -> Path:
    copy.run("build", copy.write("spec.yaml"), "--quiet")
    return copy.folder / "bundles/offers"


def test_only_a_module_and_its_decoder_are_added() -> None:
    assert files(OVERLAY) == [f"{side}/heads/{WORD.replace('-', '_')}.py" for side in ("compiler", "runtime")]


def test_both_inputs_have_their_keys_and_roles(copy: Copy) -> None:
    assert "fine" in copy.run("validate", copy.write("spec.yaml"))
    data = {**SPEC["data"], "image_size": 8}
    assert "fine" in copy.run("validate", copy.write("small.yaml", data=data))
    data = {**data, "augment": {"crop": 0.5}}
    said = copy.run("validate", copy.write("a.yaml", data=data), status=1)
    assert "`augment`" in said
    check = Draft202012Validator(json.loads(copy.run("schema")))
    assert check.is_valid(SPEC)
    assert not check.is_valid(SPEC | {"data": data})


def planned(copy: Copy, **data: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(copy.run("plan", copy.write("d.yaml", data={**SPEC["data"], **data}), "--json"))
    return found


def test_a_plan_knows_of_both_parts(copy: Copy) -> None:
    """Bytes of prepared rows, what is odd about them, files that rows name, and pixels that can't be read."""
    small, large = (planned(copy, image_size=edge) for edge in (8, 64))
    rows = sum(split["rows"] for split in small["tasks"][0]["data"]["splits"])
    more = large["estimates"]["disk_bytes"] - small["estimates"]["disk_bytes"]
    assert more == rows * 3 * (64**2 - 8**2)
    short = copy.write("e.yaml", data={**SPEC["data"], "max_length": 4})
    assert "W0315" in copy.run("validate", short, "--strict", status=1)

    text = (copy.folder / "train.jsonl").read_text()
    picture = copy.folder / "own.png"
    noise = Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(3 * 64 * 64))
    noise.save(picture)
    row = {"text": "the film was late", "image": "own.png", "label": "red film"}
    (copy.folder / "more.jsonl").write_text(text + json.dumps(row) + "\n")
    whole = planned(copy, train="more.jsonl", bad_rows={"skip": 0.1})["tasks"][0]["data"]["splits"][0]
    whole_picture = picture.read_bytes()
    picture.write_bytes(whole_picture[:2000] + bytes(1000) + whole_picture[3000:])  # its header and its end are sound
    broken = planned(copy, train="more.jsonl", bad_rows={"skip": 0.1})["tasks"][0]["data"]["splits"][0]
    assert whole["tables"][0]["sha256"] != broken["tables"][0]["sha256"]
    assert not whole["tables"][0].get("skipped")
    assert broken["tables"][0]["skipped"] == "161"


@pytest.mark.parametrize(
    ("code", "says", "changes"),
    [
        ("E0460", f"a `{WORD}` head can't start fitted", {"head": {"type": WORD, "start": "fitted"}}),
        (
            "E0464",
            f"the rows of `{WORD}` are of text and image",
            {"pretrain": [{"objective": "supervised-contrastive", "train": {"max_steps": 1}}]},
        ),
    ],
)
def test_what_reads_the_feature_alone_is_refused(copy: Copy, code: str, says: str, changes: dict[str, Any]) -> None:
    said = copy.run("validate", copy.write("c.yaml", **changes), status=1)
    assert f"error[{code}]: {says}" in said


def test_a_picture_that_is_none_is_told_at_its_row(copy: Copy) -> None:
    rows = (copy.folder / "train.jsonl").read_text().splitlines()
    (copy.folder / "odd.jsonl").write_text("\n".join([*rows[:-1], rows[-1].replace(".png", ".pxg")]) + "\n")
    said = copy.run("validate", copy.write("b.yaml", data={**SPEC["data"], "train": "odd.jsonl"}), status=1)
    assert "error[E0316]" in said
    assert f"odd.jsonl:{len(rows)}" in said


def test_a_frozen_backbone_s_features_are_not_all_that_it_reads(copy: Copy) -> None:
    said = copy.run("plan", copy.write("f.yaml", adapt={"method": "probe"}), "--why", "train.fold")
    assert "the head reads arrays besides the backbone's features" in said


def test_it_is_planned_built_and_asked(copy: Copy, bundle: Path) -> None:
    shown = copy.run("plan", "spec.yaml")
    assert "text: max length 16" in shown
    assert "image: resize" in shown
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    assert manifest["metrics"]["validation"]["torch"]["accuracy"] > 0.9
    assert manifest["preprocessing"]["readings"].keys() == {"text", "image"}
    inputs = [value.name for value in onnx.load(bundle / "model.onnx").graph.input]
    assert set(inputs) == {"text.input_ids", "text.attention_mask", "text.token_type_ids", "image.pixel_values"}
    assert "int8: golden answers given" in copy.run("verify", "bundles/offers")

    golden = [json.loads(line)["input"] for line in (bundle / "samples.jsonl").read_text().splitlines()]
    assert len({each["image"] for each in golden}) == 8  # as many as pictures alone have
    assert len({each["text"] for each in golden}) == len(golden)

    card = (bundle / "README.md").read_text()
    assert "Inputs beyond 16 tokens are cut. Pictures are resized" in card
    requires = [line.split("==")[0] for line in (bundle / "requirements.txt").read_text().splitlines()]
    assert requires == ["onnxruntime", "numpy", "tokenizers", "pillow"]

    pairs = [(topic, colour) for topic in ("film", "parcel") for colour in COLOURS]
    words = [word for topic, colour in pairs for word in (f"text=the {topic} was late", f"image={colour}3.png")]
    answers = [json.loads(line) for line in copy.run("predict", "bundles/offers", *words).splitlines()]
    assert [answer["label"] for answer in answers] == [f"{colour} {topic}" for topic, colour in pairs]
    lines = [json.dumps({"text": f"the {topic} was late", "image": f"{colour}3.png"}) for topic, colour in pairs]
    mixed = [*words[:2], lines[1], *words[4:6], lines[3]]
    assert [json.loads(line) for line in copy.run("predict", "bundles/offers", *mixed).splitlines()] == answers
    (copy.folder / "asked.jsonl").write_text("\n".join(lines) + "\n")
    again = copy.run("predict", "bundles/offers", "--input", "asked.jsonl").splitlines()
    assert [json.loads(line) for line in again] == answers

    script = [sys.executable, str(bundle / "predict.py"), *words]
    own = subprocess.run(script, capture_output=True, text=True, check=True, cwd=copy.folder).stdout
    assert [json.loads(line) for line in own.splitlines()] == answers


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a text"], "write `text=…` and `image=…`, not `a text`"),
        (["text=only this"], "expected an object of text and image"),
        (['{"text": "a", "image": 5}'], "input 1 can't be used"),
        (['{"text": '], "the words are not inputs"),
        (["{" * 50_000], "the words are not inputs"),
        (["text=a", "image=nowhere.png"], "no such file: nowhere.png"),
    ],
)
def test_half_an_input_is_none(copy: Copy, bundle: Path, words: list[str], says: str) -> None:
    said = copy.run("predict", "bundles/offers", *words, status=1)
    assert "error[E0505]" in said
    assert says in said
