"""Limits on how much longer a tokenizer may make a text: its steps can each double it.

The factor for one character counts, whatever the text. A tokenizer.json of a few kilobytes must not turn a sentence
into gigabytes, nor a long word into hours of work.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

MOST = 256  # the most characters or tokens for one character; Unicode's compatibility forms give 33 bytes
LONGEST_WORD = 10_000  # the most characters of a word for WordPiece, whose time is quadratic in them
SPECIAL = 1000  # the most tokens added around a text


def excess(tokenizer: Mapping[str, Any]) -> str:
    """The limit that a tokenizer.json exceeds, in words; "" for none.

    Raises KeyError, TypeError or ValueError where the file has another structure.

    >>> excess({"normalizer": {"type": "Prepend", "prepend": "_"}, "model": {}})
    ''
    """
    grown = _normalized(tokenizer.get("normalizer")) * _split(tokenizer.get("pre_tokenizer"))
    if grown > MOST:
        return f"its normalizer may make {_shown(grown)} characters of one; at most {MOST} are read"
    repeated, special = _processed(tokenizer.get("post_processor"))
    if repeated > MOST or special > SPECIAL:
        return f"its post_processor puts a text {_shown(repeated)} times, and {special:,} tokens around it"
    longest = tokenizer["model"].get("max_input_chars_per_word") or 0
    return f"its words may have {longest:,} characters; at most {LONGEST_WORD:,}" if longest > LONGEST_WORD else ""


def _shown(number: float) -> str:
    return f"{number:,.0f}" if number < 1e9 else "countless"


def _normalized(step: Any) -> float:
    """The most characters that a normalizer makes of one."""
    if step is None:
        return 1
    kind = step["type"]
    if kind == "Sequence":
        return _product(_normalized(each) for each in step["normalizers"])
    if kind == "Replace":
        old, new = step["pattern"].get("String"), len(step["content"])
        return max(1, new / len(old)) if old else 1 + new  # an expression may match the empty text
    if kind == "Prepend":
        return 1 + len(step["prepend"]) / 64  # added once to a text
    if kind == "Precompiled":
        return max(1, _longest(base64.b64decode(step["precompiled_charsmap"] or "")))
    return {"ByteLevel": 2, "BertNormalizer": 3}.get(kind, 1)


def _longest(charsmap: bytes) -> int:
    """The bytes of the longest replacement in SentencePiece's table."""
    if not charsmap:
        return 0
    (size,) = struct.unpack_from("<I", charsmap)
    return max(map(len, charsmap[4 + size :].split(b"\0")), default=0)


def _split(step: Any) -> float:
    if step is None:
        return 1
    if step["type"] == "Sequence":
        return _product(_split(each) for each in step["pretokenizers"])
    return 2 if step["type"] == "ByteLevel" else 1


def _processed(step: Any) -> tuple[float, int]:
    """(how often a text is repeated in the output, tokens added around it)."""
    if step is None:
        return 1, 0
    if step["type"] == "Sequence":
        each = [_processed(one) for one in step["processors"]]
        return _product(times for times, _ in each), sum(special for _, special in each)
    if step["type"] != "TemplateProcessing":
        return 1, 4
    pieces = [*step["single"], *step["pair"]]
    ids = {name: len(token["ids"]) for name, token in step["special_tokens"].items()}
    names = [piece["Sequence"]["id"] for piece in pieces if "Sequence" in piece]
    special = sum(ids.get(piece["SpecialToken"]["id"], 0) for piece in pieces if "SpecialToken" in piece)
    return max((names.count(name) / 2 for name in set(names)), default=1), special


def _product(factors: Any) -> float:
    found = 1.0
    for factor in factors:
        found = min(found * factor, 1e300)
    return found
