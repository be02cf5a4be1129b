"""`graftc cache`: lists the finished stages in the store, explains why stages run again, and removes them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..api import CheckOptions, look
from ..diagnostics import Refused, listed, quote, refuse
from ..homes import default_root
from ..language.overrides import override
from ..language.source import read
from ..renderers import counted, one_line, printable
from ..store.collection import Entry, collect, damage, entries, remove
from ..store.store import Store
from ..units import SIZES, amount, in_bytes

TIMES = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
SHORT = 12  # characters of a key in listings


class Amount(click.ParamType[int]):
    """A parameter: a number with a unit, as an integer of the smallest unit."""

    def __init__(self, name: str, units: Mapping[str, int], example: str) -> None:
        self.name, self.units, self.example = name, units, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes or seconds in a word such as 20GB or 30d."""
        try:
            return amount(str(value), self.units)
        except ValueError:
            self.fail(f"{quote(value)} is not {self.example}", param, ctx)


SIZE = Amount("size", SIZES, "a size such as 20GB")
AGE = Amount("age", TIMES, "a time such as 30d or 12h")
where = click.option(
    "--store", type=click.Path(file_okay=False), help="The store. Default: $GRAFTC_STORE or ~/.cache/graftc."
)
as_json = click.option("--json", "as_json", is_flag=True, help="JSON for machines.")


@click.group("cache")
def command() -> None:
    """List, explain, remove and check the finished stages in the store.

    \b
      graftc cache ls                  what is there, how large, when last used
      graftc cache why spec.yaml       what a build would run, and which input changed
      graftc cache gc --limit 20GB     remove what was used longest ago
      graftc cache verify              check every file against its record
    """


def _store(store: str | None) -> Store:
    return Store(Path(store) if store else default_root())


@command.command("ls")
@where
@as_json
def ls(store: str | None, as_json: bool) -> None:
    """List the stages in the store, the last used first."""
    kept, there = _store(store), entries(_store(store))
    if as_json:
        print(printable(json.dumps([_plain(entry) for entry in there], indent=2)))
        return
    for entry in there:
        state = "" if entry.is_finished else "unfinished"
        size, age = in_bytes(entry.bytes), _ago(entry.used)
        line = f"{entry.stage:<20} {entry.key[:SHORT]}  {size:>9}  {age:>8}  {entry.plan}{state}"
        print(one_line(line).rstrip())
    total = in_bytes(sum(entry.bytes for entry in there))
    print(one_line(f"{counted(len(there), 'stage')}, {total}, in {kept.root}"))


def _plain(entry: Entry) -> dict[str, Any]:
    found = {name: value for name, value in asdict(entry).items() if name not in ("made", "sizes")}
    return found | {"folder": str(entry.folder), "plan": entry.plan}


def _ago(when: float) -> str:
    seconds = max(0.0, time.time() - when)
    unit = max((unit for unit in TIMES if seconds >= TIMES[unit]), key=lambda unit: TIMES[unit], default="")
    return f"{seconds / TIMES[unit]:.0f} {unit} ago" if unit else "just now"


@command.command("why")
@click.argument("spec", type=click.Path())
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a value of the spec.")
@where
@as_json
def why(spec: str, sets: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Say which stages a build of SPEC would run, and which input of each changed."""
    from ..diff.missing import standing
    from ..execution.executor import stages_of
    from ..facts.backbone import gather_backbone
    from ..machine import describe

    source = override(read(Path(spec), spec), sets)
    seen = look(source, CheckOptions())
    if seen.plan is None:
        raise Refused(seen.found, source=seen.source)
    plan, kept = seen.plan, _store(store)
    located = gather_backbone(plan.backbone.source, source.folder, True, memory=kept.digests).located
    found = stages_of(plan, located.folder.absolute(), kept)
    rows = standing(found, describe(), kept, plan.name, entries(kept))
    if as_json:
        print(printable(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)))
        return
    said: set[str] = set()
    for row in rows:
        state = "kept" if row.is_there else "runs" if row.is_needed else "not kept"
        fresh = [text for text in row.because if text not in said] or list(row.because[:1])
        said.update(fresh)
        first, *rest = fresh or [""]
        print(one_line(f"{row.stage:<20} {state:<9} {first}").rstrip())
        for text in rest:
            print(one_line(f"{'':<30} {text}"))


@command.command("gc")
@click.option("--limit", type=SIZE, help="Keep at most this much, e.g. 20GB; 0 keeps nothing.")
@click.option("--unused", "age", type=AGE, help="Remove stages that no build used for this long, e.g. 30d.")
@where
def gc(limit: int | None, age: int | None, store: str | None) -> None:
    """Remove the stages that were used longest ago, and none that a build is using.

    Set GRAFTC_STORE_LIMIT (e.g. 20GB) to let every build do so at its end.
    """
    if limit is None and age is None:
        raise click.UsageError("say what may go: --limit 20GB, --unused 30d, or both")
    kept = _store(store)
    before = None if age is None else time.time() - age
    removed = collect(kept, limit, before, lambda entry: print(one_line(f"removing {entry.stage} {entry.key[:SHORT]}")))
    found = entries(kept)
    left, lie = sum(entry.bytes for entry in found), {inode for entry in found for inode in entry.sizes}
    freed = {inode: size for entry in removed for inode, size in entry.sizes.items() if inode not in lie}
    print(f"{counted(len(removed), 'stage')} removed, {in_bytes(sum(freed.values()))}")
    if limit is not None and left > limit:
        print(f"{in_bytes(left)} are left: builds are using them")


@command.command("verify")
@click.option("--remove", "removes", is_flag=True, help="Remove damaged stages; builds make them again.")
@where
def verify(removes: bool, store: str | None) -> None:
    """Check every file in the store against the record made with it."""
    kept = _store(store)
    there = [entry for entry in entries(kept) if entry.is_finished]
    wrong = [(entry, found) for entry in there if (found := damage(kept, entry))]
    if not wrong:
        print(f"{counted(len(there), 'stage')}: fine")
        return
    gone = [entry for entry, _ in wrong if removes and remove(kept, entry)]
    if len(gone) == len(wrong):
        print(f"{counted(len(gone), 'damaged stage')} removed: {listed(entry.stage for entry in gone)}")
        return
    raise refuse("E0416", *_damaged(wrong, len(there)), help="remove them with `graftc cache verify --remove`")


def _damaged(wrong: Sequence[tuple[Entry, list[str]]], count: int) -> list[str]:
    notes = [f"{entry.folder}: {', '.join(found[:3])}" for entry, found in wrong[:10]]
    return [f"{len(wrong)} of {counted(count, 'stage')} in the store are not as they were written", *notes]
