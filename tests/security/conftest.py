"""The projects of the front's tests, to be attacked."""

from __future__ import annotations

from ..front.conftest import bert, graftc, pictures, project, vit

__all__ = ["bert", "graftc", "pictures", "project", "vit"]
