"""The command line's door: ``graftc`` and ``python -m graftc``."""

from graftc.compiler.commands import main

if __name__ == "__main__":
    main()
