"""Commands that install graftc's extras."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def installing(extra: str, root: Path = _ROOT) -> str:
    """The command that installs an extra of the package, or of the checkout that graftc runs from.

    >>> installing("hub", Path("/nowhere"))
    "pip install 'graftc[hub]'"
    """
    is_checkout = (root / "pyproject.toml").is_file()
    return f"pip install -e '{root}[{extra}]'" if is_checkout else f"pip install 'graftc[{extra}]'"
