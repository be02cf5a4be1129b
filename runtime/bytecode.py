"""Compares Python's cached byte code with its source, without running it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CACHE = "__pycache__"
LARGEST = 16 << 20  # the most bytes of a file
SECONDS = 20.0  # time limit of the comparison, which takes far less than a second
MEMORY = 512 << 20  # bytes, a limit for byte code whose nested references grow without end when written out
# run in its own process, because forged byte code may crash the process that reads it
COMPARE = """
import importlib.util, marshal, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[4]),) * 2)
except (ImportError, OSError, ValueError):  # a system without limits
    pass
raw, text, level = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read(), int(sys.argv[3])
found = marshal.loads(raw[16:])
mine = compile(text, found.co_filename, "exec", dont_inherit=True, optimize=level)
is_same = raw[:4] == importlib.util.MAGIC_NUMBER and marshal.dumps(found, 2) == marshal.dumps(mine, 2)
sys.exit(not is_same)
"""


def is_bytecode(file: Path, source: Path) -> bool:
    """Whether a file in the byte code cache is what this Python compiles from a source."""
    own = rf"{re.escape(source.stem)}\.{re.escape(sys.implementation.cache_tag or '')}(?:\.opt-(?P<level>[12]))?\.pyc"
    named = re.fullmatch(own, file.name)
    if named is None or not source.is_file() or source.is_symlink() or file.stat().st_size > LARGEST:
        return False
    import subprocess  # which no answer needs

    command = [sys.executable, "-I", "-S", "-c", COMPARE, str(file), str(source), named["level"] or "0", str(MEMORY)]
    try:
        return not subprocess.run(command, capture_output=True, check=False, timeout=SECONDS).returncode
    except (OSError, subprocess.SubprocessError):
        return False
