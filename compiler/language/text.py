"""Parses YAML text into values with the line and column of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Any

import yaml

from ..boundary import OPEN, Boundary
from ..diagnostics import Diagnostic, Path, Refused, Span, quote, refuse

_TAGS = {"bool": "tag:yaml.org,2002:bool", "int": "tag:yaml.org,2002:int", "float": "tag:yaml.org,2002:float"}
_STACK = re.compile(r"(?:layers|stages)\[")
_WORD = re.compile(r"[^\s,\]}]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
# parts of a number in YAML 1.2's core schema
_WHOLE, _EXPONENT = r"(?:0|[1-9][0-9]*)", r"[eE][-+]?[0-9]+"
_FRACTION = rf"(?:\.[0-9]+|{_WHOLE}\.[0-9]*)"

DEEPEST = 40  # levels of nesting at most
MOST = 25_000  # keys and values at most: a second or two of parsing
FLAGS = "--set"


class _TooDeep(Exception):
    pass


class _TooMany(Exception):
    pass


class _Loader(yaml.SafeLoader):
    """A YAML loader with YAML 1.2's core schema: `no` and `on` are strings, `1e-4` is a number, dates stay text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the base class's field

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.nodes = 0
        self.foreign: list[tuple[str, yaml.Mark]] = []  # YAML features that the spec language lacks, with their places

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node; anchors, aliases and tags are recorded and otherwise ignored."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # stubs omit it
        start, end = event.start_mark, event.end_mark
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            self.foreign.append(("aliases", start))
            return yaml.ScalarNode("tag:yaml.org,2002:null", "", start, end)
        for word in ("anchor", "tag"):
            if getattr(event, word, None) is not None:
                self.foreign.append((f"{word}s", start))
                setattr(event, word, None)
        self.depth, self.nodes = self.depth + 1, self.nodes + 1
        if self.depth > DEEPEST:
            raise _TooDeep(start)
        if self.nodes > MOST:
            raise _TooMany(start)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.add_implicit_resolver(_TAGS["bool"], re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_TAGS["int"], re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _TAGS["float"],
    re.compile(rf"^[-+]?(?:{_FRACTION}(?:{_EXPONENT})?|{_WHOLE}{_EXPONENT}|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)


@dataclass(frozen=True)
class Base:
    """The text of a file that a spec extends, and the place that extends it."""

    file: str
    text: str
    extended: Span

    @property
    def link(self) -> str:
        """The place that extends this file, for a note."""
        return f"{self.extended.file}:{self.extended.line} extends {self.file}"


@dataclass(frozen=True)
class Source:
    """A spec as text and values; `keys` and `values` map each path of keys to its place in the text."""

    file: str
    folder: File
    text: str
    data: dict[str, Any]
    keys: dict[Path, Span]
    values: dict[Path, Span]
    flags: tuple[str, ...] = ()  # values of `--set`; each is one line of the pseudo-file FLAGS
    bases: tuple[Base, ...] = ()  # files that it extends, the nearest first
    removed: Mapping[Path, Span] = field(default_factory=dict)  # places at which `null` removed an inherited key
    notes: tuple[str, ...] = ()  # changes made by migrations from older versions of the language
    boundary: Boundary = OPEN  # the folders in which every path of the spec must lie

    def span(self, path: Path, on_key: bool = False) -> Span | None:
        """The place of `path`, or of the `null` that removed it, or else of its nearest written ancestor."""
        for place in (path[:depth] for depth in range(len(path), 0, -1)):
            if on_key and place in self.keys:
                return self.keys[place]
            if found := self.values.get(place) or self.removed.get(place):
                return found
        return None

    def lines(self, file: str) -> list[str]:
        """The lines of a text that spans point into; empty for a file that this source does not hold."""
        if file == FLAGS:
            return list(self.flags)
        texts = {base.file: base.text for base in self.bases} | {self.file: self.text}
        return texts.get(file, "").splitlines()

    def about(self, file: str) -> tuple[str, ...]:
        """Notes for a diagnostic in a file: the place that extends the file, and the changes made by migrations.

        >>> Source("a", File(), "", {}, {}, {}, bases=(Base("b", "", Span("a", 2, 1)),)).about("b")
        ('a:2 extends b',)
        """
        return tuple(base.link for base in self.bases if base.file == file) + self.notes


def parse_text(text: str, name: str, folder: File, noun: str = "the spec") -> Source:
    """Parses spec text; messages call it `name`, and its paths are relative to `folder`.

    Raises Refused with every use of YAML that the spec language does not have.
    """
    source = Source(name, folder, text, {}, {}, {})
    try:
        return _parsed(source, noun)
    except Refused as refused:
        refused.source = source
        raise


def _parsed(source: Source, noun: str) -> Source:
    _scan(source)
    root, foreign = _compose(source, noun)
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value):
        at = Span(source.file, 1, 1)
        raise refuse("E0107", f"{noun} is empty", at=at, help="start from an example: `graftc init`")
    index = _Index(source, foreign)
    if not isinstance(root, yaml.MappingNode):
        what = Diagnostic("E0101", f"{noun} is not a mapping of keys to values", _span(root, source.file))
        raise Refused((*index.found, what))
    data = index.value(root, ())
    if index.found:
        raise Refused(tuple(index.found))
    return replace(source, data=data, keys=index.keys, values=index.values)


def _scan(source: Source) -> None:
    for number, line in enumerate(source.text.splitlines(), 1):
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent:
            at = Span(source.file, number, indent.index("\t") + 1, label="a tab")
            raise refuse("E0104", "a tab indents this line", at=at, help="indent with spaces")


def _compose(source: Source, noun: str) -> tuple[yaml.Node | None, list[tuple[str, yaml.Mark]]]:
    name = source.file
    try:
        loader = _Loader(source.text)
        try:
            return loader.get_single_node(), loader.foreign
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        earlier, problem = _earlier(source, error)
        mark = earlier or error.problem_mark or error.context_mark
        at = Span(name, mark.line + 1, mark.column + 1) if mark else Span(name, 1, 1)
        raise Refused((_syntax(source, at, problem, noun),)) from None
    except yaml.reader.ReaderError as error:
        before = source.text[: error.position].splitlines() or [""]
        at = Span(name, len(before), len(before[-1]) + 1, 1, f"U+{ord(source.text[error.position]):04X}")
        raise refuse("E0101", f"{noun} holds a control character", at=at, help="remove it") from None
    except _TooMany as many:
        at = Span(name, many.args[0].line + 1, many.args[0].column + 1)
        note = f"at most {MOST:,}"
        raise refuse(
            "E0106", f"{noun} has too many keys and values", note, at=at, help="put rows into a data file"
        ) from None
    except _TooDeep as deep:
        at = Span(name, deep.args[0].line + 1, deep.args[0].column + 1)
        raise refuse("E0101", f"{noun} is nested too deeply", f"at most {DEEPEST} levels", at=at) from None


def _earlier(source: Source, error: yaml.MarkedYAMLError) -> tuple[yaml.Mark | None, str]:
    """Place and cause of a mistake that YAML notices lines later: a missing colon, an unclosed bracket or quote."""
    start, end, context = error.context_mark, error.problem_mark, str(error.context)
    if start is None or end is None or end.line == start.line:
        return None, error.problem or "unreadable"
    if "simple key" in context:
        return start, "a `:` is missing here"
    lines = [*source.text.splitlines(), ""]
    before, after = lines[start.line], lines[min(end.line, len(lines) - 1)]
    is_outside = len(after) - len(after.lstrip()) <= len(before) - len(before.lstrip())
    if "quoted scalar" in context or ("flow" in context and is_outside):
        return start, "opened here and never closed"
    return None, error.problem or "unreadable"


def _syntax(source: Source, at: Span, problem: str, noun: str) -> Diagnostic:
    lines = source.text.splitlines()
    line = lines[at.line - 1] if at.line <= len(lines) else ""
    if selector := _selector(line):
        start, word = selector
        return Diagnostic(
            "E0105",
            "a selector in a flow list needs quotes",
            Span(at.file, at.line, start + 1, len(word), "brackets end the list here"),
            help=f'write `"{word}"`, or one selector per line after `- `',
        )
    if "tag" in problem:
        return _foreign("tags", at)
    if "found character '\\t'" in problem:
        return Diagnostic("E0104", "a tab stands where YAML allows only spaces", at, help="use spaces")
    if "another document" in problem:
        return Diagnostic("E0101", f"{noun} holds a second document", at, help="write one spec per file")
    help = _way_out(lines, at) if "mapping values" in problem else ""
    return Diagnostic("E0101", f"{noun} is not YAML", at, notes=(problem,), help=help)


def _selector(line: str) -> tuple[int, str] | None:
    """The column and the text of the first selector within brackets in a line; linear in the line's length.

    >>> _selector("freeze: [text.layers[0:2], norms]")
    (9, 'text.layers[0:2]')
    """
    opened = line.find("[") + 1
    stack = _STACK.search(line, opened) if opened else None
    end = line.find("]", stack.end()) + 1 if stack else 0
    if not stack or not end:
        return None
    start, dot = stack.start(), stack.start() - 1
    if dot >= opened and line[dot] == ".":
        before = dot
        while before > opened and "a" <= line[before - 1] <= "z":
            before -= 1
        start = before if before < dot else start
    return start, line[start:end]


def _way_out(lines: list[str], at: Span) -> str:
    """Help for a second `:` in a line.

    Either the `:` is part of a text, or the line is indented below a key that already has a value.
    """
    line, above = lines[at.line - 1], next((one for one in reversed(lines[: at.line - 1]) if one.strip()), "")
    indents = [len(one) - len(one.lstrip(" ")) for one in (line, above)]
    dashes = len(re.match(r"(- +)*", above.lstrip(" "))[0])  # type: ignore[index]
    if ": " in line[: at.column - 1] or indents[0] <= indents[1] + dashes:
        return "put quotes around a text that holds `: `"
    return f"begin the line with {indents[1] + dashes} spaces, as the key above"


def _foreign(word: str, at: Span) -> Diagnostic:
    help = "write the plain value" if word == "tags" else "write the value out where it is needed"
    return Diagnostic("E0103", f"{word} are not part of the spec language", at, help=help)


def _span(node: yaml.Node, name: str) -> Span:
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return Span(name, start.line + 1, start.column + 1, max(width, 1))


class _Index:
    """Turns YAML nodes into plain values and records the place of each."""

    def __init__(self, source: Source, foreign: list[tuple[str, yaml.Mark]]) -> None:
        self.name = source.file
        self.keys: dict[Path, Span] = {}
        self.values: dict[Path, Span] = {}
        self.constructor = _Loader("")
        lines = source.text.splitlines()
        self.found = [_foreign(word, self._token(mark, lines)) for word, mark in foreign]

    def _token(self, mark: yaml.Mark, lines: list[str]) -> Span:
        word = _WORD.match(lines[mark.line], mark.column)
        return Span(self.name, mark.line + 1, mark.column + 1, max(1, len(word.group()) if word else 1))

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.values[path] = _span(node, self.name)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.value(child, (*path, i)) for i, child in enumerate(node.value))
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            span = _span(key_node, self.name)
            if not isinstance(key_node, yaml.ScalarNode):
                self.found.append(Diagnostic("E0101", "a key is a list or a mapping", span))
                continue
            key = self._text(str(key_node.value), span)
            if key == "<<":
                help = "write the keys out where they are needed"
                self.found.append(Diagnostic("E0103", "merge keys are not part of the spec language", span, help=help))
            elif key in result:
                self.found.append(_twice(key, span, self.keys[(*path, key)]))
            else:
                self.keys[(*path, key)] = span
                result[key] = self.value(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.Node) -> Any:
        span = _span(node, self.name)
        try:
            value = self.constructor.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.found.append(Diagnostic("E0101", "this value can't be read", span))
            return None
        return self._text(value, span) if isinstance(value, str) else value

    def _text(self, text: str, span: Span) -> str:
        """The text with its surrogate halves joined; JSON writes some characters as two escapes."""
        half = _SURROGATE.search(text)
        if not half:
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            label = f"\\u{ord(half.group()):04x} without its other half"
            at = Span(span.file, span.line, span.column, span.width, label)
            self.found.append(Diagnostic("E0101", "half of a character is no text", at))
            return ""


def _twice(key: str, span: Span, first: Span) -> Diagnostic:
    also = (Span(first.file, first.line, first.column, first.width, "first written here"),)
    at = Span(span.file, span.line, span.column, span.width, "written again")
    return Diagnostic("E0102", f"{quote(key)} is written twice", at, also, help="keep one of the two")
