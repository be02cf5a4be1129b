"""Reads YAML text into values that remember their line and column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import yaml

from .diagnostics import Diagnostic, Path, Refused, Span, refuse

_TAGS = {"bool": "tag:yaml.org,2002:bool", "int": "tag:yaml.org,2002:int", "float": "tag:yaml.org,2002:float"}
DEEPEST = 40


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core words: `no` and `on` are strings, `1e-4` is a number, dates stay words."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the base class's field


_Loader.add_implicit_resolver(_TAGS["bool"], re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_TAGS["int"], re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _TAGS["float"],
    re.compile(
        r"^[-+]?(?:(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*)(?:[eE][-+]?[0-9]+)?|(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


@dataclass(frozen=True)
class Source:
    """A spec as text and values; `keys` and `values` map each path of keys to where it stands."""

    file: str
    folder: File
    text: str
    data: dict[str, Any]
    keys: dict[Path, Span]
    values: dict[Path, Span]

    def span(self, path: Path, on_key: bool = False) -> Span | None:
        """Where `path` stands, or its nearest ancestor that was written."""
        if on_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path) if path else None


def read(file: File, shown: str | None = None) -> Source:
    """Reads a spec file.

    Raises Refused with E0101–E0107 for text that is not the YAML a spec is written in.
    """
    name = shown or str(file)
    try:
        raw = file.read_bytes()
    except OSError as error:
        reason = "is a folder" if file.is_dir() else (error.strerror or "unreadable").lower()
        raise refuse("E0106", f"cannot read the spec `{name}`", reason, at=None) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise refuse("E0106", "the spec is not UTF-8", at=Span(name, line, 1), help="save the file as UTF-8") from None
    return parse_text(text, name, file.parent)


def parse_text(text: str, name: str, folder: File) -> Source:
    """Reads spec text; `name` is what messages call it and `folder` what its paths are relative to."""
    _scan(text, name)
    root = _compose(text, name)
    if root is None:
        raise refuse("E0107", "the spec is empty", at=Span(name, 1, 1), help="start from an example: `graftc init`")
    if not isinstance(root, yaml.MappingNode):
        raise refuse("E0101", "the spec is not a mapping of keys to values", at=_span(root, name))
    index = _Index(name)
    data = index.value(root, ())
    if index.found:
        raise Refused(tuple(index.found), source=Source(name, folder, text, {}, {}, {}))
    return Source(name, folder, text, data, index.keys, index.values)


def _scan(text: str, name: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent:
            at = Span(name, number, indent.index("\t") + 1, label="a tab")
            raise _refused(text, name, Diagnostic("E0104", "a tab indents this line", at, help="indent with spaces"))


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Span(name, mark.line + 1, mark.column + 1) if mark else Span(name, 1, 1)
        raise _refused(text, name, _syntax(text, at, error.problem or "unreadable")) from None
    except yaml.YAMLError as error:
        raise _refused(
            text,
            name,
            Diagnostic("E0101", "the spec is not YAML", Span(name, 1, 1), notes=(str(error).splitlines()[0],)),
        ) from None
    except RecursionError:
        raise _refused(text, name, Diagnostic("E0101", "the spec is nested too deeply", Span(name, 1, 1))) from None


def _syntax(text: str, at: Span, problem: str) -> Diagnostic:
    line = text.splitlines()[at.line - 1] if at.line <= len(text.splitlines()) else ""
    selector = re.search(r"\[.*?((?:[a-z]+\.)?(?:layers|stages)\[[^\]]*\])", line)
    if selector:
        where = Span(at.file, at.line, selector.start(1) + 1, len(selector.group(1)), "brackets end the list here")
        return Diagnostic(
            "E0105",
            "a selector in a flow list needs quotes",
            where,
            help=f'write `"{selector.group(1)}"`, or one selector per line after `- `',
        )
    if "found undefined alias" in problem:
        return Diagnostic(
            "E0103", "aliases are not part of the spec language", at, help="write the value out, or use `extends`"
        )
    if "found character '\\t'" in problem:
        return Diagnostic("E0104", "a tab stands where YAML allows only spaces", at, help="use spaces")
    return Diagnostic("E0101", "the spec is not YAML", at, notes=(problem,))


def _refused(text: str, name: str, found: Diagnostic) -> Refused:
    return Refused((found,), source=Source(name, File(), text, {}, {}, {}))


def _span(node: yaml.Node, name: str) -> Span:
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return Span(name, start.line + 1, start.column + 1, max(width, 1))


class _Index:
    """Turns nodes into plain values while noting where each stands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[Path, Span] = {}
        self.values: dict[Path, Span] = {}
        self.found: list[Diagnostic] = []
        self.seen: set[int] = set()
        self.constructor = _Loader("")

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.values[path] = _span(node, self.name)
        if len(path) > DEEPEST:
            self.found.append(Diagnostic("E0101", "the spec is nested too deeply", self.values[path]))
            return None
        self._forbidden(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.value(child, (*path, i)) for i, child in enumerate(node.value))
        return self._scalar(node)

    def _forbidden(self, node: yaml.Node) -> None:
        if id(node) in self.seen:
            self.found.append(
                Diagnostic(
                    "E0103",
                    "anchors and aliases are not part of the spec language",
                    _span(node, self.name),
                    help="write the value out, or use `extends`",
                )
            )
        self.seen.add(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            span = _span(key_node, self.name)
            if not isinstance(key_node, yaml.ScalarNode):
                self.found.append(Diagnostic("E0101", "a key is a list or a mapping", span))
                continue
            key = str(key_node.value)
            if key == "<<":
                self.found.append(
                    Diagnostic("E0103", "merge keys are not part of the spec language", span, help="use `extends`")
                )
                continue
            if key in result:
                first = self.keys[(*path, key)]
                also = (Span(first.file, first.line, first.column, first.width, "first written here"),)
                at = Span(span.file, span.line, span.column, span.width, "written again")
                self.found.append(
                    Diagnostic("E0102", f"`{key}` is written twice", at, also, help="keep one of the two")
                )
                continue
            self.keys[(*path, key)] = span
            result[key] = self.value(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.Node) -> Any:
        known = {"bool", "int", "float", "null", "str"}
        if node.tag.removeprefix("tag:yaml.org,2002:") not in known:
            self.found.append(
                Diagnostic(
                    "E0103",
                    "tags are not part of the spec language",
                    _span(node, self.name),
                    help="write the plain value",
                )
            )
            return None
        try:
            return self.constructor.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.found.append(Diagnostic("E0101", "this value can't be read", _span(node, self.name)))
            return None
