"""Numbers with units, as users write and read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SIZE = r"^\d+(\.\d+)? ?([kKmMgGtT]?[bB])$"  # a size with a unit of SIZES
SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def in_bytes(count: int) -> str:
    """A number of bytes in MB or GB.

    >>> in_bytes(1_500_000_000), in_bytes(15_200_000), in_bytes(900)
    ('1.5 GB', '15.2 MB', '0.0 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def amount(text: str, units: Mapping[str, int]) -> int:
    """A number with a unit, in the smallest unit; raises ValueError for other texts.

    >>> amount("1.5 GB", SIZES)
    1500000000
    """
    hit = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if not hit or hit[2].lower() not in units:
        raise ValueError(text)
    return int(float(hit[1]) * units[hit[2].lower()])


def score(value: float | None) -> str:
    """A score with four digits; a dash for an undefined one.

    >>> score(0.88236), score(None)
    ('0.8824', '–')
    """
    return "–" if value is None else f"{value:.4f}"


def learned_before(parameters: Mapping[str, Any]) -> str:
    """A phrase on the parameters that learned in stages of `pretrain`; empty without stages.

    >>> learned_before({"pretrain": [22_566_528, 1_000]}), learned_before({})
    (', after 22,566,528 and 1,000 in `pretrain`', '')
    """
    counts = " and ".join(f"{count:,}" for count in parameters.get("pretrain", ()))
    return f", after {counts} in `pretrain`" if counts else ""
