"""The small world that the corpus lives in: backbones of headers and zeros, texts, pictures and damaged files.

Everything is written here, without torch, so that the corpus can be checked where only the base package is.
"""

from __future__ import annotations

import csv
import json
import math
import struct
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image

from graftc.compiler import variants
from graftc.compiler.facts.configuration import rules

WIDTH, LAYERS, POSITIONS = 32, 3, 64
Shapes = dict[str, tuple[int, ...]]
Row = dict[str, Any]

_SUBJECTS = {
    "billing": ("The invoice", "My refund", "The second payment", "Your yearly price", "The discount", "My receipt"),
    "bug": ("The app", "The export button", "Your search page", "The login form", "My dashboard", "The mobile view"),
    "howto": ("The password", "My address", "The team seat", "Your free trial", "The weekly report", "My language"),
}
_REMARKS = {
    "billing": ("is higher than agreed", "has not come yet", "was taken twice", "shows a wrong sum"),
    "bug": ("crashes when I save", "stays empty all day", "shows an error", "loses what I typed"),
    "howto": ("can be changed where", "needs which settings", "is set up by whom", "ends on what day"),
}
_PLACES = ("in March", "on my phone", "at the office")


def tickets(first: int = 0, step: int = 1) -> list[Row]:
    """Different texts of three queues, as many of each."""
    found = []
    for queue in _SUBJECTS:
        texts = [f"{a} {b} {c}" for a, b, c in product(_SUBJECTS[queue], _REMARKS[queue], _PLACES)]
        found += [{"body": text, "queue": queue} for text in texts[first::step]]
    return found


def write(folder: Path) -> Path:
    """Writes the whole world into an empty folder and gives the folder."""
    folder.mkdir(exist_ok=True)
    _backbones(folder)
    _texts(folder)
    _pictures(folder)
    _damaged(folder)
    _odd(folder)
    return folder


# ---------------------------------------------------------------------------------------------------------
# backbones


def _backbones(folder: Path) -> None:
    tokenizer = _tokenizer(row["body"] for row in tickets())
    for word, shapes, config in (("bert", _bert(), _BERT), ("distilbert", _distilbert(), _DISTILBERT)):
        backbone(folder / word, shapes, {"model_type": word, **config})
        put(folder / word / "tokenizer.json", tokenizer)
        put(folder / word / "tokenizer_config.json", {"pad_token": "[PAD]", "model_max_length": POSITIONS})
    backbone(folder / "vit", _vit(), {"model_type": "vit", **_VIT})
    square = {"height": 32, "width": 32}
    put(folder / "vit/preprocessor_config.json", {"image_processor_type": "ViTImageProcessor", "size": square})
    backbone(folder / "mobilenet", _mobilenet(), {"model_type": "mobilenet_v2", **_MOBILENET})
    sizes = {"size": {"shortest_edge": 36}, "crop_size": square}
    put(folder / "mobilenet/preprocessor_config.json", {"image_processor_type": "MobileNetV2ImageProcessor"} | sizes)


_BERT = {
    **{"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 64},
    **{"max_position_embeddings": POSITIONS, "pad_token_id": 0, "vocab_size": 400},
}
_DISTILBERT = {
    **{"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "pad_token_id": 0, "vocab_size": 400},
    "max_position_embeddings": POSITIONS,
}
_VIT = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "intermediate_size": 64,
}
_MOBILENET = {"depth_multiplier": 0.25, "finegrained_output": False, "image_size": 32}


def backbone(folder: Path, shapes: Shapes, config: Mapping[str, Any]) -> None:
    """Writes config.json and a safetensors file of zeros."""
    put(folder / "config.json", config)
    entries, end = {}, 0
    for name, shape in sorted(shapes.items()):
        size = 4 * math.prod(shape)
        entries[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(entries).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(end))


def _dense(name: str, out: int, into: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: int = WIDTH) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _words(prefix: str = "embeddings") -> Shapes:
    return {
        f"{prefix}.word_embeddings.weight": (400, WIDTH),
        f"{prefix}.position_embeddings.weight": (POSITIONS, WIDTH),
        **_norm(f"{prefix}.LayerNorm"),
    }


def _bert() -> Shapes:
    found = _words() | {"embeddings.token_type_embeddings.weight": (2, WIDTH)}
    for i in range(LAYERS):
        at = f"encoder.layer.{i}"
        for name in ("query", "key", "value"):
            found |= _dense(f"{at}.attention.self.{name}", WIDTH, WIDTH)
        found |= _dense(f"{at}.attention.output.dense", WIDTH, WIDTH) | _norm(f"{at}.attention.output.LayerNorm")
        found |= _dense(f"{at}.intermediate.dense", 64, WIDTH) | _dense(f"{at}.output.dense", WIDTH, 64)
        found |= _norm(f"{at}.output.LayerNorm")
    return found


def _distilbert() -> Shapes:
    found = _words()
    for i in range(2):
        at = f"transformer.layer.{i}"
        for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
            found |= _dense(f"{at}.attention.{name}", WIDTH, WIDTH)
        found |= _dense(f"{at}.ffn.lin1", 64, WIDTH) | _dense(f"{at}.ffn.lin2", WIDTH, 64)
        found |= _norm(f"{at}.sa_layer_norm") | _norm(f"{at}.output_layer_norm")
    return found


def _vit() -> Shapes:
    found: Shapes = {
        "embeddings.cls_token": (1, 1, WIDTH),
        "embeddings.position_embeddings": (1, 17, WIDTH),
        "embeddings.patch_embeddings.projection.weight": (WIDTH, 3, 8, 8),
        "embeddings.patch_embeddings.projection.bias": (WIDTH,),
        **_norm("layernorm"),
    }
    for i in range(LAYERS):
        at = f"encoder.layer.{i}"
        for name in ("query", "key", "value"):
            found |= _dense(f"{at}.attention.attention.{name}", WIDTH, WIDTH)
        found |= _dense(f"{at}.attention.output.dense", WIDTH, WIDTH)
        found |= _dense(f"{at}.intermediate.dense", 64, WIDTH) | _dense(f"{at}.output.dense", WIDTH, 64)
        found |= _norm(f"{at}.layernorm_before") | _norm(f"{at}.layernorm_after")
    return found


def _mobilenet() -> Shapes:
    """Its channels follow from a rule, which tests of families hold against transformers."""
    shapes: Shapes = variants.family("mobilenet-v2").shapes(rules("mobilenet-v2").resolved(_MOBILENET))
    return shapes


def _tokenizer(texts: Iterable[str]) -> dict[str, Any]:
    """A WordPiece tokenizer that knows the words of the texts, and letters."""
    letters = [chr(code) for code in range(33, 127)]
    words = sorted({word.strip(".,?!") for text in texts for word in text.lower().split()})
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    pieces = dict.fromkeys((*special, *letters, *(f"##{letter}" for letter in letters), *words))
    vocab = {piece: i for i, piece in enumerate(pieces)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
    template = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    end = [{"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    pair = [{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
    tokens = {word: {"id": word, "ids": [vocab[word]], "tokens": [word]} for word in ("[CLS]", "[SEP]")}
    return {
        "version": "1.0", "truncation": None, "padding": None, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "added_tokens": [{"id": vocab[word], "content": word, **flags} for word in special],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": template + end, "pair": template + end + pair, "special_tokens": tokens},
        "model": {**model, "max_input_chars_per_word": 100, "vocab": vocab},
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# data


def _texts(folder: Path) -> None:
    """Rows that nothing can be said against: balanced, all different, none in two splits."""
    train, validation, test = (tickets(i, 3) for i in range(3))
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        put(folder / f"{name}.jsonl", rows)
        put(folder / f"{name}.csv", rows)
        put(folder / f"{name}.json", json.dumps(rows))
        put(folder / f"split_{name}.csv", [{**row, "split": name} for row in rows])
    put(folder / "all.csv", [{**row, "split": "train" if i % 4 else "dev"} for i, row in enumerate(tickets())])
    put(folder / "tickets.csv", [{"id": i, **row, "stars": i % 5} for i, row in enumerate(train)])
    put(folder / "tickets.tsv", "\n".join(["body\tqueue", *(f"{row['body']}\t{row['queue']}" for row in train)]) + "\n")
    put(folder / "plain.jsonl", [{"text": row["body"], "label": row["queue"]} for row in train])
    put(folder / "notes.txt", "\n".join(row["body"] for row in train) + "\n")
    aspects = [[["price"], ["service"], ["price", "service"], ["speed"]][i % 4] for i in range(len(train))]
    put(folder / "aspects.jsonl", [{"review": r["body"], "aspects": a} for r, a in zip(train, aspects, strict=True)])
    pairs = enumerate(zip(train, reversed(test), strict=True))
    put(
        folder / "pairs.csv",
        [{"one": a["body"], "two": b["body"], "same": ("yes", "no")[i % 2]} for i, (a, b) in pairs],
    )


def _pictures(folder: Path) -> None:
    """Pictures of two classes, as a folder of folders and as a table; each has pixels of its own."""
    for split, count in (("train", 24), ("validation", 6), ("test", 6)):
        rows = []
        for k, label in enumerate(("cat", "dog")):
            for i in range(count):
                path = folder / "photos" / split / label / f"{i:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                seed = len(split) * 1000 + k * 100 + i
                Image.new("RGB", (20 + i, 24), (seed % 251, k * 200, i * 9)).save(path)
                rows.append({"path": f"{split}/{label}/{path.name}", "animal": label})
        put(folder / "photos" / f"{split}.csv", rows)


def _damaged(folder: Path) -> None:
    """Files with one mistake each, for specs to point at."""
    rows = tickets(0, 3)
    put(
        folder / "bad/syntax.jsonl",
        lines([*rows[:2]]) + '{"body": "the quote is open, "queue": "bug"}\n' + lines(rows[2:]),
    )
    put(folder / "bad/blank.jsonl", [*rows[:4], {"body": "  ", "queue": "bug"}, *rows[4:]])
    put(folder / "bad/unlabelled.jsonl", [*rows[:6], {"body": "Nobody sorted this letter", "queue": None}, *rows[6:]])
    put(folder / "bad/number.jsonl", [*rows[:2], {"body": 12345, "queue": "bug"}, *rows[2:]])
    put(folder / "bad/stranger.jsonl", [*tickets(1, 3), {"body": "Please call me on my phone", "queue": "biling"}])
    put(folder / "bad/one_class.jsonl", [row for row in rows if row["queue"] == "bug"])
    put(folder / "bad/empty.jsonl", "")
    put(folder / "bad/header_only.csv", "body,queue\n")
    put(folder / "bad/ragged.csv", "body,queue\nThe app crashes,bug\nThe invoice, which I paid, is wrong,billing\n")
    put(folder / "bad/twice.csv", "body,body\nThe app crashes,bug\n")
    put(folder / "bad/latin1.csv", "body,queue\nThe app crashes,bug\nLe café est fermé,howto\n".encode("latin-1"))
    put(folder / "bad/list.json", "[1, 2, 3]")
    put(folder / "bad/object.json", json.dumps({"rows": rows}))
    put(folder / "bad/table.xlsx", b"PK\x03\x04")
    put(
        folder / "bad/few.jsonl",
        [{"body": "The app crashes", "queue": "bug"}, {"body": "My refund", "queue": "billing"}],
    )
    put(
        folder / "bad/photos.csv",
        [{"path": "../photos/train/cat/000.png", "animal": "cat"}, {"path": "missing.png", "animal": "dog"}],
    )
    put(folder / "bad/no_picture/cat/notes.txt", "not a picture")
    put(folder / "bad/fake/cat/0.png", "not a picture")
    put(folder / "bad/flat/0.png", (folder / "photos/train/cat/000.png").read_bytes())
    put(folder / "bad/pickled/config.json", {"model_type": "bert", **_BERT})
    put(folder / "bad/pickled/pytorch_model.bin", b"\x80\x02.")
    backbone(folder / "bad/wordless", _bert(), {"model_type": "bert", **_BERT})
    backbone(folder / "bad/gpt", _bert(), {"model_type": "opt", **_BERT})
    backbone(folder / "bad/cut", _bert(), {"model_type": "bert", **_BERT})
    whole = (folder / "bad/cut/model.safetensors").read_bytes()
    put(folder / "bad/cut/model.safetensors", whole[:-100])
    backbone(folder / "bad/blind", _vit(), {"model_type": "vit", **_VIT})
    put(folder / "bad/adapter/adapter_config.json", {"peft_type": "LORA", "r": 8})


def _odd(folder: Path) -> None:
    """Sound files that are worth a second look."""
    train, validation = tickets(0, 3), tickets(1, 3)
    put(folder / "odd/leak.jsonl", [*validation[:-12], *train[:12]])
    put(folder / "odd/copies.jsonl", [*train, *train[:30]])
    other = {"billing": "bug", "bug": "howto", "howto": "billing"}
    put(folder / "odd/contradictions.jsonl", [*train, *({**row, "queue": other[row["queue"]]} for row in train[::6])])
    put(
        folder / "odd/skewed.jsonl",
        [row for i, row in enumerate([*train, *tickets(2, 3)]) if row["queue"] == "bug" or i % 50 == 0],
    )
    put(folder / "odd/few.jsonl", train[::6])
    put(folder / "odd/few_validation.jsonl", validation[::12])
    names = {"billing": "Billing", "bug": "bug ", "howto": "howto"}
    put(folder / "odd/spellings.jsonl", [*train, *({**row, "queue": names[row["queue"]]} for row in tickets(2, 6))])
    signs = [chr(0x4E00 + 7 * i) for i in range(40)]
    foreign = [
        {**row, "body": "".join(signs[(i * k) % 40] for k in range(1, 12)) + f" {i}"} for i, row in enumerate(train)
    ]
    put(folder / "odd/foreign.jsonl", foreign)
    put(
        folder / "odd/prices.csv",
        [{**row, "price": f"{1.37 * (i % 18):.2f}", "code": 31 * i} for i, row in enumerate(train)],
    )


def lines(rows: Iterable[Row]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def put(path: Path, content: Any) -> None:
    """Writes bytes, a text, an object as JSON, or rows as the file's ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".csv" and isinstance(content, list):
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(content[0]))
            table.writeheader()
            table.writerows(content)
    elif isinstance(content, list):
        path.write_text(lines(content), encoding="utf-8")
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
