"""Watches every call by which a build changes the disk, and ends the process at a chosen one."""

from __future__ import annotations

import builtins
import io
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATHS = ("mkdir", "rmdir", "unlink", "remove", "truncate")
PAIRS = ("rename", "replace", "symlink", "link")  # the second path is the one that changes
HANDLES = ("fsync", "fdatasync", "ftruncate")
Point = tuple[str, int, str]  # stage, number of the call within it, and: before, half or after


class Calls:
    """Numbers the calls that change `store` or what lies beside `output`, by stage.

    At the point `at` the process sends itself `signal`; `reached` hears of every point.
    """

    def __init__(
        self,
        store: Path,
        output: Path,
        at: Point | None = None,
        signal: int = 0,
        reached: Callable[[Point, str], None] | None = None,
    ) -> None:
        self.store, self.beside = str(store), str(output.parent)
        self.at, self.signal, self.reached = at, signal, reached
        self.count: Counter[str] = Counter()
        self.is_inside = False

    def install(self) -> None:
        """Wraps the functions by which Python, numpy, onnx and safetensors write."""
        for name in (*PATHS, *PAIRS):
            self._wrap(name, getattr(os, name), 1 if name in PAIRS else 0)
        for name in HANDLES:
            self._wrap_handle(name, getattr(os, name))
        self._wrap_open(io.open)
        self._wrap_safetensors()

    def stage(self, path: str) -> str | None:
        """Which stage a path belongs to; None for a path elsewhere."""
        path = os.path.abspath(path)
        if path == self.store or path.startswith(self.store + "/"):
            parts = Path(path).relative_to(self.store).parts
            if parts and parts[0] == "digests":  # whether a hash is remembered is a matter of a tenth of a second
                return None
            if parts and parts[0] == "content-keys":  # whose names tell no stage; what is folded is all that has them
                return "features"
            return parts[1].split("-")[0] if len(parts) > 1 else "start"
        return "deliver" if path == self.beside or path.startswith(self.beside + "/") else None

    def around(self, name: str, path: str, call: Callable[[], Any], half: Callable[[], None] | None = None) -> Any:
        """Makes a call, with the points before it, in its middle where it has one, and after it."""
        stage = None if self.is_inside else self.stage(path)
        if stage is None:
            return call()
        self.is_inside = True
        try:
            self.count[stage] += 1
            number, shown = self.count[stage], f"{name} {Path(path).name}"
            self._reach((stage, number, "before"), shown)
            if half:
                if self.at == (stage, number, "half"):
                    half()
                self._reach((stage, number, "half"), shown)
            result = call()
            self._reach((stage, number, "after"), shown)
            return result
        finally:
            self.is_inside = False

    def _reach(self, point: Point, shown: str) -> None:
        if self.reached:
            self.reached(point, shown)
        if point == self.at:
            os.kill(os.getpid(), self.signal)

    def _wrap(self, name: str, original: Callable[..., Any], which: int) -> None:
        def wrapped(*args: Any, **more: Any) -> Any:
            path = os.fsdecode(args[which])
            if more.get("dir_fd") is not None:
                path = os.path.join(os.readlink(f"/proc/self/fd/{more['dir_fd']}"), path)
            return self.around(name, path, lambda: original(*args, **more))

        setattr(os, name, wrapped)

    def _wrap_handle(self, name: str, original: Callable[..., Any]) -> None:
        def wrapped(handle: int, *args: Any) -> Any:
            return self.around(name, os.readlink(f"/proc/self/fd/{handle}"), lambda: original(handle, *args))

        setattr(os, name, wrapped)

    def _wrap_open(self, original: Callable[..., Any]) -> None:
        def wrapped(file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
            if isinstance(file, int) or not set(mode) & set("wax+"):
                return original(file, mode, *args, **more)
            return self.around("open", os.fspath(file), lambda: original(file, mode, *args, **more))

        builtins.open = io.open = wrapped

    def _wrap_safetensors(self) -> None:
        import safetensors.torch

        original = safetensors.torch.save_file

        def wrapped(tensors: Any, filename: Any, *args: Any, **more: Any) -> Any:
            def half() -> None:
                with tempfile.TemporaryDirectory() as folder:
                    original(tensors, f"{folder}/whole", *args, **more)
                    whole = Path(folder, "whole").read_bytes()
                Path(filename).write_bytes(whole[: len(whole) // 2])

            return self.around("save", os.fspath(filename), lambda: original(tensors, filename, *args, **more), half)

        for module in list(sys.modules.values()):
            for name, value in list(vars(module).items()):
                if value is original:
                    setattr(module, name, wrapped)
