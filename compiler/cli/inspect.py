"""`graftc inspect`: prints a bundle's origin and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ...runtime.shape import ANY, NUMBER
from ..diagnostics import clean
from ..renderers import beside, kept_fit, line_start, printable
from ..units import in_bytes, learned_before, score
from . import _bundles

SHOWN = {
    **{
        "description": str,
        "metric": str,
        "graftc": str,
        "rows": {ANY: int},
        "heads": {ANY: {"type": str, "metric": str, "?labels": [str], "?text_metrics": [str]}},
    },
    "backbone": {"source": str, "family": str, "method": str},
    "licences": {"backbone": str},
    "parameters": {"total": int, "trainable": int, "?pretrain": [int]},
    "gates": {"parity": {"worst": NUMBER, "allowed": NUMBER}},
    "metrics": {ANY: {ANY: dict}},
    "hashes": {"plan": str},
    "versions": {"torch": str},
    "?floors": {ANY: {ANY: dict}},
    "?quantization": {ANY: {"kind": str, "is_batch_invariant": bool, "share": NUMBER}},
    "?training": {"epochs": [dict], "best_epoch": int, "?start": dict},
    "?findings": [{"code": str, "headline": str, "head": str}],
}


@click.command("inspect")
@click.argument("bundle", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def command(bundle: str, as_json: bool) -> None:
    """Show what BUNDLE is, where it came from and what it scored."""
    with _bundles.refusals():
        from ...runtime.manifest import read_manifest, require

        manifest = read_manifest(Path(bundle))
        require(Path(bundle), manifest, SHOWN)
    print(printable(json.dumps(manifest, indent=2, ensure_ascii=False)) if as_json else _text(manifest))


def _text(manifest: dict[str, Any]) -> str:
    count, parity = manifest["parameters"], manifest["gates"]["parity"]
    lines = [
        f"{manifest['name']}: {' + '.join(head['type'] for head in manifest['heads'].values())}",
        manifest["description"],
        *(_labels(name, head.get("labels", [])) for name, head in manifest["heads"].items()),
        f"  backbone    {_backbone(manifest)}",
        f"  parameters  {count['total']:,}, {count['trainable']:,} learned{learned_before(count)}",
        f"  graphs      {_graphs(manifest)}",
        *_int8(manifest.get("quantization", {})),
        f"  rows        {', '.join(f'{split} {rows:,}' for split, rows in manifest['rows'].items())}",
        f"  parity      {parity['worst']:.1e}, allowed {parity['allowed']:.1e}",
    ]
    metrics = [
        f"{name}.{metric}".lstrip(".")
        for name, head in manifest["heads"].items()
        for metric in dict.fromkeys([head["metric"], *head.get("text_metrics", ())])
    ]
    for split, name in ((split, name) for split in manifest["metrics"] for name in metrics):
        runners = manifest["metrics"][split]
        known = {runner: values[name] for runner, values in runners.items() if _is_score(values.get(name, ""))}
        scores = ", ".join(f"{score(value)} {runner}" for runner, value in known.items())
        floors = beside(name, manifest.get("floors", {}).get(split, {}))
        lines += [f"  {split:<11} {name} {scores}{floors}"] if scores else []
    said = kept_fit(manifest.get("training", {}))
    lines += [f"  training    {said}"] if said else []
    lines += [
        f"  {found['code']:<11} {found['head'] and clean(found['head']) + ': '}{found['headline']}"
        for found in manifest.get("findings", [])
    ]
    plan, torch = manifest["hashes"]["plan"][:12], manifest["versions"]["torch"]
    lines.append(f"  built by    graftc {manifest['graftc']}, plan {plan}, torch {torch}")
    return "\n".join(line_start(line) for line in lines if line)


def _backbone(manifest: dict[str, Any]) -> str:
    """The backbone's source, family, method and licence."""
    backbone, licence = manifest["backbone"], manifest["licences"]["backbone"]
    return f"{backbone['source']} ({backbone['family']}, {backbone['method']}), licence {licence}"


def _graphs(manifest: dict[str, Any]) -> str:
    """The graphs with their sizes, and the size of all files."""
    files = [pair for graph in manifest["graphs"].values() for pair in graph["files"].items()]
    each = [f"{file} ({precision}, {in_bytes(_bytes(manifest, file))})" for precision, file in files]
    return f"{', '.join(each)}; all files {in_bytes(_bytes(manifest, ''))}"


def _bytes(manifest: dict[str, Any], begins: str) -> int:
    """The size of all files whose names begin with a word, such as a graph and its external weights."""
    return sum(entry["bytes"] for name, entry in manifest["files"].items() if name.startswith(begins))


def _int8(quantization: dict[str, Any]) -> list[str]:
    """How graphs were quantized, and whether answers depend on the batch."""
    lines = []
    for precision, told in quantization.items():
        size = f"{told['share']:.2f} of fp32's bytes without embeddings"
        same = "is the same in every batch" if told["is_batch_invariant"] else "moves a little with its batch"
        lines.append(f"  {precision:<11} {clean(told['kind'])}, {size}; an answer {same}")
    return lines


def _is_score(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _labels(head: str, labels: list[str]) -> str:
    shown = ", ".join(map(clean, labels[:8])) + (f", … {len(labels) - 8} more" if len(labels) > 8 else "")
    return f"  {f'labels {head}'.rstrip():<11} {shown}" if labels else ""
