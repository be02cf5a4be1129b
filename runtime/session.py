"""Runs one ONNX graph with onnxruntime on the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import numpy as np
import onnxruntime

from .errors import BundleError
from .rows import ragged_axis


def in_place(array: np.ndarray) -> onnxruntime.OrtValue:
    """An array as onnxruntime's value in the same memory, which a graph may read and write."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


class Session:
    """A loaded graph; calls may come from several threads.

    `seconds` is a time limit for a run, for graphs of unknown origin, which may never end.
    """

    seconds: float | None = None

    def __init__(self, path: Path, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        # spinning idle workers would take cores from other sessions of the process
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not os.path.isfile(path):  # a pipe would be waited for
            note, help = "it is missing, or no file", "build or copy the bundle again"
            raise BundleError("E0503", f"`{path.name}` can't be loaded", note, help=help)
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a type of its own for each kind of damage
            raise BundleError("E0503", f"`{path.name}` can't be loaded", str(error).splitlines()[0][:300]) from None
        self.inputs = tuple(item.name for item in self.session.get_inputs())
        self.outputs = tuple(item.name for item in self.session.get_outputs())
        # fixed sides of outputs by name, None where they are open
        self.sides = {
            item.name: [side if type(side) is int else None for side in item.shape]
            for item in self.session.get_outputs()
        }
        # ragged outputs have a second named axis, which each row's own length limits
        self.ragged = {o.name: along for o in self.session.get_outputs() if (along := ragged_axis(o.shape))}

    def run(self, arrays: Mapping[str, np.ndarray], wanted: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Outputs by name for inputs by name, all or those wanted; arrays that the graph does not take are left out."""
        missing = [name for name in self.inputs if name not in arrays]
        if missing:
            raise BundleError("E0503", f"the graph takes an input that is not known: `{missing[0]}`")
        given = {name: arrays[name] for name in self.inputs}
        try:
            with self._limited() as options:
                names = list(wanted or self.outputs)
                return dict(zip(names, self.session.run(names, given, options), strict=True))
        except Exception as error:  # a type of its own for each way a graph can fail
            raise BundleError("E0503", "the graph can't be run", str(error).splitlines()[0][:300]) from None

    def run_bound(self, binding: onnxruntime.IOBinding) -> None:
        """Runs the graph over what is bound."""
        try:
            with self._limited() as options:
                self.session.run_with_iobinding(binding, options)
        except Exception as error:
            raise BundleError("E0503", "the graph can't be run", str(error).splitlines()[0][:300]) from None

    @contextmanager
    def _limited(self) -> Iterator[onnxruntime.RunOptions | None]:
        """Options that end a run when its time is up; None without a limit."""
        if self.seconds is None:
            yield None
            return
        options = onnxruntime.RunOptions()
        timer = Timer(self.seconds, lambda: setattr(options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            yield options
        finally:
            timer.cancel()
