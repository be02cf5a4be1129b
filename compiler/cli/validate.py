"""`graftc validate`: checks specs without torch, network or GPU."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from .. import variants
from ..api import CheckOptions, confined, look
from ..boundary import Boundary
from ..diagnostics import Refused, Status
from ..language.overrides import override
from ..language.source import LARGEST, Source, content, read
from ..renderers import STANDARD_INPUT, Checked, exit_status
from . import machine
from ._confine import confine_option

# a line that makes a file a spec, even if the rest of its YAML is broken
_SPEC = re.compile(rb"""^(?:\xef\xbb\xbf)?(?:\{ *)?["']?graftc["']?[ ]*:""", re.MULTILINE)
# bases have neither key; they are checked with the specs that extend them
_NAMED = re.compile(
    rb"""^(?:\{ *)?["']?(?:name|extends)["']?[ ]*:|[{,] *["']?(?:name|extends)["']?[ ]*:""", re.MULTILINE
)
_BUNDLE = ("manifest.json", "plan.json", "receipt.json")  # files beside the spec of a bundle


@click.command("validate")
@click.argument("specs", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(variants.words("renderers")),
    default="text",
    show_default=True,
    help="How findings are printed.",
)
@click.option(
    "--only-specs",
    is_flag=True,
    help="Skip YAML that is no spec (no line begins with `graftc:`), bases (without `name:`) and specs in bundles.",
)
@click.option("--locked", is_flag=True, help="Refuse anything that differs from the spec's lock.")
@click.option("--no-data", is_flag=True, help="Read no data: take its counts from the spec's lock.")
@confine_option
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a value of each spec.")
def command(
    specs: tuple[str, ...],
    strict: bool,
    form: str,
    only_specs: bool,
    locked: bool,
    no_data: bool,
    confine: tuple[str, ...],
    sets: tuple[str, ...],
) -> None:
    """Check SPECS: their YAML, their keys, their backbone and their data. `-` reads one from a pipe.

    \b
    Exit status: 0 fine, 1 something is wrong, 2 usage, 4 the machine (network, a missing extra).
    """
    results: list[Checked] = []
    boundary = confined(confine)

    def checking() -> Iterator[Checked]:
        for name in specs:
            if not only_specs or _is_spec(name, boundary):
                results.append(_check(name, sets, CheckOptions(locked, not no_data), boundary))
                yield results[-1]

    variants.renderer(form).report(checking(), strict)
    sys.exit(exit_status(results, strict))


def _is_spec(name: str, boundary: Boundary) -> bool:
    """Whether a file is a spec; unreadable files count as specs, so that a check reports them."""
    if boundary.leads_out(name):
        return True
    if _is_in_bundle(Path(name)):
        return False
    try:
        text = content(Path(name))
        return bool(_SPEC.search(text) and _NAMED.search(text))
    except (OSError, ValueError):
        return True


def _is_in_bundle(path: Path) -> bool:
    """Whether a file is the spec inside a bundle, whose paths do not hold here."""
    beside = [path.parent / name for name in _BUNDLE]
    return path.name == "spec.yaml" and all(each.is_file() and not each.is_symlink() for each in beside)


def _check(name: str, sets: tuple[str, ...], options: CheckOptions, boundary: Boundary) -> Checked:
    source: Source | None = None
    try:
        source = override(_read(name, boundary), sets)
        seen = look(source, options, is_planned=options.is_locked)
        status = Status.WRONG if any(each.is_error for each in seen.found) else Status.FINE
        return Checked(name, seen.source, seen.found, status, seen.notes)
    except Refused as refused:
        return Checked(name, refused.source or source, refused.diagnostics, refused.status)  # type: ignore[arg-type]
    except OSError as error:
        return Checked(name, source, (machine(error),), Status.MACHINE)


def _read(name: str, boundary: Boundary) -> Source:
    if name == "-":
        return read(Path(name), STANDARD_INPUT, _piped_or_content, boundary=boundary)
    return read(Path(name), name, boundary=boundary)


def _piped_or_content(file: Path) -> bytes:
    return sys.stdin.buffer.read(LARGEST + 1) if file == Path("-") else content(file)
