"""`graftc predict`: asks a bundle with the installed runtime; the bundle's own code is not run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

from ..diagnostics import Row, refuse
from . import _bundles

CHUNK = 256  # lines answered at once


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
@click.option("--top-k", type=click.IntRange(1), help="So many answers for each input.")
def command(
    bundle: str,
    inputs: tuple[str, ...],
    source: str | None,
    output: str | None,
    precision: str | None,
    top_k: int | None,
) -> None:
    """Ask BUNDLE about INPUTS; one JSON line per answer, in order."""
    if not inputs and not source:
        raise click.UsageError("give inputs, or --input FILE")
    with _bundles.refusals():
        from ...runtime.model import Model

        model = Model(bundle, precision)
        options = {"top_k": top_k} if top_k else {}
        with _target(output) as target:
            if inputs:
                _answer(model, model.from_words(inputs), options, target)
            if source:
                for chunk in _lines(source):
                    _answer(model, chunk, options, target)


def _target(output: str | None) -> Any:
    from contextlib import nullcontext

    return open(output, "w", encoding="utf-8") if output else nullcontext(sys.stdout)


def _answer(model: Any, inputs: list[Any], options: dict[str, Any], target: IO[str]) -> None:
    from ...runtime.verify import plain

    for answer in model.predict(inputs, **options):
        target.write(json.dumps(plain(answer), ensure_ascii=False) + "\n")


def _lines(source: str) -> Iterator[list[Any]]:
    """Inputs in chunks: a line that starts like a JSON list or string is read as JSON, any other is the text itself."""
    text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise refuse("E0505", f"`{source}` is not UTF-8") from None
    chunk: list[Any] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if line[0] in '["':
            try:
                line = json.loads(line)
            except ValueError:
                raise refuse("E0505", "a line starts like JSON and is none", at=Row(source, number)) from None
        chunk.append(line)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
