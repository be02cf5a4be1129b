"""The projects of the front's tests, to be attacked."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..front import ground
from ..front.conftest import bert, graftc, pictures, project, vit

__all__ = ["bert", "graftc", "pictures", "project", "vit"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec and its world; the test stands in it."""
    ground.lay(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    return tmp_path / "here"
