"""Folders on this machine of graftc's store and of huggingface_hub's cache."""

from __future__ import annotations

import os
from pathlib import Path


def default_root() -> Path:
    """The default store: $GRAFTC_STORE, else $XDG_CACHE_HOME/graftc, else ~/.cache/graftc."""
    if os.environ.get("GRAFTC_STORE"):
        return Path(os.environ["GRAFTC_STORE"])
    return _caches() / "graftc"


def snapshots() -> Path:
    """The folder of the Hub's snapshots, as huggingface_hub finds it; the folder above also holds a token."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME")
    return (Path(home).expanduser() if home else _caches() / "huggingface") / "hub"


def _caches() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    return Path(cache) if cache else Path.home() / ".cache"
