"""`graftc verify`: checks a bundle against itself, without torch."""

from __future__ import annotations

import click

from ..reports import beginning
from . import _bundles


@click.command("verify")
@click.argument("bundle", type=click.Path())
def command(bundle: str) -> None:
    """Check the checksums and golden samples of BUNDLE."""
    with _bundles.refusals():
        from ...runtime.verify import verify

        for precision, worst in verify(bundle).items():
            print(f"{beginning(precision)}: golden answers given, largest relative difference {worst:.1e}")
    print(f"{beginning(bundle)}: fine")
