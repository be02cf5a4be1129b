"""`graftc lock`: pins a spec's backbone, data and labels."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from ..api import confined, lock_source
from ..boundary import Boundary
from ..diagnostics import Refused
from ..facts.bad_rows import RECORDED
from ..files import beginning
from ..language.overrides import override
from ..language.source import read
from ..locking.lock import Lock
from ..locking.locked import beside, refuse_illegible, shown
from ..renderers import line_start
from ..renderers.text import text
from ._confine import confine_option
from ._output import refuse_planted, write_unnamed
from ._specs import of_each

LISTED = ".bad_rows.jsonl"  # ending of the list of left-out rows beside a lock
LONGEST = 65_536  # the most bytes of a line of the list


@click.command("lock")
@click.argument("specs", nargs=-1, required=True, type=click.Path())
@confine_option
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a value of each spec.")
def command(specs: tuple[str, ...], confine: tuple[str, ...], sets: tuple[str, ...]) -> None:
    """Pin backbone, data and label map of SPECS, each in NAME.lock.yaml beside NAME.yaml.

    \b
    Commit the file. With --locked, `validate`, `plan` and `build` refuse anything that differs from it.
    With --no-data, `validate` and `plan` use its counts and read no data.
    Lock where you build: `build --locked` also compares the versions of libraries.
    Rows that `data.bad_rows` leaves out are listed in NAME.bad_rows.jsonl.
    """
    boundary = confined(confine)
    of_each(specs, lambda name: _lock(name, sets, boundary))


def _lock(name: str, sets: tuple[str, ...], boundary: Boundary) -> None:
    source = override(read(Path(name), name, boundary=boundary), sets)
    place = beside(source)
    listed = place.with_name(Path(source.file).stem + LISTED)
    try:
        refuse_planted(place)
        refuse_planted(listed)
    except Refused as refused:
        refused.source = source
        raise
    made = lock_source(source)
    lock = made.lock
    if made.found:
        print(text(made.found, source) + "\n", file=sys.stderr)
    content = lock.text(Path(name).name)
    refuse_illegible(source, content)
    write_unnamed(place, content)
    _list(listed, made.left_out)
    print(f"{line_start(shown(source))}: {len(lock.backbone.files)} files of the backbone, {_rows(lock)}")


def _list(path: Path, left_out: Sequence[Mapping[str, str | int]]) -> None:
    """Writes one line of JSON for each left-out row; without any, removes an old list."""
    if left_out:
        write_unnamed(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in left_out))
        print(f"{line_start(path.name)}: {len(left_out):,} rows that are left out")
    elif _is_list(path):
        path.unlink()


def _is_list(path: Path) -> bool:
    """Whether a file is such a list, not another file of the same name."""
    try:
        first = json.loads((beginning(path, LONGEST) or b"").partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and first.keys() == RECORDED


def _rows(lock: Lock) -> str:
    each = {name: head.data.splits for name, head in lock.each.items()}
    told = {name: ", ".join(f"{split.rows} {split.name} rows" for split in splits) for name, splits in each.items()}
    return "; ".join(f"{rows} of {name}" if name else rows for name, rows in told.items())
