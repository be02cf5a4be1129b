"""Reads the chat template of one's own that a spec names."""

from __future__ import annotations

from pathlib import Path

from ..boundary import Boundary, outside
from ..contracts.options import Templated
from ..diagnostics import At, Refused, quote, refuse
from ..files import whole
from ..language.spec import Draft

AT = At(("head", "template"))
LARGEST = 1 << 20  # bytes


def own_template(spec: Draft, folder: Path, boundary: Boundary) -> str | None:
    """The text of the file under `head.template`, relative to the spec's folder; None where none is named.

    Raises Refused E0353 for a file outside of `boundary`, E0399 for one that can't be read.
    """
    name = spec.head.template if isinstance(spec.head, Templated) else None
    if name is None:
        return None
    if boundary.is_outside(folder / name):
        raise Refused((outside(quote(name), AT, boundary),))
    try:
        return whole(folder / name, LARGEST).decode("utf-8")
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (getattr(error, "strerror", None) or str(error)).lower()
    help = "name a file relative to the spec, such as `chat.jinja`"
    raise refuse("E0399", f"the chat template {quote(name)} can't be read", reason, at=AT, help=help)
