"""The command line's door: ``graftc`` and ``python -m graftc``."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Runs the command line; an interrupt is one from the first import on."""
    # looking for plugins, of which none is meant, takes time
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # imports make no cycles worth looking for, and looking takes a tenth of the start
    try:
        from graftc.compiler.commands import main as run
    except KeyboardInterrupt:
        print("interrupted; run the same command to go on", file=sys.stderr)
        sys.exit(130)
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 20)
    run()


if __name__ == "__main__":
    main()
