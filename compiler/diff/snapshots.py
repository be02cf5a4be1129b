"""Snapshots: the two sides of a comparison, each a plan with cheap facts about its backbone's files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...runtime.manifest import LARGEST, NAME
from ..boundary import OPEN, Boundary, outside
from ..bundling.manifest import licence
from ..diagnostics import Refused, quote, refuse
from ..execution.records import assets_sha256
from ..facts.backbone import ASSETS, locate
from ..files import whole
from ..homes import default_root
from ..language.source import Source
from ..locking.locked import read_lock
from ..planning.plan import Plan, read_plan_file
from ..store.hashes import combined, file_sha256, identity, known_sha256


@dataclass(frozen=True)
class Files:
    """Hashes of a backbone's files; None where a hash would take reading weights.

    `same` identifies files that can't differ, by their inodes on this machine or by a commit; equal ones need no hash.
    """

    weights: str | None = None
    same: str | None = None
    assets: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """A plan with its name in messages."""

    name: str
    plan: Plan
    files: Files
    notes: tuple[str, ...] = ()
    is_read: bool = False  # whether the plan was read from a file, whose records nobody has checked


def of_spec(name: str, source: Source, plan: Plan, notes: tuple[str, ...] = (), is_of_today: bool = False) -> Snapshot:
    """The snapshot of a spec that was just planned.

    Hashes that would cost too much are taken from the spec's lock if there is one; all hashes are, where the files are
    of today but the spec is not.
    """
    from ..store.store import Store  # numpy takes its time

    located, fetch = locate(plan.backbone.source, source.folder, False, source.boundary)
    folder = located.folder
    locked = _hashes(plan, _locked(source))
    if is_of_today and locked.weights and locked.assets:
        return Snapshot(name, plan, replace(locked, licence=licence(folder)), notes)
    assets = {asset: file_sha256(folder / asset) for asset in ASSETS if (folder / asset).is_file()}
    rest = {"assets": assets_sha256(assets), "licence": licence(folder)}
    if fetch is not None:  # its weights are not downloaded; the commit identifies them
        return Snapshot(name, plan, Files(locked.weights, plan.backbone.source, **rest), notes)
    paths = [folder / file for file in plan.backbone.files]
    memory = Store(default_root()).digests
    known = [known_sha256(path, memory) for path in paths]
    weights = combined(sha for sha in known if sha) if all(known) else locked.weights
    return Snapshot(name, plan, Files(weights, " ".join(map(identity, paths)), **rest), notes)


def _locked(source: Source) -> Mapping[str, str]:
    """Hashes of the backbone's files from the spec's lock; empty if there is no lock of this backbone."""
    try:
        locked = read_lock(source)
    except Refused:  # `--locked` reports what is wrong with the lock
        return {}
    return locked.lock.backbone.files if locked.reference() else {}


def _hashes(plan: Plan, files: Mapping[str, str]) -> Files:
    """The combined hashes of weights and assets, from hashes by file."""
    weights = [files.get(file) for file in plan.backbone.files]
    assets = {asset: files[asset] for asset in ASSETS if asset in files}
    return Files(
        combined(sha for sha in weights if sha) if all(weights) else None,
        assets=assets_sha256(assets) if files else None,
    )


def of_plan(name: str, path: Path) -> Snapshot:
    """The snapshot of a plan file; raises Refused E0212 for a file that is not a plan."""
    plan = read_plan_file(path, name)
    return Snapshot(name, plan, _hashes(plan, plan.pins.files) if plan.pins else Files(), is_read=True)


def of_bundle(name: str, folder: Path, boundary: Boundary = OPEN) -> Snapshot:
    """The snapshot of a bundle: its plan, and the facts about the backbone in its manifest.

    Raises Refused: E0231 for a folder without a plan, E0212 for an unreadable plan, and E0353 where a link leads from
    plan or manifest out of `boundary`.
    """
    path = folder / "plan.json"
    for each in (path, folder / NAME):
        if boundary.is_outside(each):
            raise Refused((outside(f"{quote(each.name)} of {quote(name)}", None, boundary),))
    if not path.is_file():
        raise refuse(
            "E0231",
            f"{quote(name)} can't be compared with a plan",
            "the folder has no plan.json",
            help="give a spec, a plan, the folder of a bundle, or git:REVISION",
        )
    side = of_plan(name, path)
    try:
        manifest = json.loads(whole(folder / NAME, LARGEST))
        weights, terms = str(manifest["hashes"]["weights"]), str(manifest["licences"]["backbone"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return side
    return replace(side, files=Files(weights=weights, licence=terms))
