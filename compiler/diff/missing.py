"""Why a store lacks the outputs that a plan needs: the inputs that changed since the most similar output was made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..execution import pipeline
from ..machine import Machine
from ..store.collection import Entry
from ..store.store import ABSENT, Store
from .changes import changes, differences

CANDIDATES = 20  # outputs of a stage that are compared, the last used first


@dataclass(frozen=True)
class Standing:
    """A stage of a plan: whether the store holds its output, and if not, what differs, in words."""

    stage: str
    key: str
    is_there: bool
    is_needed: bool  # whether a build would run it
    because: tuple[str, ...]


def standing(
    found: tuple[pipeline.Stage, ...], machine: Machine, store: Store, plan: str, kept: Iterable[Entry]
) -> list[Standing]:
    """Every stage of a plan, in order, compared with the outputs in a store; `plan` is the plan's name."""
    known = pipeline.keys(found, machine)
    flaws: dict[str, list[str]] = {}  # by stage, of the outputs that a build would look up

    def is_done(stage: pipeline.Stage) -> bool:
        flaws[stage.name] = store.flaws(stage.name, known[stage.name])
        return not flaws[stage.name]

    needed = pipeline.needed(found, is_done)
    is_there = {
        stage.name: not flaws.get(stage.name) and store.path(stage.name, known[stage.name]).is_dir() for stage in found
    }
    kept = [entry for entry in kept if entry.is_finished and entry.made]

    def reasons(stage: pipeline.Stage) -> tuple[str, ...]:
        said = _damaged(flaws.get(stage.name, [])) or _begun(stage, known, store)
        return said or tuple(_because(pipeline.made_of(stage, known, machine), plan, kept))

    return [
        Standing(
            stage.name,
            known[stage.name],
            is_there[stage.name],
            stage.name in needed,
            () if is_there[stage.name] else reasons(stage),
        )
        for stage in found
    ]


def _damaged(flaws: list[str]) -> tuple[str, ...]:
    """The reason for an output that exists and can't be used; empty for any other."""
    return (f"not as it was written: {flaws[0]}",) if flaws and flaws != [ABSENT] else ()


def _begun(stage: pipeline.Stage, known: Mapping[str, str], store: Store) -> tuple[str, ...]:
    is_begun = stage.resumes and store.staging(stage.name, known[stage.name]).is_dir()
    return ("begun, not finished",) if is_begun else ()


def _because(made: Mapping[str, Any], plan: str, kept: Iterable[Entry]) -> Iterator[str]:
    like = [entry for entry in kept if entry.made.get("stage") == made["stage"]][:CANDIDATES]
    own = [entry for entry in like if entry.plan == plan] or like
    if not own:
        yield "never made in this store"
        return
    differing = [list(_differing(entry.made, made)) for entry in own]
    fewest = min(range(len(own)), key=lambda i: len(differing[i]))
    yield from differing[fewest]


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """The differences between the inputs of two outputs of a stage, in words."""
    yield from (change.text for change in changes(differences(old.get("record"), new["record"])))
    before = old.get("inputs") or {}
    after = [name for name, key in new["inputs"].items() if before.get(name) != key]
    if after:
        yield f"after {', '.join(after)}"
    for part, of in (("versions", ""), ("machine", "the machine's ")):
        for path, was, now in differences(old.get(part), new[part]):
            yield f"{of}{'.'.join(path)} {was} → {now}"
    if old.get("format") != new["format"]:
        yield "this graftc writes it in another format"
