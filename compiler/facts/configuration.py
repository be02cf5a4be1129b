"""transformers' rules for config.json, known without importing it: types, bounds and words by family and key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .. import variants
from ..diagnostics import Span, listed, nearest, quote

# the rules of a family lie beside its module, those of all in _configurations.json; tests/backbones/configurations.py
# writes both
FOLDER = Path(__file__).parent.parent / "backbones"
# keys that choose what is loaded or run, by whatever name: none of them reaches transformers
CHOOSING = frozenset(
    ("transformers_weights", "attn_implementation", "_attn_implementation", "_attn_implementation_internal",
     "experts_implementation", "_experts_implementation", "use_kernels", "kernel_config", "quantization_config",
     "auto_map", "custom_pipelines", "fusion_config", "per_layer_config", "adapter_config", "peft_config",
     "base_model_name_or_path", "gguf_file", "subfolder")
)  # fmt: skip
# keys that architectures read, now or once, and that their configuration classes do not declare
UNDECLARED = frozenset(
    ("model_type", "architectures", "transformers_version", "is_encoder_decoder", "problem_type", "return_dict",
     "label2id", "chunk_size_feed_forward", "output_attentions", "out_features", "out_indices", "stage_names",
     "head_dim", "rope_theta", "rope_scaling", "partial_rotary_factor", "global_rope_theta", "local_rope_theta",
     "global_attn_every_n_layers", "embedding_size", "attention_head_size", "share_att_key", "position_buckets",
     "conv_kernel_size", "conv_groups", "conv_act", "norm_rel_ebd", "pooler_hidden_size", "num_layers",
     "hidden_size", "rotary_pct", "rotary_emb_base", "rope_local_base_freq", "sliding_window_pattern")
)  # fmt: skip
Rule = Mapping[str, Any]  # the rule of a key: types, default, least and most, allowed words
KINDS = {
    **{"null": "null", "bool": "true or false", "int": "a whole number", "float": "a number with a point"},
    **{"str": "a text", "list": "a list", "dict": "an object"},
    **{"list[int]": "a list of whole numbers", "list[str]": "a list of texts"},
}
ANEW = "write it as transformers does, or get config.json anew from where the backbone came from"
PLAIN = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}


@dataclass(frozen=True)
class Wrong:
    """An invalid value of a key of config.json, as parts of a diagnostic."""

    key: str
    headline: str
    label: str = ""
    notes: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True)
class Rules:
    """The rules of a family for its config.json; other keys are not read."""

    aliases: Mapping[str, str]  # alias → key
    keys: Mapping[str, Rule]
    words: Mapping[str, tuple[str, ...]]  # sets of allowed words, such as activations

    def reduced(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config.json with only the keys that the architecture knows and that do not choose what is loaded or run."""
        known = (self.keys.keys() | self.aliases.keys() | UNDECLARED) - CHOOSING
        return {key: value for key, value in config.items() if key in known}

    def named(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config.json with aliases replaced by their keys, which win as they do on loading."""
        found = dict(config)
        return found | {key: found.pop(alias) for alias, key in self.aliases.items() if alias in found}

    def resolved(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config.json with defaults filled in."""
        return {key: rule["default"] for key, rule in self.keys.items() if "default" in rule} | self.named(config)

    def written(self, key: str, config: Mapping[str, Any]) -> str:
        """The name under which a config.json writes a key: the key itself or an alias."""
        return next((alias for alias, meant in self.aliases.items() if meant == key and alias in config), key)

    def wrong(self, config: Mapping[str, Any]) -> Iterator[Wrong]:
        """Every value that transformers would refuse."""
        whole = self.resolved(config)
        for key, value in config.items():
            rule = self.keys.get(self.aliases.get(key, key))
            if rule and config.get(rule.get("unless", "")) is not None:
                continue
            if rule and (found := _wrong(key, value, rule, self.words)):
                yield found
            elif rule and "below" in rule and _reaches(value, whole[rule["below"]]):
                yield _wrongly(key, value, f"below `{rule['below']}`, {whole[rule['below']]:,}")


@cache
def rules(word: str) -> Rules:
    """The rules of a family by its word."""
    family, every = _read(variants.family(word).config_like or word), _read("_configurations")
    words = {name: tuple(listed) for name, listed in every["words"].items()}
    return Rules(family["aliases"], {**every["common"], **family["keys"]}, words)


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name.replace('-', '_')}.json").read_bytes())
    return found


def key_span(path: Path, key: str, label: str = "") -> Span:
    """The place of a key in a file with a JSON object; the whole file where the key is absent."""
    text, depth, found = path.read_text(encoding="utf-8"), 0, None
    for hit in re.finditer(r'"((?:[^"\\]|\\.)*)"(\s*:)?|[{}\[\]]', text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(hit[0], 0)
        if depth == 1 and hit[2] and hit[1] == key:  # the last of several wins in JSON
            found = hit.start()
    if found is None:
        return Span(str(path), 0, 1, 0, label)
    return Span(str(path), text.count("\n", 0, found) + 1, found - text.rfind("\n", 0, found), len(key) + 2, label)


DTYPES = ("dtype", "torch_dtype")  # keys whose values may also be written as `torch.float32`


def _wrong(key: str, value: Any, rule: Rule, words: Mapping[str, tuple[str, ...]]) -> Wrong | None:
    """What is wrong with the value of a key; None for nothing."""
    if not any(_is(kind, value) for kind in rule["kinds"]):
        kinds = " or ".join(KINDS[kind] for kind in rule["kinds"])
        return _wrongly(key, value, f"expected {kinds}" if kinds else "leave it out")
    if "of" in rule and isinstance(value, str | list):
        known = words.get(rule["of"], ()) if isinstance(rule["of"], str) else tuple(rule["of"])
        for word in [value] if isinstance(value, str) else value:
            if word not in known and not (key in DTYPES and word.removeprefix("torch.") in known):
                return _unknown(key, word, known)
    if type(value) in (int, float):
        least, most = rule.get("least"), rule.get("most")
        if least is not None and not value >= least:  # false for NaN as well
            return _wrongly(key, value, f"at least {least}")
        if most is not None and not value <= most:
            return _wrongly(key, value, f"at most {most}")
    if isinstance(value, dict) and rule.get("keys") == "int":
        odd = next((name for name in value if not _is_number(name)), None)
        if odd is not None:
            return Wrong(key, f"`{key}` of the backbone's config.json has a key that is no number", quote(odd))
    return None


def _wrongly(key: str, value: Any, label: str) -> Wrong:
    return Wrong(key, f"`{key}` of the backbone's config.json can't be {_shown(value)}", label, help=ANEW)


def _reaches(value: Any, end: Any) -> bool:
    return type(value) is int and type(end) is int and value >= end


def _unknown(key: str, value: str, known: tuple[str, ...]) -> Wrong:
    headline = f"`{key}` of the backbone's config.json can't be {quote(value)}"
    notes, help = (f"it knows {listed(known, 40)}",), nearest(value, known)
    return Wrong(key, headline, "not known", notes, help)


def _is(kind: str, value: Any) -> bool:
    """Whether a value is of a type; for lists, whether all items are."""
    if kind.startswith("list["):
        return isinstance(value, list) and all(_is(kind[5:-1], item) for item in value)
    return PLAIN.get(type(value)) == kind


def _is_number(text: str) -> bool:
    try:
        return int(text) is not None
    except ValueError:
        return False


def _shown(value: Any) -> str:
    return quote(json.dumps(value))
