"""Texts and pairs of texts, tokenized by the backbone's own tokenizer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..contracts.input import Input, Vocabulary, Windows
from ..contracts.options import TokenLengths, Windowed
from ..contracts.reading import RowReader
from ..decision import Decided
from ..diagnostics import At, Diagnostic, refuse
from ..facts.rows import Unusable, cell
from ..frozen import Frozen
from ..store.hashes import file_sha256
from ._masks import masking, special
from ._panics import silenced
from ._tokenizer import misfits, padding, tokenizer_of, unreadable

if TYPE_CHECKING:
    import numpy as np

ROLES = ("text", "text_pair")
OPTIONAL = ("text_pair",)
JOINED = ROLES  # several columns are joined to one text by spaces
IN_FILES = False
ARRAYS = ("input_ids", "attention_mask", "token_type_ids")
DEFAULT_LENGTH = 128
CUT, MOSTLY = 0.1, 0.5  # shares of truncated texts that get a warning: where max_length can grow, and where it can't
MEASURED = 1_000_000  # the most characters of a sample that are tokenized, which takes about a second
NARROWEST = 16  # the fewest tokens of a window
UNKNOWN = 0.05  # share of unknown tokens that gets a warning
NUMBERS = 0.9  # share of texts that are numbers that gets a warning


class Options(Windowed, Frozen):
    """Keys under `data` for text."""

    max_length: int | None = Field(
        None,
        ge=4,
        le=1_000_000,
        description="tokens kept of one input, special tokens included; "
        "default what a sentence-transformers folder says, else 128, or what the backbone can hold",
    )
    stride: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="tokens that two windows of a long text share; default a quarter of max_length",
    )


def preprocessing(
    folder: Path,
    config: Mapping[str, Any],
    options: Options,
    longest: int | None,
    columns: Mapping[str, Any],
    usual: Decided[int] | None = None,
) -> dict[str, Any]:
    """The record of preprocessing; `usual` is the length that the backbone's folder names.

    Raises Refused E0306 where the backbone has no readable tokenizer.json.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise refuse(
            "E0306",
            "the backbone has no tokenizer.json",
            at=At(("backbone", "from")),
            help="write one with `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`",
        )
    sha256 = file_sha256(path)
    pad_id, pad_token = padding(folder, sha256, config)
    length = options.max_length or decided(options, {}, longest, usual)["max_length"].value
    return {
        "modality": "text",
        "tokenizer": "tokenizer.json",
        "assets": {"tokenizer.json": sha256},
        "is_pair": "text_pair" in columns,
        "max_length": length,
        "pad_id": pad_id,
        "pad_token": pad_token,
        "padding_side": "right",
    }


def decided(
    options: Options, record: Mapping[str, Any], longest: int | None, usual: Decided[int] | None = None
) -> dict[str, Decided[Any]]:
    """The length of inputs, where the options leave it open.

    `longest` is the number of positions of the backbone, `usual` the length that its folder names.
    """
    if options.max_length:
        return {}
    if usual:
        capped = Decided(min(longest or usual.value, usual.value), f"{usual.because}, capped by positions")
        return {"max_length": usual if usual.value == capped.value else capped}
    return {"max_length": default_length(longest, DEFAULT_LENGTH, "text")}


def default_length(longest: int | None, length: int, what: str) -> Decided[int]:
    """The default length of some kind of input, or all positions of a backbone that has fewer."""
    if longest and longest < length:
        return Decided(longest, "all that the backbone has positions for")
    return Decided(length, f"the default for {what}")


def _windows(options: Options, record: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for the record where long texts are read in windows."""
    return {"stride": record["max_length"] // 4 if options.stride is None else options.stride}


def _crowded(options: Options, record: Mapping[str, Any]) -> Iterable[Diagnostic]:
    """Errors for windows that are too narrow, or overlap too much."""
    length, stride = record["max_length"], record["stride"]
    at = At(("data", "max_length" if options.stride is None else "stride"))
    if length < NARROWEST:
        help = f"write `max_length: {NARROWEST}` or more"
        headline = f"windows of {length} tokens are too narrow"
        yield Diagnostic("E0365", headline, At(("data", "max_length")), help=help)
    elif 2 * stride >= length:
        notes = ("a window holds the question, too, which may take nearly half of it",)
        help = f"write `stride: {length // 4}`"
        yield Diagnostic("E0365", f"windows of {length} tokens can't share {stride}", at, (), notes, help)


def problems(options: TokenLengths, longest: int | None) -> Iterable[Diagnostic]:
    """What can't work between the options and the backbone."""
    if longest and options.max_length and options.max_length > longest:
        headline, help = "`max_length` is beyond the backbone's positions", f"write `max_length: {longest}` or less"
        at = At(("data", "max_length"), f"positions end at {longest}")
        also = (At(("backbone", "from"), f"its config.json gives {longest} positions"),)
        yield Diagnostic("E0319", headline, at, also, help=help)


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> str | tuple[str, str]:
    """The input of one row: a text, or a pair."""
    if "text_pair" not in columns and len(columns["text"]) == 1:  # nearly every row
        return str(row[columns["text"][0]])
    texts = [" ".join(str(row[name]) for name in columns[role]) for role in ROLES if role in columns]
    return texts[0] if len(texts) == 1 else (texts[0], texts[1])


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with the first cell that is not a text; None for nothing."""
    return unusable(row, columns, ROLES)


def unusable(row: Mapping[str, Any], columns: Mapping[str, Any], roles: Iterable[str]) -> Unusable | None:
    """What is wrong with the first cell of some roles that is not a text; None for nothing."""
    for role in roles:
        for name in columns.get(role, ()):
            if wrong := cell(row, name):
                return wrong
    return None


def files(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """No files, because texts are in the rows."""
    return ()


def stored(record: Mapping[str, Any], measured: Mapping[str, float]) -> int:
    """Bytes of a prepared row."""
    return int(2 * 4 * measured["tokens_mean"] * measured.get("texts", 1))


def samples(seed: int, record: Mapping[str, Any]) -> list[Any]:
    """Golden inputs without user data: short, long, multilingual, odd."""
    texts = [
        "Hello there.",
        "The quick brown fox jumps over the lazy dog, twice.",
        "no",
        "Wo ist der Bahnhof? Ich suche ihn seit einer Stunde.",
        "C'est l'été ! 25 °C – déjà…",
        "数据 и данные",
        "emoji 🙂 and\ttabs\nand lines",
        "?" * 40,
        "a " * 600,
        "PRICE: $1,299.00 (incl. 20% VAT) -- order #A-77/3",
        "",
        "It was late, the rain had stopped, and nobody on the platform expected another train before the morning.",
    ]
    pairs = [(text, texts[-1 - i]) for i, text in enumerate(texts)]
    if record.get("is_apart"):
        return [*texts, *pairs[:2]]
    if record.get("is_masked"):  # texts with one mask, several, none, and one that is truncated
        mask = record["mask_token"]
        texts = [f"{mask} {text} {mask}" if i % 5 == 0 else text for i, text in enumerate(texts)]
        texts[1] = f"The {mask} brown fox."
    return pairs if record["is_pair"] else list(texts)


def assets(folder: Path) -> dict[str, Path]:
    """Files of the backbone that are copied into the bundle, by name."""
    return {"tokenizer.json": folder / "tokenizer.json"}


@silenced()
def measure(inputs: Iterable[Any], record: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Statistics of a sample: token counts, and shares of truncated inputs, unknown tokens and numbers."""
    texts = tuple(inputs)
    rows = len(texts)
    if record.get("is_apart"):  # an input may be several texts, which count one by one
        texts = tuple(text for value in texts for text in ((value,) if isinstance(value, str) else value))
    try:
        lengths, unknown = _counted(folder / record["tokenizer"], record["assets"][record["tokenizer"]], texts)
    except BaseException as error:  # the library raises plain Exception, and panics that are none
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise unreadable(str(error)[:200]) from None
        raise
    most = lengths[-1] if record.get("is_packed") else record["max_length"]  # joined texts are not truncated
    kept = [min(length, most) for length in lengths]
    return {
        "tokens_mean": sum(kept) / len(kept),
        "tokens_max": lengths[-1],
        "tokens_95": lengths[math.ceil(0.95 * len(lengths)) - 1],
        "tokens_99": lengths[math.ceil(0.99 * len(lengths)) - 1],
        "cut_share": sum(n > most for n in lengths) / len(kept),
        "unknown_share": unknown,
        "number_share": sum(_is_number(text) for text in texts) / len(texts),
        **({"texts": len(texts) / rows} if record.get("is_apart") else {}),
    }


# cached by the hash of the tokenizer's file, which specs that are checked together often share


@lru_cache(maxsize=2)
def _counted(path: Path, sha256: str, texts: tuple[Any, ...]) -> tuple[list[int], float]:
    """The sorted token counts of inputs, with special tokens, and the share of unknown among other tokens."""
    tokenizer = tokenizer_of(path, sha256)
    unknown = _unknown(tokenizer)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(_bounded(texts)))]
    lengths = sorted(map(len, ids))
    own = sum(lengths) - len(ids) * tokenizer.num_special_tokens_to_add(isinstance(texts[0], tuple))
    return lengths, sum(row.count(unknown) for row in ids) / max(own, 1) if unknown is not None else 0.0


def _bounded(texts: Iterable[Any]) -> Iterator[Any]:
    """The first texts, about MEASURED characters of them, because one row may be as long as a book."""
    left = MEASURED
    for text in texts:
        if left <= 0:
            return
        cut = tuple(part[:left] for part in text) if isinstance(text, tuple) else text[:left]
        left -= len(cut) if isinstance(cut, str) else sum(map(len, cut))
        yield cut


def _unknown(tokenizer: Any) -> int | None:
    """The id of the unknown token; None for tokenizers that fall back on bytes."""
    model = tokenizer.model
    if getattr(model, "byte_fallback", False):
        return None
    if hasattr(model, "unk_id"):
        found: int | None = model.unk_id
        return found
    word = getattr(model, "unk_token", None)
    return tokenizer.token_to_id(word) if word else None


def _is_number(value: str | tuple[str, str]) -> bool:
    text = value if isinstance(value, str) else value[0]
    if not text[-1:].isdigit():  # nearly every text
        return False
    try:
        return bool(text.isascii() and float(text) is not None)
    except ValueError:
        return False


def doubts(record: Mapping[str, Any], measured: Mapping[str, float], longest: int | None) -> Iterable[Diagnostic]:
    """Warnings from a sample of the training texts."""
    if measured.get("number_share", 0) >= NUMBERS:
        notes = (f"{measured['number_share']:.0%} of a sample of the training rows",)
        at, help = (
            At(("data", "columns", "text")),
            "name the column of the texts: `text: <column>` under `data.columns`",
        )
        yield Diagnostic("W0320", "the texts are numbers", at, (), notes, help)
    elif measured.get("unknown_share", 0) > UNKNOWN:
        notes = (f"{measured['unknown_share']:.0%} of the tokens of a sample of the training rows",)
        at = At(("backbone", "from"), "its tokenizer replaces them all by the same token")
        also, help = (
            (
                At(
                    ("data", "train"),
                ),
            ),
            "choose a backbone that was trained on such texts",
        )
        yield Diagnostic("W0316", "the backbone does not know many of the words of the data", at, also, notes, help)
    if "stride" not in record:  # with a stride, long texts are read in windows
        yield from _cut(record["max_length"], measured, longest)


def _cut(kept: int, measured: Mapping[str, float], longest: int | None) -> Iterable[Diagnostic]:
    """The warning for truncated texts, where a longer `max_length` helps, or where most are truncated."""
    is_widest = longest is not None and kept >= longest
    if measured["cut_share"] <= (MOSTLY if is_widest else CUT):
        return
    wanted = int(measured["tokens_95"])
    notes = (
        f"of a sample of the training texts, 95% have up to {wanted:,} tokens, 99% up to {measured['tokens_99']:,}",
    )
    possible = wanted if longest is None else min(wanted, longest)
    help = f"write `max_length: {possible}` under `data`"
    if is_widest:
        help = f"shorten the texts, or choose a backbone with more than {longest} positions"
    headline = f"`max_length` cuts {measured['cut_share']:.0%} of the training texts"
    yield Diagnostic("W0315", headline, At(("data", "max_length"), f"{kept} tokens are kept"), (), notes, help)


def array(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Dtype and shape of an input array of the graph; words are dynamic axes."""
    return {"dtype": "int64", "shape": ["batch", "sequence"]}


def shortest(record: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Two tokens."""
    import numpy as np

    return {name: np.zeros((1, 2), np.int64) for name in ARRAYS}


def portable(value: Any) -> Any:
    """A raw input as JSON."""
    return list(value) if isinstance(value, tuple) else value


def _example(record: Mapping[str, Any]) -> str:
    """An input as Python code."""
    if record.get("is_pair"):
        return '("one text", "another")'
    mask = record.get("mask_token", "")  # from a tokenizer's file, which must not inject code
    return f'"some {mask} text"' if re.fullmatch(r"[\[<]\w+[\]>]", mask) else '"some text"'


def _typed(record: Mapping[str, Any]) -> str:
    """An input as words of a command line: a text each."""
    return _example(record).strip("()").replace('", "', '" "')


def _limits(record: Mapping[str, Any]) -> str:
    """A sentence on how much of a text is read."""
    length = record["max_length"]
    if "stride" in record:
        windows = f"{length} tokens with the question, {record['stride']} of them shared with the next"
        return f"Longer contexts are read in windows: {windows}."
    return f"Inputs beyond {length} tokens are cut."


INPUT = Input(
    options=Options,
    arrays=ARRAYS,
    reader=RowReader(roles=ROLES, optional=OPTIONAL, joined=JOINED, raw=raw, refusal=refusal),
    preprocessing=preprocessing,
    decided=decided,
    windows=Windows(add=_windows, crowded=_crowded),
    vocabulary=Vocabulary(masking=masking, special=special),
    misfits=misfits,
    problems=problems,
    measure=measure,
    statistics=("tokens_mean", "tokens_max", "cut_share"),
    doubts=doubts,
    stored=stored,
    samples=samples,
    array=array,
    shortest=shortest,
    assets=assets,
    portable=portable,
    shown=("max_length", "is_pair"),
    example=_example,
    typed=_typed,
    limits=_limits,
    packages=("tokenizers",),
)
