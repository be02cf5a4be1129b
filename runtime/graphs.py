"""The graphs of a bundle in one precision, by name; `model` takes the arrays of preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BundleError
from .manifest import MODEL
from .session import Session


class Graphs:
    """Loaded graphs; calls may come from several threads.

    `told` is `graphs` in the manifest: for each graph its file by precision, and the shapes of its inputs and outputs.
    """

    def __init__(self, folder: Path, told: Mapping[str, Any], precision: str, threads: int | None = None) -> None:
        self.told = told
        self.sessions = {name: Session(folder / graph["files"][precision], threads) for name, graph in told.items()}

    @property
    def model(self) -> Session:
        """The graph that takes the arrays of preprocessing."""
        return self.sessions[MODEL]

    def limit(self, seconds: float) -> None:
        """Sets a time limit for every run."""
        for session in self.sessions.values():
            session.seconds = seconds

    def run(self, name: str, arrays: Mapping[str, np.ndarray], rows: int | None = None) -> dict[str, np.ndarray]:
        """Outputs of a graph by name.

        Raises BundleError E0503 where the graph is unknown, or its outputs differ from the manifest, or their number of
        rows is not `rows`.
        """
        if name not in self.sessions:
            raise BundleError("E0503", f"the bundle has no graph `{name}`")
        found = self.sessions[name].run(arrays)
        self._refuse_other(name, found, rows)
        return found

    def _refuse_other(self, graph: str, found: Mapping[str, Any], rows: int | None) -> None:
        told = {name: each["shape"] for name, each in self.told[graph]["outputs"].items()}
        for name in told.keys() | found.keys():
            array, sizes = found.get(name), told.get(name, ())
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or array.ndim != len(sizes):
                raise BundleError("E0503", f"the graph does not give the array `{name}` of the manifest")
            if rows is not None and len(array) != rows:
                raise BundleError("E0503", "the graph does not give an answer for each input")
            if any(type(size) is int and size != has for size, has in zip(sizes, array.shape, strict=True)):
                raise BundleError("E0503", f"`{name}` of the graph has other sizes than the manifest says")
