"""Bundles that are not as they were built, and questions that can't be answered: coded, and never a traceback."""

from __future__ import annotations

import copy
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from graftc.compiler.api import plan as planned
from graftc.compiler.bundling.manifest import compose
from graftc.compiler.planning.plan import Plan
from graftc.runtime.manifest import sealed, sha256
from graftc.runtime.model import Model
from graftc.runtime.verify import plain

from ..backbones import tiny
from .cli import Answer
from .conftest import ROWS, SPEC, Project


def text_graph(labels: int, inputs: int = 3) -> onnx.ModelProto:
    """Logits as the mean of a table's rows, one row per token."""
    table = np.random.default_rng(0).normal(size=(tiny.VOCABULARY, labels)).astype(np.float32)
    names = ["input_ids", "attention_mask", "token_type_ids"][:inputs]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["logits"], axes=[1], keepdims=0),
    ]
    return graph(
        nodes, names, TensorProto.INT64, ["batch", "sequence"], labels, [numpy_helper.from_array(table, "table")]
    )


def image_graph(labels: int) -> onnx.ModelProto:
    """Logits as the means of the colours."""
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["mean", "from", "to", "axis"], ["logits"]),
    ]
    numbers = [
        numpy_helper.from_array(np.array([n], np.int64), name) for name, n in (("from", 0), ("to", labels), ("axis", 1))
    ]
    return graph(nodes, ["pixel_values"], TensorProto.FLOAT, ["batch", 3, 32, 32], labels, numbers)


def graph(nodes: Any, names: list[str], dtype: int, shape: list[Any], labels: int, numbers: Any) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(name, dtype, shape) for name in names]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])]
    made = helper.make_graph(nodes, "made by hand", inputs, outputs, numbers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def bundle(plan: Plan, model: onnx.ModelProto, assets: dict[str, Path], samples: list[Any], folder: Path) -> Path:
    """A bundle whose graph was written by hand, its manifest by the code that writes all of them."""
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    for name, file in assets.items():
        shutil.copy(file, folder / name)
    metrics = {"validation": {"torch": {"f1_macro": 0.5}, "fp32": {"f1_macro": 0.5}}}
    manifest = compose(plan, {}, metrics, {"parity": {"worst": 1e-6, "allowed": 1e-4}, "metric": {}})
    manifest |= {"licences": {"backbone": "unknown", "runtime": "Apache-2.0"}}
    seal(folder, manifest | {"files": {}})
    asked = Model(folder)
    outputs, answers = asked.outputs(samples), asked.predict(samples)
    lines = [
        {
            "input": value,
            "answer": plain(answers[i]),
            "outputs": {"fp32": {n: [a[i].tolist()] for n, a in outputs.items()}},
        }
        for i, value in enumerate(samples)
    ]
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    seal(folder, manifest)
    return folder


def seal(folder: Path, manifest: dict[str, Any]) -> None:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    entries = {p.relative_to(folder).as_posix(): {"bytes": p.stat().st_size, "sha256": sha256(p)} for p in files}
    (folder / "manifest.json").write_text(json.dumps(sealed({**manifest, "files": entries})))


@pytest.fixture(scope="session")
def text_bundle(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "backbone").symlink_to(bert)
    for name in ("train.jsonl", "validation.jsonl"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "spec.yaml").write_text(SPEC)
    assets = {"tokenizer.json": bert / "tokenizer.json"}
    return bundle(planned(folder / "spec.yaml"), text_graph(3), assets, ["a text", "another", ""], folder / "bundle")


@pytest.fixture(scope="session")
def image_bundle(vit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "backbone").symlink_to(vit)
    for i in range(4):
        (folder / "train" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (90 * i, 0, 0)).save(folder / "train" / str(i % 2) / f"{i}.png")
    spec = {"graftc": 1, "name": "dots", "backbone": {"from": "./backbone"}, "adapt": {"method": "probe"}}
    spec |= {"head": {"type": "image-classification"}, "data": {"train": "train"}}
    (folder / "spec.yaml").write_text(json.dumps(spec))
    plan = planned(folder / "spec.yaml")
    return bundle(plan, image_graph(2), {}, [str(folder / "train/0/0.png")], folder / "bundle")


@pytest.fixture
def place(text_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the text bundle, in the folder where the test stands."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(text_bundle, tmp_path / "bundle"))


def manifest(place: Path) -> dict[str, Any]:
    return json.loads((place / "manifest.json").read_bytes())


def test_bundles_that_are_whole_answer_and_verify(
    place: Path, image_bundle: Path, graftc: Callable[..., Answer]
) -> None:
    for folder in (place, image_bundle):
        verified = graftc("verify", folder)
        assert (verified.status, verified.out.splitlines()[-1]) == (0, f"{folder}: fine")
        assert graftc("inspect", folder).status == 0
        assert json.loads(graftc("inspect", folder, "--json").out) == manifest(folder)
    answers = graftc("predict", place, "one text", "another").out.splitlines()
    assert [set(json.loads(line)) for line in answers] == [{"label", "score"}] * 2
    picture = image_bundle.parent / "train/0/0.png"
    assert json.loads(graftc("predict", image_bundle, picture).out)["label"] in ("0", "1")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rows.jsonl", '{"text": "one text", "label": "0"}\n', "an object is no input"),
        ("rows.csv", "text,label\none text,0\n", "a table is no list of inputs"),
    ],
)
def test_rows_of_data_are_not_asked_as_texts(
    name: str, text: str, words: str, text_bundle: Path, tmp_path: Path, graftc: Callable[..., Answer]
) -> None:
    (tmp_path / name).write_text(text)
    answer = graftc("predict", text_bundle, "--input", tmp_path / name)
    assert (answer.status, answer.codes, answer.out) == (1, ["E0505"], "")
    assert words in answer.err
    (tmp_path / "inputs.txt").write_text('"{ a text that begins with a brace"\n')
    assert graftc("predict", text_bundle, "--input", tmp_path / "inputs.txt").status == 0


def test_what_is_no_bundle_is_refused_by_every_verb(tmp_path: Path, graftc: Callable[..., Answer]) -> None:
    (tmp_path / "file").write_text("x")
    for name in ("nowhere", "file", ".", "x" * 300, "a" * 5000):
        for verb in (["verify"], ["inspect"], ["predict"]):
            answer = graftc(*verb, tmp_path / name, *(["text"] if verb == ["predict"] else []))
            assert (answer.status, answer.codes) == (1, ["E0502"]), answer.err
            assert "a bundle is the folder that `graftc build` wrote" in answer.err


def change_byte(place: Path) -> None:
    raw = bytearray((place / "model.onnx").read_bytes())
    raw[len(raw) // 2] ^= 1
    (place / "model.onnx").write_bytes(raw)


def out_of_it(place: Path) -> None:
    (place.parent / "model.onnx").write_bytes((place / "model.onnx").read_bytes())
    (place / "model.onnx").unlink()
    (place / "model.onnx").symlink_to("../model.onnx")


TAMPERED: list[tuple[str, Callable[[Path], Any], str]] = [
    ("a changed byte", change_byte, "`model.onnx` was changed"),
    ("a file cut short", lambda place: (place / "tokenizer.json").write_text("{"), "`tokenizer.json` was changed"),
    ("a missing graph", lambda place: (place / "model.onnx").unlink(), "`model.onnx` is missing"),
    ("missing samples", lambda place: (place / "samples.jsonl").unlink(), "`samples.jsonl` is missing"),
    ("an extra file", lambda place: (place / "extra.py").write_text("import os"), "`extra.py` is not part of the bundle"),
    ("a file in a new folder", lambda place: ((place / "sub").mkdir(), (place / "sub/x").write_text("x")), "`sub/` is not part"),
    ("a file with a hostile name", lambda place: (place / "\x1b[31m\n").write_text("x"), "is not part of the bundle"),
    ("a folder for a file", lambda place: ((place / "tokenizer.json").unlink(), (place / "tokenizer.json").mkdir()), "is missing"),
    ("a link that leads out", out_of_it, "`model.onnx` leads out of the bundle"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), [case[1:] for case in TAMPERED], ids=[case[0] for case in TAMPERED])
def test_a_bundle_that_was_changed_does_not_verify(
    spoil: Callable[[Path], Any], words: str, place: Path, graftc: Callable[..., Answer]
) -> None:
    spoil(place)
    answer = graftc("verify", "bundle")
    assert (answer.status, answer.codes) == (1, ["E0503"])
    assert words in answer.err
    assert graftc("inspect", "bundle").status == 0, "the manifest is as it was"
    assert graftc("predict", "bundle", "x").status in (0, 1)


TEXTS: list[tuple[str, bytes, str]] = [
    ("empty", b"", "E0503"),
    ("no JSON", b"{nope", "E0503"),
    ("binary", b"\xff\xfe\x00\x01", "E0503"),
    ("a list", b"[1, 2]", "E0503"),
    ("a number", b"7", "E0503"),
    ("an empty object", b"{}", "E0503"),
    ("bottomless", b"[" * 200_000, "E0503"),
    ("NaN", b'{"bundle": NaN}', "E0503"),
    ("an endless number", b'{"bundle": ' + b"9" * 10_000 + b"}", "E0503"),
    ("a format of words", b'{"bundle": "one"}', "E0503"),
    ("true for a format", b'{"bundle": true}', "E0503"),
    ("an older format", b'{"bundle": 0}', "E0503"),
    ("a later format", b'{"bundle": 6, "news": 1}', "E0506"),
    ("an earlier format", b'{"bundle": 1, "head": {}}', "E0506"),
    ("a far later format", b'{"bundle": 1000000000000000000000000000000}', "E0506"),
]


@pytest.mark.parametrize(("content", "code"), [case[1:] for case in TEXTS], ids=[case[0] for case in TEXTS])
def test_a_manifest_that_can_not_be_read(content: bytes, code: str, place: Path, graftc: Callable[..., Answer]) -> None:
    (place / "manifest.json").write_bytes(content)
    for verb in (["verify", "bundle"], ["inspect", "bundle"], ["predict", "bundle", "x"]):
        answer = graftc(*verb)
        assert (answer.status, answer.codes) == (1, [code]), answer.err
        assert len(answer.err) < 1000


def told(files: dict[str, Any]) -> dict[str, Any]:
    """The graphs of a manifest, of files by precision."""
    return {"model": {"files": files, "inputs": {}, "outputs": {}}}


HUGE = 10**30
FIELDS: list[tuple[str, Any, str]] = [
    # where in the manifest, what stands there instead, and the verbs that must refuse it: verify, inspect, predict
    ("name", 5, "vip"),
    ("graphs", [], "vip"),
    ("graphs", {"model": []}, "vip"),
    ("graphs", {"model": {}}, "vip"),
    ("graphs", told({"fp32": 5}), "vip"),
    ("graphs", told({"fp32": "../model.onnx"}), "vip"),
    ("graphs", told({"fp32": "/etc/passwd"}), "vip"),
    ("graphs", told({"fp32": "a\0b"}), "vip"),
    ("graphs", told({"fp32": "nowhere.onnx"}), "vp"),
    ("graphs", told({"fp32": "tokenizer.json"}), "vp"),
    ("graphs", told({"\x1b[31m": "model.onnx"}), "vip"),
    ("files", [], "vip"),
    ("files", {"a": 5}, "vip"),
    ("files", {"a": {"bytes": "x", "sha256": "y"}}, "vip"),
    ("files", {"../../etc/passwd": {"bytes": 1, "sha256": "x"}}, "v"),
    ("files", {"/etc/passwd": {"bytes": 1, "sha256": "x"}}, "v"),
    ("files", {"a\0b": {"bytes": 1, "sha256": "x"}}, "v"),
    ("files", {"\ud800": {"bytes": 1, "sha256": "x"}}, "v"),
    ("files", {"x" * 300: {"bytes": 1, "sha256": "x"}}, "v"),
    ("files", {"é" * 200: {"bytes": 1, "sha256": "x"}}, "v"),
    ("files", {"a/" * 5000: {"bytes": 1, "sha256": "x"}}, "v"),
    ("files", {"": {"bytes": 1, "sha256": "x"}}, "v"),
    ("files", {"model.onnx": {"bytes": HUGE, "sha256": "x"}}, "vip"),
    ("files", {}, "v"),
    ("heads", [], "vip"),
    ("heads", {}, "vip"),
    ("heads", {"": {"type": "text-classification"}, "a.b": {"type": "text-classification"}}, "vip"),
    ("heads..type", 5, "vip"),
    ("heads..type", "text-generation", "vp"),
    ("heads..type", "../inputs/text", "vp"),
    ("heads..type", "__init__", "vp"),
    ("heads..type", "\x1b[31m", "vp"),
    ("heads..labels", None, "vip"),
    ("heads..labels", [1, 2, 3], "vip"),
    ("heads..labels", ["a", "b"], "p"),
    ("heads..labels", ["a", "b", "c", "d"], "p"),
    ("heads..is_multi", "yes", "vp"),
    ("heads..is_multi", True, "p"),
    ("heads..thresholds", {"a": 1}, "vp"),
    ("preprocessing", 5, "vip"),
    ("preprocessing.modality", "image", "vp"),
    ("preprocessing.modality", "smell", "vp"),
    ("preprocessing.modality", ["text"], "vip"),
    ("preprocessing.tokenizer", "../tokenizer.json", "vp"),
    ("preprocessing.tokenizer", "/etc/passwd", "vp"),
    ("preprocessing.tokenizer", "model.onnx", "vp"),
    ("preprocessing.tokenizer", "nowhere.json", "vp"),
    ("preprocessing.max_length", HUGE, "vp"),
    ("preprocessing.max_length", -1, "vp"),
    ("preprocessing.max_length", "long", "vp"),
    ("preprocessing.pad_id", HUGE, "vp"),
    ("preprocessing.pad_id", 10**6, "vp"),
    ("preprocessing.is_pair", "no", "vp"),
    ("preprocessing.is_pair", True, "v"),
    ("gates", [], "vi"),
    ("gates", {"parity": {"worst": "x", "allowed": "y"}, "samples_allowed": 1}, "vi"),
    ("gates", {"parity": {"worst": HUGE, "allowed": HUGE}, "samples_allowed": 1}, "vi"),
    ("metrics", [], "i"),
    ("metrics", {"validation": {"torch": {"f1_macro": "good"}}}, ""),
    ("metrics", {"validation": {"torch": 5}}, "i"),
    ("metric", [], "i"),
    ("rows", [], "i"),
    ("rows", {"train": HUGE}, "i"),
    ("parameters", {"total": "many", "trainable": 1}, "i"),
    ("licences", None, "i"),
    ("hashes", {"plan": 5}, "i"),
    ("versions", [], "i"),
    ("description", {"a": 1}, "i"),
    ("description", "\x1b[31m\u202ered\n\nforged: fine", ""),
    ("backbone", "bert", "i"),
]


@pytest.mark.parametrize(
    ("field", "value", "refusing"), FIELDS, ids=[f"{f}={v!r:.40}".replace("\0", "0") for f, v, _ in FIELDS]
)
def test_a_manifest_of_the_wrong_shape(
    field: str, value: Any, refusing: str, place: Path, graftc: Callable[..., Answer]
) -> None:
    content = copy.deepcopy(manifest(place))
    *sections, key = field.split(".")
    within = content
    for section in sections:
        within = within[section]
    within[key] = value
    (place / "manifest.json").write_text(json.dumps(sealed(content)))
    for verb in (["verify", "bundle"], ["inspect", "bundle"], ["predict", "bundle", "a text, long enough", "x"]):
        answer = graftc(*verb)
        assert answer.status == (1 if verb[0][0] in refusing else 0), (verb, answer.err, answer.out)
        assert set(answer.codes) <= {"E0503", "E0504", "E0505", "E0506"}, answer.err
        assert len(answer.err) < 3000


PICTURE_FIELDS: list[tuple[str, Any]] = [
    ("resize", {"height": 10**9, "width": 10**9}),
    ("resize", {"height": 32}),
    ("resize", {}),
    ("resize", [32, 32]),
    ("resample", 9),
    ("crop", {"shortest_edge": 32}),
    ("crop", {"height": -1, "width": 5}),
    ("crop_pct", -1.0),
    ("crop_pct", "x"),
    ("mean", [0.5]),
    ("mean", ["a", "b", "c"]),
    ("std", {"a": 1}),
    ("rescale", "x"),
    ("rescale", HUGE),
    ("channels", 4),
    ("channels", None),
]


@pytest.mark.parametrize(("key", "value"), PICTURE_FIELDS, ids=[f"{k}={v!r:.40}" for k, v in PICTURE_FIELDS])
def test_a_manifest_that_prepares_pictures_in_no_way_there_is(
    key: str, value: Any, image_bundle: Path, tmp_path: Path, graftc: Callable[..., Answer]
) -> None:
    place = Path(shutil.copytree(image_bundle, tmp_path / "bundle"))
    content = manifest(place)
    content["preprocessing"][key] = value
    (place / "manifest.json").write_text(json.dumps(sealed(content)))
    picture = image_bundle.parent / "train/0/0.png"
    for verb in (["verify", place], ["predict", place, picture]):
        answer = graftc(*verb)
        assert (answer.status, answer.codes) == (1, ["E0503"]), answer.err


SAMPLES: list[tuple[str, str]] = [
    ("none", ""),
    ("no JSON", "nope\n"),
    ("numbers", "5\n"),
    ("a list", "[1]\n"),
    ("no outputs", '{"input": "x"}\n'),
    ("outputs of another precision", '{"input": "x", "outputs": {"int8": {"logits": [1, 2, 3]}}}\n'),
    ("outputs of another shape", '{"input": "x", "outputs": {"fp32": {"logits": [1, 2]}}}\n'),
    ("outputs of words", '{"input": "x", "outputs": {"fp32": {"logits": ["a", "b", "c"]}}}\n'),
    ("other outputs", '{"input": "x", "outputs": {"fp32": {"logits": [9, 9, 9]}}}\n'),
    ("infinite outputs", '{"input": "x", "outputs": {"fp32": {"logits": [Infinity, NaN, 9]}}}\n'),
    ("an input of another kind", '{"input": 5, "outputs": {"fp32": {"logits": [1, 2, 3]}}}\n'),
    ("half a character", '{"input": "\\ud800", "outputs": {"fp32": {"logits": [1, 2, 3]}}}\n'),
]


@pytest.mark.parametrize("content", [case[1] for case in SAMPLES], ids=[case[0] for case in SAMPLES])
def test_golden_samples_that_are_none(content: str, place: Path, graftc: Callable[..., Answer]) -> None:
    (place / "samples.jsonl").write_text(content)
    seal(place, manifest(place))
    answer = graftc("verify", "bundle")
    assert answer.status == 1
    assert set(answer.codes) <= {"E0503", "E0504", "E0505"}
    assert len(answer.codes) == 1


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.node[-1].output[0] = model.graph.output[0].name = "scores"
    return model


GRAPHS: list[tuple[str, Callable[[], onnx.ModelProto]]] = [
    ("of other labels", lambda: text_graph(5)),
    ("of an unknown input", lambda: graph([helper.make_node("Identity", ["smell"], ["logits"])], ["smell"], TensorProto.FLOAT, ["batch", 3], 3, [])),
    ("that fails on every input", lambda: graph([helper.make_node("Reshape", ["input_ids", "to"], ["x"]), helper.make_node("Cast", ["x"], ["logits"], to=1)], ["input_ids"], TensorProto.INT64, ["batch", "sequence"], 3, [numpy_helper.from_array(np.array([7, 777]), "to")])),
    ("that gives one number", lambda: graph([helper.make_node("Cast", ["input_ids"], ["x"], to=1), helper.make_node("ReduceMax", ["x"], ["logits"], keepdims=0)], ["input_ids"], TensorProto.INT64, ["batch", "sequence"], 3, [])),
    ("that gives something else", lambda: renamed(text_graph(3))),
    ("that gives one row", lambda: graph([helper.make_node("Cast", ["input_ids"], ["x"], to=1), helper.make_node("ReduceMax", ["x"], ["y"]), helper.make_node("Concat", ["y", "y", "y"], ["logits"], axis=1)], ["input_ids"], TensorProto.INT64, ["batch", "sequence"], 3, [])),
]  # fmt: skip


@pytest.mark.parametrize("make", [case[1] for case in GRAPHS], ids=[case[0] for case in GRAPHS])
def test_a_graph_that_is_another(
    make: Callable[[], onnx.ModelProto], place: Path, graftc: Callable[..., Answer]
) -> None:
    onnx.save(make(), place / "model.onnx")
    seal(place, manifest(place))
    for verb in (["verify", "bundle"], ["predict", "bundle", "one text", "and another one"]):
        answer = graftc(*verb)
        assert (answer.status, answer.codes) == (1, ["E0503"]), answer.err


def test_a_tokenizer_that_fails_on_every_text(place: Path, graftc: Callable[..., Answer]) -> None:
    content = json.loads((place / "tokenizer.json").read_bytes())
    content["post_processor"]["special_tokens"] = {}
    (place / "tokenizer.json").write_text(json.dumps(content))
    seal(place, manifest(place))
    for verb in (["verify", "bundle"], ["predict", "bundle", "x"]):
        answer = graftc(*verb)
        assert (answer.status, answer.codes) == (1, ["E0505"])
        assert "the tokenizer fails" in answer.err


# ---------------------------------------------------------------------------------------------------------
# questions


def test_a_precision_that_the_bundle_has_not(place: Path, graftc: Callable[..., Answer]) -> None:
    for precision in ("int8", "FP32", "\x1b[31m"):
        answer = graftc("predict", "bundle", "x", "--precision", precision)
        assert (answer.status, answer.codes) == (1, ["E0505"])
        assert "it has fp32" in answer.err
    assert graftc("predict", "bundle", "x", "--precision", "").status in (0, 1)


FILES: list[tuple[str, bytes, str, str]] = [
    ("empty", b"", "questions.txt", "there are no inputs"),
    ("blank", b"\n \n\n", "questions.txt", "there are no inputs"),
    ("after blank lines", b'one\n\n\n"two"\n\n["a", "b"]\n', "questions.txt:6", "expected a text"),
    ("binary", b"one\n\x89PNG\r\n\x1a\n\x00\xff", "questions.txt:2", "not UTF-8"),
    ("broken JSON", b'one\n["two\n', "questions.txt:2", "starts like JSON and is none"),
    ("a broken row", b'one\n{"prompt": "two\n', "questions.txt:2", "starts like JSON and is none"),
    ("bottomless", b"one\n" + b"[" * 100_000, "questions.txt:2", "starts like JSON"),
    ("a pair for one", b'one\n"two"\n["a", "b"]\n', "questions.txt:3", "expected a text"),
    ("half a character", b'one\n"\\ud800"\n', "questions.txt:2", "lone surrogate"),
]


@pytest.mark.parametrize(("content", "at", "words"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_file_of_questions_that_can_not_be_read(
    content: bytes, at: str, words: str, place: Path, graftc: Callable[..., Answer]
) -> None:
    Path("questions.txt").write_bytes(content)
    Path("answers.jsonl").write_text("mine")
    answer = graftc("predict", "bundle", "--input", "questions.txt", "--output", "answers.jsonl")
    assert (answer.status, answer.codes) == (1, ["E0505"]), answer.err
    assert answer.findings[0].place == at
    assert words in answer.err
    assert Path("answers.jsonl").read_text() == "mine", "whole, or not at all"
    assert not list(Path().glob(".*partial"))


def test_questions_of_a_file_are_answered_line_by_line(place: Path, graftc: Callable[..., Answer]) -> None:
    lines = ["one", '"two"', '""', "with a \u2028 separator", "tab\there", "last one, without an end"]
    Path("questions.txt").write_text("\n".join(lines), newline="")
    answer = graftc("predict", "bundle", "--input", "questions.txt")
    assert len(answer.out.splitlines()) == len(lines)
    Path("questions.txt").write_text("\r\n".join(lines) + "\r\n\r\n", newline="")
    assert graftc("predict", "bundle", "--input", "questions.txt").out == answer.out
    Path("questions.txt").write_text("\n\n".join(lines), newline="")
    assert graftc("predict", "bundle", "--input", "questions.txt").out == answer.out
    link = Path("link.jsonl")
    link.symlink_to("answers.jsonl")
    assert graftc("predict", "bundle", "--input", "questions.txt", "--output", link).status == 0
    assert Path("answers.jsonl").read_text() == answer.out
    assert link.is_symlink()
    assert stat.S_IMODE(Path("answers.jsonl").stat().st_mode) & 0o444


def test_hostile_texts_are_only_texts(place: Path, graftc: Callable[..., Answer]) -> None:
    texts = ["", " ", "\x1b[31m", "{{ 7 * 7 }}", "a" * 100_000, "\u202e", "🙂" * 500, "\ufeff", "--"]
    answer = graftc("predict", "bundle", "--", *texts)
    assert (answer.status, len(answer.out.splitlines())) == (0, len(texts)), answer.err


def test_hostile_labels_are_escaped(place: Path, graftc: Callable[..., Answer]) -> None:
    content = manifest(place)
    content["heads"][""]["labels"] = ["\x1b[31m", "\u202e\x9b", "two\nlines"]
    (place / "manifest.json").write_text(json.dumps(sealed(content)))
    answer = graftc("predict", "bundle", "x", "--top-k", "3")
    assert {item["label"] for item in json.loads(answer.out)} == set(content["heads"][""]["labels"])
    shown = graftc("inspect", "bundle")
    assert r"\x1b[31m, \u202e\x9b, two\nlines" in shown.out


def test_usage_of_predict_is_status_2(place: Path, graftc: Callable[..., Answer]) -> None:
    for arguments in ([], ["--input", "nowhere.txt"], ["x", "--top-k", "two"], ["--input", "."]):
        assert graftc("predict", "bundle", *arguments).status == 2


def test_pictures_that_can_not_be_asked_about(
    image_bundle: Path, project: Project, graftc: Callable[..., Answer]
) -> None:
    project.write("x.png", "not a picture")
    for name in ("nowhere.png", "x.png", ".", "http://example.org/x.png", "data:,", "\ud800"):
        answer = graftc("predict", image_bundle, name)
        assert (answer.status, answer.codes) == (1, ["E0505"]), answer.err
