"""Trainings that something is wrong with, and sound ones: tiny, real, and all of them in two tables."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graftc.compiler.health import Finding

from ..backbones import tiny
from ..train import running

TOPICS = {
    "music": "music guitar stage film story acting beautiful",
    "money": "bank rates interest percent points basis billed",
    "travel": "train city north trains morning box parcel",
}
LETTERS = {"music": "qzx", "money": "jvk", "travel": "wyh"}
OTHER = "the a is on of to and in it this with how do my we which these for"


@dataclass(frozen=True)
class Case:
    """A training: its rows, what of the spec is other than usual, and the codes of what is to be found."""

    train: dict[str, Any]
    codes: tuple[str, ...] = ()
    rows: int = 240
    noise: float = 0.8  # share of words that belong to no topic
    unknown: int = 2  # words that are none, of letters that tell the topic
    labels: str = "true"
    sections: dict[str, Any] = field(default_factory=dict)


def rows(case: Case, split: str, count: int) -> list[dict[str, str]]:
    """Texts with a label each, drawn alike for every case."""
    draw = random.Random(f"{split} {case.noise} {case.labels}")
    found = []
    for i in range(count):
        label = _label(case.labels, draw, i)
        said = "travel" if label == "rare" else label
        words = [draw.choice((OTHER if draw.random() < case.noise else TOPICS[said]).split()) for _ in range(6)]
        # words that nobody knows, by their letters: a tokenizer sees what a list of words can't
        words += [
            "".join(draw.choices(LETTERS[said], k=5)) for _ in range(case.unknown) if draw.random() > case.noise / 2
        ]
        is_wrong = case.labels == "noisy" and draw.random() < 0.3
        found.append({"text": " ".join(words), "label": draw.choice(sorted(TOPICS)) if is_wrong else label})
    if case.labels == "shuffled":
        labels = [row["label"] for row in found]
        draw.shuffle(labels)
        found = [{**row, "label": label} for row, label in zip(found, labels, strict=True)]
    return found


def _label(kind: str, draw: random.Random, number: int) -> str:
    if kind == "dominating":
        return "music" if number % 6 else draw.choice(["money", "travel"])
    if kind == "rare":  # told by nothing from the other label of its topic
        return "rare" if number % 8 == 0 else ("music", "money", "travel")[number % 3]
    return ("music", "money", "travel")[number % 3]


def findings(case: Case, folder: Path, store: Path) -> list[Finding]:
    """What is found in a training; stages that other cases have in common are in the store."""
    folder.mkdir()
    for split, count in (("train", case.rows), ("validation", 120)):
        lines = [json.dumps(row) + "\n" for row in rows(case, split, count)]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    (folder / "backbone").symlink_to(store.parent / "backbone")
    given: dict[str, Any] = {
        "backbone": {"from": "./backbone"},
        "head": {"type": "text-classification", "start": "random"},
        "data": {"train": "train.jsonl", "validation": "validation.jsonl", "max_length": 24},
    }
    spec = running.write_spec(folder, **{**given, **case.sections}, train={"batch_size": 16, **case.train})
    out = running.trained(spec, store, "health")[2]
    return [Finding.read(found) for found in json.loads((out / "findings.json").read_bytes())]


def codes(found: Sequence[Finding]) -> tuple[str, ...]:
    """Their codes, in order."""
    return tuple(each.code for each in found)


def backbone(folder: Path) -> Path:
    """The folder of a BERT of one layer."""
    tiny.save("bert", folder, num_hidden_layers=1)
    return folder


FULL = {"epochs": 6, "learning_rate": 4e-3, "metric": "accuracy"}
DEEP = {"head": {"type": "text-classification", "hidden": [8] * 6, "dropout": 0.0}}
FITTED = {"head": {"type": "text-classification", "start": "fitted"}}
PROBE = {"adapt": {"method": "probe"}}
# a rate that grows until what was learned is lost again
RISING = {"schedule": "constant", "warmup": 0.9, "learning_rate": 8e-2, "weight_decay": 1.0, "epochs": 3}

PLANTED = {
    "rate a thousand times too low": Case({**FULL, "learning_rate": 4e-6}, ("W0435", "W0436")),
    "rate much too high": Case({**FULL, "learning_rate": 3.0}, ("W0435", "W0444")),
    "labels shuffled": Case(FULL, ("W0445",), labels="shuffled"),
    "one label on nearly every row": Case({**FULL, "epochs": 3}, ("W0435", "W0446"), labels="dominating"),
    "one label on nearly every row, and no step": Case(
        {**FULL, "epochs": 0}, ("W0435",), unknown=0, labels="dominating", sections={**PROBE, **FITTED}
    ),
    "too few epochs": Case({**FULL, "epochs": 2}, ("W0435", "W0437")),
    "too many epochs on few rows": Case(
        {**FULL, "epochs": 20, "learning_rate": 1e-2}, ("W0442",), rows=24, noise=0.95, unknown=1
    ),
    "everything clipped": Case({**FULL, "max_grad_norm": 1e-3}, ("W0441",)),
    "a label that is never answered": Case({**FULL, "epochs": 8}, ("W0443",), labels="rare"),
    "best epoch the first": Case({**FULL, **RISING}, ("W0439",), rows=640),
    "best epoch the last": Case({**FULL, "epochs": 2, "schedule": "constant", "learning_rate": 5e-3}, ("W0438",)),
    "a gradient that vanishes": Case({**FULL, "epochs": 2}, ("W0435", "W0440"), sections=DEEP),
    "a fitted head that training spoils": Case(
        {**FULL, "epochs": 1, "schedule": "constant", "warmup": 0.0, "learning_rate": 0.1},
        ("W0447",),
        rows=144,
        noise=0.6,
        sections=FITTED,
    ),
    "below its floor": Case({**FULL, "epochs": 30, "learning_rate": 1e-3}, ("W0435",), sections=PROBE),
}
SOUND = {
    "full": Case(FULL),
    "lora": Case({**FULL, "learning_rate": 2e-2}, sections={"adapt": {"method": "lora"}}),
    "a probe": Case({**FULL, "epochs": 20, "learning_rate": 3e-2}, noise=0.9, unknown=5, sections=PROBE),
    "a fitted head": Case({**FULL, "learning_rate": 1e-3}, sections=FITTED),
    "one epoch": Case({**FULL, "epochs": 1}, rows=1600, unknown=3),
    "no validation rows": Case(FULL, sections={"data": {"train": "train.jsonl", "max_length": 24}}),
}
