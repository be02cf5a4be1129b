"""`graftc validate`: checks specs without torch, network or GPU."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..diagnostics import Diagnostic, Refused, Status
from ..language.overrides import override
from ..language.source import Source, read
from ..reports import in_order, one_line
from ..reports.json import as_json
from ..reports.text import text
from ..verbs import Footing, look
from . import machine

WORST = (Status.FINE, Status.WRONG, Status.USAGE, Status.MACHINE)  # of several specs, the last of these decides


@click.command("validate")
@click.argument("specs", nargs=-1, required=True, type=click.Path())
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How findings are printed.",
)
@click.option("--locked", is_flag=True, help="Refuse what is not as the spec's lock says.")
@click.option("--no-data", is_flag=True, help="Take what is known of the data from the spec's lock.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a value of each spec.")
def command(
    specs: tuple[str, ...], strict: bool, form: str, locked: bool, no_data: bool, sets: tuple[str, ...]
) -> None:
    """Check SPECS: their YAML, their keys, their backbone and their data.

    \b
    Exit status: 0 fine, 1 something is wrong, 2 usage, 4 the machine (network, a missing extra).
    """
    status, footing = Status.FINE, Footing(locked, not no_data)
    listing: list[tuple[Diagnostic, Source | None]] = []
    for name in specs:
        source, found, own = _check(name, sets, footing)
        if strict and found and own == Status.FINE:
            own = Status.WRONG
        status = max(status, own, key=WORST.index)
        listing += [(diagnostic, source) for diagnostic in in_order(found, source)]
        if form == "text":
            _print(name, source, found)
    if form == "json":
        print(as_json(listing))
    sys.exit(status)


def _check(name: str, sets: tuple[str, ...], footing: Footing) -> tuple[Source | None, tuple[Diagnostic, ...], Status]:
    source: Source | None = None
    try:
        source = override(read(Path(name), name), sets)
        seen = look(source, footing)
        return seen.source, seen.found, Status.FINE if seen.plan else Status.WRONG
    except Refused as refused:
        return refused.source or source, refused.diagnostics, refused.status  # type: ignore[return-value]
    except OSError as error:
        return source, (machine(error),), Status.MACHINE


def _print(name: str, source: Source | None, found: tuple[Diagnostic, ...]) -> None:
    if found:
        print(text(found, source) + "\n", file=sys.stderr)
    if not any(d.is_error for d in found):
        warnings = f" ({len(found)} warning{'s' if len(found) > 1 else ''})" if found else ""
        print(f"{one_line(name)}: fine{warnings}", flush=True)
