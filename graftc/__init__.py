"""graftc compiles a YAML spec of a fine-tuning into a verified ONNX bundle.

Functions are imported when first used, so that ``import graftc`` is fast.
"""

from __future__ import annotations

TYPE_CHECKING = False  # known to type checkers without an import, so that an interrupt finds nothing to break

__version__ = "0.1.0"
__all__ = ["BundleError", "Refused", "build", "load", "plan", "validate"]

if TYPE_CHECKING:
    from typing import Any

    from .compiler.api import build, plan, validate
    from .compiler.diagnostics import Refused
    from .runtime.errors import BundleError
    from .runtime.model import load

_HOME = {
    "BundleError": "runtime.errors",
    "Refused": "compiler.diagnostics",
    "build": "compiler.api",
    "load": "runtime.model",
    "plan": "compiler.api",
    "validate": "compiler.api",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
