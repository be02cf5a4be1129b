"""Writes files that users asked for: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click


@contextmanager
def whole(path: Path) -> Iterator[IO[str]]:
    """Opens a file for writing that appears, or changes, only once everything is in it.

    What is no ordinary file, such as /dev/stdout, is written as it goes.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8") as file:
            yield file
        return
    real = path.resolve()  # through a link, which stays one
    staged = real.with_name(f".{real.name[:200]}.{os.getpid()}.partial")
    try:
        with staged.open("w", encoding="utf-8") as file:
            yield file
        os.replace(staged, real)
    except BaseException as error:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(staged):
            error.filename = str(path)  # as the user wrote it
        raise


def write_json(path: Path, text: str) -> None:
    """Writes JSON to a file in one visible step; raises UsageError for a file of another kind, a spec above all."""
    if path.suffix.lower() in (".yaml", ".yml", ".py", ".csv", ".jsonl"):
        raise click.UsageError(f"-o writes JSON: {path.name} has another ending")
    write_whole(path, text)


def write_whole(path: Path, text: str) -> None:
    """Writes a text to a file in one visible step."""
    with whole(path) as file:
        file.write(text)
