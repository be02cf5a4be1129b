"""A folder in which a spec can be checked: four backbones, of which only headers matter, some data, a spec that is fine.

No torch: a page of `graftc explain` or a corpus of broken specs runs against it in milliseconds.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from math import prod
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from graftc.compiler.backbones import t5

SPEC = """\
graftc: 1
name: tickets
backbone:
  from: ./backbone
adapt:
  method: lora
head:
  type: text-classification
data:
  train: train.jsonl
  validation: validation.jsonl
  max_length: 64
train:
  epochs: 2
  batch_size: 8
export:
  precision: [fp32]
"""
WIDTH, WIDER, LAYERS, POSITIONS = 8, 16, 6, 512  # of the encoder; a page may speak of its six layers
LABELS = ("billing", "bug", "howto")
_WHO = ("the manager", "a customer", "my colleague", "our team", "somebody")
_WHAT = {
    "billing": ("was charged twice", "wants a refund", "needs the invoice", "cannot pay by card", "cancelled the plan"),
    "bug": ("sees a blank page", "lost the settings", "gets an error", "cannot log in", "found a broken link"),
    "howto": ("asks for the manual", "wants to export data", "looks for the menu", "needs a template", "adds a user"),
}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def rows() -> list[dict[str, str]]:
    """Seventy-five tickets, no text twice, the labels in turn."""
    return [
        {"text": f"{who} {_WHAT[label][i]}", "label": label}
        for who in _WHO
        for i in range(len(_WHO))
        for label in LABELS
    ]


def lay(folder: Path) -> Path:
    """Fills a folder; returns the path of its spec."""
    folder.mkdir(parents=True, exist_ok=True)
    every = rows()
    _write_rows(folder / "train.jsonl", every[:60])
    _write_rows(folder / "validation.jsonl", every[60:])
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    _bert(folder / "backbone", every)
    _gpt2(folder / "reader", every)
    _t5(folder / "translator", every)
    _vit(folder / "vit")
    for label, shade in (("dark", 40), ("light", 220)):
        for i in range(8):
            path = folder / "pictures" / label / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_png(shade + i))
    return folder / "spec.yaml"


def replaced(fragment: str, spec: str = SPEC) -> str:
    """A spec in which the top-level sections of a fragment stand in place of its own."""
    names = re.findall(r"^([A-Za-z_]\w*):", fragment, re.MULTILINE)
    names += ["head"] if "heads" in names else []  # one or the other
    kept = [part for part in re.split(r"^(?=\S)", spec, flags=re.MULTILINE) if part.partition(":")[0] not in names]
    return "".join(kept) + fragment


def _write_rows(path: Path, listed: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in listed), encoding="utf-8")


def _bert(folder: Path, tickets: list[dict[str, str]]) -> None:
    pieces = _pieces(tickets)
    config = {
        "model_type": "bert", "hidden_size": WIDTH, "intermediate_size": WIDER, "num_hidden_layers": LAYERS,
        "num_attention_heads": 2, "max_position_embeddings": POSITIONS, "vocab_size": len(pieces), "type_vocab_size": 2,
    }  # fmt: skip
    shapes = {
        "embeddings.word_embeddings.weight": (len(pieces), WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        **_pair("embeddings.LayerNorm", WIDTH),
    }
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _pair(f"{at}.attention.{name}", WIDTH, WIDTH)
        shapes |= _pair(f"{at}.attention.output.LayerNorm", WIDTH) | _pair(f"{at}.output.LayerNorm", WIDTH)
        shapes |= _pair(f"{at}.intermediate.dense", WIDER, WIDTH) | _pair(f"{at}.output.dense", WIDTH, WIDER)
    _checkpoint(folder, config, shapes)
    _tokenizer(pieces).save(str(folder / "tokenizer.json"))


def _pieces(tickets: list[dict[str, str]]) -> list[str]:
    words = sorted({word for row in tickets for word in row["text"].split()})
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    return [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *(w for w in words if len(w) > 1)]


def _tokenizer(pieces: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def _gpt2(folder: Path, tickets: list[dict[str, str]]) -> None:
    """A decoder whose words are its own output, as most are: its language model is all there."""
    pieces = _pieces(tickets)
    config = {
        "model_type": "gpt2", "n_embd": WIDTH, "n_layer": 1, "n_head": 2, "n_positions": POSITIONS,
        "n_inner": WIDER, "vocab_size": len(pieces), "eos_token_id": 3,
    }  # fmt: skip
    shapes = {"wte.weight": (len(pieces), WIDTH), "wpe.weight": (POSITIONS, WIDTH), **_pair("ln_f", WIDTH)}
    for name, into, out in (
        ("attn.c_attn", WIDTH, 3 * WIDTH),
        ("attn.c_proj", WIDTH, WIDTH),
        ("mlp.c_fc", WIDTH, WIDER),
        ("mlp.c_proj", WIDER, WIDTH),
    ):
        shapes |= {f"h.0.{name}.weight": (into, out), f"h.0.{name}.bias": (out,)}
    _checkpoint(folder, config, shapes | _pair("h.0.ln_1", WIDTH) | _pair("h.0.ln_2", WIDTH))
    _tokenizer(pieces).save(str(folder / "tokenizer.json"))


def _vit(folder: Path) -> None:
    config = {
        "model_type": "vit", "hidden_size": WIDTH, "intermediate_size": WIDER, "num_hidden_layers": LAYERS,
        "num_attention_heads": 2, "image_size": 32, "patch_size": 8, "num_channels": 3,
    }  # fmt: skip
    shapes = {
        "embeddings.cls_token": (1, 1, WIDTH),
        "embeddings.position_embeddings": (1, 17, WIDTH),
        **_pair("embeddings.patch_embeddings.projection", WIDTH, 3, 8, 8),
        **_pair("layernorm", WIDTH),
    }
    for layer in range(LAYERS):
        for name in "qkvo":
            shapes |= _pair(f"layers.{layer}.attention.{name}_proj", WIDTH, WIDTH)
        shapes |= _pair(f"layers.{layer}.layernorm_before", WIDTH) | _pair(f"layers.{layer}.layernorm_after", WIDTH)
        shapes |= _pair(f"layers.{layer}.mlp.fc1", WIDER, WIDTH) | _pair(f"layers.{layer}.mlp.fc2", WIDTH, WIDER)
    _checkpoint(folder, config, shapes)
    processor = {
        "image_processor_type": "ViTImageProcessor", "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2, "rescale_factor": 1 / 255,
        "size": {"height": 32, "width": 32},
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")


def _pair(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _checkpoint(folder: Path, config: dict[str, object], shapes: dict[str, tuple[int, ...]]) -> None:
    """config.json and a safetensors file whose weights are zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(end))


def _png(shade: int) -> bytes:
    """A grey picture of 4 by 4."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = (b"\0" + bytes([shade]) * 4) * 4
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def _t5(folder: Path, tickets: list[dict[str, str]]) -> None:
    """An encoder-decoder whose words are its own output."""
    pieces = _pieces(tickets)
    config = {
        "model_type": "t5", "d_model": WIDTH, "d_kv": 4, "d_ff": WIDER, "num_layers": 1, "num_decoder_layers": 1,
        "num_heads": 2, "relative_attention_num_buckets": 8, "feed_forward_proj": "relu", "vocab_size": len(pieces),
        "pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 0,
    }  # fmt: skip
    _checkpoint(folder, config, dict(t5.FAMILY.shapes(config)))
    _tokenizer(pieces).save(str(folder / "tokenizer.json"))
