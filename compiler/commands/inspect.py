"""`graftc inspect`: what a bundle is, where it came from, what it scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from . import _bundles


@click.command("inspect")
@click.argument("bundle", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def command(bundle: str, as_json: bool) -> None:
    """Show what BUNDLE is, where it came from and what it scored."""
    with _bundles.refusals():
        from ...runtime.manifest import read_manifest

        manifest = read_manifest(Path(bundle))
    print(json.dumps(manifest, indent=2, ensure_ascii=False) if as_json else _text(manifest))


def _text(manifest: dict[str, Any]) -> str:
    labels = manifest["head"].get("labels", [])
    shown = ", ".join(labels[:8]) + (f", … {len(labels) - 8} more" if len(labels) > 8 else "")
    backbone, count = manifest["backbone"], manifest["parameters"]
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    lines = [
        f"{manifest['name']}: {manifest['task']}", *([manifest["description"]] if manifest["description"] else []),
        f"  labels      {shown}" if labels else "",
        f"  backbone    {backbone['source']} ({backbone['family']}, {backbone['method']}), licence {manifest['licences']['backbone']}",
        f"  parameters  {count['total']:,}, {count['trainable']:,} learned",
        f"  graphs      {', '.join(f'{file} ({precision})' for precision, file in manifest['graphs']['model'].items())}, {size / 1e6:.1f} MB in all",
        f"  rows        {', '.join(f'{split} {rows:,}' for split, rows in manifest['rows'].items())}",
        f"  parity      {manifest['gates']['parity']['worst']:.1e}, allowed {manifest['gates']['parity']['allowed']:.1e}",
    ]  # fmt: skip
    for split, runners in manifest["metrics"].items():
        scores = ", ".join(f"{values[manifest['metric']]:.4f} {runner}" for runner, values in runners.items())
        lines.append(f"  {split:<11} {manifest['metric']} {scores}")
    lines.append(
        f"  built by    graftc {manifest['graftc']}, plan {manifest['hashes']['plan'][:12]}, torch {manifest['versions']['torch']}"
    )
    return "\n".join(line for line in lines if line)
