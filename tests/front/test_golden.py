"""How diagnostics read, word for word. GRAFTC_ACCEPT=1 writes the texts anew; the diff is for a reviewer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROWS, Project

GOLDEN = Path(__file__).parent / "golden"


def pickled(project: Project) -> None:
    (project.backbone() / "model.safetensors").rename(project.backbone() / "pytorch_model.bin")


def spec(*changes: tuple[str, str]) -> Callable[[Project], object]:
    def spoil(project: Project) -> None:
        for old, new in changes:
            project.replace(old, new)

    return spoil


def rows(name: str, *more: dict[str, object]) -> Callable[[Project], object]:
    return lambda project: project.write(name, [*ROWS, *more])


def many(project: Project) -> None:
    project.replace("name: triage", "name: Triage\n" + "".join(f"surprise{i}: 1\n" for i in range(12)))


CASES: dict[str, Callable[[Project], object]] = {
    "unknown_key": spec(("epochs: 2", "epoch: 2")),
    "misplaced_key": spec(("epochs: 2", "rank: 8")),
    "unknown_method": spec(("method: lora", "method: lroa")),
    "wrong_kind": spec(("epochs: 2", "epochs: two")),
    "out_of_range": spec(("dropout: 0.1", "dropout: 1.5")),
    "no_value": spec(("rank: 4", "rank:")),
    "text_for_a_list": spec(("precision: [fp32]", "precision: fp32")),
    "not_yet": spec(("precision: [fp32]", "samples: mine.jsonl")),
    "later_language": spec(("graftc: 1", "graftc: 2")),
    "written_twice": spec(("epochs: 2", "epochs: 2\n  epochs: 3")),
    "anchor": spec(("[query, value]", "&both [query, value]")),
    "flow_selector": spec(("  freeze:\n    - embeddings\n    - layers[0:2]", "  freeze: [embeddings, layers[0:2]]")),
    "selector_outside": spec(("layers[0:2]", "layers[3:6]")),
    "epochs_and_steps": spec(("epochs: 2", "epochs: 2\n  max_steps: 100")),
    "unknown_metric": spec(("f1_macro", "f1")),
    "target_of_no_module": spec(("[query, value]", "[query, valeu]")),
    "all_frozen": spec(("layers[0:2]", "layers[0:3]")),
    "too_long": spec(("max_length: 32", "max_length: 512")),
    "missing_column": spec(("label: queue", "label: quue")),
    "not_a_role": spec(("{text: body,", "{txt: body,")),
    "missing_file": spec(("validation.jsonl", "validaton.jsonl")),
    "pickled": pickled,
    "empty_texts": rows("train.jsonl", {"body": " ", "queue": "bug"}, {"body": "", "queue": "bug"}),
    "stranger": rows("validation.jsonl", *[{"body": "x", "queue": label} for label in ("biling", "spam", "spam")]),
    "broken_row": lambda project: project.write("train.jsonl", '{"body": "x", "queue": "bug"}\n{"body": }\n'),
    "hostile": rows("validation.jsonl", {"body": "x", "queue": "\x1b[31mred\nerror[E0000]: forged \u202e"}),
    "wide_characters": spec(("{text: body, label: queue}", "{text: 本文, 'é🙂': x}")),
    "warnings": spec(("  validation: validation.jsonl\n", ""), ("epochs: 2", "learning_rate: 0.5")),
    "absolute_paths": spec(
        ("from: ./backbone", "from: /models/minilm"), ("train: train.jsonl", "train: /data/train.jsonl")
    ),
    "rates_by_part": spec(("epochs: 2", "epochs: 2\n  learning_rate: {backbone: 1, head: 5}")),
    "rate_of_a_frozen_part": spec(
        ("method: lora\n  rank: 4\n  target: [query, value]", "method: probe"),
        ("epochs: 2", "layer_decay: 0.9\n  learning_rate: {backbone: 2e-5, head: 1e-3}"),
    ),
    "columns_of_another_task": spec(("type: text-classification", "type: question-answering")),
    "nothing_to_stop": spec(
        ("  freeze:\n    - embeddings\n    - layers[0:2]\n", ""),
        ("epochs: 2", "epochs: 4\n  early_stopping: {patience: 3}\n  fold: off"),
    ),
    "a_drop_of_nothing": spec(
        ("  validation: validation.jsonl\n", ""), ("precision: [fp32]", "gate: {metric_drop: 0.1}")
    ),
    "frozen_twice": spec(("    - layers[0:2]", "    - layers[0:1]\n    - layers[0:2]\n    - embeddings")),
    "selector_misspelt": spec(("layers[0:2]", "layer[0:2]")),
    "hub_without_its_word": spec(("from: ./backbone", "from: bert-base-uncased")),
    "folder_misspelt": spec(("from: ./backbone", "from: ./bakcbone")),
    "key_of_a_part": spec(("epochs: 2", "patience: 2"), ("dropout: 0.1", "label_smoothing: 0.1")),
    "key_of_another_method": spec(("method: lora", "method: full")),
    "many": many,
    "no_labels": lambda project: project.write(
        "train.jsonl", [{"body": f"a text {i}", "queue": f"T-{i}"} for i in range(1_200)]
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_diagnostic_reads_as_it_was_accepted(name: str, project: Project) -> None:
    CASES[name](project)
    compare(name, project.validate().err)


def test_a_flag_that_is_wrong_reads_as_it_was_accepted(project: Project) -> None:
    compare("flags", project.validate("--set", "train.epochs=two", "--set", "adapt.rank=0").err)
    compare("flag_of_no_shape", project.validate("--set", "train.epochs").err)


def test_every_accepted_text_belongs_to_a_case() -> None:
    # those named by a code belong to its page, and those of locks, builds and trainings to their own tests
    found = {
        path.stem for path in GOLDEN.glob("[a-z]*.txt") if not path.stem.startswith(("lock_", "build_", "health_"))
    }
    assert found == {*CASES, "flags", "flag_of_no_shape"}


def compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GRAFTC_ACCEPT"):
        assert not os.environ.get("CI"), "texts are accepted by a reviewer, not by continuous integration"
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), "GRAFTC_ACCEPT=1 writes it"
    assert text == path.read_text(encoding="utf-8")


def test_continuous_integration_accepts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.GOLDEN", tmp_path)
    monkeypatch.setenv("GRAFTC_ACCEPT", "1")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match="by a reviewer"):
        compare("new", "text")
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv("CI")
    compare("new", "text")
    assert (tmp_path / "new.txt").read_text() == "text"
