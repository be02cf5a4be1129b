"""A head that reads feature maps: added to a copy of the package, with no other edit, and used on backbones of several kinds."""

from __future__ import annotations

import json
import random
from itertools import chain
from pathlib import Path

import pytest
from PIL import Image

from ..backbones import tiny
from .copied import Copy, files

OVERLAY = Path(__file__).with_name("new_maps")
SHADES = {"dark": 40, "light": 210}
SPEC = {
    "graftc": 1,
    "name": "regions",
    "backbone": {"from": "./resnet"},
    "head": {"type": "region-classification"},
    "data": {"train": "train.jsonl", "validation": {"fraction": 0.2}},
    "train": {"epochs": 12, "batch_size": 8, "learning_rate": {"backbone": 2e-3, "head": 2e-2}},
    "export": {"gate": {"metric_drop": 1.0}},
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Pictures of two by three dark and light fields, which the rows name."""
    made = Copy(tmp_path_factory.mktemp("copy"), OVERLAY, SPEC)
    draw, rows = random.Random(0), []
    for i in range(60):
        grid = [[draw.choice([*SHADES]) for _ in range(3)] for _ in range(2)]
        picture = Image.new("L", (3, 2))
        picture.putdata([SHADES[label] + draw.randrange(30) for cells in grid for label in cells])
        picture.convert("RGB").resize((48, 32), Image.Resampling.NEAREST).save(made.folder / f"{i}.png")
        rows.append({"image": f"{i}.png", "regions": grid})
    (made.folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def test_only_modules_of_its_own_are_added() -> None:
    own = [
        "compiler/heads/region_classification.py",
        "compiler/metrics/regions.py",
        "runtime/heads/region_classification.py",
    ]
    assert files(OVERLAY) == own


@pytest.mark.parametrize(("family", "method"), [("resnet", "full"), ("vit", "lora")])
def test_it_is_built_and_asked(copy: Copy, family: str, method: str) -> None:
    tiny.save(family, copy.folder / family)
    spec = copy.write(f"{family}.yaml", backbone={"from": f"./{family}"}, adapt={"method": method})
    assert "reads feature maps" in copy.run("plan", spec, "--why", "head.pooling")
    copy.run("build", spec, "--quiet", "-o", f"bundles/{family}")
    scores = json.loads((copy.folder / "bundles" / family / "manifest.json").read_bytes())["metrics"]["validation"]
    assert scores["torch"]["accuracy"] == scores["fp32"]["accuracy"]
    assert "fp32: golden answers given" in copy.run("verify", f"bundles/{family}")
    if method == "full":
        assert scores["fp32"]["accuracy"] > 0.9
        row = json.loads((copy.folder / "train.jsonl").read_text().splitlines()[0])
        answer = json.loads(copy.run("predict", f"bundles/{family}", row["image"]))
        found, true = (list(chain.from_iterable(grid)) for grid in (answer["regions"], row["regions"]))
        assert sum(a == b for a, b in zip(found, true, strict=True)) >= 5


def test_maps_of_a_frozen_backbone_are_not_kept(copy: Copy) -> None:
    tiny.save("resnet", copy.folder / "resnet")
    said = copy.run("plan", copy.write("probe.yaml", adapt={"method": "probe"}), "--why", "train.fold")
    assert "feature maps are computed anew in each epoch" in said


def test_a_grid_of_another_size_is_named(copy: Copy) -> None:
    row = json.dumps({"image": "0.png", "regions": [["dark"]]})
    (copy.folder / "bad.jsonl").write_text((copy.folder / "train.jsonl").read_text() + row)
    spec = copy.write("bad.yaml", data={**SPEC["data"], "train": "bad.jsonl"})
    said = copy.run("validate", spec, status=1)
    assert "bad.jsonl:61" in said
    assert "no grid of 2 rows and 3 columns" in said
