"""The lock of a spec: the backbone's files, the data and the versions it was locked with, as a file.

Reviewers read it, `--locked` compares the world with it, and `--no-data` plans from it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from ..diagnostics import clean
from ..facts.backbone import backbone_files
from ..facts.facts import Facts, SplitFacts
from ..frozen import Frozen, Json
from ..language.heads import alone
from ..language.source import Source
from ..planning.plan import Plan
from ..renderers import printable
from ..store.hashes import digest

FORMAT = 1
HEADING = """\
# What `{spec}` met when it was locked; `--locked` holds it to this, `--no-data` plans from it.
# Written by `graftc lock {spec}`: run it again after a change that is meant, and don't edit the file.
"""
Sha = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class LockedBackbone(Frozen):
    """A backbone's files; `source` is the reference with the revision resolved, such as a commit of the Hub."""

    from_: str = Field(alias="from")
    source: str
    header: Sha
    files: dict[str, Sha]


class LockedTable(Frozen):
    """A data file or folder; its fingerprint also covers the files that its rows refer to."""

    path: str
    format: str
    split: str | None = None
    bytes: int | None = None  # None for a folder
    fingerprint: Sha
    skipped: str = Field("", exclude_if=operator.not_)  # row numbers left out by `bad_rows`


class LockedSplit(Frozen):
    """The rows of a split; `tally` holds the head's counts of them."""

    name: Literal["train", "validation", "test"]
    rows: int
    tables: tuple[LockedTable, ...]
    tally: Json
    left_out: Json = Field(Json({}), exclude_if=operator.not_)  # the number of unusable rows by reason


class LockedData(Frozen):
    """The results of reading the data that planning needs."""

    columns: dict[str, tuple[str, ...]]
    splits: tuple[LockedSplit, ...]
    preprocessing: Sha
    measured: Json


class LockedHead(Frozen):
    """A head's task and the data that it reads."""

    task: str
    labels: tuple[str, ...] | None = None  # in the order of the outputs
    reads: Sha  # of the head's `data` as written, merged over the shared `data`
    data: LockedData


class LockedRows(Frozen):
    """The training rows of a shared table that have an answer for exactly these heads."""

    heads: tuple[str, ...]
    rows: int


class Lock(Frozen):
    """A spec and everything that it was locked with: `task`, `labels` and `data` for a single head, else `heads`."""

    lock: Literal[1]
    spec: dict[str, Sha]  # by top-level key, with `extends` and `--set` applied
    plan: Sha
    task: str | None = None
    labels: tuple[str, ...] | None = None
    backbone: LockedBackbone
    data: LockedData | None = None
    heads: dict[str, LockedHead] | None = None
    together: tuple[LockedRows, ...] | None = None
    stages: dict[str, LockedData] | None = None  # data of `pretrain-1` … and of `retain`
    versions: dict[str, str]
    sha256: Sha  # of all other fields

    @model_validator(mode="after")
    def _is_of_heads(self) -> Lock:
        if not self.heads and (self.task is None or self.data is None):
            raise ValueError("it tells of no head")
        return self

    @property
    def each(self) -> dict[str, LockedHead]:
        """The locked facts of each head; the single head has the empty name."""
        if self.heads:
            return self.heads
        assert self.task is not None
        assert self.data is not None
        return {"": LockedHead(task=self.task, labels=self.labels, reads=self.spec["data"], data=self.data)}

    def text(self, spec: str) -> str:
        """The lock as a file, for a spec of this file name: the same lock gives the same bytes."""
        plain = _paired(self.model_dump(mode="json", by_alias=True, exclude_none=True))
        body = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30)
        return HEADING.format(spec=clean(spec)) + printable(body)


class _Pair(list[Any]):
    """A list inside a list, written on one line."""


def _paired(value: Any, is_inner: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _paired(item) for key, item in value.items()}
    if isinstance(value, list):
        return (_Pair if is_inner else list)(_paired(item, True) for item in value)
    return value


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that quotes text that looks like a number and escapes invisible characters."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _word(dumper: _Dumper, text: str) -> yaml.Node:
    style = '"' if re.fullmatch(r"[-+.\d][\d.eE+-]*", text) or not text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _word)
_Dumper.add_representer(
    _Pair, lambda dumper, pair: dumper.represent_sequence("tag:yaml.org,2002:seq", pair, flow_style=True)
)


def lock(source: Source, facts: Facts, plan: Plan, versions: Mapping[str, str], memory: Path | None) -> Lock:
    """The lock of a plan; every file of the backbone must be on this machine.

    `memory` is the folder that remembers hashes of large files.
    """
    assert facts.backbone is not None
    body = {
        "lock": FORMAT,
        "spec": sections(source),
        "plan": plan.sha256,
        "backbone": {
            "from": source.data["backbone"]["from"],
            "source": facts.backbone.located.pinned,
            "header": facts.backbone.header.sha256,
            "files": backbone_files(facts.backbone, memory),
        },
        **_heads(source, facts, plan),
        "stages": {name: _data(seen) for name, seen in facts.stages().items()} or None,
        "versions": dict(sorted(versions.items())),
    }
    unsigned = Lock.model_validate({**body, "sha256": "0" * 64})
    return unsigned.model_copy(update={"sha256": signature(unsigned)})


def _heads(source: Source, facts: Facts, plan: Plan) -> dict[str, Any]:
    """The locked facts of the single head, or of each head under its name."""
    found: dict[str, dict[str, Any]] = {
        task.name: {"task": task.head.type, "labels": task.head.record.get("labels"), "data": _data(seen)}
        for task, seen in zip(plan.tasks, facts.each, strict=True)
    }
    if not facts.tasks:
        return found[""]
    for name, head in found.items():
        head["reads"] = reads(source, name)
    patterns = {names: rows for seen in facts.tasks for names, rows in seen.patterns.items()}
    together = tuple(LockedRows(heads=names, rows=rows) for names, rows in sorted(patterns.items()))
    return {"heads": found, "together": together or None}


def _data(facts: Facts) -> dict[str, Any]:
    return {
        "columns": facts.columns,
        "splits": tuple(
            LockedSplit(
                name=name,  # type: ignore[arg-type]
                rows=split.rows,
                tables=lock_tables(split),
                tally=Json(split.tally.record()),
                left_out=Json(split.kinds),
            )
            for name, split in facts.splits.items()
        ),
        "preprocessing": digest(Json(facts.preprocessing).plain()),
        "measured": facts.measured,
    }


def signature(lock: Lock) -> str:
    """The hash of every field of a lock but `sha256`."""
    absent = {name for name in ("heads", "together", "stages") if getattr(lock, name) is None}
    return digest(lock.model_dump(mode="json", exclude={"sha256", *absent}))


def sections(source: Source) -> dict[str, str]:
    """A hash of each top-level key of a spec; the order of heads counts, because it orders a graph's outputs."""
    ordered = {
        key: [*value.items()] for key, value in source.data.items() if key == "heads" and isinstance(value, dict)
    }
    return {key: _hash(value) for key, value in sorted({**source.data, **ordered}.items())}


def reads(source: Source, name: str) -> str:
    """A hash of the `data` that a head reads, as written; `name` is "" for the single head."""
    return _hash((alone(source.data, name) if name else source.data).get("data"))


def place_of(name: str) -> tuple[str, ...]:
    """The path of a head's facts in a lock; empty for the single head."""
    return ("heads", name) if name else ()


def is_read_otherwise(facts: Facts, data: LockedData) -> bool:
    """Whether preprocessing turns inputs into other arrays than when this was locked."""
    return digest(Json(facts.preprocessing).plain()) != data.preprocessing


def _hash(value: Any) -> str:
    try:
        return digest(value)
    except ValueError:  # a NaN, which no valid spec holds
        return digest(repr(value))


def lock_tables(split: SplitFacts) -> tuple[LockedTable, ...]:
    """The tables of a split as a lock holds them."""
    return tuple(
        LockedTable(
            path=table.shown, format=table.format, split=table.split, fingerprint=sha256, bytes=size, skipped=skipped
        )
        for table, sha256, size, skipped in zip(
            split.tables, split.sha256, split.bytes, split.each_skipped, strict=True
        )
    )
