"""`graftc plan`: what a build would do and cost, without doing it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..diagnostics import Refused
from ..language.overrides import override
from ..language.source import read
from ..planning.show import show
from ..reports import printable
from ..reports.text import text
from ..verbs import check
from ._whole import write_whole


@click.command("plan")
@click.argument("spec", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Canonical JSON for machines.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Write the JSON to a file; `graftc build` takes it."
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a value of the spec.")
def command(spec: str, as_json: bool, output: str | None, sets: tuple[str, ...]) -> None:
    """Show what is frozen, what learns, what it costs and what comes out of SPEC."""
    source = override(read(Path(spec), spec), sets)
    plan, found = check(source)
    if plan is None:
        raise Refused(found, source=source)
    if found:
        print(text(found, source) + "\n", file=sys.stderr)
    if output:
        write_whole(Path(output), plan.text() + "\n")
    if as_json:
        print(printable(plan.text()))
    else:
        print(show(plan))
