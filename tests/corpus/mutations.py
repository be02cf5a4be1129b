"""One change by chance to a sound example, and whether the validator's first finding is where the change was made.

A change stands at the lines that it wrote. What was deleted stands where it stood, at the heading of its section,
or, for a key of the spec itself, at the first line; what was moved stands at its old place and at its new one.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graftc.compiler import variants
from graftc.compiler.diagnostics import Path as Keys
from graftc.compiler.diagnostics import Span
from graftc.compiler.language.source import Source, parse_text
from graftc.compiler.renderers import in_order

from .corpus import Answer, ask, where

EXAMPLES = Path(__file__).resolve().parents[2] / "specs"
NEAR = 1  # lines
CLASS = 14  # pictures kept of a class: reading the headers of all would take most of the time


@dataclass(frozen=True)
class Mutant:
    """A changed example: what was done to it, and the lines at which it may be told."""

    example: str
    kind: str
    what: str
    text: str
    lines: frozenset[int]


@dataclass(frozen=True)
class Outcome:
    """What the validator said first; `line` is 0 where it said nothing, and -1 for another file than the spec."""

    mutant: Mutant
    line: int
    said: str

    @property
    def is_good(self) -> bool:
        """Whether the change is harmless, or told within one line."""
        return self.line == 0 or any(abs(self.line - line) <= NEAR for line in self.mutant.lines)


def ground(folder: Path) -> dict[str, str]:
    """Lays out the examples' data in a folder that holds the small world; gives the examples' texts.

    The picture backbone, which comes from a hub, is the small world's; the encoder is the real one.
    """
    for source in sorted((EXAMPLES / "data").iterdir()):
        if source.is_dir() and source.name != "digits":
            shutil.copytree(source, folder / "data" / source.name)
    for split in ("train", "test"):
        for label in sorted((EXAMPLES / "data/digits" / split).iterdir()):
            target = folder / "data/digits" / split / label.name
            target.mkdir(parents=True)
            for picture in sorted(label.iterdir())[:CLASS]:
                shutil.copy(picture, target)
    shutil.copytree(EXAMPLES / "bases", folder / "bases")
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.yaml"))}
    return {name: text.replace("hub:google/mobilenet_v2_1.0_224", "./mobilenet") for name, text in texts.items()}


def mutants(texts: dict[str, str], count: int, seed: int) -> Iterator[Mutant]:
    """As many changed examples, each kind of change as often, the same for the same seed."""
    chance = random.Random(seed)
    sources = {name: parse_text(text, name, Path()) for name, text in texts.items()}
    made = 0
    while made < count:
        name = chance.choice(sorted(sources))
        kind = sorted(KINDS)[made % len(KINDS)]
        mutant = KINDS[kind](_Draft(chance, name, sources[name], kind))
        if mutant is not None and mutant.text != texts[name]:
            made += 1
            yield mutant


def judge(mutant: Mutant, folder: Path) -> Outcome:
    """Asks the validator about a mutant."""
    spec = folder / "mutant.yaml"
    spec.write_text(mutant.text, encoding="utf-8")
    answer: Answer = ask(spec)
    ordered = in_order(answer.found, answer.source)
    if not ordered:
        return Outcome(mutant, 0, "")
    file, line, code = where(ordered[0], answer.source)
    return Outcome(mutant, -1 if file else max(line, 1), f"{code} {ordered[0].headline} ({file or 'line'} {line})")


# ---------------------------------------------------------------------------------------------------------
# changes


class _Draft:
    """An example that is being changed."""

    def __init__(self, chance: random.Random, name: str, source: Source, kind: str) -> None:
        self.chance, self.name, self.source, self.kind = chance, name, source, kind
        self.text = source.text.splitlines()

    def paths(self) -> list[Keys]:
        return sorted((path for path in self.source.keys if path), key=str)

    def scalars(self, wanted: Callable[[Keys, object], bool] = lambda path, value: True) -> list[Keys]:
        found = []
        for path in sorted(self.source.values, key=str):
            value = self.value(path)
            if path and not isinstance(value, dict | tuple) and wanted(path, value):
                found.append(path)
        return found

    def value(self, path: Keys) -> object:
        found: object = self.source.data
        for step in path:
            found = found[step]
        return found

    def replaced(self, at: Span, new: str, what: str) -> Mutant:
        """With other text at a place."""
        lines = [*self.text]
        line = lines[at.line - 1]
        lines[at.line - 1] = line[: at.column - 1] + new + line[at.column - 1 + at.width :]
        old = line[at.column - 1 : at.column - 1 + at.width]
        return self.done(lines, {at.line}, f"{what}: {old} -> {new}")

    def done(self, lines: list[str], places: set[int], what: str) -> Mutant:
        return Mutant(self.name, self.kind, what, "\n".join(lines) + "\n", frozenset(places))

    def block(self, path: Keys) -> tuple[int, int] | None:
        """First and last line of a key that begins a line, with all that is below it; None inside of braces."""
        first = self.source.keys[path].line
        line = self.text[first - 1]
        indent = len(line) - len(line.lstrip())
        if line[indent:].startswith("-") or self.source.keys[path].column != indent + 1:
            return None
        last = first
        while last < len(self.text) and (below := self.text[last]) and len(below) - len(below.lstrip()) > indent:
            last += 1
        return first, last

    def heading(self, path: Keys) -> int:
        """The line of the section that a key stands in."""
        return self.source.keys[path[:-1]].line if len(path) > 1 and path[:-1] in self.source.keys else 1


def _typo(chance: random.Random, word: str) -> str:
    """A word with one slip of the finger."""
    at = chance.randrange(len(word))
    kind = chance.choice(["drop", "double", "swap", "other"])
    if kind == "drop" and len(word) > 1:
        return word[:at] + word[at + 1 :]
    if kind == "double":
        return word[: at + 1] + word[at:]
    if kind == "swap" and at + 1 < len(word):
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + chance.choice("aeiorstnxq") + word[at + 1 :]


def _rename(draft: _Draft) -> Mutant | None:
    path = draft.chance.choice(draft.paths())
    return draft.replaced(draft.source.keys[path], _typo(draft.chance, str(path[-1])), "key misspelt")


def _delete(draft: _Draft) -> Mutant | None:
    path = draft.chance.choice(draft.paths())
    block = draft.block(path)
    if block is None:
        return None
    first, last = block
    lines = draft.text[: first - 1] + draft.text[last:]
    return draft.done(lines, {min(first, len(lines)), draft.heading(path)}, f"deleted {'.'.join(map(str, path))}")


def _double(draft: _Draft) -> Mutant | None:
    path = draft.chance.choice(draft.paths())
    block = draft.block(path)
    if block is None:
        return None
    first, last = block
    lines = draft.text[:last] + draft.text[first - 1 : last] + draft.text[last:]
    return draft.done(lines, {last + 1}, f"twice {'.'.join(map(str, path))}")


KINDS_OF_VALUES = (
    *("[]", "{}", "true", "no", "~", '""', "3", "-1", "0.5", "1e400", "words", "[1, 2]", "{a: 1}", "[a, b]"),
    *("'7'", '"0.1"', "{from: x}", "10%", "1_000", "0x10", "2024-01-01", ".nan", "None", "1,5"),
)


def _other_kind(draft: _Draft) -> Mutant | None:
    path = draft.chance.choice(draft.scalars())
    return draft.replaced(draft.source.values[path], draft.chance.choice(KINDS_OF_VALUES), f"kind of {path[-1]}")


def _out_of_range(draft: _Draft) -> Mutant | None:
    numbers = draft.scalars(lambda path, value: isinstance(value, int | float) and not isinstance(value, bool))
    path = draft.chance.choice(numbers)
    new = draft.chance.choice(["-1", "0", "-0.5", "1.5", "1e9", "100000000000", "2", "1000", "1e-12"])
    return draft.replaced(draft.source.values[path], new, f"range of {path[-1]}")


def _move(draft: _Draft) -> Mutant | None:
    path = draft.chance.choice([path for path in draft.paths() if len(path) == 2])
    block = draft.block(path)
    sections = [key for key in draft.source.data if key != path[0] and draft.block((key,)) not in (None,)]
    sections = [key for key in sections if isinstance(draft.source.data[key], dict)]
    if block is None or not sections:
        return None
    first, last = block
    target = draft.chance.choice(sections)
    goal = draft.source.keys[target,].line
    moved, rest = draft.text[first - 1 : last], draft.text[: first - 1] + draft.text[last:]
    at = goal if goal < first else goal - len(moved)
    lines = rest[:at] + moved + rest[at:]
    old = first + len(moved) if goal < first else first
    places = {at + 1, min(old, len(lines)), draft.heading(path) + (len(moved) if goal < draft.heading(path) else 0)}
    return draft.done(lines, places, f"moved {path[0]}.{path[1]} to {target}")


def _variant(draft: _Draft) -> Mutant | None:
    words = {("adapt", "method"): variants.words("methods"), ("head", "type"): variants.words("heads")}
    path = draft.chance.choice([path for path in words if path in draft.source.values])
    others = [*words[path], "adapter", "qlora", "token-classification", "classification", "LoRA", "none"]
    new = draft.chance.choice([*others, _typo(draft.chance, str(draft.value(path)))])
    return draft.replaced(draft.source.values[path], new, "variant")


def _indent(draft: _Draft) -> Mutant | None:
    numbers = [i for i, line in enumerate(draft.text) if line.strip() and not line.strip().startswith("#")]
    number = draft.chance.choice(numbers)
    line = draft.text[number]
    step = draft.chance.choice([-2, -1, 1, 2, 4])
    new = " " * step + line if step > 0 else line[min(-step, len(line) - len(line.lstrip())) :]
    lines = [*draft.text[:number], new, *draft.text[number + 1 :]]
    return draft.done(lines, {number + 1}, f"indent {step}: {line.strip()}")


def _sign(draft: _Draft) -> Mutant | None:
    """A quote, a bracket, a colon or a dash too few; or one of YAML's signs too many."""
    numbers = [i for i, line in enumerate(draft.text) if line.strip() and not line.strip().startswith("#")]
    number = draft.chance.choice(numbers)
    line = draft.text[number]
    places = [i for i, sign in enumerate(line) if sign in ":[]{},-\"'" and i < len(line.partition(" #")[0])]
    if draft.chance.random() < 0.6 and places:
        at = draft.chance.choice(places)
        new, what = line[:at] + line[at + 1 :], f"without {line[at]}"
    else:
        at = draft.chance.randrange(len(line) - len(line.lstrip()), len(line.partition(" #")[0]) + 1)
        sign = draft.chance.choice([*"\"'[]{}:,&*!|>%@`\t#", ": ", "- "])
        new, what = line[:at] + sign + line[at:], f"with {sign!r}"
    lines = [*draft.text[:number], new, *draft.text[number + 1 :]]
    return draft.done(lines, {number + 1}, f"{what}: {new.strip()}")


def _path(draft: _Draft) -> Mutant | None:
    paths = draft.scalars(lambda path, value: isinstance(value, str) and ("/" in value or path[-1] == "from"))
    path = draft.chance.choice(paths)
    value = str(draft.value(path))
    news = [_typo(draft.chance, value), value.rpartition(".")[0] or "x", value + "l", "/" + value, "../" + value]
    return draft.replaced(draft.source.values[path], draft.chance.choice(news), "path")


def _name(draft: _Draft) -> Mutant | None:
    """Another column, metric, selector or target."""
    named = ("columns", "freeze", "target", "metric", "precision", "class_weights")
    paths = draft.scalars(lambda path, value: isinstance(value, str) and any(step in named for step in path))
    if not paths:
        return None
    path = draft.chance.choice(paths)
    word = str(draft.value(path))
    others = ["layers[0:40]", "layers[2:1]", "layers", "id", "q_proj", "text", "f1", "fp16", _typo(draft.chance, word)]
    new = draft.chance.choice([*others, _typo(draft.chance, word), _typo(draft.chance, word)])
    is_flow = "[" in draft.text[draft.source.values[path].line - 1]
    return draft.replaced(draft.source.values[path], f'"{new}"' if is_flow and "[" in new else new, f"{path[-2]}")


KINDS: dict[str, Callable[[_Draft], Mutant | None]] = {
    "rename a key": _rename,
    "delete a key": _delete,
    "write a key twice": _double,
    "change the kind of a value": _other_kind,
    "leave the range": _out_of_range,
    "move to another section": _move,
    "swap the variant": _variant,
    "change indentation": _indent,
    "change a sign": _sign,
    "change a path": _path,
    "change a name": _name,
}


def shares(outcomes: list[Outcome]) -> dict[str, tuple[int, int]]:
    """Per kind of change: how many were harmless or told in place, and of how many."""
    good = Counter(outcome.mutant.kind for outcome in outcomes if outcome.is_good)
    every = Counter(outcome.mutant.kind for outcome in outcomes)
    return {kind: (good[kind], every[kind]) for kind in sorted(every)}
