"""Writes a bundle's bill of materials as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

It has no time, and its serial number comes from the plan's hash, so that equal builds give equal bytes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from ..machine import installed
from ..planning.plan import Plan
from ..store.hashes import file_sha256

NAME = "sbom.cdx.json"
LONGEST = 200  # the most characters of a licence's name or expression


def write_sbom(plan: Plan, manifest: Mapping[str, Any], requires: Sequence[str], backbone: Path, out: Path) -> None:
    """Writes a bundle's bill: the packages in `requires`, the backbone in the folder `backbone`, and the data."""
    licences = manifest["licences"]
    whole = {"type": "machine-learning-model", "bom-ref": "bundle", "name": plan.name, "description": plan.description}
    runtime = {"type": "library", "bom-ref": "graftc_runtime", "name": "graftc_runtime", "version": installed("graftc")}
    components = [
        _backbone(plan, licences["backbone"], backbone),
        {**runtime, **_licence(licences["runtime"])},
        *map(_package, requires),
        *_data(plan),
    ]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.UUID(bytes=bytes.fromhex(plan.sha256)[:16], version=5).urn,
        "version": 1,
        "metadata": {"component": {key: value for key, value in whole.items() if value}},
        "components": components,
        "dependencies": [{"ref": "bundle", "dependsOn": [component["bom-ref"] for component in components]}],
    }
    (out / NAME).write_text(json.dumps(bill, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _backbone(plan: Plan, licence: str, folder: Path) -> dict[str, Any]:
    """The pretrained model, with the files that were read."""
    files = [
        {"type": "file", "bom-ref": f"backbone/{name}", "name": name, **_sha256(file_sha256(folder / name))}
        for name in sorted({"config.json", *plan.backbone.files})
    ]
    model = {"type": "machine-learning-model", "bom-ref": "backbone", "name": plan.backbone.source}
    return {**model, **_licence("" if licence == "unknown" else licence), "components": files}


def _package(name: str) -> dict[str, Any]:
    """A package that the bundle needs, in the version that it was built with."""
    version = installed(name)
    package = {"type": "library", "bom-ref": f"package/{name}", "name": name, "version": version}
    return {**package, **_licence(_stated(name)), "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"}


def _stated(package: str) -> str:
    """The licence that a package states; empty where it states none or gives a whole text."""
    try:
        told = metadata(package)
    except PackageNotFoundError:
        return ""
    words = (told[key].strip() for key in ("License-Expression", "License") if key in told)
    return next((word for word in words if word and word.isprintable() and len(word) < LONGEST), "")


def _data(plan: Plan) -> Iterator[dict[str, Any]]:
    """The tables that were read, by their paths in the spec, with the plan's fingerprints."""
    tables = {
        table.path: table
        for phase in plan.phases
        for task in phase.tasks
        for split in task.data.splits
        for table in split.tables
    }
    for path, table in sorted(tables.items()):
        properties = [
            {"name": "graftc:format", "value": table.format},
            {"name": "graftc:fingerprint", "value": table.sha256},
        ]
        yield {"type": "data", "bom-ref": f"data/{path}", "name": path, "properties": properties}


def _licence(word: str) -> dict[str, Any]:
    """A licence as its owner writes it, maybe not an SPDX id."""
    if not word:
        return {}
    is_expression = any(operator in word.split() for operator in ("AND", "OR", "WITH"))
    return {"licenses": [{"expression": word} if is_expression else {"license": {"name": word}}]}


def _sha256(value: str) -> dict[str, Any]:
    return {"hashes": [{"alg": "SHA-256", "content": value}]}
