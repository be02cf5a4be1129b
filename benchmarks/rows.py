"""Rows of public data sets as benchmarks draw them: so many of a split, so many of each label, those of rare labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

SPLITS = ("train", "validation", "test")
VALIDATION = 200  # rows, of those that only choose an epoch


def few(source: Path, out: Path, each: int, seed: int, label: str = "label_name") -> Mapping[str, str]:
    """Files in a folder, by split: `each` training rows of every label, drawn by the seed."""
    rows = _read(source, "train")
    places: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row[label], []).append(i)
    draws = np.random.default_rng(seed)
    chosen = sorted(int(i) for word in sorted(places) for i in draws.permutation(places[word])[:each])
    train = _write(out / f"{source.name}-{each}-each-{seed}.jsonl", [rows[i] for i in chosen])
    return {"train": train, **_held(source, out)}


def some(source: Path, out: Path, count: int, seed: int) -> Mapping[str, str]:
    """Files in a folder, by split: `count` training rows, drawn by the seed."""
    rows = _read(source, "train")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])
    train = _write(out / f"{source.name}-{count}-{seed}.jsonl", [rows[i] for i in chosen])
    return {"train": train, **_held(source, out)}


def rarest(source: Path, out: Path, labels: int, rows: tuple[int, int, int]) -> Mapping[str, str]:
    """Files in a folder, by split: so many rows that have any of the rarest labels, with these labels alone."""
    read = {split: _read(source, split) for split in SPLITS}
    counts = Counter(word for row in read["train"] for word in row["labels"])
    rare = {word for word, _ in sorted(counts.items(), key=lambda item: (item[1], item[0]))[:labels]}
    found = {}
    for split, count in zip(SPLITS, rows, strict=True):
        having = [{**row, "labels": [w for w in row["labels"] if w in rare]} for row in read[split]]
        having = [row for row in having if row["labels"]]
        chosen = np.sort(np.random.default_rng(0).permutation(len(having))[:count])
        found[split] = _write(out / f"{source.name}-rarest-{labels}-{split}.jsonl", [having[i] for i in chosen])
    return found


def _held(source: Path, out: Path) -> dict[str, str]:
    """The validation rows, fewer, and all test rows."""
    rows = _read(source, "validation")
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:VALIDATION])
    return {
        "validation": _write(out / f"{source.name}-validation.jsonl", [rows[i] for i in chosen]),
        "test": _write(out / f"{source.name}-test.jsonl", _read(source, "test")),
    }


def _read(source: Path, split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (source / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path.name
