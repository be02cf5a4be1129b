"""`graftc schema`: prints the JSON Schema of specs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..language.schema import schema
from ._output import write_json


@click.command("schema")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file instead.")
def command(output: str | None) -> None:
    """Print the JSON Schema of specs (draft 2020-12), strict at every depth.

    \b
    An editor that speaks YAML checks a spec while it is written, with this as its first line:
      # yaml-language-server: $schema=schema.json
    """
    text = json.dumps(schema(), indent=2, ensure_ascii=False)
    if output:
        write_json(Path(output), text + "\n")
    else:
        print(text)
