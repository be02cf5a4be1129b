"""Text and pairs of texts, cut into tokens by the backbone's own tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ..diagnostics import At, Diagnostic, refuse
from ..frozen import Frozen

ROLES = ("text", "text_pair")
OPTIONAL = ("text_pair",)
DEFAULT_LENGTH = 128


class Options(Frozen):
    """Keys under `data` for text."""

    max_length: int | None = Field(
        None,
        ge=4,
        description="tokens kept of one input, special tokens included; default 128, or what the backbone can hold",
    )


def preprocessing(
    folder: Path, config: Mapping[str, Any], options: Options, longest: int | None, columns: Mapping[str, Any]
) -> dict[str, Any]:
    """The record that plan, training and bundle share.

    Raises Refused E0306 when the backbone has no readable tokenizer.json.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise refuse(
            "E0306",
            "the backbone has no tokenizer.json",
            at=At(("backbone", "from")),
            help="write one with `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`",
        )
    pad_id, pad_token = _padding(folder, config)
    length = options.max_length or min(DEFAULT_LENGTH, longest or DEFAULT_LENGTH)
    return {
        "modality": "text", "tokenizer": "tokenizer.json", "is_pair": "text_pair" in columns, "max_length": length,
        "pad_id": pad_id, "pad_token": pad_token, "padding_side": "right",
    }  # fmt: skip


def _padding(folder: Path, config: Mapping[str, Any]) -> tuple[int, str]:
    try:
        added = json.loads((folder / "tokenizer.json").read_bytes())
        tokens = {token["content"]: token["id"] for token in added.get("added_tokens", [])}
        vocabulary = added["model"]["vocab"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise refuse("E0306", "the backbone's tokenizer.json can't be read", at=At(("backbone", "from"))) from None
    word = _pad_word(folder)
    if word in tokens:
        return int(tokens[word]), word
    if isinstance(vocabulary, dict) and word in vocabulary:
        return int(vocabulary[word]), word
    return int(config.get("pad_token_id") or 0), word


def _pad_word(folder: Path) -> str:
    try:
        word = json.loads((folder / "tokenizer_config.json").read_bytes()).get("pad_token")
    except (OSError, ValueError, AttributeError):
        word = None
    return str(word["content"] if isinstance(word, dict) else word) if word else "[PAD]"


def problems(options: Options, longest: int | None) -> Iterable[Diagnostic]:
    """What can't work between the options and the backbone."""
    if longest and options.max_length and options.max_length > longest:
        yield Diagnostic(
            "E0319", "`max_length` is beyond the backbone's positions", At(("data", "max_length"), f"positions end at {longest}"),
            (At(("backbone", "from"), f"its config.json gives {longest} positions"),), help=f"write `max_length: {longest}` or less",
        )  # fmt: skip


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> str | tuple[str, str]:
    """The input of one row: a text, or a pair."""
    texts = [" ".join(str(row[name]) for name in columns[role]) for role in ROLES if role in columns]
    return texts[0] if len(texts) == 1 else (texts[0], texts[1])


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[str, str] | None:
    """(column, reason) for the first cell that is not a text, or None."""
    for role in ROLES:
        for name in columns.get(role, ()):
            value = row.get(name)
            if value is None:
                return name, "is missing"
            if not isinstance(value, str):
                return name, f"is {type(value).__name__}, not text"
            if not value.strip():
                return name, "is empty"
    return None


def files(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """Files that a row refers to and that count as data: none for text."""
    return ()


def stored(record: Mapping[str, Any], measured: Mapping[str, float]) -> int:
    """Bytes that one prepared row takes."""
    return int(2 * 4 * measured["tokens_mean"])


def samples(seed: int, record: Mapping[str, Any]) -> list[Any]:
    """Golden inputs that hold nobody's data: short, long, multilingual, odd."""
    texts = [
        "Hello there.", "The quick brown fox jumps over the lazy dog, twice.", "no", "Wo ist der Bahnhof? Ich suche ihn seit einer Stunde.",
        "C'est l'été ! 25 °C – déjà…", "数据 и данные", "emoji 🙂 and\ttabs\nand lines", "?" * 40, "a " * 600, "PRICE: $1,299.00 (incl. 20% VAT) -- order #A-77/3",
        "", "It was late, the rain had stopped, and nobody on the platform expected another train before the morning.",
    ]  # fmt: skip
    return [(text, texts[-1 - i]) for i, text in enumerate(texts)] if record["is_pair"] else list(texts)


def assets(folder: Path) -> dict[str, Path]:
    """Files of the backbone that travel in the bundle, by name."""
    return {"tokenizer.json": folder / "tokenizer.json"}


def measure(inputs: Iterable[Any], record: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Token statistics of a sample: mean and largest number of tokens, share of inputs cut."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / record["tokenizer"]))
    except Exception as error:  # the library raises plain Exception for a file it can't read
        raise refuse(
            "E0306", "the backbone's tokenizer.json can't be read", str(error)[:200], at=At(("backbone", "from"))
        ) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(list(inputs))]
    kept = [min(length, record["max_length"]) for length in lengths]
    return {
        "tokens_mean": sum(kept) / len(kept),
        "tokens_max": max(lengths),
        "cut_share": sum(n > record["max_length"] for n in lengths) / len(kept),
    }


def array(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Dtype and shape of an input array of the graph; words are dynamic axes."""
    return {"dtype": "int64", "shape": ["batch", "sequence"]}
