"""Sources of encoder-decoders, and the targets that are written of them, cut into tokens by the backbone's tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ...runtime.prompts import Written
from ..contracts.input import Input
from ..contracts.options import TokenLengths
from ..contracts.reading import RowReader
from ..decision import Decided
from ..diagnostics import At, Diagnostic, Refused, listed, nearest, quote, refuse
from ..facts.rows import Unusable, cell, kind_of
from ..frozen import Frozen
from . import text
from ._chat import ends, generation, tokenizer_class
from ._panics import silenced
from ._tokenizer import NAME, misfits, numbered, tokenizer_of, unreadable

if TYPE_CHECKING:
    import numpy as np

ARRAYS = ("input_ids", "attention_mask", "decoder_input_ids")
DEFAULT_LENGTH, DEFAULT_TARGET = 512, 128
# where tokenizers of these classes put the token of a text's language
SIDES = {
    **{"MBartTokenizer": "after", "MBart50Tokenizer": "before"},
    **{"NllbTokenizer": "before", "M2M100Tokenizer": "before"},
}
LANGUAGE = re.compile(r"[a-z]{2}_[A-Z]{2}|[a-z]{3}_[A-Z][a-z]{3}|__[a-z]{2,3}__")  # as their tokens look
CUT = 0.1  # the share of truncated targets that gets a warning


class Options(TokenLengths, Frozen):
    """Keys under `data` for sources and targets."""

    max_length: int | None = Field(
        None,
        ge=4,
        le=1_000_000,
        description="tokens kept of a source, special tokens included; default 512, or all positions of the backbone",
    )
    max_target_length: int | None = Field(
        None,
        ge=4,
        le=1_000_000,
        description="tokens kept of a target, special tokens included; default 128, or all positions of the backbone",
    )


def preprocessing(
    folder: Path,
    config: Mapping[str, Any],
    options: Options,
    longest: int | None,
    columns: Mapping[str, Any],
    usual: Decided[int] | None = None,
) -> dict[str, Any]:
    """The record that plan, training and bundle share.

    Raises Refused E0306 when the backbone has no readable tokenizer.json, E0398 when it does not say how a text begins
    or ends.
    """
    lengths = {name: each.value for name, each in decided(options, {}, longest, usual).items()}
    most = options.max_length or lengths["max_length"]
    record = text.preprocessing(folder, config, text.Options(max_length=most), longest, {}, None)
    sha256 = record["assets"][NAME]
    ended = ends(folder, config, numbered(folder / NAME, sha256))
    before, after = _affixes(folder / NAME, sha256)
    after = after if after[-1:] == [ended["end_id"]] else [*after, ended["end_id"]]
    side = SIDES.get(tokenizer_class(folder).removesuffix("Fast"))
    start = [] if side == "after" else [_start(folder, config)]  # there a text begins with its language
    return {
        **{key: record[key] for key in ("tokenizer", "assets", "max_length", "pad_id")},
        "modality": "source",
        "max_target_length": options.max_target_length or lengths["max_target_length"],
        "stop_ids": ended["stop_ids"],
        "start_ids": [*start, *before],
        "end_id": ended["end_id"],
        "language_side": side,
        "prefix": "",
        "source": {"before": before, "after": after},
        "target": {"before": before, "after": after},
    }


def decided(
    options: Options, record: Mapping[str, Any], longest: int | None, usual: Decided[int] | None = None
) -> dict[str, Decided[Any]]:
    """The lengths of sources and targets, where the options leave them open; `longest` is the backbone's positions."""
    found = {}
    if options.max_length is None:
        found["max_length"] = text.default_length(longest, DEFAULT_LENGTH, "sources")
    if options.max_target_length is None:
        found["max_target_length"] = text.default_length(longest, DEFAULT_TARGET, "targets")
    return found


@silenced()
def _affixes(path: Path, sha256: str) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after every text."""
    try:
        encoding = tokenizer_of(path, sha256).encode("a")
    except BaseException as error:  # the library raises plain Exception, and PanicException, which is not one
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise unreadable(str(error)[:200]) from None
        raise
    own = [i for i, sequence in enumerate(encoding.sequence_ids) if sequence is not None] or [len(encoding.ids)]
    return list(encoding.ids[: own[0]]), list(encoding.ids[own[-1] + 1 :])


def _start(folder: Path, config: Mapping[str, Any]) -> int:
    """The token that a decoder begins with; raises Refused E0398 where none is named."""
    named = [each.get("decoder_start_token_id") for each in (generation(folder), config)]
    found = next((number for number in named if type(number) is int and number >= 0), None)
    if found is None:
        at = At(("backbone", "from"), "no `decoder_start_token_id` here")
        help = "name it: `decoder_start_token_id` in config.json"
        raise refuse("E0398", "the backbone names no token that begins a text", at=at, help=help)
    return found


def problems(options: Options, longest: int | None) -> Iterable[Diagnostic]:
    """What can't work between the options and the backbone."""
    for name in ("max_length", "max_target_length"):
        length = getattr(options, name)
        if longest and length and length > longest:
            headline, help = f"`{name}` is beyond the backbone's positions", f"write `{name}: {longest}` or less"
            at = At(("data", name), f"positions end at {longest}")
            also = (At(("backbone", "from"), f"its config.json gives {longest} positions"),)
            yield Diagnostic("E0319", headline, at, also, help=help)


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> str | Written:
    """A source, with its target where the row has one: the first of several."""
    source = str(row[columns["source"][0]])
    if "target" not in columns:
        return source
    return Written(source, references(row[columns["target"][0]])[0])


def references(value: Any) -> Sequence[str]:
    """The targets of a cell: one, or a list of references."""
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with the first cell that can't be used, or None."""
    for name in columns["source"]:
        if wrong := cell(row, name):
            return wrong
    for name in columns.get("target", ()):
        found = row.get(name)
        if not isinstance(found, list | tuple):
            return cell(row, name)
        if not found:
            return Unusable(name, "holds no reference")
        if strange := [each for each in found if not isinstance(each, str) or not each.strip()]:
            return Unusable(name, f"holds {kind_of(strange[0])}, not a text", "references are a list of texts")
    return None


def measure(inputs: Iterable[Any], record: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Statistics of a sample of sources, and the shares of sources and targets that are cut."""
    values = tuple(inputs)
    found = text.measure((value if isinstance(value, str) else value.source for value in values), record, folder)
    targets = [value.target for value in values if isinstance(value, Written)]
    if not targets:
        return found
    own = text.measure(targets, {**record, "max_length": record["max_target_length"]}, folder)
    return {
        **found,
        "target_tokens_mean": own["tokens_mean"],
        "target_cut_share": own["cut_share"],
        "target_95": own["tokens_95"],
    }


def doubts(record: Mapping[str, Any], measured: Mapping[str, float], longest: int | None) -> Iterator[Diagnostic]:
    """Warnings from a sample of the training rows."""
    yield from text.doubts(record, measured, longest)
    if measured.get("target_cut_share", 0.0) > CUT:
        kept, wanted = record["max_target_length"], int(measured["target_95"])
        notes = (f"of a sample of the training targets, 95% have up to {wanted:,} tokens",)
        headline = f"`max_target_length` cuts {measured['target_cut_share']:.0%} of the training targets"
        help = f"write `max_target_length: {min(wanted, longest or wanted)}` under `data`"
        yield Diagnostic(
            "W0315", headline, At(("data", "max_target_length"), f"{kept} tokens are kept"), (), notes, help
        )


def stored(record: Mapping[str, Any], measured: Mapping[str, float]) -> int:
    """Bytes of a prepared row."""
    return int(8 * (measured["tokens_mean"] + 2 * measured.get("target_tokens_mean", 0.0)))


def array(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Dtype and shape of an input array of the graph; words are dynamic axes."""
    return {"dtype": "int64", "shape": ["batch", name if name == "decoder_input_ids" else "sequence"]}


def shortest(record: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Two tokens of either text."""
    import numpy as np

    return {name: np.ones((1, 2), np.int64) for name in ARRAYS}


def samples(seed: int, record: Mapping[str, Any]) -> list[Any]:
    """Golden sources that hold nobody's data."""
    return text.samples(seed, {"is_pair": False})


def asked(value: Any) -> Any:
    """What a bundle is asked of a row: its source."""
    return value.source if isinstance(value, Written) else value


def _limits(record: Mapping[str, Any]) -> str:
    """How much of a source is read."""
    return f"Of a text beyond {record['max_length']} tokens the first are read."


def settle(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens around texts that have languages, and the decoder's first tokens.

    Raises Refused E0322 where the backbone has languages and none are named, or the other way round, and for one that
    the tokenizer lacks.
    """
    side, languages = record["language_side"], record["languages"]
    if side is None or languages is None:
        if side is None and languages is None:
            return {}
        raise _without(side)
    known, end = numbered(folder / NAME, record["assets"][NAME]), record["end_id"]
    numbers = {name: _number(known, name, word) for name, word in languages.items()}
    start = [*(record["start_ids"][:1] if side == "before" else ()), numbers["target"]]
    around = {
        name: {"before": [number], "after": [end]} if side == "before" else {"before": [], "after": [end, number]}
        for name, number in numbers.items()
    }
    return {"start_ids": start, **around}


def _without(side: str | None) -> Refused:
    if side is None:
        at, help = (
            At(("head", "languages"), "has no token here"),
            "remove `languages`, or choose a multilingual backbone",
        )
        return refuse("E0322", "the backbone's tokenizer knows no languages", at=at, help=help)
    help = "write `languages: {source: …, target: …}` under `head`, with words of the tokenizer such as `en_XX`"
    return refuse("E0322", "the backbone translates between languages, and none are named", at=At(("head",)), help=help)


def _number(known: Mapping[str, int], name: str, word: str) -> int:
    """The number of a language's token; raises Refused E0322 where the tokenizer has none."""
    for token in (word, f"__{word}__"):  # M2M-100 writes en as __en__
        if token in known:
            return known[token]
    languages = [token.strip("_") for token in known if LANGUAGE.fullmatch(token)]
    at, help = (
        At(("head", "languages", name), "no token of it"),
        nearest(word, languages) or f"it has {listed(languages)}",
    )
    raise refuse("E0322", f"the backbone's tokenizer has no language {quote(word)}", at=at, help=help)


INPUT = Input(
    options=Options,
    feeds="text",
    arrays=ARRAYS,
    reader=RowReader(roles=("source",), raw=raw, refusal=refusal),
    preprocessing=preprocessing,
    decided=decided,
    misfits=misfits,
    settle=settle,
    problems=problems,
    measure=measure,
    statistics=text.INPUT.statistics,
    doubts=doubts,
    stored=stored,
    samples=samples,
    array=array,
    shortest=shortest,
    shown=("max_length", "max_target_length"),
    typed=text.INPUT.typed,
    assets=text.assets,
    portable=text.portable,
    asked=asked,
    example=text.INPUT.example,
    limits=_limits,
    packages=("tokenizers",),
)
