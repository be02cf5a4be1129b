"""The paths that a spec writes, each with its place in the spec."""

from __future__ import annotations

from collections.abc import Iterator

from .. import variants
from ..contracts.options import Templated
from ..diagnostics import Path
from ..sources import split
from .places import SPLITS
from .spec import Draft, HeldOut, Spec, Table


def paths(spec: Draft | Spec) -> Iterator[tuple[Path, str]]:
    """(place, path) of the backbone, without the source's word, of a head's template, and of every table."""
    if spec.backbone:
        word, rest = split(spec.backbone.from_)
        if word in variants.words("sources") and variants.source(word).is_path:
            yield ("backbone", "from"), rest
    if isinstance(spec.head, Templated) and spec.head.template:
        yield ("head", "template"), spec.head.template
    for name in SPLITS if spec.data else ():
        entry = getattr(spec.data, name)
        for i, item in enumerate(entry if isinstance(entry, tuple) else (entry,)):
            keys: Path = ("data", name, i) if isinstance(entry, tuple) else ("data", name)
            if isinstance(item, Table):
                yield (*keys, "from"), item.from_
            elif item is not None and not isinstance(item, HeldOut):
                yield keys, item
