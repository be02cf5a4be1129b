"""`graftc build`: trains, exports, gates and packs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..diagnostics import Row, refuse
from ..execution.executor import Built, execute
from ..execution.progress import Progress
from ..language.overrides import override
from ..language.source import read
from ..planning.plan import read_plan
from ..reports.text import text
from ..store import Store, default_root
from ..verbs import build_source


@click.command("build")
@click.argument("specs", nargs=-1, required=True, type=click.Path(), metavar="SPEC|PLAN…")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="The bundle's folder; of several specs, the folder of their bundles. Default: bundles/NAME.",
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
    help="What a PLAN's paths are relative to. Default: its folder.",
)
@click.option("--locked", is_flag=True, help="Refuse what is not as the spec's lock says.")
@click.option("--quiet", is_flag=True, help="Print the result only.")
def command(
    specs: tuple[str, ...],
    output: str | None,
    sets: tuple[str, ...],
    store: str | None,
    root: str | None,
    locked: bool,
    quiet: bool,
) -> None:
    """Build SPECS into bundles that run without torch.

    A killed or interrupted build resumes; a second one does nothing; an edit of `export` retrains nothing.
    """
    progress = Progress(quiet)
    targets = {name: Path(output) / Path(name).stem if len(specs) > 1 else Path(output) for name in specs if output}
    if len(set(targets.values())) < len(targets):
        raise click.UsageError("two of the specs have the same file name: build them one by one, each with its own -o")
    for name in specs:
        target = targets.get(name)
        built = _build(Path(name), name, target, sets, Path(store) if store else None, root, locked, progress)
        _report(built)


def _build(
    path: Path,
    name: str,
    output: Path | None,
    sets: tuple[str, ...],
    store: Path | None,
    root: str | None,
    locked: bool,
    progress: Progress,
) -> Built:
    if path.suffix == ".json" and path.is_file():
        if sets:
            raise click.UsageError("--set changes a spec; a plan is decided")
        plan = read_plan(path.read_text(encoding="utf-8", errors="replace"), name)
        if locked and plan.pins is None:
            help = "write it with `graftc plan SPEC --locked -o plan.json`"
            raise refuse("E0349", "this plan was not made from a lock", at=Row(name), help=help)
        return execute(
            plan,
            Path(root) if root else path.parent,
            output or Path("bundles") / plan.name,
            Store(store or default_root()),
            progress,
        )
    source = override(read(path, name), sets)
    built = build_source(source, output, store, progress, locked)
    if built.warnings:
        print(text(built.warnings, source) + "\n", file=sys.stderr)
    return built


def _report(built: Built) -> None:
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in built.ran.items()) or "nothing to do"
    print(f"{built.plan.name}: {stages}")
    for split, by_runner in built.metrics.items():
        scores: dict[str, Any] = {runner: values[built.plan.train.metric] for runner, values in by_runner.items()}
        print(
            f"  {split:<11} {built.plan.train.metric} "
            + ", ".join(f"{value:.4f} {runner}" for runner, value in scores.items())
        )
    print(f"  bundle      {built.folder}")
