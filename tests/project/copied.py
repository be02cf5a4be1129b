"""A copy of the package with files laid over it, used through its command line: what a new variant comes with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import loaded

ROOT = Path(__file__).resolve().parents[2]


def files(overlay: Path) -> list[str]:
    """The files of an overlay, under the paths that they take in the package."""
    return sorted(f.relative_to(overlay).as_posix() for end in ("*.py", "*.json") for f in overlay.rglob(end))


class Copy:
    """A package that is a copy of graftc and the files of an overlay more; `spec` is what it is tried with."""

    def __init__(self, folder: Path, overlay: Path, spec: Mapping[str, Any]) -> None:
        self.folder, self.spec = folder, dict(spec)
        shutil.copytree(ROOT / "graftc", folder / "graftc", ignore=shutil.ignore_patterns("__pycache__", "data"))
        for name in files(overlay):
            assert not (folder / "graftc" / name).exists(), "the example has become one of graftc's own: choose another"
            shutil.copyfile(overlay / name, folder / "graftc" / name)

    def run(self, *words: str, status: int = 0) -> str:
        """What graftc prints: on stderr where it fails as expected, else on stdout."""
        return self.python("-m", "graftc", *words, status=status)

    def python(self, *words: str, status: int = 0) -> str:
        """The same of a Python command, to which this copy is the installed package."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "GRAFTC_STORE": str(self.folder / "store")}
        environment["PYTHONDONTWRITEBYTECODE"] = ""  # the next command need not compile the copy again
        done = loaded.run(*words, cwd=self.folder, env=environment)
        assert done.returncode == status, done.stderr + done.stdout
        return done.stderr if status else done.stdout

    def write(self, name: str, /, **changes: Any) -> str:
        """Writes a spec that differs in some sections; gives its name."""
        (self.folder / name).write_text(json.dumps(self.spec | changes))
        return name
