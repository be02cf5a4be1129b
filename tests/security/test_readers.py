"""Door 14: what others wrote is read in the time and memory that its size allows; what is no file is not waited for."""

from __future__ import annotations

import base64
import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.bundling.delivery import refuse_output
from graftc.compiler.diagnostics import Refused
from graftc.compiler.formats import Malformed
from graftc.compiler.formats import csv as csv_format
from graftc.compiler.formats import json as json_format
from graftc.compiler.formats import jsonl as jsonl_format
from graftc.compiler.heads._lists import listed
from graftc.compiler.inputs._growth import excess
from graftc.compiler.language.text import _selector
from graftc.runtime.errors import BundleError
from graftc.runtime.manifest import read_manifest

from ..front import ground
from ..front.cli import Command

PICTURES = """\
backbone: {from: ./vit}
adapt: {method: probe}
head: {type: image-classification}
data: {train: pictures}
"""
SOON = 2  # seconds; each of these takes a few hundredths, and took minutes or for ever


@contextmanager
def soon(seconds: int = SOON) -> Iterator[None]:
    """Fails where something takes long, or waits for ever."""

    def late(*_: object) -> None:
        raise AssertionError(f"it takes longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---------------------------------------------------------------------------------------------------------
# specs


@pytest.mark.parametrize(
    "text",
    [
        "x: " + "[layers[" * 50_000 + ": : ",
        "x: [" + "a" * 200_000 + ": : b: c",
        "x: [" + "a.layers" * 50_000 + ": : b: c",
        "b: [" + "*a ," * 5_000 + "x" * 400_000 + "]",
        "a: &a [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 1000)),
        "[" * 500_000,
        "a: " + "- " * 200_000,
        "".join(" " * i + "a:\n" for i in range(1000)),
    ],
)
def test_a_spec_is_refused_in_time(folder: Path, text: str, graftc: Command) -> None:
    (folder / "spec.yaml").write_text(text)
    with soon(5):
        answer = graftc("validate", "spec.yaml")
    assert answer.status == 1
    assert {code[:4] for code in answer.codes} == {"E010"}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("freeze: [layers[0:2]]", (9, "layers[0:2]")),
        ("freeze: [norms, text.layers[0:2], stages[1]]", (16, "text.layers[0:2]")),
        ("freeze: [.layers[0]]", (10, "layers[0]")),
        ("freeze: [xlayers[0]]", (10, "layers[0]")),
        ("freeze: [layers[0:2", None),
        ("freeze: layers[0:2]", None),
        ("freeze: [norms]", None),
    ],
)
def test_a_selector_is_found_where_it_stands(line: str, found: tuple[int, str] | None) -> None:
    assert _selector(line) == found


def test_what_very_many_missing_columns_were_meant_to_be_is_not_looked_for(folder: Path, graftc: Command) -> None:
    wide = ",".join(f"column_{j}_of_many_columns" for j in range(12_000))
    (folder / "train.csv").write_text(f"{wide}\n" + ",".join("x" * 12_000) + "\n")
    wanted = ", ".join(f"column_{j}x_of_many_columns" for j in range(4000))
    data = f"data: {{train: train.csv, columns: {{text: [{wanted}]}}}}\n"
    (folder / "spec.yaml").write_text(ground.replaced(data))
    with soon(8):
        assert set(graftc("validate", "spec.yaml").codes) == {"E0312"}


# ---------------------------------------------------------------------------------------------------------
# rows


def read(format: Any, path: Path, content: str) -> tuple[int, list[Malformed]]:
    """How many rows a file has, and which can't be read."""
    path.write_text(content)
    told: list[Malformed] = []
    return sum(1 for _ in format.rows(path, told.append)), told


def test_a_key_that_stands_twice_among_many_is_found(tmp_path: Path) -> None:
    keys = "".join(f'"k{i}":1,' for i in range(60_000))
    with soon():
        rows, (wrong,) = read(jsonl_format, tmp_path / "a.jsonl", "{" + keys + '"k59999":1}\n')
    assert rows == 0
    assert wrong.reason == "the key `k59999` stands there twice"


def test_rows_that_are_none_are_numbered_in_time(tmp_path: Path) -> None:
    with soon(5):
        rows, told = read(json_format, tmp_path / "a.json", "[" + "1,\n" * 60_000 + '{"a": 1}]')
    assert (rows, len(told)) == (1, 60_000)
    assert told[-1].reason.endswith("(line 60000)")


def test_a_header_of_very_many_columns_is_refused(tmp_path: Path) -> None:
    with soon(), pytest.raises(Malformed, match="names 20,001 columns; at most 16,384"):
        read(csv_format, tmp_path / "a.csv", "a" + ",b" * 20_000 + "\n" + "1\n" * 10_000)


@pytest.mark.parametrize(
    "cell",
    [
        "[1" + " " * 100_000 + "x]",
        "[" + " " * 100_000 + "x]",
        "['a'" + ",'a'" * 50_000 + "x]",
        "[" + "1" * 200_000 + "x]",
        "['" + "\\\\" * 100_000 + "x]",
        "(" + "1," * 4_000_000 + "1)",
    ],
)
def test_a_cell_that_is_nearly_a_list_takes_no_longer(cell: str) -> None:
    with soon():
        assert listed(cell) is None


def test_lists_are_read_as_before() -> None:
    for text, items in {
        "['a', 'b']": ("a", "b"), "[ 'a' ,\"b\" , ]": ("a", "b"), "(1, -2.5, True)": (1, -2.5, True),
        "{'a'}": ("a",), "[ ]": (), "['it\\'s']": ("it's",),
    }.items():  # fmt: skip
        assert listed(text) == items
    assert [listed(text) for text in ("['a' 'b']", "[1 2]", "[,]", "['a'", "[a]", "(1)")] == [None] * 6


# ---------------------------------------------------------------------------------------------------------
# tables that unpack to more than they are

BOMB = """\
import pyarrow, numpy, sys
from pyarrow import parquet
kind, path = sys.argv[1:]
zeros = numpy.zeros
words = lambda word, rows: pyarrow.DictionaryArray.from_arrays(pyarrow.array(zeros(rows, "i4")), pyarrow.array([word]))
text = {
    "cell": lambda: pyarrow.array(["a" * 40_000_000]),
    "words": lambda: words("a" * 14_000_000, 200),
    "rows": lambda: words("a", 3_000_000),
    "list": lambda: pyarrow.ListArray.from_arrays(
        pyarrow.array([0, 20_000_000], pyarrow.int32()), pyarrow.array(zeros(20_000_000, "i1"))
    ),
}[kind]()
parquet.write_table(pyarrow.table({"text": text}), path, compression="zstd", use_dictionary=kind != "cell")
"""
READ = """\
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from graftc.compiler.formats import Malformed, parquet
try:
    for _ in parquet.rows(Path(sys.argv[1])): pass
except Malformed as error:
    print(error.reason)
"""


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cell", "a page of the column `text` unpacks "),
        ("words", "bytes unpack to more than 1,073,741,824"),
        ("rows", "the column `text` holds "),
        ("list", "the column `text.list.element` holds 20,000,000 values in "),
    ],
)
def test_a_small_table_does_not_become_a_large_one(tmp_path: Path, kind: str, said: str) -> None:
    """Read by another process that has 3 GiB of addresses, most of which libraries take."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "bomb.parquet"
    subprocess.run([sys.executable, "-c", BOMB, kind, path], check=True)
    assert path.stat().st_size < 20_000
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, timeout=30)
    assert said in done.stdout, done.stderr


def test_tables_are_read_as_before(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from graftc.compiler.formats import parquet as format

    columns = {
        "text": ["a", None, "b" * 70_000] * 300,
        "label": pyarrow.array(["x", "y", "x"] * 300).dictionary_encode(),
        "tags": [["a", "b"], [], None] * 300,
        "struct": [{"a": 1, "b": b"x"}] * 900,
        "number": pyarrow.array([None, 1.5, 2.5] * 300),
    }
    table = pyarrow.table(columns)
    for compression in ("none", "gzip", "zstd"):
        for version in ("1.0", "2.0"):
            path = tmp_path / "a.parquet"
            parquet.write_table(table, path, compression=compression, data_page_version=version, row_group_size=500)
            found = list(format.rows(path))
            assert [number for number, _ in found] == list(range(1, 901))
            assert [row for _, row in found] == table.to_pylist()
    parquet.write_table(table.slice(0, 0), path)
    assert list(format.rows(path)) == []


def test_a_header_of_a_page_that_is_none_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from graftc.compiler.formats import parquet as format

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": ["abc"] * 100}), path, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    for i in range(4, 40):
        for byte in (0x00, 0x15, 0x1C, 0x7F, 0xFF):
            path.write_bytes(whole[:i] + bytes([byte]) + whole[i + 1 :])
            try:
                with soon():
                    list(format.rows(path))
            except Malformed:
                pass


def picture(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_a_small_picture_does_not_become_a_large_one(folder: Path, graftc: Command) -> None:
    data = (
        "backbone: {from: ./vit}\nadapt: {method: probe}\nhead: {type: image-classification}\ndata: {train: pictures}\n"
    )
    (folder / "spec.yaml").write_text(ground.replaced(data))
    (folder / "pictures" / "dark" / "3.png").write_bytes(picture(60_000, 60_000))
    with soon(5):
        answer = graftc("validate", "spec.yaml")
    assert "E0316" in answer.codes
    assert "a decompression bomb" in answer.err


# ---------------------------------------------------------------------------------------------------------
# backbones


def header(folder: Path, change: Callable[[dict[str, Any], int], object]) -> None:
    """Changes the header of the weights; entries of no bytes may stand at their end."""
    path = folder / "backbone" / "model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    entries = json.loads(raw[8 : 8 + length])
    change(entries, len(raw) - 8 - length)
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])


def nothing(end: int, *more: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [0, *more], "data_offsets": [end, end]}


HEADERS: dict[str, tuple[Callable[[dict[str, Any], int], object], str]] = {
    "parts": (lambda e, n: e.update({"encoder." + "a." * 20_000: nothing(n)}), "longer than 500 characters"),
    "digits": (lambda e, n: e.update({f"encoder.layer.{'1' * 40_000}.x": nothing(n)}), "longer than 500 characters"),
    "tensors": (lambda e, n: e.update({f"x{i}": nothing(n) for i in range(21_000)}), "at most 20,000"),
    "sides": (lambda e, n: e.update({"x": nothing(n, *[9**99] * 10_000)}), "10001 sides; at most 16"),
    "numbers": (lambda e, n: e.update({"x": nothing(n, 9**999)}), "is not made of whole numbers"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_weights_has_limits(folder: Path, name: str, graftc: Command) -> None:
    change, said = HEADERS[name]
    header(folder, change)
    with soon(4):
        answer = graftc("plan", "spec.yaml")
    assert answer.codes == ["E0304"]
    assert said in answer.err


def test_a_layer_of_a_very_long_number_is_no_layer(folder: Path, graftc: Command) -> None:
    header(folder, lambda e, n: e.update({f"encoder.layer.{'1' * 450}.x": nothing(n)}))
    with soon():
        assert graftc("plan", "spec.yaml").status == 1


def chained(kind: str, steps: list[Any]) -> dict[str, Any]:
    return {"type": "Sequence", kind: steps}


BYTES, DOUBLING = {"type": "ByteLevel"}, {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
LONG = {"type": "Replace", "pattern": {"Regex": "x*"}, "content": "a" * 100_000}
TABLE = base64.b64encode(struct.pack("<I", 0) + b"a" * 5000 + b"\0").decode()
TEXTS = [{"Sequence": {"id": "A", "type_id": 0}}] * 9999
TEMPLATE = {"type": "TemplateProcessing", "single": TEXTS, "pair": [], "special_tokens": {}}
NESTED = chained("normalizers", [chained("normalizers", [BYTES] * 5)] * 5)
STEPS: dict[str, tuple[dict[str, Any], str]] = {
    "doubling": ({"normalizer": chained("normalizers", [DOUBLING] * 40)}, "countless characters of one"),
    "nested": ({"normalizer": NESTED}, "33,554,432 characters of one"),
    "long": ({"normalizer": LONG}, "100,001 characters of one"),
    "table": ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": TABLE}}, "5,000 characters of one"),
    "pieces": ({"pre_tokenizer": chained("pretokenizers", [BYTES] * 30)}, "countless characters of one"),
    "template": ({"post_processor": TEMPLATE}, "puts a text 5,000 times"),
    "words": ({"model": {"max_input_chars_per_word": 10**9}}, "words may have 1,000,000,000 characters"),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_tokenizer_that_makes_texts_grow_is_refused(folder: Path, name: str, graftc: Command) -> None:
    change, said = STEPS[name]
    path = folder / "backbone" / "tokenizer.json"
    found = json.loads(path.read_text())
    changed = {**found, **change, "model": {**found["model"], **change.get("model", {})}}
    assert not excess(found)
    path.write_text(json.dumps(changed))
    with soon(5):
        answer = graftc("plan", "spec.yaml")
    assert answer.codes == ["E0306"]
    assert said in answer.err


# ---------------------------------------------------------------------------------------------------------
# what is no file

OF_A_BACKBONE = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "README.md",
    "model.safetensors",
    "model.safetensors.index.json",
    "modules.json",
    "processor_config.json",
)


def piped(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("lay", [piped, endless])
@pytest.mark.parametrize("name", OF_A_BACKBONE)
def test_nothing_of_a_backbone_is_waited_for(
    folder: Path, name: str, lay: Callable[[Path], None], graftc: Command
) -> None:
    lay(folder / "backbone" / name)
    with soon(5):
        assert graftc("plan", "spec.yaml", "--diff", "spec.yaml").status in (0, 1)


@pytest.mark.parametrize("lay", [piped, endless])
@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json"])
def test_nothing_of_a_picture_s_backbone_is_waited_for(
    folder: Path, name: str, lay: Callable[[Path], None], graftc: Command
) -> None:
    data = (
        "backbone: {from: ./vit}\nadapt: {method: probe}\nhead: {type: image-classification}\ndata: {train: pictures}\n"
    )
    (folder / "spec.yaml").write_text(ground.replaced(data))
    lay(folder / "vit" / name)
    with soon(5):
        assert "E0306" in graftc("plan", "spec.yaml").codes


@pytest.mark.parametrize("lay", [piped, endless])
@pytest.mark.parametrize("name", ["train.jsonl", "spec.lock.yaml", "base.yaml", "old.json", "spec.yaml"])
def test_nothing_that_a_command_reads_is_waited_for(
    folder: Path, name: str, lay: Callable[[Path], None], graftc: Command
) -> None:
    lay(folder / name)
    if name == "base.yaml":
        (folder / "spec.yaml").write_text("graftc: 1\nname: a\nextends: base.yaml\n")
    with soon(5):
        flags = ("--diff", name) if name == "old.json" else ("--locked",) if "lock" in name else ()
        assert graftc("plan", "spec.yaml", *flags).status == 1


@pytest.mark.parametrize("lay", [piped, endless])
def test_a_picture_that_is_no_file_is_not_opened(folder: Path, lay: Callable[[Path], None], graftc: Command) -> None:
    rows = [{"image": f"pictures/{label}/{i}.png", "label": label} for label in ("dark", "light") for i in range(8)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = PICTURES.replace("train: pictures", "train: rows.jsonl")
    (folder / "spec.yaml").write_text(ground.replaced(data))
    lay(folder / "pictures" / "dark" / "3.png")
    with soon(5):
        assert "E0316" in graftc("plan", "spec.yaml").codes


@pytest.mark.parametrize("lay", [piped, endless])
def test_a_manifest_that_is_no_file_is_not_read(tmp_path: Path, lay: Callable[[Path], None], graftc: Command) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    lay(bundle / "manifest.json")
    with soon(), pytest.raises(BundleError):
        read_manifest(bundle)
    for words in (("verify", bundle), ("inspect", bundle), ("predict", bundle, "a text")):
        with soon(5):
            assert graftc(*words).codes == ["E0502"]
    with soon(), pytest.raises(Refused, match="E0501"):  # the old one, where a build is to go
        refuse_output(bundle, "tickets", None, tmp_path / "memory")
