"""`graftc predict`: asks a bundle with the installed runtime, without running the bundle's code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import click

from ...runtime.errors import BundleError
from .. import variants
from ..diagnostics import Row, refuse
from ..renderers import printable
from . import _bundles
from ._output import whole

LONGEST = 16 << 20  # bytes of a line


@click.command("predict")
@click.argument("bundle", type=click.Path())
@click.argument("inputs", nargs=-1)
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A file with an input per line, plain or as JSON; - is standard input.",
)
@click.option("--output", type=click.Path(dir_okay=False), help="Write the answers to a file.")
@click.option("--precision", help="One of the bundle's precisions. Default: its first.")
@click.option("--head", help="The answers of this head alone. Default: of every head.")
@click.option("--top-k", type=click.IntRange(1), help="The number of answers for each input.")
def command(
    bundle: str,
    inputs: tuple[str, ...],
    source: str | None,
    output: str | None,
    precision: str | None,
    head: str | None,
    top_k: int | None,
) -> None:
    """Ask BUNDLE about INPUTS; one JSON line per answer, in order."""
    if not inputs and source is None:
        raise click.UsageError("give inputs, or --input FILE")
    with _bundles.refusals():
        from ...runtime.model import Model

        model = Model(bundle, precision)
        given = {"top_k": top_k, "head": head}
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        with whole(Path(output)) if output else nullcontext(sys.stdout) as target:
            if inputs:
                _write(model.predict(model.from_words(inputs), **options), target)
            if source is not None:
                _answer_lines(model, source, options, target)


def _answer_lines(model: Any, source: str, options: dict[str, Any], target: IO[str]) -> None:
    try:
        _write(model.stream(_lines(source, len(model.modalities) > 1), **options), target)
    except BundleError as error:
        if error.index is None:
            raise
        at = Row(source, error.index + 1)
        raise refuse(error.code, "an input can't be used", *error.notes, at=at) from None


def _write(answers: Iterable[Any], target: IO[str]) -> None:
    from ...runtime.verify import plain

    for answer in answers:
        target.write(printable(json.dumps(plain(answer), ensure_ascii=False)) + "\n")


def _lines(source: str, are_objects: bool) -> Iterator[Any]:
    """Yields one input for each line: JSON where the line starts like a JSON list or string, else the text itself."""
    if _is_table(Path(source)):
        help = "write its inputs into a file, one a line"
        raise refuse(
            "E0505",
            "a table is no list of inputs",
            "its header and its other columns would be asked too",
            at=Row(source),
            help=help,
        )
    blank, is_any = 0, False
    with nullcontext(sys.stdin.buffer) if source == "-" else open(source, "rb") as lines:
        for number, raw in enumerate(iter(lambda: lines.readline(LONGEST + 1), b""), 1):
            if len(raw) > LONGEST:  # the rest of the line may exceed memory
                headline = f"a line is longer than {LONGEST >> 20} MiB"
                raise refuse("E0505", headline, at=Row(source, number), help="write one input a line")
            line = _decoded(raw, Row(source, number))
            if not line.strip():  # blank lines at the end of a file are no inputs
                blank = blank or number
                continue
            if blank:
                help = 'remove it; an empty text is written `""`'
                raise refuse("E0505", "a line is blank", at=Row(source, blank), help=help)
            is_any = True
            yield _input(line, Row(source, number), are_objects)
    if not is_any:
        raise refuse("E0505", "there are no inputs", at=Row(source))


def _is_table(path: Path) -> bool:
    formats = map(variants.format, variants.words("formats"))
    return any(path.suffix.lower() in found.suffixes for found in formats if found.is_table)


def _decoded(raw: bytes, at: Row) -> str:
    try:
        return raw.decode("utf-8-sig" if at.number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise refuse("E0505", "the inputs are not UTF-8 text", at=at) from None


def _input(line: str, at: Row, is_object: bool) -> Any:
    if line[0] == "{" and not is_object and _is_object(line):
        help = 'write the input alone: `"a text"`, or `["one text", "another"]` for a pair'
        raise refuse("E0505", "an object is no input", "its keys and its answer would be asked too", at=at, help=help)
    if line[0] not in ('{["' if is_object else '["'):
        return line
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        help = "a text that begins with a quote or a bracket is written as a JSON string"
        raise refuse("E0505", "a line starts like JSON and is none", at=at, help=help) from None


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False  # a text that begins with a brace
