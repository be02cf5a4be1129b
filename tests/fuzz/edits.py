"""Edits of a backbone's files by chance: config.json, weights, tokenizer, and what sentence-transformers adds.

A seed gives the same edits each time. Most keep a file that can be read and touch what the architecture reads.
"""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from graftc.compiler import variants
from graftc.compiler.facts.configuration import rules
from graftc.compiler.facts.header import BYTES

CONFIG, WEIGHTS, TOKENIZER, TOKENS = "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
SENTENCES = ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json")
OTHERS = (None, True, "12", "wide", 1.5, -1, 0, 3, [], [4], {}, {"a": 1})  # what may stand in a value's place
ACTIVATIONS = ("relu", "silu", "gelu_new", "mygelu", "GELU", "gelu_fast", "swiglu", "")


@dataclass(frozen=True)
class Edit:
    """Files that stand in place of sound ones; None where one is removed."""

    kind: str
    what: str
    files: Mapping[str, bytes | None] = field(repr=False)
    is_read: bool  # every file stays JSON with a header, and the architecture reads what was touched

    def apply(self, folder: Path) -> None:
        """Writes it into a copy of the backbone."""
        for name, content in self.files.items():
            if content is None:
                (folder / name).unlink()
            else:
                (folder / name).write_bytes(content)


class Editor:
    """Draws edits of one backbone, whose files lie in a folder."""

    def __init__(self, word: str, folder: Path, seed: random.Random) -> None:
        self.word, self.folder, self.random = word, folder, seed
        self.config: dict[str, Any] = json.loads((folder / CONFIG).read_bytes())
        self.keys = sorted(set(rules(word).keys) & set(rules(word).resolved({})))
        self.family = variants.family(word)
        self.is_text = (folder / TOKENIZER).is_file()
        self.sentences = [name for name in SENTENCES if (folder / name).is_file()]

    def draw(self) -> Edit:
        """One edit, of which three in four are of config.json or of the weights."""
        kinds: list[tuple[int, Callable[[], Edit]]] = [
            *[(6, self.value), (5, self.size), (2, self.left_out), (2, self.activation), (2, self.share)],
            *[(2, self.special), (1, self.family_key), (1, self.broken_config)],
            *[(3, self.missing), (2, self.renamed), (3, self.reshaped), (2, self.dtype), (1, self.prefixed)],
            *[(1, self.extra), (1, self.layer_gone), (1, self.broken_weights)],
        ]
        if self.is_text:
            kinds += [
                (2, self.added),
                (2, self.number),
                (1, self.template),
                (1, self.padding),
                (1, self.broken_tokenizer),
            ]
        if self.sentences:
            kinds += [(2, self.sentence)]
        weights = [weight for weight, _ in kinds]
        return self.random.choices([draw for _, draw in kinds], weights)[0]()

    # ---- config.json

    def _config(self, kind: str, what: str, changed: Mapping[str, Any], is_read: bool = True) -> Edit:
        return Edit(kind, what, {CONFIG: json.dumps(changed, indent=2).encode()}, is_read)

    def _with(self, kind: str, **values: Any) -> Edit:
        what = ", ".join(f"{key}={json.dumps(value)}" for key, value in values.items())
        return self._config(kind, what, {**self.config, **values})

    def value(self) -> Edit:
        """A value of another kind."""
        return self._with(
            "config: another kind of value", **{self.random.choice(self.keys): self.random.choice(OTHERS)}
        )

    def size(self) -> Edit:
        """Another number, near or far."""
        whole = rules(self.word).resolved(self.config)
        keys = [key for key in self.keys if type(whole[key]) is int and not key.endswith("_token_id")]
        key = self.random.choice(keys)
        changes = (whole[key] + 1, whole[key] - 1, whole[key] * 2, whole[key] // 2, 0, -whole[key], 5 * whole[key] + 7)
        return self._with("config: another number", **{key: self.random.choice(changes)})

    def left_out(self) -> Edit:
        """A key that is gone, so that its default counts."""
        key = self.random.choice([key for key in self.keys if key in self.config])
        changed = {name: value for name, value in self.config.items() if name != key}
        return self._config("config: a key left out", key, changed)

    def activation(self) -> Edit:
        """Another activation, of which some are unknown."""
        known = rules(self.word).keys
        keys = [key for key in self.keys if known[key].get("of") == "activations"]
        return self._with("config: another activation", **{self.random.choice(keys): self.random.choice(ACTIVATIONS)})

    def share(self) -> Edit:
        """A share of dropout, or another real number, that may be out of bounds."""
        keys = [key for key in self.keys if "float" in rules(self.word).keys[key]["kinds"]]
        value = self.random.choice((1.5, -0.1, 0, 1, 0.5, 1e9, float("nan"), "0.1", None))
        return self._with("config: another share", **{self.random.choice(keys): value})

    def special(self) -> Edit:
        """What says how the file is to be read: code of its own, quantisation, dtype, labels, padding."""
        quantised = {"quant_method": "bitsandbytes", "load_in_8bit": True}
        choices: list[dict[str, Any]] = [
            {"auto_map": {"AutoConfig": "configuration.Own", "AutoModel": "modeling.Own"}},
            {"quantization_config": quantised},
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            {"dtype": self.random.choice(("float16", "bfloat16", "fp16", "auto16", "torch.float32"))},
            {"torch_dtype": self.random.choice(("float16", "half", "fp32", "int4bit"))},
            {"id2label": self.random.choice((["a", "b"], {"0": "a"}, {"a": "0"}, "a"))},
            {"num_labels": self.random.choice((7, "7", None))},
            {"attn_implementation": self.random.choice(("eager", "sdpa", "fast", "flash"))},
            {"output_hidden_states": self.random.choice((True, "yes"))},
            {"chunk_size_feed_forward": self.random.choice((0, 5, "5"))},
            {"pad_token_id": self.random.choice((0, 1, -1, 10**5, "0", None))} if self.is_text else {"num_channels": 1},
            {"return_dict": False},
        ]
        return self._with("config: how it is read", **self.random.choice(choices))

    def family_key(self) -> Edit:
        """Another family, or none."""
        value = self.random.choice(("bert", "gpt2", "vit", "resnet", "brt", 5, None))
        return self._with("config: another family", model_type=value)

    def broken_config(self) -> Edit:
        """A file that is no UTF-8, or no JSON, or no object."""
        raw = (self.folder / CONFIG).read_bytes()
        at = self.random.randrange(len(raw))
        contents = (
            raw[:at],
            raw[:at] + b"}" + raw[at:],
            b"\xef\xbb\xbf" + raw,
            raw.decode().encode("utf-16"),
            b"[]",
            b"",
        )
        return Edit("config: no JSON object", CONFIG, {CONFIG: self.random.choice(contents)}, False)

    # ---- model.safetensors

    def _tensors(self) -> dict[str, tuple[str, list[int], bytes]]:
        return read_weights((self.folder / WEIGHTS).read_bytes())

    def _written(self, kind: str, what: str, tensors: Mapping[str, tuple[str, list[int], bytes]]) -> Edit:
        return Edit(kind, what, {WEIGHTS: weights(tensors)}, True)

    def _names(self, tensors: Mapping[str, Any]) -> list[str]:
        return [name for name in tensors if "pooler" not in name]

    def missing(self) -> Edit:
        """A tensor that is gone."""
        tensors = self._tensors()
        name = self.random.choice(self._names(tensors))
        del tensors[name]
        return self._written("weights: a tensor missing", name, tensors)

    def renamed(self) -> Edit:
        """A tensor by another name."""
        tensors = self._tensors()
        name = self.random.choice(self._names(tensors))
        other = self.random.choice((f"{name}_orig", name.replace("weight", "kernel").replace("bias", "offset")))
        tensors[other] = tensors.pop(name)
        return self._written("weights: a tensor renamed", f"{name} → {other}", tensors)

    def reshaped(self) -> Edit:
        """A tensor of another shape, as much data as that needs."""
        tensors = self._tensors()
        name = self.random.choice([name for name in self._names(tensors) if tensors[name][1]])
        dtype, shape, data = tensors[name]
        side = self.random.randrange(len(shape))
        other = list(shape)
        other[side] = self.random.choice((shape[side] + 1, shape[side] * 2, max(shape[side] - 1, 1)))
        if self.random.random() < 0.25:
            other = shape[::-1] if shape != shape[::-1] else [*shape, 1]
        need = prod(other) * BYTES[dtype]
        tensors[name] = dtype, other, (data * (need // len(data) + 1))[:need]
        return self._written("weights: a tensor of another shape", f"{name} {shape} → {other}", tensors)

    def dtype(self) -> Edit:
        """Tensors as whole numbers, one or all."""
        tensors = self._tensors()
        kind = self.random.choice(("I8", "U8", "I32", "I64", "BOOL"))
        floating = [name for name in self._names(tensors) if tensors[name][0] == "F32"]
        names = floating if self.random.random() < 0.5 else [self.random.choice(floating)]
        for name in names:
            _, shape, data = tensors[name]
            ones = (data[3::4] * BYTES[kind])[: prod(shape) * BYTES[kind]]
            tensors[name] = kind, shape, bytes(b & 1 for b in ones) if kind == "BOOL" else ones
        return self._written("weights: whole numbers", f"{len(names)} of {kind}", tensors)

    def prefixed(self) -> Edit:
        """Names as a wrapper leaves them."""
        prefix = self.random.choice(("module.", "_orig_mod.", "_orig_mod.module.", "encoder_model."))
        tensors = {f"{prefix}{name}": tensor for name, tensor in self._tensors().items()}
        return self._written("weights: a prefix", prefix, tensors)

    def extra(self) -> Edit:
        """A tensor that has no place."""
        tensors = self._tensors()
        name = self.random.choice(self._names(tensors))
        other = self.random.choice((f"{name.rpartition('.')[0]}.lora_A.weight", f"{name}.absmax"))
        return self._written("weights: a tensor more", other, {**tensors, other: tensors[name]})

    def layer_gone(self) -> Edit:
        """A layer that is gone, or a number more."""
        tensors = self._tensors()
        numbered = [name for name in tensors if ".1." in name]
        is_gone = self.random.random() < 0.5
        found = {name: tensor for name, tensor in tensors.items() if name not in numbered}
        if not is_gone:
            found = {**tensors, **{name.replace(".1.", ".40.", 1): tensors[name] for name in numbered}}
        return self._written("weights: a layer gone or more", "gone" if is_gone else "one more", found)

    def broken_weights(self) -> Edit:
        """A file that is cut, or whose header is none."""
        raw = (self.folder / WEIGHTS).read_bytes()
        length = struct.unpack("<Q", raw[:8])[0]
        at = self.random.randrange(8, 8 + length)
        odd = weights(self._tensors(), {"format": 5})
        flipped = raw[:at] + bytes([raw[at] ^ 1 << self.random.randrange(8)]) + raw[at + 1 :]
        contents = (raw[: len(raw) // 2], raw + b"\0", b"", flipped, odd, struct.pack("<Q", 1 << 40) + raw[8:])
        return Edit("weights: a broken file", WEIGHTS, {WEIGHTS: self.random.choice(contents)}, False)

    # ---- tokenizer.json and tokenizer_config.json

    def _tokenizer(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / TOKENIZER).read_bytes())
        return found

    def _tokens(self, kind: str, what: str, changed: Any) -> Edit:
        return Edit(kind, what, {TOKENIZER: json.dumps(changed).encode()}, True)

    def added(self) -> Edit:
        """Tokens that were added, one of them beyond the embedding's rows."""
        changed, rows = self._tokenizer(), self.config["vocab_size"]
        first = max(changed["model"]["vocab"].values()) + 1
        last = rows + self.random.randrange(3)
        sound = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
        changed["added_tokens"] += [{"id": i, "content": f"<new{i}>", **sound} for i in range(first, last + 1)]
        return self._tokens("tokenizer: tokens added", f"up to {last} of {rows} rows", changed)

    def number(self) -> Edit:
        """A token of another number."""
        changed, rows = self._tokenizer(), self.config["vocab_size"]
        vocabulary = changed["model"]["vocab"]
        word = self.random.choice([word for word in vocabulary if word.isalpha()])
        vocabulary[word] = self.random.choice((rows, rows + 7, 10**6, -1, "5", None, 1.5))
        return self._tokens("tokenizer: another number", f"{word!r} → {vocabulary[word]!r}", changed)

    def template(self) -> Edit:
        """What is put around a text, of numbers or segments that the backbone has not."""
        changed, rows = self._tokenizer(), self.config["vocab_size"]
        word, first = min(changed["model"]["vocab"].items(), key=lambda item: item[1])
        piece = {"id": word, "ids": [self.random.choice((rows, first))], "tokens": [word]}
        segment = self.random.choice((0, 1, 5))
        single = [{"SpecialToken": {"id": word, "type_id": segment}}, {"Sequence": {"id": "A", "type_id": 0}}]
        pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
        changed["post_processor"] = {
            **{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": {word: piece}}
        }
        return self._tokens("tokenizer: another template", f"{piece['ids'][0]}, segment {segment}", changed)

    def padding(self) -> Edit:
        """Another word for padding, or a file of it that can't be read."""
        written = json.loads((self.folder / TOKENS).read_bytes())
        word = self.random.choice(("[PAD]", "<no such token>", 5, ["a"], {"content": 5}, None))
        return Edit(
            "tokenizer: another padding",
            repr(word),
            {TOKENS: json.dumps({**written, "pad_token": word}).encode()},
            True,
        )

    def broken_tokenizer(self) -> Edit:
        """A file that is cut, or that lacks its model."""
        changed = self._tokenizer()
        raw = json.dumps(changed).encode()
        key = self.random.choice(("model", "added_tokens", "pre_tokenizer"))
        lacking = json.dumps({name: value for name, value in changed.items() if name != key}).encode()
        odd = json.dumps({**changed, "model": {**changed["model"], "type": "NoSuch"}}).encode()
        content = self.random.choice((raw[: len(raw) // 2], lacking, odd, b"[]", b"", None))
        name = self.random.choice((TOKENIZER, TOKENIZER, TOKENS))
        content = b"{" if name == TOKENS else content
        return Edit("tokenizer: a broken file", name, {name: content}, False)

    # ---- sentence-transformers

    def sentence(self) -> Edit:
        """Another value in one of its files, or one that can't be read."""
        name = self.random.choice(self.sentences)
        changed = json.loads((self.folder / name).read_bytes())
        target = self.random.choice(changed) if isinstance(changed, list) else changed
        key = self.random.choice(sorted(target))
        target[key] = self.random.choice((*OTHERS, 10**6, "../..", "sentence_transformers.models.Dense"))
        is_broken = self.random.random() < 0.2
        content = b"{" if is_broken else json.dumps(changed).encode()
        return Edit("sentence-transformers", f"{name}: {key}={target[key]!r}", {name: content}, False)

    # ---- harmless

    def harmless(self) -> Edit:
        """An edit that changes nothing of what is loaded."""
        draws = [self._unknown, self._reordered, self._noted, self._head, self._metadata, self._half]
        return self.random.choice([*draws, *([self._inside, self._renamed_token] if self.is_text else [])])()

    def _unknown(self) -> Edit:
        pairs: list[tuple[str, Any]] = [
            *[
                ("finetuning_task", "sst2"),
                ("_name_or_path", "mine"),
                ("pooler_fc_size", 768),
                ("directionality", "b"),
            ],
            *[
                ("my_own_key", {"a": [1, None]}),
                ("description", "é" * 50),
                ("output_past", True),
                ("architectures", None),
            ],
            *[
                ("transformers_version", "4.5.1"),
                ("gradient_checkpointing", False),
                ("license", "mit"),
                ("_commit", None),
            ],
            *[
                ("problem_type", None),
                ("num_labels", 7),
                ("torch_dtype", "float16"),
                ("id2label", {"0": "a", "1": "b"}),
            ],
        ]
        key, value = self.random.choice(pairs)
        return self._with("harmless: a key that is not read", **{key: value})

    def _reordered(self) -> Edit:
        names = self.random.sample(sorted(self.config), len(self.config))
        return self._config("harmless: keys in another order", CONFIG, {name: self.config[name] for name in names})

    def _noted(self) -> Edit:
        name = self.random.choice(("README.md", "training_args.bin", "vocab.extra", "optimizer.txt"))
        return Edit("harmless: another file", name, {name: b"nothing of note"}, False)

    def _head(self) -> Edit:
        name = self.random.choice(("cls.predictions.bias", "classifier.weight", "lm_head.bias", "qa_outputs.weight"))
        return self._written("harmless: a head", name, {**self._tensors(), name: ("F32", [2, 3], bytes(24))})

    def _metadata(self) -> Edit:
        note = self.random.choice(({"format": "pt", "made by": "me"}, None))
        return Edit("harmless: metadata", repr(note), {WEIGHTS: weights(self._tensors(), note)}, True)

    def _half(self) -> Edit:
        """Weights as 64-bit numbers, which hold the same values."""
        tensors = self._tensors()
        for name, (dtype, shape, data) in tensors.items():
            if dtype == "F32":
                numbers = struct.unpack(f"<{len(data) // 4}f", data)
                tensors[name] = "F64", shape, struct.pack(f"<{len(numbers)}d", *numbers)
        return self._written("harmless: wider numbers", "F64", tensors)

    def _inside(self) -> Edit:
        """Tokens whose numbers stay inside."""
        changed = copy.deepcopy(self._tokenizer())
        first = max(changed["model"]["vocab"].values()) + 1
        last = self.config["vocab_size"] - 1
        sound = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
        if first <= last:
            changed["added_tokens"].append({"id": first, "content": "<new>", **sound})
        return self._tokens("harmless: numbers inside", str(first), changed)

    def _renamed_token(self) -> Edit:
        written = json.loads((self.folder / TOKENS).read_bytes())
        changed = {**written, "model_max_length": self.random.choice((32, 10**30)), "note": "mine"}
        return Edit("harmless: the tokenizer's own keys", TOKENS, {TOKENS: json.dumps(changed).encode()}, True)


def read_weights(raw: bytes) -> dict[str, tuple[str, list[int], bytes]]:
    """Dtype, shape and data of each tensor of a safetensors file."""
    length = struct.unpack("<Q", raw[:8])[0]
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    header.pop("__metadata__", None)
    return {name: (e["dtype"], e["shape"], data[slice(*e["data_offsets"])]) for name, e in header.items()}


def weights(tensors: Mapping[str, tuple[str, list[int], bytes]], note: Any = None) -> bytes:
    """A safetensors file; by default with the metadata that transformers writes."""
    header: dict[str, Any] = {"__metadata__": note if note is not None else {"format": "pt"}}
    end = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + b"".join(data for _, _, data in tensors.values())
