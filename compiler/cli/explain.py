"""`graftc explain`: prints the page of a diagnostic."""

from __future__ import annotations

import click

from ..diagnostics import nearest, quote
from ..diagnostics.pages import RANGES, codes, headline, page, range_of


@click.command("explain")
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Explain the diagnostic CODE with a wrong and a right spec, or list all codes.

    \b
      graftc explain E0203
    """
    if code is None:
        print(_listing())
    elif code.upper() in codes():
        print(page(code.upper()).rstrip())
    else:
        help = nearest(code.upper(), codes()) or "`graftc explain` lists them all"
        raise click.UsageError(f"{quote(code)} is no code of a diagnostic; {help}")


def _listing() -> str:
    groups = []
    for start, meaning in RANGES.items():
        lines = [f"  {code}  {headline(code)}" for code in codes() if range_of(code) == start]
        groups.append("\n".join([f"{start.ljust(5, 'x')}  {meaning}", *lines]))
    return "\n\n".join(groups)
