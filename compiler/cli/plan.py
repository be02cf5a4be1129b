"""`graftc plan`: shows what a build would do and cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ..api import CheckOptions, confined, look
from ..diagnostics import Refused
from ..language.overrides import override
from ..language.parse import parse
from ..language.source import Source, read
from ..planning.show import show
from ..planning.why import Reason, show_why, why
from ..renderers import one_line, printable
from ..renderers.text import text
from ._confine import confine_option
from ._diff import differ
from ._output import write_json


@click.command("plan")
@click.argument("spec", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Canonical JSON for machines.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Write the JSON to a file; `graftc build` takes it."
)
@click.option("--diff", "old", metavar="OLD", help="Show the changes from OLD: a spec, plan, bundle or git:REVISION.")
@click.option(
    "--fail-on",
    type=click.Choice(["breaking", "retrains"]),
    help="With --diff: exit 1 for changes that break users of the bundle, or also for those that retrain.",
)
@click.option(
    "--locked", is_flag=True, help="Refuse anything that differs from the spec's lock. Builds of the plan do too."
)
@click.option("--no-data", is_flag=True, help="Read no data: take its counts from the spec's lock.")
@click.option(
    "--why", "keys", multiple=True, metavar="KEY", help="Say where a value comes from, and print nothing else."
)
@confine_option
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a value of the spec.")
def command(
    spec: str,
    as_json: bool,
    output: str | None,
    old: str | None,
    fail_on: str | None,
    locked: bool,
    no_data: bool,
    keys: tuple[str, ...],
    confine: tuple[str, ...],
    sets: tuple[str, ...],
) -> None:
    """Show what is frozen, what learns, what it costs and what comes out of SPEC."""
    if fail_on and old is None:
        raise click.UsageError("--fail-on judges a difference: give --diff OLD too")
    if keys and (output or old):
        raise click.UsageError("--why says where values come from and writes no plan: leave -o and --diff out")
    source = override(read(Path(spec), spec, boundary=confined(confine)), sets)
    seen = look(source, CheckOptions(locked, not no_data))
    plan = seen.plan
    if plan is None:
        raise Refused(seen.found, source=seen.source)
    if seen.found and not keys:
        print(text(seen.found, seen.source) + "\n", file=sys.stderr)
    for note in seen.notes:
        print(f"note: {one_line(note)}", file=sys.stderr)
    if keys:
        _explain(why(keys, source, parse(source), seen.facts, plan), source, as_json)
        return
    if output:
        write_json(Path(output), plan.text() + "\n")
    if old is not None:
        differ(source, plan, spec, old, sets, not no_data, as_json, fail_on)
    elif as_json:
        print(printable(plan.text()))
    else:
        print(show(plan))


def _explain(reasons: Sequence[Reason], source: Source, as_json: bool) -> None:
    if as_json:
        print(printable(json.dumps([reason.plain() for reason in reasons], indent=2, ensure_ascii=False)))
    else:
        print("\n".join(map(one_line, show_why(reasons, source))))
