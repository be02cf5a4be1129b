"""Numbers with units, as users write them."""

from __future__ import annotations

import re
from collections.abc import Mapping

SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def amount(text: str, units: Mapping[str, int]) -> int:
    """A number with a unit in the smallest one; raises ValueError for other words.

    >>> amount("1.5 GB", SIZES)
    1500000000
    """
    hit = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if not hit or hit[2].lower() not in units:
        raise ValueError(text)
    return int(float(hit[1]) * units[hit[2].lower()])
