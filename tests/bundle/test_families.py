"""Every family builds: trained a little, merged, exported, gated, verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from graftc.compiler import variants
from graftc.runtime.verify import verify

from ..backbones import tiny
from ..train import running
from .test_bundle import build

IMAGES = {"train": str(running.DIGITS / "train"), "validation": {"fraction": 0.2}}


# the second route takes seconds each, so one family per modality shows it
# encoder-decoders are built by tests/matrix/test_writers.py
SINGLE = [w for w in variants.words("backbones") if "sequence-to-sequence" not in variants.family(w).provides]
CASES = [(family, "tracing") for family in SINGLE] + [
    ("distilbert", "transformers"),
    ("resnet", "transformers"),
]


@pytest.mark.parametrize(("family", "exporter"), CASES)
def test_a_family_builds(family: str, exporter: str, tmp_path: Path) -> None:
    sections = {} if tiny.is_text(family) else {"head": {"type": "image-classification"}, "data": IMAGES}
    bundle = build(
        tmp_path, family, adapt={"method": "lora"}, train={"max_steps": 6, "learning_rate": 1e-2},
        export={"exporter": exporter, "precision": ["fp32", "int8"], "gate": {"metric_drop": 1.0}}, **sections,
    )  # fmt: skip
    assert verify(bundle)["fp32"] < 1e-4
