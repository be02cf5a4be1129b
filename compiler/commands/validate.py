"""`graftc validate`: checks specs without torch, network or GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from ..diagnostics import Diagnostic, Refused, Status
from ..render import plain, text
from ..source import Source, read
from ..verbs import check


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
def command(specs: tuple[str, ...], strict: bool, form: str) -> None:
    """Check SPECS: their YAML, their keys, their backbone and their data.

    \b
    Exit status: 0 fine, 1 something is wrong, 2 usage, 4 the machine (network, a missing extra).
    """
    status, listing = Status.FINE, []
    for name in specs:
        source, found, own = _check(name)
        if own == Status.MACHINE or (status == Status.FINE and (own or (strict and found))):
            status = own or Status.WRONG
        listing += [plain(d, source) for d in found]
        if form == "text":
            _print(name, source, found)
    if form == "json":
        print(json.dumps(listing, indent=2, ensure_ascii=False))
    sys.exit(status)


def _check(name: str) -> tuple[Source | None, tuple[Diagnostic, ...], Status]:
    source: Any = None
    try:
        source = read(Path(name), name)
        found = check(source)[1]
        return source, found, Status.WRONG if any(d.is_error for d in found) else Status.FINE
    except Refused as refused:
        return refused.source or source, refused.diagnostics, refused.status  # type: ignore[return-value]


def _print(name: str, source: Source | None, found: tuple[Diagnostic, ...]) -> None:
    if found:
        print(text(found, source) + "\n", file=sys.stderr)
    errors = sum(d.is_error for d in found)
    if not errors:
        warnings = f" ({len(found)} warning{'s' if len(found) > 1 else ''})" if found else ""
        print(f"{name}: fine{warnings}")
