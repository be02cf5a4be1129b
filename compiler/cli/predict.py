"""`graftc predict`: asks a bundle with the installed runtime, without running the bundle's code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import click

from ...runtime.errors import BundleError
from .. import variants
from ..diagnostics import Row, refuse
from . import _bundles, _options
from ._output import whole

LONGEST = 16 << 20  # bytes of a line
FromRow = Callable[[Mapping[str, Any]], Any]  # an object of a line → an input, None where it holds none


@click.command("predict")
@click.argument("bundle", type=click.Path())
@click.argument("inputs", nargs=-1)
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A file with an input per line, plain or as JSON; - is standard input. Of a model that writes, lines may be "
    "rows: objects with `prompt`, `messages` or `source`.",
)
@click.option("--output", type=click.Path(dir_okay=False), help="Write the answers to a file.")
@click.option("--precision", help="One of the bundle's precisions. Default: its first.")
@click.option("--head", help="The answers of this head alone. Default: of every head.")
@_options.of_answers
def command(
    bundle: str,
    inputs: tuple[str, ...],
    source: str | None,
    output: str | None,
    precision: str | None,
    **asked: Any,
) -> None:
    """Ask BUNDLE about INPUTS; one JSON line per answer, in order.

    A bundle that writes texts prints the one for a single input to a terminal as it comes. Options of answers are
    those that its task takes; what a call leaves out is as the bundle has it.

    \b
      graftc predict bundles/tickets "I was charged twice" --top-k 3
      graftc predict bundles/chat "Where is my parcel?" --max-new-tokens 40
      graftc predict bundles/chat "Where is my parcel?" --temperature 0.7 --seed 1
      graftc predict bundles/chat --input chats.jsonl --output answers.jsonl
    """
    if not inputs and source is None:
        raise click.UsageError("give inputs, or --input FILE")
    with _bundles.refusals():
        from ...runtime.model import Model
        from ...runtime.printing import write

        model, options = Model(bundle, precision), _options.given(asked)
        with whole(Path(output)) if output else nullcontext(sys.stdout) as target:
            if inputs:
                write(model, model.from_words(inputs), target, **options)
            if source is not None:
                _answer_lines(model, source, options, target)


def _answer_lines(model: Any, source: str, options: dict[str, Any], target: IO[str]) -> None:
    from ...runtime.printing import lines

    row = model.inputs.from_row or (_itself if len(model.modalities) > 1 else None)
    blanks: list[int] = []
    try:
        lines(model.stream(_lines(source, row, blanks), **options), target)
    except BundleError as error:
        if error.index is None:
            raise
        at = Row(source, _number(error.index, blanks))
        raise refuse(error.code, "an input can't be used", *error.notes, at=at) from None


def _number(index: int, blanks: Sequence[int]) -> int:
    """The number of an input's line, which counts from 1 and counts blank lines."""
    number = index + 1
    for blank in blanks:
        number += blank <= number
    return number


def _itself(row: Any) -> Any:
    return row


def _lines(source: str, row: FromRow | None, blanks: list[int]) -> Iterator[Any]:
    """Yields one input for each line: JSON where the line starts like JSON, else the text itself.

    `row` makes an input of an object. Blank lines are no inputs; their numbers are added to `blanks`.
    """
    if _is_table(Path(source)):
        help = "write its inputs into a file, one a line"
        raise refuse(
            "E0505",
            "a table is no list of inputs",
            "its header and its other columns would be asked too",
            at=Row(source),
            help=help,
        )
    is_any = False
    with nullcontext(sys.stdin.buffer) if source == "-" else open(source, "rb") as lines:
        for number, raw in enumerate(iter(lambda: lines.readline(LONGEST + 1), b""), 1):
            if len(raw) > LONGEST:  # the rest of the line may exceed memory
                headline = f"a line is longer than {LONGEST >> 20} MiB"
                raise refuse("E0505", headline, at=Row(source, number), help="write one input a line")
            line = _decoded(raw, Row(source, number))
            if not line.strip():  # an empty text is written `""`
                blanks.append(number)
                continue
            is_any = True
            yield _input(line, Row(source, number), row)
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


def _input(line: str, at: Row, row: FromRow | None) -> Any:
    if line[0] not in '{["':
        return line
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        help = "a text that begins with a quote, a bracket or a brace is written as a JSON string"
        raise refuse("E0505", "a line starts like JSON and is none", at=at, help=help) from None
    if not isinstance(found, dict):
        return found
    asked = row(found) if row else None
    if asked is None:
        help = 'write the input alone: `"a text"`, or `["one text", "another"]` for a pair'
        raise refuse("E0505", "an object is no input", "its keys and its answer would be asked too", at=at, help=help)
    return asked
