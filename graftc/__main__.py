"""Entry point of the command line: ``graftc`` and ``python -m graftc``."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False  # known to type checkers without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Runs the command line; handles interrupts from the first import to the end."""
    try:
        try:
            _door()()
        finally:
            from graftc.compiler.interrupts import deaf

            deaf()
    except KeyboardInterrupt:
        print("interrupted; run the same command to go on", file=sys.stderr)
        sys.exit(130)


def _door() -> Callable[[], None]:
    """The command line's main function, imported."""
    from graftc.compiler.interrupts import listen, was_interrupted

    listen()
    # the search for pydantic plugins takes time, and none is needed
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # imports make no garbage worth collecting, and collection takes a tenth of the start
    try:
        from graftc.compiler.cli import main as run
    except Exception:
        if was_interrupted():  # a library turned the interrupt into another error
            raise KeyboardInterrupt from None
        raise
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 20)
    return run


if __name__ == "__main__":
    main()
