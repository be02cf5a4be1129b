"""The graphs of a bundle in one precision, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .cache import PAST
from .errors import BundleError
from .session import Session

if TYPE_CHECKING:
    from .buffers import Buffers

LARGEST = 1 << 28  # numbers in an array of a default, at most


class Graphs:
    """Loaded graphs; calls may come from several threads.

    `told` is `graphs` in the manifest: for each graph its file by precision, and the shapes of its inputs and outputs.
    `passes` names the graphs of a single pass, in order.
    """

    def __init__(
        self,
        folder: Path,
        told: Mapping[str, Any],
        passes: Sequence[str],
        precision: str,
        threads: int | None = None,
    ) -> None:
        self.told, self.passes = told, passes
        self.sessions = {name: Session(folder / graph["files"][precision], threads) for name, graph in told.items()}

    @property
    def model(self) -> Session:
        """The graph whose outputs answer a single pass."""
        return self.sessions[self.passes[-1]]

    def limit(self, seconds: float) -> None:
        """Sets a time limit for every run."""
        for session in self.sessions.values():
            session.seconds = seconds

    def run(self, name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of a graph by name; inputs that have a default may be left out.

        Raises BundleError E0503 where there is no such graph, or where it gives other arrays than the manifest says.
        """
        if name not in self.sessions:
            raise BundleError("E0503", f"the bundle has no graph `{name}`")
        told = self.told[name]
        found = self.sessions[name].run(completed(told["inputs"], arrays))
        self._refuse_other(told["outputs"], found, None)
        return found

    def single_pass(self, arrays: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
        """Outputs for what preprocessing made of `rows` rows, without states; raises what `run` raises."""
        outputs = answers(self.told[self.passes[-1]]["outputs"])
        found = in_turn(self.sessions, self.passes, self.told, arrays)
        self._refuse_other(outputs, found, rows)
        return found

    def buffers(self, rows: int, room: int) -> Buffers:
        """A cache for `rows` rows in arrays that `model` extends in place, with room for so many tokens.

        Raises BundleError E0503 where the manifest gives it no sizes.
        """
        from .buffers import Buffers

        told = self.told[self.passes[-1]]
        try:
            shapes = {name: each["shape"] for name, each in told["inputs"].items() if name.startswith(PAST)}
            words = int(told["outputs"]["logits"]["shape"][-1])
            if self.model.sides["logits"][-1] not in (words, None):
                raise ValueError(words)
            return Buffers(self.model, shapes, words, rows, room)
        except Exception:  # onnxruntime raises RuntimeError for an array that the graph does not have
            raise BundleError("E0503", "the manifest has no sizes of a cache that the graph could have") from None

    def _refuse_other(self, outputs: Mapping[str, Any], found: Mapping[str, Any], rows: int | None) -> None:
        told = {name: each["shape"] for name, each in outputs.items()}
        for name in told.keys() | found.keys():
            array, sizes = found.get(name), told.get(name, ())
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or array.ndim != len(sizes):
                raise BundleError("E0503", f"the graph does not give the array `{name}` of the manifest")
            if rows is not None and len(array) != rows:
                raise BundleError("E0503", "the graph does not give an answer for each input")
            if any(type(size) is int and size != has for size, has in zip(sizes, array.shape, strict=True)):
                raise BundleError("E0503", f"`{name}` of the graph has other sizes than the manifest says")


def answers(told: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a graph that are no states."""
    return {name: each for name, each in told.items() if not each.get("is_state")}


def in_turn(
    sessions: Mapping[str, Session], passes: Sequence[str], told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What the last of some graphs gives, without states, where each takes the outputs of those before it by name."""
    *before, last = passes
    for name in before:
        arrays = {**arrays, **sessions[name].run(completed(told[name]["inputs"], arrays))}
    return sessions[last].run(completed(told[last]["inputs"], arrays), tuple(answers(told[last]["outputs"])))


def completed(told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays, and the inputs of a graph that have a default and are not given.

    These are full of the default. Of their named axes `batch` has the rows of the arrays, and each other is empty.

    Raises BundleError E0503 for a default that makes no array.

    >>> past = {"dtype": "float32", "shape": ["batch", 2, "past"], "default": 0}
    >>> completed({"past": past}, {"ids": np.zeros((3, 5))})["past"].shape
    (3, 2, 0)
    """
    rows = max((len(array) for array in arrays.values() if array.ndim), default=1)
    return dict(arrays) | {
        name: _full(
            name, [rows if side == "batch" else 0 if type(side) is str else side for side in each["shape"]], each
        )
        for name, each in told.items()
        if "default" in each and name not in arrays
    }


def _full(name: str, sides: Sequence[int], each: Mapping[str, Any]) -> np.ndarray:
    """An array full of an input's default."""
    try:
        if math.prod(sides) > LARGEST:
            raise MemoryError
        return np.full(sides, each["default"], each["dtype"])
    except (TypeError, ValueError, OverflowError, MemoryError):
        raise BundleError("E0503", f"the manifest gives `{name}` a default that makes no array") from None
