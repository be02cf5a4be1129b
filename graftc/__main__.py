"""The command line's door: ``graftc`` and ``python -m graftc``."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Runs the command line; an interrupt is one from the first import on."""
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # looking for plugins, of which none is meant, takes time
    try:
        from graftc.compiler.commands import main as run
    except KeyboardInterrupt:
        print("interrupted; run the same command to go on", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
