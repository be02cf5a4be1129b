"""Options of answers on the command line, as the decoders of all tasks declare them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from ...runtime.variants import decoder
from .. import variants

# the type of an option of a decoder → how click reads it; options of other types are Python's alone
KINDS: dict[str, dict[str, Any]] = {
    "int": {"type": click.INT, "metavar": "N"},
    "float": {"type": click.FLOAT, "metavar": "X"},
    "str | list[str]": {"multiple": True},
}


def of_answers(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for each that the answers of some task take."""
    for name, kind, help in reversed([*_declared()]):
        command = click.option(f"--{name.replace('_', '-')}", name, help=help, **KINDS[kind])(command)
    return command


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that a command line gives; texts that may come several times are a list."""
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return {name: value for name, value in found.items() if value is not None and value != []}


def _declared() -> Iterator[tuple[str, str, str]]:
    """(name, type, help) of each option, in the order of tasks; what tasks say differently of one stands together."""
    found: dict[str, tuple[str, dict[str, list[str]]]] = {}
    for task in variants.words("heads"):
        own = decoder(task)
        for name, (kind, _) in own.options.items():
            if kind in KINDS:
                found.setdefault(name, (kind, {}))[1].setdefault(own.help.get(name, ""), []).append(task)
    for name, (kind, said) in found.items():
        yield name, kind, _help(said)


def _help(said: dict[str, list[str]]) -> str:
    """What tasks say, if they say something: alone what most of them say, the rest with the names of its tasks."""
    common, *others = sorted(filter(None, said), key=lambda help: -len(said[help])) or [""]
    rest = [f"of {', '.join(said[help])}: {help}" for help in others]
    return f"{'; '.join([common[:1].upper() + common[1:], *rest])}."
