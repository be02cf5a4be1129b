"""Reads sequences of tags: the entities among words, by the scheme that the tags follow."""

from __future__ import annotations

from collections.abc import Sequence

from ..diagnostics import clean, quote

OUTSIDE = "O"
SAME = {"B": "B", "I": "I", "L": "L", "U": "U", "E": "L", "S": "U"}  # marks of BIOES in those of BILOU
Span = tuple[int, int, str]  # first word, end, label


class Broken(ValueError):
    """A sequence of tags that follows no scheme; the message names the first wrong tag."""


def read(tags: Sequence[str]) -> tuple[list[Span], frozenset[str]]:
    """The entities of a sequence of tags, and the schemes that allow it; raises Broken where none does.

    In IOB1 (Ramshaw and Marcus, 1995) an entity begins with `I-`, and with `B-` only right after one of its own type.
    So a sequence with an entity follows one scheme only.

    >>> read(["B-a", "I-a", "O", "B-a"])
    ([(0, 2, 'a'), (3, 4, 'a')], frozenset({'IOB2'}))
    """
    found, reasons = {}, {}
    for scheme, reader in (("IOB2", _iob2), ("IOB1", _iob1), ("BILOU", _bilou)):
        try:
            found[scheme] = reader(tags)
        except Broken as broken:
            reasons[scheme] = broken
    if not found:
        is_bilou = any(tag[:1] in "LUES" and tag[1:2] == "-" for tag in tags)
        raise reasons["BILOU" if is_bilou else "IOB2"]
    return next(iter(found.values())), frozenset(found)


def _split(tag: str, at: int, marks: str) -> tuple[str, str]:
    mark, dash, label = tag.partition("-")
    mark = SAME.get(mark, "")
    if not dash or not label or mark not in marks or not mark:
        raise Broken(f"tag {at} is {quote(tag)}, neither `O` nor a mark, a dash and a type, as in `B-person`")
    return mark, label


def _iob2(tags: Sequence[str]) -> list[Span]:
    found: list[Span] = []
    for i, tag in enumerate(tags):
        if tag == OUTSIDE:
            continue
        mark, label = _split(tag, i + 1, "BI")
        if mark == "B":
            found.append((i, i + 1, label))
        elif found and found[-1][1] == i and found[-1][2] == label:
            found[-1] = (found[-1][0], i + 1, label)
        else:
            before = f"follows {quote(tags[i - 1])}" if i else "is the first"
            raise Broken(f"tag {i + 1}, {quote(tag)}, {before}; an entity begins with `B-{clean(label)}`")
    return found


def _iob1(tags: Sequence[str]) -> list[Span]:
    found: list[Span] = []
    for i, tag in enumerate(tags):
        if tag == OUTSIDE:
            continue
        mark, label = _split(tag, i + 1, "BI")
        goes_on = bool(found) and found[-1][1] == i and found[-1][2] == label
        if mark == "B" and not goes_on:
            raise Broken(f"tag {i + 1}, {quote(tag)}, does not follow one of its type")
        if mark == "I" and goes_on:
            found[-1] = (found[-1][0], i + 1, label)
        else:
            found.append((i, i + 1, label))
    return found


def _bilou(tags: Sequence[str]) -> list[Span]:
    found: list[Span] = []
    is_open = False
    for i, tag in enumerate([*tags, OUTSIDE]):
        mark, label = ("", "") if tag == OUTSIDE else _split(tag, i + 1, "BILU")
        goes_on = mark in ("I", "L") and is_open and found[-1][2] == label
        if is_open != goes_on or (mark in ("I", "L") and not goes_on):
            what = f"tag {i + 1}, {quote(tag)}," if i < len(tags) else "the end"
            before = f"follows {quote(tags[i - 1])}" if i else "is the first"
            raise Broken(f"{what} {before}")
        if goes_on:
            found[-1] = (found[-1][0], i + 1, label)
        elif mark:
            found.append((i, i + 1, label))
        is_open = mark in ("B", "I")
    return found


def types(names: Sequence[str]) -> tuple[str, ...]:
    """The types of entities in names of tags, in order; empty for names that are no tags.

    >>> types(["O", "B-a", "I-a", "B-b"]), types(["a", "b"])
    (('a', 'b'), ())
    """
    marked = [name for name in names if name != OUTSIDE]
    if OUTSIDE not in names or not all(name[:1] in SAME and name[1:2] == "-" and name[2:] for name in marked):
        return ()
    return tuple(dict.fromkeys(name[2:] for name in marked))
