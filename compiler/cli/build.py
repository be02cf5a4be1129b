"""`graftc build`: trains, exports, gates and packs."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..api import Ready, build_ready, confined, place, ready, ready_again
from ..boundary import Boundary, outside
from ..bundling.delivery import require_place
from ..bundling.signing import private_key, sign
from ..checks.redaction import redacted
from ..diagnostics import At, Diagnostic, Refused, Row, quote, refuse
from ..execution.executor import Built
from ..execution.progress import Progress
from ..health import Finding
from ..language.overrides import override
from ..language.source import Source, read
from ..planning.plan import read_plan_file
from ..renderers import beside, kept_fit, line_start
from ..renderers.text import text
from ..units import score
from ._confine import confine_option
from ._specs import of_each


@click.command("build")
@click.argument("specs", nargs=-1, required=True, type=click.Path(), metavar="SPEC|PLAN…")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="The bundle's folder; with several specs, the folder of their bundles, each named as its file. "
    "Default: bundles/NAME.",
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a value of the spec.")
@click.option(
    "--store",
    type=click.Path(file_okay=False),
    help="Where finished stages are kept. Default: $GRAFTC_STORE or ~/.cache/graftc.",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False, exists=True),
    help="The folder that a PLAN's paths are relative to. Default: its own.",
)
@click.option("--locked", is_flag=True, help="Refuse anything that differs from the spec's lock.")
@confine_option
@click.option(
    "--sign", "key", type=click.Path(), metavar="KEY", help="Sign each bundle with a private key (PEM, ed25519)."
)
@click.option("--quiet", is_flag=True, help="Print the result only.")
def command(
    specs: tuple[str, ...],
    output: str | None,
    sets: tuple[str, ...],
    store: str | None,
    root: str | None,
    locked: bool,
    confine: tuple[str, ...],
    key: str | None,
    quiet: bool,
) -> None:
    """Build SPECS into bundles that run without torch.

    A killed or interrupted build continues when it is run again. A second build runs nothing. Changes
    under `export` retrain nothing.
    """
    signer = private_key(Path(key)) if key is not None else None
    ready = _ready(specs, sets, root, locked, confined(confine, store))
    outputs = {name: _output(name, output, len(specs)) or place(ready[name]) for name in ready}
    _refuse_outputs(specs, outputs)
    spent: defaultdict[str, float] = defaultdict(float)
    for name in specs:
        plan = ready[name]
        built = build_ready(plan, outputs[name], Path(store) if store else None, Progress(quiet))
        if signer is not None:
            sign(built.folder, signer)
        if built.warnings:
            print(text(built.warnings, plan.source) + "\n", file=sys.stderr)
        _report(built, key)
        if built.findings:
            findings = [_warning(found, plan.source) for found in built.findings]
            print("\n" + text(redacted(findings, plan.source), plan.source), file=sys.stderr)
        for stage, seconds in built.ran.items():
            spent[_kind(stage)] += seconds
    if len(specs) > 1:
        most = sorted(spent, key=lambda kind: -spent[kind])
        print(f"all {len(specs)}: {', '.join(f'{kind} {spent[kind]:.1f} s' for kind in most) or 'nothing to do'}")


def _kind(stage: str) -> str:
    """The kind of a stage, without its task and split.

    >>> _kind("prepare-intent-test"), _kind("pretrain-1-merge"), _kind("pretrain-1")
    ('prepare', 'merge', 'pretrain')
    """
    words = stage.split("-")
    return next((word for word in words[2:] if word in ("prepare", "merge")), words[0])


def _ready(
    specs: tuple[str, ...], sets: tuple[str, ...], root: str | None, locked: bool, boundary: Boundary
) -> dict[str, Ready]:
    """Plans every spec before the first one trains; prints the errors of each."""
    return of_each(specs, lambda name: _plan(Path(name), name, sets, root, locked, boundary))


def _plan(path: Path, name: str, sets: tuple[str, ...], root: str | None, locked: bool, boundary: Boundary) -> Ready:
    if path.suffix != ".json" or not path.is_file():
        return ready(override(read(path, name, boundary=boundary), sets), locked)
    if boundary.leads_out(path):
        raise Refused((outside("the plan", Row(name), boundary),))
    if sets:
        raise click.UsageError("--set changes a spec; a plan is decided")
    plan = read_plan_file(path, name)
    if locked and plan.pins is None:
        help = "write it with `graftc plan SPEC --locked -o plan.json`"
        raise refuse("E0349", "this plan was not made from a lock", at=Row(name), help=help)
    return ready_again(plan, name, Path(root) if root else path.parent, boundary)


def _output(name: str, output: str | None, specs: int) -> Path | None:
    if output is None:
        return None
    return Path(output) / Path(name).stem if specs > 1 else Path(output)


def _refuse_outputs(specs: tuple[str, ...], outputs: Mapping[str, Path]) -> None:
    """Raises Refused E0415 where two specs build into one folder, and what `require_place` raises."""
    first: dict[str, str] = {}
    for name in specs:
        place = os.path.realpath(outputs[name])
        if place in first:
            raise refuse(
                "E0415",
                f"two specs build into {quote(outputs[name])}",
                f"{quote(first[place])} and {quote(name)}",
                at=Row(name),
                help="give each its own `name` and file name, or build them one by one, each with its own -o",
            )
        first[place] = name
        require_place(outputs[name])


def _warning(finding: Finding, source: Source) -> Diagnostic:
    """A finding as a warning on the spec, at the key to change if it is written."""
    headline = f"{finding.head}: {finding.headline}" if finding.head else finding.headline
    path = tuple(finding.key.split("."))
    path = ("heads", finding.head, *path[1:]) if finding.head and path[0] == "head" else path
    at = At(path) if path in source.values else None
    return Diagnostic(finding.code, headline, at, notes=finding.notes, help=finding.help)


def _report(built: Built, key: str | None) -> None:
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in built.ran.items()) or "nothing to do"
    lines = [f"{built.plan.name}: {stages}"]
    for split, task in ((split, task) for split in built.metrics for task in built.plan.tasks if task.split(split)):
        if not task.metric:  # the task has no score
            continue
        for name in map(task.named, dict.fromkeys([task.metric, *task.head.variant.metrics.of_texts])):
            known = {runner: values[name] for runner, values in built.metrics[split].items() if name in values}
            scores = ", ".join(f"{score(value)} {runner}" for runner, value in known.items())
            lines += [f"  {split:<11} {name} {scores}{beside(name, built.floors.get(split, {}))}"] if scores else []
    if said := kept_fit(built.training):
        lines.append(f"  training    {said}")
    for precision, told in built.quantization.items():
        lines.append(f"  {precision:<11} {_quantized(built, precision, told)}")
    lines += [f"  bundle      {built.folder}", *([f"  signed      with {key}"] if key is not None else [])]
    print("\n".join(map(line_start, lines)))


def _quantized(built: Built, precision: str, told: Mapping[str, Any]) -> str:
    """How a graph was quantized, and what that saved."""
    took, plain = (built.milliseconds.get(word) for word in (precision, "fp32"))
    times = f", {took:.2g} ms a row here, fp32 {plain:.2g}" if took and plain else ""
    return f"{told['kind']}, {told['share']:.2f} of fp32's bytes without embeddings{times}"
