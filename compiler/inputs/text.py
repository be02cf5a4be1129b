"""Text and pairs of texts, cut into tokens by the backbone's own tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ..decided import Decided
from ..diagnostics import At, Diagnostic, Refused, clean, refuse
from ..digest import file_sha256
from ..frozen import Frozen
from ..world.rows import Unusable, kind_of
from ._panics import silenced

ROLES = ("text", "text_pair")
OPTIONAL = ("text_pair",)
JOINED = ROLES  # several columns become one text, a space between them
DEFAULT_LENGTH = 128


class Options(Frozen):
    """Keys under `data` for text."""

    max_length: int | None = Field(
        None,
        ge=4,
        le=1_000_000,
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
    length = options.max_length or decided(options, {}, longest)["max_length"].value
    return {
        "modality": "text", "tokenizer": "tokenizer.json", "assets": {"tokenizer.json": file_sha256(path)},
        "is_pair": "text_pair" in columns, "max_length": length,
        "pad_id": pad_id, "pad_token": pad_token, "padding_side": "right",
    }  # fmt: skip


def decided(options: Options, record: Mapping[str, Any], longest: int | None) -> dict[str, Decided[Any]]:
    """What the options leave open; `longest` is how many positions the backbone has."""
    if options.max_length:
        return {}
    if longest and longest < DEFAULT_LENGTH:
        return {"max_length": Decided(longest, "all that the backbone has positions for")}
    return {"max_length": Decided(DEFAULT_LENGTH, "the default for text")}


def _padding(folder: Path, config: Mapping[str, Any]) -> tuple[int, str]:
    """The id and the word that fill a batch: as tokenizer_config.json names it, else as config.json numbers it."""
    word = _pad_word(folder)
    try:
        added = json.loads((folder / "tokenizer.json").read_bytes())
        tokens = {token["content"]: token["id"] for token in added.get("added_tokens") or ()}
        vocabulary = added["model"]["vocab"]
        known = tokens | vocabulary if isinstance(vocabulary, dict) else tokens
        number = known.get(word, config.get("pad_token_id") or 0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        number = None
    if type(number) is not int or number < 0:
        raise _unreadable()
    return number, word


def _pad_word(folder: Path) -> str:
    try:
        word = json.loads((folder / "tokenizer_config.json").read_bytes())["pad_token"]
        word = word["content"] if isinstance(word, dict) else word
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        word = None
    return word if isinstance(word, str) and word else "[PAD]"


def _unreadable(*notes: str) -> Refused:
    headline = "the backbone's tokenizer.json can't be read"
    return refuse("E0306", headline, *notes, at=At(("backbone", "from")), help="copy the backbone's tokenizer again")


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


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with the first cell that is not a text, or None."""
    for role in ROLES:
        for name in columns.get(role, ()):
            value = row.get(name)
            if value is None:
                return Unusable(name, "is missing")
            if not isinstance(value, str):
                return Unusable(name, f"is {kind_of(value)}, not text", f"it is {clean(value)}")
            if not value.strip():
                return Unusable(name, "is empty")
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


@silenced()
def measure(inputs: Iterable[Any], record: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Token statistics of a sample: mean and largest number of tokens, share of inputs cut."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / record["tokenizer"]))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(list(inputs))]
    except BaseException as error:  # the library raises plain Exception, and panics that are none
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise _unreadable(str(error)[:200]) from None
        raise
    kept = [min(length, record["max_length"]) for length in lengths]
    return {
        "tokens_mean": sum(kept) / len(kept),
        "tokens_max": max(lengths),
        "cut_share": sum(n > record["max_length"] for n in lengths) / len(kept),
    }


def array(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Dtype and shape of an input array of the graph; words are dynamic axes."""
    return {"dtype": "int64", "shape": ["batch", "sequence"]}


def portable(value: Any) -> Any:
    """A raw input as JSON that holds on any machine."""
    return list(value) if isinstance(value, tuple) else value
