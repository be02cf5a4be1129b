"""The option `--confine`."""

from __future__ import annotations

import click

confine_option = click.option(
    "--confine",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Open no file outside of DIR that the spec, its data or a lock names, and print no value of data files. "
    "May be given several times.",
)
