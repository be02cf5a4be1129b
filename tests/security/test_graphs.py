"""Door 8 and 14: whatever a graph gives, and however long it takes, the answer is coded."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graftc.runtime import verify as verifying

from ..front.cli import Answer
from ..front.test_bad_bundle import manifest, seal, text_bundle

__all__ = ["text_bundle"]  # a fixture

IDS = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])]
LABELS = 3


def model(nodes: list[Any], output: Any, numbers: list[Any] = []) -> onnx.ModelProto:  # noqa: B006
    made = helper.make_graph(nodes, "hostile", IDS, [output], numbers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def floats(*shape: Any) -> Any:
    return helper.make_tensor_value_info("logits", TensorProto.FLOAT, list(shape))


def pooled(name: str) -> list[Any]:
    """A number for each row."""
    return [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], [name], axes=[1], keepdims=1),
    ]


def constant(name: str, value: Any, dtype: Any = np.float32) -> Any:
    return numpy_helper.from_array(np.array(value, dtype), name)


def of_sequence() -> onnx.ModelProto:
    output = helper.make_tensor_sequence_value_info("logits", TensorProto.FLOAT, None)
    return model([*pooled("x"), helper.make_node("SequenceConstruct", ["x", "x"], ["logits"])], output)


def of_strings() -> onnx.ModelProto:
    output = helper.make_tensor_value_info("logits", TensorProto.STRING, ["batch", 1])
    return model([*pooled("x"), helper.make_node("Cast", ["x"], ["logits"], to=TensorProto.STRING)], output)


def of_holes() -> onnx.ModelProto:
    nodes = [*pooled("x"), helper.make_node("Mul", ["x", "nan"], ["logits"])]
    return model(nodes, floats("batch", LABELS), [constant("nan", [[np.nan] * LABELS])])


def of_infinity() -> onnx.ModelProto:
    nodes = [*pooled("x"), helper.make_node("Add", ["x", "inf"], ["logits"])]
    return model(nodes, floats("batch", LABELS), [constant("inf", [[np.inf] * LABELS])])


def of_more_rows() -> onnx.ModelProto:
    nodes = [*pooled("x"), helper.make_node("Concat", ["x", "x"], ["y"], axis=0)]
    nodes += [helper.make_node("Mul", ["y", "ones"], ["logits"])]
    return model(nodes, floats("rows", LABELS), [constant("ones", [[1.0] * LABELS])])


def of_other_width() -> onnx.ModelProto:
    return model([*pooled("x"), helper.make_node("Identity", ["x"], ["logits"])], floats("batch", 1))


def of_more_axes() -> onnx.ModelProto:
    nodes = [*pooled("x"), helper.make_node("Mul", ["x", "ones"], ["logits"])]
    return model(nodes, floats("a", "b", LABELS), [constant("ones", [[[1.0] * LABELS]])])


def of_another_name() -> onnx.ModelProto:
    nodes = [*pooled("x"), helper.make_node("Mul", ["x", "ones"], ["scores"])]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", LABELS])
    return model(nodes, output, [constant("ones", [[1.0] * LABELS])])


def endless() -> onnx.ModelProto:
    """A loop of 2^62 rounds."""
    inputs = [
        helper.make_tensor_value_info("round", TensorProto.INT64, []),
        helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("carried", TensorProto.FLOAT, ["batch", LABELS]),
    ]
    outputs = [
        helper.make_tensor_value_info("still", TensorProto.BOOL, []),
        helper.make_tensor_value_info("next", TensorProto.FLOAT, ["batch", LABELS]),
    ]
    nodes = [
        helper.make_node("Identity", ["goes_on"], ["still"]),
        helper.make_node("Add", ["carried", "carried"], ["next"]),
    ]
    body = helper.make_graph(nodes, "body", inputs, outputs)
    loop = helper.make_node("Loop", ["rounds", "true", "start"], ["logits"], body=body)
    nodes = [*pooled("x"), helper.make_node("Mul", ["x", "ones"], ["start"]), loop]
    numbers = [
        constant("rounds", 1 << 62, np.int64),
        constant("true", True, np.bool_),
        constant("ones", [[1.0] * LABELS]),
    ]
    return model(nodes, floats("batch", LABELS), numbers)


GRAPHS = [of_sequence, of_strings, of_holes, of_infinity, of_more_rows, of_other_width, of_more_axes, of_another_name]


@pytest.fixture
def place(text_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(text_bundle, tmp_path / "bundle"))


@pytest.mark.parametrize("made", GRAPHS, ids=[each.__name__ for each in GRAPHS])
def test_what_a_graph_gives_that_is_no_answer_is_coded(
    made: Callable[[], onnx.ModelProto], place: Path, graftc: Callable[..., Answer]
) -> None:
    assert len(manifest(place)["heads"][""]["labels"]) == LABELS
    onnx.save(made(), place / "model.onnx")
    seal(place, manifest(place))
    for verb in (["verify", place], ["predict", place, "a text"], ["predict", place, "one", "two"]):
        answer = graftc(*verb)
        assert answer.status == 1, answer.out
        assert answer.codes in (["E0503"], ["E0504"]), answer.err


def test_a_graph_without_end_is_ended(
    place: Path, graftc: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "SECONDS", 0.5)
    onnx.save(endless(), place / "model.onnx")
    seal(place, manifest(place))
    start = time.monotonic()
    answer = graftc("verify", place)
    assert (answer.status, answer.codes) == (1, ["E0503"]), answer.err
    assert time.monotonic() - start < 10


def test_an_answer_is_json(place: Path, graftc: Callable[..., Answer]) -> None:
    for line in graftc("predict", place, "a text", "another").out.splitlines():
        json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "samples.jsonl", "manifest.json"])
def test_a_pipe_in_a_bundle_is_not_waited_for(name: str, place: Path, graftc: Callable[..., Answer]) -> None:
    (place / name).unlink()
    os.mkfifo(place / name)
    start = time.monotonic()
    assert graftc("verify", place).status == 1
    asked = graftc("predict", place, "a text")
    if name == "samples.jsonl":  # which an answer does not need
        assert (asked.status, asked.codes) == (0, [])
    else:
        assert (asked.status, asked.codes) == (1, ["E0502" if name == "manifest.json" else "E0503"])
    assert time.monotonic() - start < 10
