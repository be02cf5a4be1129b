"""The command line's door: ``graftc`` and ``python -m graftc``."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False  # as type checkers know it: typing is not imported for a name
if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Runs the command line; an interrupt is one from the first import on, and to the end."""
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
    """The command line, loaded."""
    from graftc.compiler.interrupts import listen, was_interrupted

    listen()
    # looking for plugins, of which none is meant, takes time
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # imports make no cycles worth looking for, and looking takes a tenth of the start
    try:
        from graftc.compiler.cli import main as run
    except Exception:
        if was_interrupted():  # a library made another error of it
            raise KeyboardInterrupt from None
        raise
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 20)
    return run


if __name__ == "__main__":
    main()
