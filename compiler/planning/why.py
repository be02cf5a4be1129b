"""Explains where a value comes from: a line of the spec, a flag, a base, a default, or a decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..diagnostics import At, Diagnostic, Path, Refused, Span, Status, nearest, quote
from ..facts.facts import Facts
from ..frozen import Frozen, Json
from ..language.keys import keys
from ..language.mistakes import unknown_key
from ..language.source import Source
from ..language.spec import Spec
from .decisions import decisions
from .plan import Plan

WORKED_OUT = "worked out from the spec, the backbone and the data"
SHOWN = 200  # the most characters of a value


@dataclass(frozen=True)
class Reason:
    """The value of a key, the place where it is written (None for none), and the reason for it."""

    key: str
    value: Any
    at: Span | None
    because: str
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The reason as JSON values."""
        at = self.at
        return {
            "key": self.key,
            "value": _plain(self.value),
            "file": at.file if at else None,
            "line": at.line if at else None,
            "column": at.column if at else None,
            "because": self.because,
            "notes": list(self.notes),
        }


def why(wanted: Iterable[str], source: Source, spec: Spec, facts: Facts, plan: Plan) -> tuple[Reason, ...]:
    """The reasons for the values of keys, each written with dots: keys of the language or of the plan.

    Raises Refused E0223 (status 2) for keys that are neither.
    """
    known = keys(spec.method, {view.name: view.head_type for view in spec.each})
    decided = decisions(spec, facts, plan)
    planned = _planned(plan)
    found: list[Reason] = []
    wrong: list[Diagnostic] = []
    for word in wanted:
        path = tuple(int(step) if step.isdecimal() and step.isascii() else step for step in word.split("."))
        at, decision = source.values.get(path), decided.get(path)
        if at:
            because = f"{_words(decision.value)}: {decision.because}" if decision and decision.because else ""
            value = source.bases[0].file if path == ("extends",) else _at(source.data, path)
            found.append(Reason(word, value, at, because, source.about(at.file)))
        elif decision:
            above = None if decision.because else source.span(path)
            found.append(Reason(word, decision.value, above, decision.because))
        elif path in known:
            default, owner = known[path].default, known[path].owner
            because = f"the default of {owner}" if default is not None else f"not written, and {owner} has no default"
            found.append(Reason(word, default, None, because))
        elif path in planned:
            found.append(Reason(word, planned[path], None, WORKED_OUT))
        else:
            wrong.append(_unknown(word, path, (*known, *decided, *planned)))
    if wrong:
        raise Refused(tuple(wrong), Status.USAGE)
    return tuple(found)


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _planned(plan: Plan) -> dict[Path, Any]:
    """The values of the plan by section and name."""
    found: dict[Path, Any] = {}
    sections: dict[Path, Any] = {(name,): getattr(plan, name) for name in Plan.model_fields}
    for task in plan.tasks:
        above = ("heads", task.name) if task.name else ()
        sections |= {above or ("head",): task.head, (*above, "data"): task.data}
    for path, value in sections.items():
        inner = type(value).model_fields if isinstance(value, Frozen) else ()
        found |= {(*path, name): getattr(value, name) for name in inner}
    return found


def _unknown(word: str, path: Path, known: Iterable[Path]) -> Diagnostic:
    names = {".".join(map(str, at)) for at in known}
    siblings = [str(at[-1]) for at in known if at[:-1] == path[:-1]]
    home = unknown_key(path, siblings, f"`{path[0]}`")
    headline = f"{quote(word)} is no key of this spec"
    if home.code == "E0207" and isinstance(home.at, At):
        return Diagnostic("E0223", headline, notes=(f"it is {home.at.label}",), help=home.help)
    help = nearest(word, names) or "write it as in the spec, with dots: `train.learning_rate`"
    return Diagnostic("E0223", headline, help=help)


def show_why(reasons: Iterable[Reason], source: Source) -> list[str]:
    """The reasons as lines of text."""
    lines: list[str] = []
    for reason in reasons:
        lines.append(f"{reason.key} = {_words(reason.value)}")
        if reason.at:
            at = reason.at
            written = source.lines(at.file)[at.line - 1].strip()
            lines.append(f"  {at.file}:{at.line}:{at.column}: {written}")
        lines += [f"  {line}" for line in (reason.because, *reason.notes) if line]
    return lines


def _words(value: Any) -> str:
    """A value on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple) and value and isinstance(value[0], Frozen):
        return f"{len(value)} of them"
    if isinstance(value, tuple):
        text = f"[{', '.join(map(_words, value))}]"
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(f'{key}: {_words(inner)}' for key, inner in value.items())}}}"
    else:
        text = str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, Frozen):
        return value.model_dump(mode="json")
    if isinstance(value, Json):
        return value.plain()
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, dict) else value
