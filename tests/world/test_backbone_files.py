"""Backbones whose files disagree, as people have them: each is refused by validate at its key, or builds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

import graftc
from graftc.compiler.api import validate
from graftc.compiler.diagnostics import Diagnostic, Refused, Span, Status
from graftc.compiler.model.loading import load_backbone, refusing

from ..backbones import tiny

SPEC = """\
graftc: 1
name: files
backbone: {from: ./backbone}
head: {type: text-classification}
data: {train: train.jsonl, columns: {text: text, label: label}}
"""
PAIRS = SPEC.replace("{text: text,", "{text: text, text_pair: other,")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.save("bert", tmp_path / "backbone")
    rows = [{"text": f"the room was {word}", "other": "now", "label": word} for word in ("bad", "good")]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows * 4))
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path


def configure(folder: Path, **values: Any) -> None:
    """Changes config.json; `...` takes a key out."""
    path = folder / "backbone" / "config.json"
    changed = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in changed.items() if value is not ...}, indent=1))


def weigh(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    path = folder / "backbone" / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})


def errors(folder: Path) -> list[Diagnostic]:
    return [found for found in validate(folder / "spec.yaml") if found.is_error]


def the_error(folder: Path) -> Diagnostic:
    (found,) = errors(folder)
    assert isinstance(found.at, Span)
    return found


def assert_at(found: Diagnostic, key: str, folder: Path) -> None:
    """The place is the key in config.json."""
    assert isinstance(found.at, Span)
    assert found.at.file == str(folder / "backbone" / "config.json")
    line = Path(found.at.file).read_text().splitlines()[found.at.line - 1]
    assert line[found.at.column - 1 :][: found.at.width] == f'"{key}"'


# --- layers


@pytest.mark.parametrize("layers", [2, 6])
def test_layers_that_the_weights_do_not_have(layers: int, folder: Path) -> None:
    configure(folder, num_hidden_layers=layers)
    found = the_error(folder)
    assert_at(found, "num_hidden_layers", folder)
    assert found.code == "E0383"
    assert found.at.label == f"config.json says {layers}, the weights have 3"


def test_layers_that_config_json_leaves_out(folder: Path) -> None:
    configure(folder, num_hidden_layers=...)
    found = the_error(folder)
    assert found.at.line == 0, "the whole file"
    assert found.at.label.startswith("config.json leaves `num_hidden_layers` out, which then is 12")


# --- words


def added(folder: Path, words: int) -> Any:
    """Words added to the tokenizer, as `words` of them fill the embedding's rows or go beyond."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "backbone")
    tokenizer.add_tokens([f"zorblax{i}" for i in range(tiny.VOCABULARY - len(tokenizer) + words)])
    tokenizer.save_pretrained(folder / "backbone")
    return tokenizer


def test_tokens_beyond_the_embedding(folder: Path) -> None:
    added(folder, 2)
    found = the_error(folder)
    assert found.code == "E0385"
    assert found.at.file == str(folder / "backbone" / "tokenizer.json")
    assert "402 and 400" in found.headline


def test_an_embedding_that_was_resized_behind_config_jsons_back(folder: Path) -> None:
    added(folder, 2)
    name = "embeddings.word_embeddings.weight"
    weigh(folder, lambda held: {**held, name: torch.cat([held[name], held[name][:2]])})
    found = the_error(folder)
    assert_at(found, "vocab_size", folder)
    assert found.at.label == "config.json says 400, the weights have 402"


@pytest.mark.parametrize("multiple", [None, 64])
def test_an_embedding_that_was_resized_as_it_should_be(multiple: int | None, folder: Path) -> None:
    tokenizer = added(folder, 2)
    model = transformers.AutoModel.from_pretrained(folder / "backbone")
    model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=multiple)
    model.save_pretrained(folder / "backbone")
    assert errors(folder) == []


def test_as_many_tokens_as_rows(folder: Path) -> None:
    added(folder, 0)
    assert errors(folder) == []


# --- odd values, as they are found


@pytest.mark.parametrize(
    "values",
    [
        {
            "torch_dtype": "float16",
            "position_embedding_type": "absolute",
            "transformers_version": "4.5.1",
            "dtype": ...,
        },
        {"gradient_checkpointing": False, "directionality": "bidi", "finetuning_task": "sst2", "output_past": True},
        {"num_labels": 7},
        {"hidden_act": "gelu_fast"},
        {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0},
        {"problem_type": "anything"},
        {"is_decoder": True, "add_cross_attention": False},
        {"_name_or_path": 5, "my own": {"a": [None]}},
    ],
    ids=",".join,
)
def test_what_transformers_takes(values: dict[str, Any], folder: Path) -> None:
    configure(folder, **values)
    assert errors(folder) == []
    transformers.AutoModel.from_pretrained(folder / "backbone")


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("E0382", {"id2label": ["a", "b"]}),
        ("E0382", {"hidden_act": "mygelu"}),
        ("E0382", {"layer_norm_eps": "1e-12"}),
        ("E0382", {"num_attention_heads": 5}),
        ("E0382", {"hidden_size": None}),
        ("E0382", {"hidden_dropout_prob": 1.5}),
        ("E0382", {"pad_token_id": 400}),
        ("E0382", {"dtype": "fp16"}),
        ("E0383", {"intermediate_size": 65}),
        ("E0383", {"max_position_embeddings": 65}),
        ("E0383", {"type_vocab_size": 1}),
        ("E0384", {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_what_transformers_refuses(code: str, values: dict[str, Any], folder: Path) -> None:
    configure(folder, **values)
    found = the_error(folder)
    assert found.code == code
    (key,) = values
    assert_at(found, key, folder)
    with pytest.raises(Exception, match=r"."):
        transformers.AutoModel.from_pretrained(folder / "backbone")


def test_everything_is_said_at_once(folder: Path) -> None:
    configure(folder, hidden_act="mygelu", layer_norm_eps=None, auto_map={"AutoModel": "modeling.Own"})
    assert [found.code for found in errors(folder)] == ["E0382", "E0382", "E0384"]


def test_code_of_its_own_for_another_head_is_harmless(folder: Path) -> None:
    configure(folder, auto_map={"AutoModelForSequenceClassification": "modeling.Own"})
    assert errors(folder) == []


def test_another_name_of_a_key_counts_and_is_named(folder: Path) -> None:
    tiny.save("gpt2", folder / "backbone")
    configure(folder, num_hidden_layers=4)
    assert_at(the_error(folder), "num_hidden_layers", folder)


# --- weights


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_a_prefix_that_a_wrapper_left(prefix: str, folder: Path) -> None:
    weigh(folder, lambda held: {f"{prefix}{name}": tensor for name, tensor in held.items()})
    found = the_error(folder)
    assert found.code == "E0383"
    assert f"`{prefix}`" in found.headline


def test_weights_of_whole_numbers(folder: Path) -> None:
    weigh(folder, lambda held: {name: tensor.to(torch.int8) for name, tensor in held.items()})
    found = the_error(folder)
    assert (found.code, found.at.file) == ("E0384", str(folder / "backbone" / "model.safetensors"))


def test_a_tensor_that_is_missing(folder: Path) -> None:
    lost = "encoder.layer.1.output.dense.bias"
    weigh(folder, lambda held: {name: tensor for name, tensor in held.items() if name != lost})
    assert the_error(folder).notes == (f"`{lost}` is missing, expected 32",)


# --- pairs


def test_pairs_need_two_token_types(folder: Path) -> None:
    configure(folder, type_vocab_size=1)
    name = "embeddings.token_type_embeddings.weight"
    weigh(folder, lambda held: {**held, name: held[name][:1].clone()})
    assert errors(folder) == []
    (folder / "spec.yaml").write_text(PAIRS)
    found = the_error(folder)
    assert found.code == "E0386"
    assert_at(found, "type_vocab_size", folder)


# --- what slips through


def test_what_a_library_raises_of_a_file_is_said_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught, refusing(tmp_path):
        raise KeyError("no such thing")
    (found,) = caught.value.diagnostics
    assert (found.code, caught.value.status) == ("E0388", Status.WRONG)
    assert isinstance(found.at, Span)
    assert found.at.file == str(tmp_path / "config.json")


def test_pictures_that_are_too_small_are_said_with_their_size(tmp_path: Path) -> None:
    tiny.save("convnext", tmp_path / "backbone")
    for label in ("dark", "light"):
        for i in range(4):
            file = tmp_path / "train" / label / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (9, 9), 40 * i).save(file)
    (tmp_path / "spec.yaml").write_text(
        "{graftc: 1, name: small, backbone: {from: ./backbone}, head: {type: image-classification}, "
        "data: {train: train, image_size: 7}}"
    )
    with pytest.raises(Refused) as caught:
        load_backbone(graftc.plan(tmp_path / "spec.yaml"), tmp_path / "backbone")
    (found,) = caught.value.diagnostics
    assert found.code == "E0388"
    assert found.notes[1] == "in a first pass of `pixel_values` 1 x 3 x 7 x 7"
    assert "give larger inputs" in found.help


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(28, "No space left on device"), RuntimeError("CUDA out of memory")]
)
def test_what_the_machine_lacks_is_not(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)), refusing(tmp_path):
        raise error
