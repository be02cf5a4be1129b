"""The command line: one module per verb, imported when the verb is used."""

from __future__ import annotations

import io
import os
import sys
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from ..diagnostics import Diagnostic, Refused, Status, quote
from ..execution.interrupts import was_interrupted
from ..reports.text import text
from ._whole import is_full, is_memory

VERBS = tuple(sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_")))


UNHEARD = 128 + 13  # what a shell reports of a program whose pipe was closed (SIGPIPE)


class _ReaderLeft(Exception):
    pass


class Verbs(click.Group):
    """Loads a verb's module on first use, so that `validate` never pays for `build`."""

    def invoke(self, context: click.Context) -> None:
        """Runs a verb; click would make an error of a pipe whose reader went away."""
        try:
            super().invoke(context)
        except BrokenPipeError:
            raise _ReaderLeft from None

    def list_commands(self, context: click.Context) -> list[str]:
        """Names in the order of work."""
        order = (
            "init",
            "validate",
            "plan",
            "lock",
            "build",
            "verify",
            "predict",
            "inspect",
            "cache",
            "explain",
            "schema",
        )
        return sorted(VERBS, key=lambda v: (order.index(v) if v in order else len(order), v))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The click command of a verb."""
        if name not in VERBS:
            return None
        found: click.Command = import_module(f".{name}", __package__).command
        return found


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="graftc")
def cli() -> None:
    """Compile a fine-tuning: from a YAML spec to a verified ONNX bundle.

    \b
      graftc init tickets my-project     start from an example
      graftc validate spec.yaml          check it: milliseconds, no torch
      graftc plan spec.yaml              see what would happen and what it costs
      graftc build spec.yaml             train, export, gate, pack
      graftc predict bundles/NAME "…"    ask the bundle
    """


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; every way out has its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a label may hold what the terminal's encoding has not
    try:
        _run(arguments)
    except Refused as refused:
        _leave(refused)
    except click.UsageError as error:
        error.show()
        sys.exit(Status.USAGE)
    except (click.exceptions.Abort, KeyboardInterrupt):
        print("interrupted; run the same command to go on", file=sys.stderr)
        sys.exit(Status.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(Status.USAGE)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (_ReaderLeft, BrokenPipeError):
        _close_output()  # the reader of a pipe went away; nothing more can be said to it
        sys.exit(UNHEARD)  # never 0: what was wrong may not have been read
    except OSError as error:
        _close_output()
        _leave(Refused((machine(error),), Status.MACHINE))
    except Exception as error:
        known = SCARCE if is_memory(error) else FULL if is_full(error) else None
        if known is None:
            _ours()
        _leave(Refused((known,), Status.MACHINE))


def _run(arguments: list[str] | None) -> None:
    try:
        cli(args=arguments, prog_name="graftc", standalone_mode=False)
        sys.stdout.flush()
    except Exception:
        if was_interrupted():  # a library made another error of it
            raise KeyboardInterrupt from None
        raise


def _close_output() -> None:
    """Sends what is still to be printed nowhere, so that the interpreter does not fail on it when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


SCARCE = Diagnostic(
    "E0414",
    "the machine is out of memory",
    help="close other programs, or lower what the plan says it costs: `train.batch_size`",
)
FULL = Diagnostic(
    "E0410",
    "the disk is full",
    help="free space, or point the output or --store at another disk, then run the same command to go on",
)
ELSEWHERE = "make it, change its permissions, or name another place: `-o`, or `--store` or $GRAFTC_STORE for the store"


def machine(error: OSError) -> Diagnostic:
    """The diagnostic for a disk or permission that failed."""
    where = f" at {quote(error.filename)}" if error.filename else ""
    if is_full(error):
        return replace(FULL, headline=FULL.headline + where)
    return Diagnostic("E0412", f"{(error.strerror or str(error)).lower()}{where}", help=ELSEWHERE)


def _leave(refused: Refused) -> NoReturn:
    print(text(refused.diagnostics, refused.source), file=sys.stderr)  # type: ignore[arg-type]
    sys.exit(refused.status)


def _ours() -> NoReturn:
    from importlib.metadata import version
    from platform import platform, python_version

    traceback.print_exc()
    print(
        f"\nthis is a mistake of graftc's own; please report it with the lines above\ngraftc {version('graftc')}, Python {python_version()}, {platform()}",
        file=sys.stderr,
    )
    sys.exit(Status.OURS)
