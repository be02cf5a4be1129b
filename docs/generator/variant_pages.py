"""The pages of heads, methods, objectives, backbones and formats, from the variants' records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from inspect import getdoc
from typing import Any

from notes import Notes

from graftc.compiler import variants
from graftc.compiler.contracts.head import Head
from graftc.compiler.methods import CAPABILITIES
from graftc.runtime.variants import decoder


def sentence(folder: str, word: str) -> str:
    """The first paragraph of a variant's module docstring, on one line."""
    text = " ".join((getdoc(variants.load(folder, word)) or "").split("\n\n")[0].split())
    return text.rstrip(".") + "."


def code(words: Iterable[object]) -> str:
    """Words as code, separated by commas; a dash for none."""
    return ", ".join(f"`{word}`" for word in words) or "–"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    first = list(heads)
    lines = [first, ["---"] * len(first), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _keys(folder: str, word: str, section: str) -> str:
    own = variants.options(folder, word).model_fields
    return code(field.alias or name for name, field in own.items()) if own else "–"


def _scores(head: Head[Any, Any], targets: Iterable[str]) -> str:
    names = dict.fromkeys(name for target in targets for name in head.metrics.names({target: ("column",)}))
    return code(names)


def heads(notes: Notes) -> str:
    """The page of `head.type`."""
    rows, parts = [], []
    for word in variants.words("heads"):
        head, answers = variants.head(word), decoder(word)
        rows.append([f"[`{word}`](#{word})", sentence("heads", word)])
        optional = set(variants.reader(word).optional)
        roles = [f"`{role}`{' (may be absent)' if role in optional else ''}" for role in variants.reader(word).roles]
        facts = [
            ["reads", ", ".join(roles)],
            ["learns from", " or ".join(f"`{role}`" for role in head.targets) or "nothing, or its own input"],
            ["needs of a backbone", f"`{head.needs}`"],
            ["scores, the default first", _scores(head, head.targets or ("text",))],
            ["keys besides `type`", _keys("heads", word, "head")],
            ["an answer has", code(field.name for field in fields(answers.kind))],
            ["options of `predict`", code(answers.options)],
        ]
        parts.append(f"## {word}\n\n{sentence('heads', word)}{notes.of(word)}\n\n{table(['', ''], facts)}")
    return "\n\n".join([f"# Heads{notes.of('heads page')}", table(["`head.type`", ""], rows), *parts])


def methods(notes: Notes) -> str:
    """The page of `adapt.method`."""
    rows, parts = [], []
    for word in variants.words("methods"):
        method = variants.method(word)
        needs = ", ".join(CAPABILITIES[each] for each in sorted(method.needs)) or "nothing special"
        rows.append([f"[`{word}`](#{word})", sentence("methods", word)])
        facts = [
            ["keys besides `method`", _keys("methods", word, "adapt")],
            ["default rate of the backbone", f"{method.learning_rate:g}"],
            ["default rate of heads", f"{method.head_learning_rate:g}"],
            ["rates that raise no warning", f"{method.usual[0]:g} to {method.usual[1]:g}"],
            ["needs of a backbone", needs],
            ["on export", "merged into the weights" if method.merges else "part of the graph" if method.adds else "–"],
            ["checkpoint", "an adapter" if method.adds else "the whole backbone"],
            ["heads can start fitted", "yes" if method.starts_untouched else "no"],
        ]
        parts.append(f"## {word}\n\n{sentence('methods', word)}{notes.of(word)}\n\n{table(['', ''], facts)}")
    return "\n\n".join([f"# Methods{notes.of('methods page')}", table(["`adapt.method`", ""], rows), *parts])


def objectives(notes: Notes) -> str:
    """The page of `pretrain.objective`."""
    rows, parts = [], []
    for word in variants.words("objectives"):
        objective = variants.objective(word)
        rows.append([f"[`{word}`](#{word})", sentence("objectives", word)])
        roles = code(variants.reader(word).roles)
        facts = [
            ["reads", "the training rows of the head after it" if objective.reads_head else roles],
            ["needs of a backbone", f"`{objective.needs}`"],
            ["scores, the default first", _scores(objective, ("text",))],
            ["keys besides `objective`", _keys("objectives", word, "pretrain")],
        ]
        parts.append(f"## {word}\n\n{sentence('objectives', word)}{notes.of(word)}\n\n{table(['', ''], facts)}")
    return "\n\n".join([f"# Objectives{notes.of('objectives page')}", table(["`objective`", ""], rows), *parts])


def backbones(notes: Notes) -> str:
    """The page of families."""
    rows = []
    for word in variants.words("backbones"):
        family = variants.family(word)
        rows.append(
            [
                f"`{word}`",
                sentence("backbones", word),
                family.modality,
                code(sorted(family.capabilities)),
                code(family.parts),
                code(family.kinds),
                code(family.target),
            ]
        )
    names = ["family", "", "reads", "provides", "parts for `freeze`", "kinds for `adapt.target`", "its default"]
    return f"# Backbones{notes.of('backbones page')}\n\n{table(names, rows)}"


def formats(notes: Notes) -> str:
    """The page of data formats."""
    rows = []
    for word in variants.words("formats"):
        found = variants.format(word)
        extra = f"`graftc[{found.extra.name}]`" if found.extra else "–"
        rows.append([f"`{word}`", sentence("formats", word), code(found.suffixes), code(found.columns), extra])
    names = ["format", "", "endings", "columns that it always has", "needs"]
    files = f"# Data{notes.of('formats page')}\n\n{table(names, rows)}"
    return f"{files}\n\n## Columns and their roles{notes.of('columns')}"
