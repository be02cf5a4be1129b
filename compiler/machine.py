"""Facts of this machine and its libraries, without importing them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from .diagnostics import Status, refuse
from .extras import installing
from .frozen import Frozen

BUILD = ("torch", "transformers", "peft", "accelerate", "onnx", "safetensors")
RECORDED = (*BUILD, "numpy", "onnxruntime", "tokenizers", "graftc")


class Machine(Frozen):
    """The facts of a machine that a receipt records."""

    device: str
    threads: int
    versions: dict[str, str]


@cache
def installed(library: str) -> str:
    """The version of a library; empty where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Versions of libraries, by name."""
    return {library: installed(library) for library in libraries}


def recorded() -> dict[str, str]:
    """Versions of the installed libraries that receipts and locks record."""
    return {library: found for library, found in sorted(versions(RECORDED).items()) if found}


def device() -> str:
    """`cuda` where torch supports it and a GPU is visible, else `cpu`; GRAFTC_DEVICE overrides it."""
    chosen = os.environ.get("GRAFTC_DEVICE")
    if chosen:
        return chosen
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return (
        "cuda" if Path("/dev/nvidiactl").exists() and not hidden and not installed("torch").endswith("+cpu") else "cpu"
    )


def describe() -> Machine:
    """The facts of this machine."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        device=device(),
        threads=threads,
        versions=versions(RECORDED),
    )


def return_memory() -> None:
    """Returns freed memory to the system, which glibc otherwise keeps: 140 MB after a rehearsal."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has this function
    if trim is not None:
        trim(0)


def require_build() -> None:
    """Raises Refused E0409 (status 4) where the libraries of the `build` extra are missing."""
    missing = [library for library in BUILD if find_spec(library) is None]
    if missing:
        raise refuse(
            "E0409",
            f"building needs {', '.join(missing)}",
            "validate, plan, verify and predict work without",
            help=installing("build"),
            status=Status.MACHINE,
        )


def share_cores() -> None:
    """Makes idle OpenMP threads sleep instead of spin; must run before torch is imported.

    A spinning thread keeps a core from other processes: on two cores beside one busy process, a forward pass of MiniLM
    took 1.3 s with spinning and 0.2 s with sleeping threads.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
