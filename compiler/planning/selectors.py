"""Resolves selectors of `backbone.freeze` to names of tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ..diagnostics import At, Diagnostic, Path, listed, nearest, quote
from ..facts.backbone import BackboneFacts

_NUMBER = "-?[0-9]{1,9}"
_SLICE = re.compile(rf"(?P<stack>[a-z.]+)\[(?P<start>{_NUMBER}|):(?P<stop>{_NUMBER}|)\]")
_INDEX = re.compile(rf"(?P<stack>[a-z.]+)\[(?P<index>{_NUMBER})\]")


def select(selector: str, backbone: BackboneFacts, path: Path) -> frozenset[str] | Diagnostic:
    """The tensors that a selector names, or the diagnostic for a selector that names none."""
    names = backbone.names
    parts = backbone.family.parts
    if selector == "all":
        return frozenset(names)
    if selector == "norms":
        return _found(selector, [n for n in names if re.search(backbone.family.norms, n)], backbone, path)
    if selector == "biases":
        return _found(selector, [n for n in names if n.endswith(".bias") or n == "bias"], backbone, path)
    sliced = _SLICE.fullmatch(selector) or _INDEX.fullmatch(selector)
    if sliced:
        return _slice(selector, sliced.groupdict(), backbone, path)
    if selector in parts and backbone.depth(selector) is None:
        return _found(selector, [n for n in names if re.match(parts[selector], n)], backbone, path)
    if selector in parts:
        depth = backbone.depth(selector)
        return Diagnostic(
            "E0302",
            f"`{selector}` needs a slice",
            At(path, f"a stack of {depth}"),
            help=f"write `{selector}[0:{depth}]`",
        )
    return _found(selector, [n for n in names if fnmatchcase(n, selector)], backbone, path)


def selected(selectors: Iterable[str], backbone: BackboneFacts) -> frozenset[str]:
    """The tensors that any of the selectors names; `problems` reports selectors that name none."""
    found = (select(selector, backbone, ("backbone", "freeze")) for selector in selectors)
    return frozenset().union(*(names for names in found if isinstance(names, frozenset)))


def _slice(selector: str, group: dict[str, str], backbone: BackboneFacts, path: Path) -> frozenset[str] | Diagnostic:
    stack = group["stack"]
    depth = backbone.depth(stack)
    if depth is None:
        return _nothing(selector, backbone, path)
    if "index" in group:
        start = int(group["index"]) % depth if -depth <= int(group["index"]) < depth else depth
        chosen: Sequence[int] = range(depth)[start : start + 1]
        beyond = start >= depth
    else:
        edges = [int(group[k]) if group[k] else None for k in ("start", "stop")]
        chosen = range(depth)[edges[0] : edges[1]]
        beyond = any(edge is not None and not -depth <= edge <= depth for edge in edges)
    if not chosen or beyond:
        at = At(path, f"{stack} 0 to {depth - 1} exist" if beyond else "an empty slice")
        also = (At(("backbone", "from"), f"its config.json has {depth} {stack}"),)
        help = f"all of them are `{stack}[0:{depth}]`, the upper half is `{stack}[{depth // 2}:{depth}]`"
        return Diagnostic(
            "E0302",
            f"{quote(selector)} names {'no part' if not chosen else 'parts outside'} of this backbone",
            at,
            also,
            (),
            help,
        )
    pattern = backbone.family.parts[stack]
    hits = [(n, re.match(pattern, n)) for n in backbone.names]
    return frozenset(n for n, hit in hits if hit and int(hit.group(1)) in chosen)


def _found(selector: str, names: list[str], backbone: BackboneFacts, path: Path) -> frozenset[str] | Diagnostic:
    return frozenset(names) if names else _nothing(selector, backbone, path)


def _nothing(selector: str, backbone: BackboneFacts, path: Path) -> Diagnostic:
    stacks = {word: backbone.depth(word) for word in backbone.family.parts}
    choices = [word if depth is None else f"{word}[0:{depth}]" for word, depth in stacks.items()]
    choices = [*choices, "norms", "biases", "all"]
    sliced = re.fullmatch(r"([a-z._]+)(\[.*\])", selector)
    meant = nearest(sliced[1], [word for word, depth in stacks.items() if depth is not None]) if sliced else ""
    help = meant.replace("`?", f"{sliced[2]}`?") if sliced and meant else nearest(selector, choices)
    notes = (
        f"selectors of this backbone: {listed(choices)}; or a glob over its tensors, such as `{backbone.names[0]}`",
    )
    return Diagnostic(
        "E0302",
        f"{quote(selector)} matches nothing in this backbone",
        At(path, "names no tensor"),
        (),
        notes,
        help or nearest(selector, backbone.names),
    )
