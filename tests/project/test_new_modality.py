"""A new modality is an input, a head and a family: modules and no other edit, added to a copy of the package and used in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from jsonschema import Draft202012Validator
from safetensors.torch import load_file

from .copied import ROOT, Copy, files

OVERLAY = Path(__file__).with_name("new_modality")
HEAD = "waveform-classification"
CONFIG: dict[str, Any] = {
    **{"num_attention_heads": 2, "num_hidden_layers": 3, "hidden_size": 32, "intermediate_size": 64},
    **{"initializer_range": 0.2, "conv_dim": [16, 16, 16], "conv_kernel": [8, 4, 4], "conv_stride": [4, 2, 2]},
    **{"conv_bias": True, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "mask_time_length": 2},
    **{"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2},
}
SPEC: dict[str, Any] = {
    "graftc": 1,
    "name": "tones",
    "backbone": {"from": "./backbone"},
    "head": {"type": HEAD},
    "data": {"train": "train.jsonl", "validation": {"fraction": 0.2}},
    "train": {"epochs": 6, "batch_size": 16, "learning_rate": {"backbone": 1e-3, "head": 1e-2}},
    "export": {"precision": ["fp32", "int8"], "gate": {"metric_drop": 1.0}},
}
# how tests/backbones writes what transformers takes in a config.json, with a tiny wav2vec2 beside its own
RULES = """
import json, sys, torch
from tests.backbones import configurations, tiny
tiny._CONFIGS["wav2vec2"] = json.loads(sys.argv[1])
waveforms = {"input_values": torch.randn(2, 400), "attention_mask": torch.ones(2, 400, dtype=torch.long)}
configurations.inputs = lambda word: waveforms
print(configurations.text(configurations.family("wav2vec2")), end="")
"""


def tone(label: str, draw: np.random.Generator, noise: float = 0.3) -> list[float]:
    """A low or a high tone, of any length."""
    count, pitch = int(draw.integers(200, 600)), {"low": 0.05, "high": 0.4}[label] * draw.uniform(0.8, 1.2)
    values = np.sin(np.arange(count) * pitch + draw.uniform(0, 6)) + noise * draw.normal(size=count)
    return np.round(values, 3).tolist()


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    draw = np.random.default_rng(0)
    return [{"waveform": tone(label, draw), "label": label} for label in ("low", "high") * 60]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> Copy:
    made = Copy(tmp_path_factory.mktemp("copy"), OVERLAY, SPEC)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**CONFIG))
    module.save_pretrained(made.folder / "backbone")
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=1000).save_pretrained(made.folder / "backbone")
    write(made, "train.jsonl", rows)
    return made


def write(copy: Copy, name: str, rows: list[Any]) -> None:
    (copy.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def bundle(copy: Copy) -> Path:
    copy.run("build", copy.write("spec.yaml"), "--quiet")
    return copy.folder / "bundles/tones"


def test_only_modules_are_added_and_what_transformers_takes() -> None:
    both = [f"{side}/{place}.py" for side in ("compiler", "runtime") for place in (f"heads/{HEAD}", "inputs/waveform")]
    backbone = ["compiler/backbones/wav2vec2.json", "compiler/backbones/wav2vec2.py"]
    assert files(OVERLAY) == sorted([name.replace("-", "_") for name in both] + backbone)


def test_what_transformers_takes_is_that_of_the_one_that_is_installed(copy: Copy) -> None:
    path = [str(copy.folder), str(ROOT)]
    said = copy.python("-c", f"import sys; sys.path[:0] = {path}\n{RULES}", json.dumps(CONFIG))
    assert said == (OVERLAY / "compiler/backbones/wav2vec2.json").read_text()


def test_validation_knows_it(copy: Copy) -> None:
    assert "fine" in copy.run("validate", copy.write("spec.yaml"))
    said = copy.run("validate", copy.write("a.yaml", head={"type": "text-classification"}), status=1)
    assert "error[E0307]" in said
    assert "a wav2vec2 backbone takes waveform inputs" in said
    assert f"heads for it: {HEAD}" in said
    said = copy.run("validate", copy.write("b.yaml", data={**SPEC["data"], "max_length": 8}), status=1)
    assert "error[E0207]: `max_length` does not belong under `data`" in said
    said = copy.run("validate", copy.write("c.yaml", adapt={"method": "prompt"}), status=1)
    assert "error[E0309]" in said
    check = Draft202012Validator(json.loads(copy.run("schema")))
    assert check.is_valid(SPEC | {"data": {**SPEC["data"], "max_samples": 400}})
    assert not check.is_valid(SPEC | {"data": {**SPEC["data"], "max_length": 8}})


def test_a_backbone_whose_padding_would_count_is_refused_at_its_key(copy: Copy) -> None:
    with torch.random.fork_rng():
        config = transformers.Wav2Vec2Config(**CONFIG | {"feat_extract_norm": "group"})
        transformers.Wav2Vec2Model(config).save_pretrained(copy.folder / "other")
    said = copy.run("validate", copy.write("d.yaml", backbone={"from": "./other"}), status=1)
    assert "error[E0382]" in said
    assert "`feat_extract_norm` is not `layer`" in said


def test_rows_that_hold_no_waveform_are_told(copy: Copy, rows: list[dict[str, Any]]) -> None:
    wrong = {3: "tone.wav", 5: [], 7: [0.1, None], 9: None}
    bad = [row | ({"waveform": wrong[i]} if i in wrong else {}) for i, row in enumerate(rows)]
    write(copy, "bad.jsonl", bad)
    said = copy.run("validate", copy.write("e.yaml", data={**SPEC["data"], "train": "bad.jsonl"}), status=1)
    for number, reason in (
        (4, "is text, not a list of numbers"),
        (6, "is empty"),
        (8, "holds what"),
        (10, "is missing"),
    ):
        assert f"error[E0313]: `waveform` {reason}" in said
        assert f"--> bad.jsonl:{number}\n" in said
    assert "item 2 is null" in said


def test_its_plan_says_how_waveforms_are_read(copy: Copy) -> None:
    shown = copy.run("plan", copy.write("spec.yaml"))
    assert "waveform: sampling rate 1000, max samples 10000" in shown
    assert "input_values float32[batch, samples], attention_mask int64[batch, samples]" in shown
    assert "10 seconds, the default for waveforms" in copy.run("plan", "--why", "data.max_samples", "spec.yaml")


def test_it_is_built_and_asked(copy: Copy, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    assert manifest["metrics"]["validation"]["torch"]["accuracy"] > 0.9
    assert "int8: golden answers given" in copy.run("verify", "bundles/tones")
    assert (bundle / "requirements.txt").read_text().count("\n") == 2, "onnxruntime and numpy"
    assert "python predict.py '[0.0, 0.5, -0.5]'" in (bundle / "README.md").read_text()

    asked = [tone(label, np.random.default_rng(1), noise=0.1) for label in ("low", "high") * 2]
    write(copy, "asked.jsonl", asked)
    answers = [json.loads(line) for line in copy.run("predict", "bundles/tones", "--input", "asked.jsonl").splitlines()]
    assert [answer["label"] for answer in answers] == ["low", "high"] * 2
    own = copy.python("bundles/tones/predict.py", *map(json.dumps, asked))
    assert [json.loads(line) for line in own.splitlines()] == answers
    for words in ("x", '["a"]', "[]", "[[0.1]]"):
        assert "error[E0505]" in copy.run("predict", "bundles/tones", words, status=1)


def test_a_program_gives_one_waveform_or_many(copy: Copy, bundle: Path, rows: list[dict[str, Any]]) -> None:
    """A list of numbers is one input, in whichever form of a sequence."""
    script = (
        "import json, numpy, graftc; model = graftc.load('bundles/tones'); one = json.loads(input());"
        "print(*(model.predict(form(one)).label for form in (list, tuple, numpy.array)));"
        "print(*(answer.label for answer in model.predict([one, numpy.array(one)])), model.predict([]))"
    )
    (copy.folder / "ask.py").write_text(script.replace("input()", repr(json.dumps(rows[1]["waveform"]))))
    assert copy.python("ask.py").split() == ["high"] * 5 + ["[]"]


def test_its_numbers_are_those_of_transformers(copy: Copy, bundle: Path, rows: list[dict[str, Any]]) -> None:
    """In one batch, padded, as each alone: what is padding counts for nothing."""
    asked = [row["waveform"] for row in rows[:5]] + [[0.5, -0.5]]
    write(copy, "asked.json", [asked])
    ask = "import json, graftc; model = graftc.load('bundles/tones', 'fp32');"
    ask += "print(json.dumps(model.outputs(json.load(open('asked.json')))['logits'].tolist()))"
    ours = np.array(json.loads(copy.python("-c", ask)))
    head = load_file(bundle / "checkpoint" / "head.safetensors")
    backbone = transformers.AutoModel.from_pretrained(bundle / "checkpoint").eval()
    reads = transformers.AutoFeatureExtractor.from_pretrained(bundle / "checkpoint")
    for values, logits in zip(asked, ours, strict=True):
        given = reads(values, sampling_rate=1000, return_tensors="pt").input_values
        given = torch.nn.functional.pad(given, (0, max(0, 44 - given.shape[1])))  # what one state takes
        with torch.no_grad():
            feature = backbone(given).last_hidden_state.mean(1)
        np.testing.assert_allclose((feature @ head["out.weight"].T + head["out.bias"])[0], logits, atol=1e-4)


def test_what_is_frozen_is_computed_once(copy: Copy) -> None:
    copy.run("build", copy.write("probe.yaml", name="probe", adapt={"method": "probe"}, train={"epochs": 4}), "--quiet")
    manifest = json.loads((copy.folder / "bundles/probe/manifest.json").read_bytes())
    assert "features" in manifest["floors"]["validation"]
    copy.run("verify", "bundles/probe")
