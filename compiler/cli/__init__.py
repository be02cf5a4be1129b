"""The command line: one module for each verb, imported when the verb is used."""

from __future__ import annotations

import sys
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import click

from ..diagnostics import Diagnostic, Refused, Status, quote
from ..interrupts import was_interrupted
from ..renderers import one_line
from ..renderers.text import text
from . import _streams as streams
from ._output import is_full, is_memory

VERBS = tuple(sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_")))


UNHEARD = 128 + 13  # the status of a program whose pipe was closed (SIGPIPE)


class _ReaderLeft(Exception):
    pass


class Verbs(click.Group):
    """A group that imports a verb's module on first use, so that `validate` does not import what `build` needs."""

    def invoke(self, context: click.Context) -> None:
        """Runs a verb; keeps click from turning a closed pipe into an error."""
        try:
            super().invoke(context)
        except BrokenPipeError:
            raise _ReaderLeft from None

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of verbs in the order of work."""
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
    """Runs the command line and exits with its status."""
    if status := _heard(arguments):
        sys.exit(status)


def _heard(arguments: list[str] | None) -> int:
    """The exit status of a run; another one where its output could not be written."""
    try:
        streams.prepare()
        status = _run(arguments)
        sys.stdout.flush()
    except Refused as refused:
        return _say(refused)
    except (_ReaderLeft, BrokenPipeError):
        streams.close(sys.stdout)  # the reader of the pipe is gone
        return UNHEARD  # never 0, because findings may not have been read
    except OSError as error:
        streams.close(sys.stdout)
        return _say(Refused((machine(error),), Status.MACHINE))
    finally:
        streams.close(sys.stderr)
    return status


def _run(arguments: list[str] | None) -> int:
    try:
        _invoke(arguments)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else Status.FINE
    except click.exceptions.Exit as done:
        return int(done.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        streams.say("interrupted; run the same command to go on")
        return Status.INTERRUPTED
    except click.ClickException as error:
        _show(error)
        return Status.USAGE
    except (Refused, _ReaderLeft, OSError):
        raise
    except Exception as error:
        known = SCARCE if is_memory(error) else FULL if is_full(error) else None
        if known is None:
            return _ours()
        return _say(Refused((known,), Status.MACHINE))
    return Status.FINE


def _invoke(arguments: list[str] | None) -> None:
    try:
        cli(args=arguments, prog_name="graftc", standalone_mode=False)
    except Exception:
        if was_interrupted():  # a library turned the interrupt into another error
            raise KeyboardInterrupt from None
        raise


def _show(error: click.ClickException) -> None:
    """Prints an error of usage; words of the command line may be names of files that others chose."""
    context = getattr(error, "ctx", None)
    usage = f"{context.get_usage()}\n" if context else ""
    message = "\n".join(map(one_line, error.format_message().split("\n")))
    hint = f"Try '{context.command_path} --help' for help.\n\n" if context else ""
    streams.say(f"{usage}{hint}Error: {message}")


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
    """The diagnostic for an error of a disk or a permission."""
    where = f" at {quote(error.filename)}" if error.filename else ""
    if is_full(error):
        return replace(FULL, headline=FULL.headline + where)
    return Diagnostic("E0412", f"{(error.strerror or str(error)).lower()}{where}", help=ELSEWHERE)


def _say(refused: Refused) -> int:
    streams.say(text(refused.diagnostics, refused.source))  # type: ignore[arg-type]
    return refused.status


def _ours() -> int:
    from importlib.metadata import version
    from platform import platform, python_version

    please = "this is a mistake of graftc's own; please report it with the lines above"
    streams.say(traceback.format_exc())
    streams.say(f"{please}\ngraftc {version('graftc')}, Python {python_version()}, {platform()}")
    return Status.OURS
