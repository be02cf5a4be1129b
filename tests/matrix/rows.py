"""A few rows of every role, so that each head finds what it reads; a role that is new has a line in ROLES."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graftc.compiler import variants

THINGS = ("parcel", "order", "app", "book", "train", "film", "account", "box")
PLACES = ("city", "north", "stage", "page")


def _thing(i: int) -> str:
    return THINGS[i * 3 % 8]


def _context(i: int) -> str:
    return f"the {_thing(i)} of number {i} is in the {PLACES[i % 4]}, {'not there ' * (i % 5)}and late."


ROLES: dict[str, Callable[[int], Any]] = {
    "text": lambda i: f"where is my {_thing(i)}?" + " it was late" * (i % 4),
    "text_pair": lambda i: f"the {_thing(i + i % 2)} is in the {PLACES[i % 4]}",
    "text_negative": lambda i: f"a warm, funny {_thing(i + 1)}",
    "question": lambda i: f"where is the {_thing(i)}?",
    "context": _context,
    "answers": lambda i: {"text": [PLACES[i % 4]], "answer_start": [_context(i).index(PLACES[i % 4])]},
    "tokens": lambda i: ["the", _thing(i), "is", "in", "the", PLACES[i % 4], *["far", "away"] * (i % 3)],
    "tags": lambda i: ["O", "B-thing", "O", "O", "B-place", "I-place", *["O", "O"] * (i % 3)],
    "source": lambda i: f"the {_thing(i)} is in the {PLACES[i % 4]}" + " and late" * (i % 3),
    "target": lambda i: f"{_thing(i)} {PLACES[i % 4]}",
    "label": lambda i: i % 2,
    "score": lambda i: i % 5 / 4,
}


def roles(head: str) -> tuple[str, ...]:
    """The roles that a head must read, and those of its first target."""
    variant, reader = variants.head(head), variants.reader(head)
    target = variant.targets[0]
    with_it = variant.read_with.get(target, ())
    return (*(role for role in reader.roles if role not in reader.optional), *with_it, target)


def write(folder: Path, head: str) -> dict[str, str]:
    """Writes training and validation rows for a head; gives the files by split, each column named as its role."""
    unknown = set(roles(head)) - ROLES.keys()
    assert not unknown, f"ROLES of {Path(__file__).name} has no cells for {sorted(unknown)}"
    files = {"train": range(24), "validation": range(24, 36)}
    for split, numbers in files.items():
        lines = (json.dumps({role: ROLES[role](i) for role in roles(head)}) + "\n" for i in numbers)
        (folder / f"{head}.{split}.jsonl").write_text("".join(lines))
    return {split: str(folder / f"{head}.{split}.jsonl") for split in files}
