"""Checks of the stages of `pretrain` and of the text of `retain`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from .. import variants
from ..contracts.targets import RowLabels
from ..diagnostics import At, Diagnostic, Path, listed
from ..facts.facts import Facts
from ..facts.pretraining import retained
from ..language.feeding import reads_head, unlabelled
from ..language.spec import Draft
from .problems import problems

SHORTEST = 4  # the fewest tokens of a block, as of any input
MERGING = "a stage's backbone is what the next one starts from, so what it learned must become part of it"


def stage_problems(spec: Draft, facts: Facts) -> tuple[Diagnostic, ...]:
    """All diagnostics of the stages, at their places in the spec."""
    found: list[Diagnostic] = []
    for i, (stage, seen) in enumerate(zip(spec.pretrain, facts.pretrain, strict=False)):
        own = (d for d in problems(stage, seen) if d.code not in _unsaid(seen) and not _is_of_head(d, stage))
        found += _moved(own, lambda path, i=i: _of_stage(path, i))  # type: ignore[misc]
        found += _labels(stage, seen, spec, ("pretrain", i)) if reads_head(stage.head_type) else ()
        found += _stage(stage, seen, ("pretrain", i))
    found += _retain(spec, facts)
    return tuple(d for d in dict.fromkeys(found) if d not in facts.found)


def _is_of_head(found: Diagnostic, stage: Draft) -> bool:
    """Whether the check of the head, whose rows the stage reads, reports this finding."""
    is_of_data = not isinstance(found.at, At) or found.at.path[:1] in (("data",), ("heads",))
    return reads_head(stage.head_type) and is_of_data


def _unsaid(facts: Facts) -> set[str]:
    """Codes that do not apply to stages: on gates, and on rows where texts are joined."""
    return {"W0304", "W0314"} if (facts.preprocessing or {}).get("is_packed") else {"W0304"}


def _moved(found: Iterable[Diagnostic], place: Callable[[Path], Path | None]) -> Iterator[Diagnostic]:
    """Diagnostics with paths of a stage's own spec replaced by paths in the whole spec; others are dropped."""
    for diagnostic in found:
        ats = [_at(at, place) if isinstance(at, At) else at for at in (diagnostic.at, *diagnostic.also)]
        if ats[0] is not None:
            yield replace(diagnostic, at=ats[0], also=tuple(at for at in ats[1:] if at is not None))


def _at(at: At, place: Callable[[Path], Path | None]) -> At | None:
    path = place(at.path)
    return None if path is None else replace(at, path=path)


def _of_stage(path: Path, number: int) -> Path | None:
    """The path in the whole spec for a path in a stage's own; None for sections that stages lack."""
    stage = ("pretrain", number)
    if path == ("head", "type"):
        return (*stage, "objective")
    if path[:1] == ("head",):
        return (*stage, *path[1:])
    if path[:2] == ("backbone", "freeze"):
        return (*stage, *path[1:])
    if path[:1] in (("data",), ("train",), ("adapt",)):
        return (*stage, *path)
    return None if path[:1] == ("export",) else path


def _of_retain(path: Path) -> Path | None:
    if path[:2] in (("data", "train"), ("data", "columns"), ("data", "bad_rows")):
        return ("retain", {"train": "data"}.get(str(path[1]), path[1]), *path[2:])
    return path if path == ("backbone", "from") else None


def _stage(stage: Draft, facts: Facts, path: Path) -> Iterator[Diagnostic]:
    if stage.method and stage.method_variant.adds and not stage.method_variant.merges:
        working = [w for w in variants.words("methods") if _becomes_part(w)]
        at = At((*path, "adapt", "method"), "stays beside the backbone")
        headline, help = (
            f"`{stage.method}` can't be merged into the backbone",
            f"methods that work here: {listed(working, 40)}",
        )
        yield Diagnostic("E0393", headline, at, notes=(MERGING,), help=help)
    if reads_head(stage.head_type):
        return
    if stage.data and "train" in facts.splits and stage.data.validation is None and stage.data.test is None:
        at, help = At((*path, "data"), on_key=True), "add `validation: {fraction: 0.1}` under its `data`"
        if not stage.lost & {"validation", "test"}:
            headline = "no text is held out: what this stage learns is not measured"
            yield Diagnostic("W0390", headline, at, help=help)
    yield from _short(facts, At((*path, "data", "train")))


def _labels(stage: Draft, facts: Facts, spec: Draft, path: Path) -> Iterator[Diagnostic]:
    """The warning for rows with several labels, where the stage pairs only rows with equal labels."""
    tally = facts.splits["train"].tally if "train" in facts.splits else None
    if isinstance(tally, RowLabels) and tally.is_multi:
        yield unlabelled(stage, next(task for task in spec.each if task.name == stage.name), path)


def _becomes_part(word: str) -> bool:
    method = variants.method(word)
    return method.merges or not method.adds


def _short(facts: Facts, at: At) -> Iterator[Diagnostic]:
    """The error for texts that are joined and do not fill one block."""
    reading = facts.preprocessing or {}
    if not reading.get("is_packed") or "train" not in facts.splits or not facts.measured:
        return
    tokens, length = facts.splits["train"].rows * facts.measured["tokens_mean"], reading["max_length"]
    if tokens < length:
        notes = (f"all of it makes about {tokens:.0f} tokens",)
        help = f"write `max_length: {max(SHORTEST, int(tokens // 4))}` or less beside it, or give more text"
        help = help if tokens >= SHORTEST else "give more text"
        yield Diagnostic("E0392", f"the text is too short for one block of {length} tokens", at, notes=notes, help=help)


def _retain(spec: Draft, facts: Facts) -> Iterator[Diagnostic]:
    if spec.retain is None or facts.backbone is None:
        return
    text = retained(spec, facts.backbone)
    if text is None:
        at, also = At(("retain",), on_key=True), (At(("backbone", "from"), _headless(facts)),)
        help = "remove `retain`, or start from a checkpoint that was saved with its language-model head"
        headline = "the backbone brings no pretrained objective that could be measured"
        yield Diagnostic("E0394", headline, at, also, help=help)
    elif facts.retain:
        yield from _moved((d for d in problems(text, facts.retain) if d.is_error), _of_retain)


def _headless(facts: Facts) -> str:
    assert facts.backbone is not None
    model = facts.backbone.language_model
    if model is None:
        return f"a `{facts.backbone.word}` is no language model"
    return f"its checkpoint lacks the head of its {model.kind.replace('-', ' ')}"
