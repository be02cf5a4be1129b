"""A process that begins with libraries loaded is one of Python's own in all else that tests ask of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .. import loaded

SHOWN = "import os, sys; print(sys.argv, sys.path[0], __name__, os.getcwd(), os.environ['OWN']); print('é', file=sys.stderr)"
ENDS = ("sys.exit(3)", "sys.exit()", "sys.exit('said')", "raise ValueError('wrong')", "os.kill(os.getpid(), 9)", "pass")


def both(folder: Path, *words: str, **environment: str) -> list[Any]:
    """What a command gives as Python starts it, and as a loaded process runs it."""
    whole = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(loaded.ROOT), **environment}
    own = subprocess.run([sys.executable, *words], cwd=folder, env=whole, capture_output=True, text=True)
    return [own, loaded.run(*words, cwd=folder, env=whole)]


@pytest.mark.parametrize("kind", ["module", "code", "file"])
def test_it_is_given_what_it_is_asked_with(kind: str, tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(SHOWN)
    words = {"module": ["-m", "shown"], "code": ["-c", SHOWN], "file": [str(tmp_path / "shown.py")]}[kind]
    own, found = both(tmp_path, *words, "a word", "-x", OWN="mine")
    assert (found.returncode, found.stdout, found.stderr) == (0, own.stdout, own.stderr)


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_as_the_command_ends(end: str, tmp_path: Path) -> None:
    own, found = both(tmp_path, "-c", f"import os, sys; print('before', flush=True); {end}")
    assert (found.returncode, found.stdout) == (own.returncode, own.stdout)
    assert found.stderr.splitlines()[-1:] == own.stderr.splitlines()[-1:]


def test_the_package_is_loaded_by_itself_from_where_it_is_said_to_lie(tmp_path: Path) -> None:
    (tmp_path / "graftc").mkdir()
    (tmp_path / "graftc" / "__init__.py").write_text("print('another')")
    code = "import sys; print('graftc' in sys.modules, 'torch' in sys.modules); import graftc"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert loaded.run("-c", code, cwd=tmp_path.parent, env=environment).stdout == "False True\nanother\n"


def test_two_run_at_a_time(tmp_path: Path) -> None:
    meet = "import os, sys, time\nopen(sys.argv[1], 'w')\nwhile not os.path.exists(sys.argv[2]): time.sleep(0.01)"
    running = [loaded.start("-c", meet, tmp_path / own, tmp_path / other) for own, other in ("ab", "ba")]
    assert [each.wait().returncode for each in running] == [0, 0]
