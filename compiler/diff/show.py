"""Prints a comparison for people, the gravest differences first."""

from __future__ import annotations

from collections.abc import Iterator

from ..renderers import one_line
from ..renderers._terminal import Terminal
from ..units import in_bytes
from .compare import Diff
from .cost import Cost
from .stages import Run

WIDTH = 19
# the outputs of stages, in words
OUTPUTS = {
    "prepare": "rows as arrays",
    "features": "outputs of frozen layers",
    "reference": "scores of rows by the untouched backbone",
    "rehearse": "the proof that the untrained network exports",
    "pretrain": "weights after a stage of `pretrain`",
    "fit": "the heads as they are before the first step",
    "floor": "scores of the floors",
    "train": "the trained weights",
    "evaluate": "scores and thresholds",
    "health": "findings about the training",
    "export": "the fp32 graph",
    "quantize": "the quantized graphs",
    "checkpoint": "the checkpoint",
    "retain": "retention of the pretrained objective",
    "verify": "gates and golden answers",
    "pack": "the bundle",
}


PIPE = Terminal()  # has no colours


def show(diff: Diff, terminal: Terminal = PIPE) -> str:
    """The comparison in blocks of text, coloured where the terminal has colours."""
    blocks = [[f"{diff.old} → {diff.new}"]]
    if diff.is_equal:
        blocks.append(["nothing changes: both plans give the same bundle"])
    else:
        if diff.breaking:
            lines = [_line(change.field.split(".")[0], change.text) for change in diff.breaking]
            blocks.append([terminal.style("BREAKING for users of the bundle", "red"), *lines])
        head = terminal.style("RETRAINS", "yellow") if diff.retrains else "RUNS AGAIN, without training"
        blocks += [[head, *_runs(diff)]] if diff.runs else []
        blocks += [["REUSES", *(_line(name, _left(name)) for name in diff.reuses)]] if diff.reuses else []
        blocks.append(_costs(diff))
    if diff.notes:
        blocks.append([f"note: {note}" for note in diff.notes])
    return "\n\n".join("\n".join(_clean(line) for line in block) for block in blocks)


def _left(stage: str) -> str:
    """The output of a stage in words, for any stage of `pretrain` or `retain` too.

    >>> _left("pretrain-1-prepare-train"), _left("features-train-head")
    ('rows as arrays', 'outputs of frozen layers')
    """
    first, *others = stage.split("-")
    is_prepared = first in ("pretrain", "retain") and "prepare" in others
    return OUTPUTS["prepare" if is_prepared else first]


def _clean(line: str) -> str:
    """One line of text, with the colours of a heading kept."""
    return line if line.startswith("\x1b") else one_line(line).rstrip()


def _line(name: str, text: str) -> str:
    return f"  {name:<{WIDTH}} {text}"


def _runs(diff: Diff) -> Iterator[str]:
    """Each stage with the differences in its record; a difference is printed at its first stage only."""
    said: set[str] = set()
    for run in diff.runs:
        fresh = [change.text for change in run.because if change.text not in said]
        said.update(fresh)
        first, *rest = fresh or [_follows(run)]
        yield _line(run.stage, first)
        yield from (_line("", text) for text in rest)


def _follows(run: Run) -> str:
    if run.is_new:
        return "new"
    return f"after {', '.join(run.after)}" if run.after else "for the same reason"


def _costs(diff: Diff) -> list[str]:
    changed = [cost for cost in diff.costs if _is_worth_a_line(cost)]
    if not changed:
        return ["COST", "  about the same" if any(cost.old != cost.new for cost in diff.costs) else "  unchanged"]
    width = max(WIDTH, *(len(cost.name) for cost in changed))
    return ["COST", *(f"  {cost.name:<{width}} {_said(cost)}" for cost in changed)]


def _is_worth_a_line(cost: Cost) -> bool:
    """Whether a cost differs; bytes, which are estimates, by half a percent at least."""
    return cost.old != cost.new and not (cost.is_bytes and abs(cost.new - cost.old) < 0.005 * cost.old)


def _said(cost: Cost) -> str:
    old, new = (in_bytes(count) if cost.is_bytes else f"{count:,}" for count in (cost.old, cost.new))
    ratio = cost.new / cost.old if cost.old else 1.0
    return f"{old} → {new}" + (f" (×{ratio:.2f})" if abs(ratio - 1) >= 0.005 else "")
