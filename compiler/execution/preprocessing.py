"""The bundle's preprocessing, made from a plan and the backbone's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...runtime.variants import preprocessing
from ..diagnostics import refuse
from ..planning.plan import Phase
from ..store.hashes import file_sha256

UNCUT = 1 << 24  # the most tokens of a text that is not truncated


def preprocessor(
    plan: Phase, backbone: Path, is_whole: bool = False, otherwise: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    """The bundle's preprocessing, with assets from the backbone's folder; with `is_whole` it truncates nothing.

    `otherwise` replaces fields of its record. Raises Refused E0405 where an asset changed since planning.
    """
    assets = {k: v for record in plan.reading.readings.values() for k, v in record.get("assets", {}).items()}
    for name, planned in assets.items():
        if file_sha256(backbone / name) != planned:
            raise refuse("E0405", f"the backbone's {name} changed since it was planned", help="plan again")
    uncut = {"max_length": UNCUT} if is_whole else {}
    return preprocessing(plan.reading.modality).preprocessor(
        plan.reading.preprocessing.plain() | uncut | dict(otherwise), backbone
    )
