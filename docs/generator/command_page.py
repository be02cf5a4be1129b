"""The page of the command line, from click's help texts."""

from __future__ import annotations

from collections.abc import Iterator

import click
from notes import Notes

from graftc.compiler.cli import cli

WIDTH = 100


def page(notes: Notes) -> str:
    """One section per command, with its whole help."""
    context = click.Context(cli, info_name="graftc", terminal_width=WIDTH, help_option_names=["-h", "--help"])
    parts = [f"# The command line{notes.of('command line page')}\n\n{_block(cli.get_help(context))}"]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        parts += _sections(command, click.Context(command, info_name=name, parent=context, terminal_width=WIDTH), notes)
    return "\n\n".join(parts)


def _sections(command: click.Command, context: click.Context, notes: Notes) -> Iterator[str]:
    name = context.command_path
    yield f"## {name}\n\n{_block(command.get_help(context))}{notes.of(name)}"
    for word in command.list_commands(context) if isinstance(command, click.Group) else ():
        inner = command.get_command(context, word)
        assert inner is not None
        yield from _sections(inner, click.Context(inner, info_name=word, parent=context, terminal_width=WIDTH), notes)


def _block(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"```text\n{lines}\n```"
