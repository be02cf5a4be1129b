"""Takes from a lock what planning needs of the data, where the data itself is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from .. import variants
from ..diagnostics import At, Diagnostic, quote, refuse
from ..digest import digest
from ..frozen import Json
from ..language.spec import Draft
from ..world.facts import Facts, Known, SplitFacts
from ..world.rows import Opened
from .lock import LockedSplit, sections
from .locked import Locked, again, beside

NOTHING = Known({}, {}, {})


def recall(spec: Draft, locked: Locked) -> tuple[Known, tuple[Diagnostic, ...]]:
    """What was found in the data when it was locked, and E0348 where that says nothing of what the spec names now.

    Of a spec with mistakes of shape it says nothing. Raises Refused E0341 for counts that no head made.
    """
    found = tuple(_other_data(spec, locked)) if not spec.found else ()
    if found or spec.found:
        return NOTHING, found
    lock = locked.lock
    try:
        splits: dict[str, SplitFacts] = {
            s.name: _split(str(spec.head_type), locked, i, s) for i, s in enumerate(lock.data.splits)
        }
        for name in getattr(variants.load("inputs", str(spec.modality)), "STATISTICS", ()):
            float(lock.data.measured[name])
        if "train" not in splits:
            raise KeyError("train")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        at, help = locked.at(("data", "splits")), again(locked.source)
        raise refuse("E0341", "the counts in the lock can't be read", at=at, help=help) from None
    return Known(dict(lock.data.columns), splits, dict(lock.data.measured)), ()


def _other_data(spec: Draft, locked: Locked) -> Iterator[Diagnostic]:
    lock, help = locked.lock, f"where the data is, {again(locked.source)}"
    if sections(locked.source).get("data") != lock.spec.get("data"):
        at = At(("data",), "not what was locked", on_key=True)
        headline = "`data` changed since it was locked, and without the data nothing is known of it"
        yield Diagnostic("E0348", headline, at, help=help)
    if spec.head_type != lock.task:
        at = At(("head", "type"), f"locked: {lock.task}")
        headline = f"without the data nothing is known of it but what {quote(lock.task)} counted"
        yield Diagnostic("E0348", headline, at, help=help)


def measured_otherwise(facts: Facts, locked: Locked) -> Iterator[Diagnostic]:
    """Says so where inputs are prepared otherwise than when the lock's data was measured."""
    if (
        facts.splits
        and facts.preprocessing
        and digest(Json(facts.preprocessing).plain()) != locked.lock.data.preprocessing
    ):
        at = At(("backbone", "from"), "prepares inputs otherwise")
        headline = "without the data nothing is known of it as this backbone reads it"
        note = "it was measured with another tokenizer or image processor"
        help = f"where the data is, {again(locked.source)}"
        yield Diagnostic("E0348", headline, at, notes=(note,), help=help)


def _split(task: str, locked: Locked, number: int, split: LockedSplit) -> SplitFacts:
    tables = tuple(Opened(locked.source.folder / t.path, t.path, t.format, t.split) for t in split.tables)
    tally = variants.load("heads", task).Tally
    # whatever is said of a label points into the lock, because its row is elsewhere
    place = (beside(locked.source).name, locked.written.values["data", "splits", number].line)
    counted = tally.recall(locked.lock.data.columns, split.tally, place)
    digests, sizes = tuple(t.fingerprint for t in split.tables), tuple(t.bytes for t in split.tables)
    return SplitFacts(tables, digests, sizes, split.rows, counted, ())
