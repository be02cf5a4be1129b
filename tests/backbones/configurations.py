"""Writes what transformers takes in a config.json: `python -m tests.backbones.configurations`, after an update of it.

What holds for all families goes to compiler/backbones/_configurations.json, what one has to a file beside its module.

Kinds and defaults are those of its configuration classes. Bounds and words are tried on tiny models, in inference and
in training: a key has a bound where a value beyond it is refused. Keys that the bare backbone does not read have none.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import initialization
from transformers.activations import ACT2FN
from transformers.configuration_utils import ALLOWED_ATTN_LAYER_TYPES
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from graftc.compiler import variants

from . import tiny

FOLDER = Path(__file__).parents[2] / "compiler" / "backbones"
PLAIN = {int: "int", float: "float", bool: "bool", str: "str", type(None): "null", dict: "dict", list: "list"}
# one value of each kind and more, for keys whose kinds the classes do not check
SAMPLES: dict[str, tuple[Any, ...]] = {
    "null": (None,),
    "bool": (True, False),
    "int": (0, 1, 2),
    "float": (0.5,),
    "str": ("float16", "eager"),
    "list": ([], [1], ["a"]),
    "dict": ({}, {"0": "a"}),
}
# what __post_init__ takes besides fields
LEGACY = (
    *("num_labels", "torch_dtype", "output_attentions", "attn_implementation", "per_layer_config", "text_config"),
    *("use_return_dict", "pruned_heads"),
)
# keys that a class takes or a module reads, and that are no fields of the class: their kinds
BESIDE: dict[str, dict[str, list[str]]] = {
    "mbart": {"gradient_checkpointing": ["bool"]},
    "mt5": {"dense_act_fn": ["str"], "is_gated_act": ["bool"], "tie_word_embeddings": ["bool", "null"]},
    "t5": {
        **{"dense_act_fn": ["str"], "is_gated_act": ["bool"], "tie_word_embeddings": ["bool", "null"]},
        **{"decoder_start_token_id": ["int", "null"], "scale_decoder_outputs": ["bool"]},
    },
}
READ_BY_SOME = ("chunk_size_feed_forward",)
OUTSIDE = ("model_type", "transformers_version")  # names the family; is written anew


def every() -> dict[str, Any]:
    """What holds for all families."""
    return {
        "transformers": transformers.__version__,
        "words": {
            "activations": sorted(ACT2FN),
            "attention": sorted({"eager", "paged|eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()}),
            "layer types": sorted(ALLOWED_ATTN_LAYER_TYPES),
            "dtypes": sorted(name for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)),
        },
        "common": {key: rule for key in _common() if (rule := _tried("bert", key))},
    }


def _common() -> list[str]:
    fields = [f.name for f in dataclasses.fields(transformers.PreTrainedConfig)]
    return [key for key in (*fields, *LEGACY) if key not in (*OUTSIDE, *READ_BY_SOME)]


def _tried(word: str, key: str) -> dict[str, Any]:
    """The rule of a key whose kinds the class does not check; empty where nothing is refused."""
    taken = {kind: [not refused(word, {key: value}) for value in values] for kind, values in SAMPLES.items()}
    if all(map(all, taken.values())):
        return {}
    rule: dict[str, Any] = {"kinds": [kind for kind, each in taken.items() if any(each)]}
    if "str" in rule["kinds"]:
        rule["of"] = "dtypes" if taken["str"][0] else "attention"
    if taken["dict"] == [True, True] and refused(word, {key: {"a": "b"}}):
        rule["keys"] = "int"
    if not refused(word, {"dtype": "float32", key: "no-such-word"}):
        rule["unless"] = "dtype"  # which counts where both are given
    if taken["int"][0] and refused(word, {key: 5}):
        rule["most"] = 0
    return rule


def family(word: str) -> dict[str, Any]:
    """The other names of a family's keys, and the rule of each key."""
    kind = type(tiny.config(word))
    common = {f.name for f in dataclasses.fields(transformers.PreTrainedConfig)}
    fields = [f for f in dataclasses.fields(kind) if f.name not in common and not f.name.startswith("_")]
    some = {key: rule for key in READ_BY_SOME if (rule := _tried(word, key))}
    some |= {key: {"kinds": sorted(kinds)} for key, kinds in BESIDE.get(word, {}).items()}
    return {"aliases": dict(kind.attribute_map), "keys": {f.name: _rule(word, f) for f in fields} | some}


def _rule(word: str, field: dataclasses.Field[Any]) -> dict[str, Any]:
    kinds = sorted(set(_kinds(field.type)))
    if "null" in kinds and refused(word, {field.name: None}):
        kinds.remove("null")
    words = [value for value in typing.get_args(field.type) if isinstance(value, str)]
    rule = {"kinds": kinds, "default": list(field.default) if isinstance(field.default, tuple) else field.default}
    if field.name == "layer_types":
        rule["of"] = "layer types"
    elif typing.get_origin(field.type) is typing.Literal:
        rule["of"] = words
    elif "str" in kinds and refused(word, {field.name: "no-such-word"}):
        # T5's words may have a part before that of the activation
        is_activation = not refused(word, {field.name: "relu"}) and refused(word, {field.name: "gated-relu"})
        listed = getattr(type(tiny.config(word)), f"{field.name}s", None)
        if is_activation or listed:  # else its words stand nowhere, and the family's `mistakes` says what they are
            rule["of"] = "activations" if is_activation else list(listed)
    if {"int", "float"} & set(kinds):
        rule |= _bounds(word, field.name, "float" in kinds)
    return rule


def _bounds(word: str, key: str, is_real: bool) -> dict[str, Any]:
    """The least and the most that a number may be, as far as anything is refused."""
    found: dict[str, Any] = {}
    if key.endswith("_token_id"):
        found |= {"least": 0} if refused(word, {key: -1}) else {}
        return found | ({"below": "vocab_size"} if refused(word, {key: 10**6}) else {})
    if is_real:
        found |= {"least": 0} if refused(word, {key: -0.5}) else {}
        found |= {"most": 1} if refused(word, {key: 1.5}) and not refused(word, {key: 0.5}) else {}
    elif refused(word, {key: -1}):
        found["least"] = 1 if refused(word, {key: 0}) else 0
    return found


def _kinds(annotation: Any) -> Iterator[str]:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in PLAIN:
        yield PLAIN[annotation]
    elif origin in (typing.Union, types.UnionType):
        for each in inner:
            yield from _kinds(each)
    elif origin is typing.Literal:
        yield "str"
    elif origin is list:
        yield f"list[{PLAIN[inner[0]]}]"
    elif origin is dict:
        yield "dict"
    else:  # a tuple, which JSON has not, or a TypedDict, which no dict is an instance of
        assert origin is tuple or typing.is_typeddict(annotation), annotation


def refused(word: str, values: dict[str, Any]) -> bool:
    """Whether transformers refuses a tiny backbone with some values in its config.json."""
    written = json.loads(tiny.config(word).to_json_string(use_diff=False)) | values
    try:
        config = CONFIG_MAPPING[written["model_type"]].from_dict(written)
        with initialization.no_init_weights():  # as for a checkpoint that lacks nothing
            module = transformers.AutoModel.from_config(config, dtype=torch.float32, **load(word))
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Casting complex values")  # the root of a negative number
            for is_training in (False, True):
                module.train(is_training)(**inputs(word))
    except Exception:
        return True
    return False


def load(word: str) -> dict[str, Any]:
    """Further arguments of the bare backbone."""
    return dict(variants.family(word).load)


def inputs(word: str) -> dict[str, torch.Tensor]:
    """Two short texts, or two pictures."""
    if not tiny.is_text(word):
        return {"pixel_values": torch.zeros(2, 3, tiny.IMAGE, tiny.IMAGE)}
    tokens = torch.arange(14).reshape(2, 7) + 7
    every = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "decoder_input_ids": tokens}
    return {name: every[name] for name in variants.family(word).inputs if name in every}


def texts() -> dict[str, str]:
    """The files as they are to be, by name."""
    transformers.utils.logging.set_verbosity(60)
    tables = {word.replace("-", "_"): family(word) for word in variants.words("backbones")}
    return {f"{name}.json": text(table) for name, table in {"_configurations": every(), **tables}.items()}


def text(table: dict[str, Any]) -> str:
    """A file with a table."""
    return json.dumps(table, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name, written in texts().items():
        (FOLDER / name).write_text(written, encoding="utf-8")
