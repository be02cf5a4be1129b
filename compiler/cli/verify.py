"""`graftc verify`: checks a bundle without torch."""

from __future__ import annotations

from pathlib import Path

import click

from ...runtime.manifest import SIGNATURE
from ..renderers import line_start
from . import _bundles


@click.command("verify")
@click.argument("bundle", type=click.Path())
@click.option(
    "--key", type=click.Path(), help="Refuse a bundle that the owner of this public key (PEM, ed25519) did not sign."
)
@click.option("--strict", is_flag=True, help="Also refuse git's files and Python's byte code beside the bundle's own.")
def command(bundle: str, key: str | None, strict: bool) -> None:
    """Check the checksums and golden samples of BUNDLE, and its signature with --key.

    \b
    Every file, folder and link must be listed in manifest.json. Without --strict two others are
    allowed: git's files (.git, .gitattributes), and byte code that Python made of predict.py.
    """
    if key is not None:
        from ..bundling.signing import check, public_key

        check(Path(bundle), public_key(Path(key)))
    with _bundles.refusals():
        from ...runtime.verify import verify

        for precision, worst in verify(bundle, strict).items():
            print(f"{line_start(precision)}: golden answers given, largest relative difference {worst:.1e}")
    print(f"{line_start(bundle)}: fine{_signature(Path(bundle), key)}")


def _signature(folder: Path, key: str | None) -> str:
    """The end of the last line: whether the signature was checked."""
    if key is not None:
        return ", and signed"
    return f"; {SIGNATURE} was not checked, which takes --key" if (folder / SIGNATURE).exists() else ""
