"""Small specs with everything that a build can stumble over: dropout, validation, early stopping, augmentation."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import yaml

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded: spinning threads starve the others
WORDS = {"good": "warm funny beautiful great better", "bad": "dull boring badly late billed"}
OTHER = "the a film story acting music app order children train city parcel box password"


def write(folder: Path, spec: dict[str, Any], name: str = "spec.yaml") -> Path:
    """Writes a spec file."""
    path = folder / name
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def text(folder: Path, **sections: Any) -> dict[str, Any]:
    """A tiny BERT with LoRA: four steps an epoch, the second of five is the best and the third the last; `sections` replace those of the spec."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "bert").exists():
        from ..backbones import tiny

        tiny.save("bert", folder / "bert", num_hidden_layers=1)
    for name, rows, seed in (("train", 40, 1), ("validation", 12, 2), ("test", 10, 3)):
        draw = random.Random(seed)
        lines = [json.dumps(_row(draw)) + "\n" for _ in range(rows)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    spec = {
        "graftc": 1,
        "name": "tiny",
        "seed": 1,
        "backbone": {"from": "./bert"},
        "adapt": {"method": "lora", "rank": 2, "dropout": 0.1},
        "head": {"type": "text-classification", "start": "random"},
        "data": {
            "train": "train.jsonl",
            "validation": {"fraction": 0.3},
            "test": "test.jsonl",
            "columns": {"text": "text", "label": "label"},
        },
        "train": {
            "epochs": 5,
            "batch_size": 8,
            "learning_rate": 0.01,
            "metric": "roc_auc_macro",
            "early_stopping": {"patience": 1},
        },
    }
    return {**spec, **sections}


def features(folder: Path, **sections: Any) -> dict[str, Any]:
    """A probe of a tiny BERT: its features are computed once, and little else is done."""
    return text(folder, adapt={"method": "probe"}, train={"max_steps": 2, "batch_size": 8}, **sections)


def fitted(folder: Path, **sections: Any) -> dict[str, Any]:
    """A tiny BERT with LoRA whose head starts fitted to features that are computed for that alone."""
    head, train = {"type": "text-classification", "start": "fitted"}, {"max_steps": 2, "batch_size": 8}
    return text(folder, **{"head": head, "train": train, **sections})


def images(folder: Path, **sections: Any) -> dict[str, Any]:
    """A tiny MobileNetV2 in full, augmented: its batch norms gather statistics while it learns."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "mobilenet").exists():
        from ..backbones import tiny

        tiny.save("mobilenet-v2", folder / "mobilenet")
    draw = np.random.default_rng(0)
    for label, bright in (("dark", 60), ("light", 180)):
        (folder / "train" / label).mkdir(parents=True, exist_ok=True)
        for i in range(10):
            pixels = draw.integers(0, bright + 60, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "train" / label / f"{i}.png")
    spec = {
        "graftc": 1,
        "name": "tiny-images",
        "backbone": {"from": "./mobilenet"},
        "head": {"type": "image-classification", "start": "random"},
        "data": {
            "train": "train",
            "validation": {"fraction": 0.2},
            "augment": {"horizontal_flip": 0.5, "crop": 0.7, "color": 0.3},
        },
        "train": {"epochs": 2, "batch_size": 4, "learning_rate": 0.001},
    }
    return {**spec, **sections}


def _row(draw: random.Random) -> dict[str, str]:
    label = draw.choice(sorted(WORDS))
    words = [draw.choice((WORDS[label] if draw.random() < 0.4 else OTHER).split()) for _ in range(draw.randint(3, 9))]
    return {"text": " ".join(words), "label": label}
