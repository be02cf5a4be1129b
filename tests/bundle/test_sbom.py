"""The bill of materials of a bundle: what it is made of, in the words of CycloneDX."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from graftc.compiler.planning.plan import read_plan
from graftc.compiler.store.hashes import file_sha256

from ..front.cli import Command
from .test_bundle import TEXT, build

SCHEMAS = files("cyclonedx.schema") / "_res"
RELATED = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("billed")
    return build(folder, "bert", adapt={"method": "probe"}, data=TEXT, train={"max_steps": 2})


@pytest.fixture
def bill(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "sbom.cdx.json").read_bytes())
    return found


def validator() -> jsonschema.Draft7Validator:
    related = [json.loads((SCHEMAS / name).read_text()) for name in RELATED]
    registry: Registry[Any] = Registry().with_resources(
        [(schema["$id"], Resource.from_contents(schema)) for schema in related]
    )
    return jsonschema.Draft7Validator(
        json.loads((SCHEMAS / "bom-1.6.SNAPSHOT.schema.json").read_text()), registry=registry
    )


def test_a_bill_is_one_by_the_official_schema(bill: dict[str, Any]) -> None:
    validator().validate(bill)
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(bill | {"serialNumber": "x"})


def test_a_bill_names_what_the_bundle_is_made_of(bundle: Path, bill: dict[str, Any]) -> None:
    named = {component["bom-ref"]: component for component in bill["components"]}
    assert bill["dependencies"] == [{"ref": "bundle", "dependsOn": [*named]}]
    required = dict(line.split("==") for line in (bundle / "requirements.txt").read_text().split())
    assert {n: c["version"] for ref, c in named.items() if ref.startswith("package/") for n in [c["name"]]} == required
    own = {part["name"]: part["hashes"][0]["content"] for part in named["backbone"]["components"]}
    backbone = bundle.parent / "backbone"
    assert own == {name: file_sha256(backbone / name) for name in ("config.json", "model.safetensors")}
    plan = read_plan((bundle / "plan.json").read_text(), "plan.json")
    tables = {table.path: table.sha256 for split in plan.tasks[0].data.splits for table in split.tables}
    assert {name: c["properties"][1]["value"] for ref, c in named.items() if ref.startswith("data/") for name in [c["name"]]} == tables  # fmt: skip


def test_a_bill_has_no_time_and_is_listed(
    bundle: Path, bill: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "timestamp" not in bill["metadata"]
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    assert manifest["files"]["sbom.cdx.json"]["sha256"] == file_sha256(bundle / "sbom.cdx.json")
    assert bill["serialNumber"].startswith(f"urn:uuid:{manifest['hashes']['plan'][:8]}-")
    assert Command(capsys)("verify", bundle).status == 0


def test_licences_are_those_that_are_known(tmp_path: Path, bill: dict[str, Any]) -> None:
    named = {component["bom-ref"]: component for component in bill["components"]}
    assert "licenses" not in named["backbone"]
    assert named["graftc_runtime"]["licenses"] == [{"license": {"name": "Apache-2.0"}}]
    assert named["package/numpy"]["licenses"][0]["expression"].startswith("BSD-3-Clause")
