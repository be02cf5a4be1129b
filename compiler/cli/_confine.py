"""The option that keeps a verb inside a folder."""

from __future__ import annotations

import click

confine_option = click.option(
    "--confine",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Open no file outside of DIR that the spec, its data or a lock names, and print no value of their files. "
    "Each further DIR adds a folder.",
)
