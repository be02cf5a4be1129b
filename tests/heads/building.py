"""Builds a bundle of a head on a tiny backbone, for tests that ask what came out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from graftc.compiler.api import build_source, check
from graftc.compiler.diagnostics import Diagnostic, Refused
from graftc.compiler.execution.progress import Progress
from graftc.compiler.language.source import read

from ..backbones import tiny
from ..train import running


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def bundle(folder: Path, family: str, head: Mapping[str, Any], data: Mapping[str, Any], **sections: Any) -> Path:
    """The folder of a bundle, built in a few steps, its metric gate open: what was hardly learned may waver."""
    spec = written(folder, family, head, data, **sections)
    return built(spec)


def built(spec: Path) -> Path:
    """The folder of the bundle of a spec."""
    return build_source(read(spec), spec.parent / "bundle", spec.parent / "store", Progress(is_quiet=True)).folder


def written(folder: Path, family: str, head: Mapping[str, Any], data: Mapping[str, Any], **sections: Any) -> Path:
    """A spec on a tiny backbone."""
    if not (folder / "backbone").exists():
        tiny.save(family, folder / "backbone")
    given = {"train": {"max_steps": 4, "batch_size": 8}, "export": {"gate": {"metric_drop": 1.0}}, **sections}
    return running.write_spec(folder, backbone={"from": "./backbone"}, head=dict(head), data=dict(data), **given)


def found(spec: Path) -> list[Diagnostic]:
    """What validation finds."""
    try:
        return list(check(read(spec))[1])
    except Refused as refused:
        return list(refused.diagnostics)


def script(folder: Path, *words: str) -> list[Any]:
    """What a bundle's own predict.py prints for words of a command line."""
    command = [sys.executable, str(folder / "predict.py"), *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder.parent)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def gates(folder: Path) -> Any:
    """The gates that a bundle's manifest states."""
    return json.loads((folder / "manifest.json").read_bytes())["gates"]
