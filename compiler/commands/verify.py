"""`graftc verify`: checks a bundle against itself, without torch."""

from __future__ import annotations

import click

from ..reports import line_start
from . import _bundles


@click.command("verify")
@click.argument("bundle", type=click.Path())
def command(bundle: str) -> None:
    """Check the checksums and golden samples of BUNDLE."""
    with _bundles.refusals():
        from ...runtime.verify import verify

        for precision, worst in verify(bundle).items():
            print(f"{line_start(precision)}: golden answers given, largest relative difference {worst:.1e}")
    print(f"{line_start(bundle)}: fine")
