"""What is found in the data alone: thresholds on both sides, numbers and places."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from typing import Any

import pytest

from graftc.compiler.facts import inputs_seen
from graftc.compiler.facts.multi_head import gather
from graftc.compiler.language.parse import draft
from graftc.compiler.language.source import read

from .conftest import LABELS, Project


def rows(count: int, first: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Different texts, the labels in turn."""
    return [{"body": f"the letter of day {i}", "queue": LABELS[i % 3], **more} for i in range(first, first + count)]


def lay(project: Project, train: Iterable[Any], validation: Iterable[Any] | None = None) -> None:
    project.write("train.jsonl", [*train])
    project.write("validation.jsonl", rows(30, 5_000) if validation is None else [*validation])


def test_sound_data_has_nothing_to_say(project: Project) -> None:
    lay(project, rows(300))
    assert project.validate().codes == []


def test_leaks_are_counted_row_by_row_and_named(project: Project) -> None:
    lay(project, rows(200), [*rows(40, 5_000), *rows(2, 7), *rows(1, 7)])
    (found,) = project.validate().findings
    assert (found.code, found.headline) == ("W0310", "3 rows stand in both the training and the validation data")
    assert "validation.jsonl, then of train.jsonl: 41 is 8, 42 is 9" in found.notes
    assert "take rows 8, 9 out of train.jsonl" in found.notes


def test_a_text_that_comes_often_is_not_mended_by_taking_out_one_row(project: Project) -> None:
    often = [{"body": "thanks", "queue": LABELS[0]}] * 30
    lay(project, [*rows(100), *often])
    answer = project.validate()
    assert "W0311" in answer.codes
    assert "take the copies out" in answer.err
    assert "take row" not in answer.err


def test_a_leak_of_another_label_is_one_too(project: Project) -> None:
    lay(project, rows(200), [*rows(40, 5_000), {"body": "the letter of day 7", "queue": "howto"}])
    assert project.validate().codes == ["W0310"]


def test_a_leak_into_long_training_data_is_found(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_seen, "CAP", 100)
    lay(project, rows(3_000), [*rows(40, 5_000), *rows(2, 1_234)])
    (found,) = project.validate().findings
    assert (found.code, found.headline) == ("W0310", "2 rows stand in both the training and the validation data")
    assert "take rows 1235, 1236 out of train.jsonl" in found.notes


def test_leaks_are_estimated_where_inputs_are_sampled(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_seen, "CAP", 1_000)
    lay(project, rows(6_000), [*rows(2_000, 8_000), *rows(2_000)])
    (found,) = project.validate().findings
    about = int(found.headline.split()[1].replace(",", ""))
    assert found.headline.startswith("about ")
    assert 1_500 < about < 2_500


@pytest.mark.parametrize(("copies", "codes"), [(2, []), (3, ["W0311"])])
def test_more_copies_than_one_in_a_hundred_are_worth_a_word(project: Project, copies: int, codes: list[str]) -> None:
    lay(project, [*rows(200), *rows(copies)])
    assert project.validate().codes == codes


@pytest.mark.parametrize(("count", "codes"), [(500, []), (300, ["W0312"])])
def test_contradictions_count_by_their_rows(project: Project, count: int, codes: list[str]) -> None:
    lay(project, [*rows(count), {"body": "the letter of day 0", "queue": "bug"}])
    assert project.validate().codes == codes


def test_labels_in_another_order_do_not_contradict(project: Project) -> None:
    every = [{"body": f"a letter {i}", "queue": ["a", "b"] if i % 2 else ["a"]} for i in range(100)]
    project.replace("{text: body, label: queue}", "{text: body, labels: queue}")
    lay(project, [*every, {"body": "a letter 1", "queue": ["b", "a"]}], every[:1] + [
        {"body": f"another letter {i}", "queue": ["b"]} for i in range(30)
    ])  # fmt: skip
    assert project.validate().codes == ["W0310"]


@pytest.mark.parametrize(
    ("often", "change", "codes"),
    [
        (50, ("metric: f1_macro", "metric: accuracy"), ["W0313"]),
        (49, ("metric: f1_macro", "metric: accuracy"), []),
        (50, ("metric: f1_macro", "epochs: 2"), None),
        (500, ("dropout: 0.1", "dropout: 0.1"), []),
        (500, ("dropout: 0.1", "loss: {class_weights: balanced}"), []),
    ],
)
def test_imbalance(project: Project, often: int, change: tuple[str, str], codes: list[str] | None) -> None:
    if codes is None:
        project.replace("  metric: f1_macro\n", "")
    else:
        project.replace(*change)
    if "class_weights" in change[1]:
        project.replace("metric: f1_macro", "metric: accuracy")
    labels = ["billing"] * often + ["bug"] * 5 + ["howto"] * 30
    lay(project, [{"body": f"a letter {i}", "queue": label} for i, label in enumerate(labels)])
    assert project.validate().codes == (["W0313"] if codes is None else codes)


@pytest.mark.parametrize(("count", "codes"), [(31, ["W0314"]), (32, [])])
def test_a_batch_needs_its_rows(project: Project, count: int, codes: list[str]) -> None:
    lay(project, rows(count))
    assert project.validate().codes == codes


def test_rows_held_out_do_not_fill_a_batch(project: Project) -> None:
    lay(project, rows(60))
    project.replace("validation: validation.jsonl", "validation: {fraction: 0.5}")
    (found,) = project.validate().findings
    assert (found.code, found.label) == ("W0314", "30 rows to learn from")


@pytest.mark.parametrize(("count", "is_enough"), [(3, False), (4, True)])
def test_of_a_few_rows_none_are_held_out(project: Project, count: int, is_enough: bool) -> None:
    lay(project, [{**row, "queue": LABELS[i == 0]} for i, row in enumerate(rows(count))])
    project.replace("validation: validation.jsonl", "validation: {fraction: 0.4}")
    assert ("E0311" not in project.validate().codes) == is_enough


@pytest.mark.parametrize(("count", "codes"), [(11, ["W0318"]), (12, [])])
def test_few_validation_rows(project: Project, count: int, codes: list[str]) -> None:
    lay(project, rows(100), rows(count, 5_000))
    assert project.validate().codes == codes


def test_cut_texts_name_the_length_that_would_do(project: Project) -> None:
    lay(project, [{**row, "body": row["body"] + " now" * 3} for row in rows(100)])
    assert project.validate().codes == []
    project.replace("max_length: 32", "max_length: 12")
    (found,) = project.validate().findings
    assert (found.code, found.under) == ("W0315", "12")
    wanted = int(found.notes.split("write `max_length: ")[1].split("`")[0])
    project.replace("max_length: 12", f"max_length: {wanted}")
    assert project.validate().codes == []


def test_the_length_that_would_do_stays_within_the_positions(project: Project) -> None:
    lay(project, [{**row, "body": row["body"] + " and more" * 60} for row in rows(100)])
    assert "write `max_length: 64` under `data`" in project.validate().findings[0].notes
    project.replace("max_length: 32", "max_length: 64")
    assert "more than 64 positions" in project.validate().findings[0].notes


def test_unknown_words(project: Project) -> None:
    lay(project, [{**row, "body": f"письмо {i} дня"} for i, row in enumerate(rows(100))])
    (found,) = project.validate().findings
    assert (found.code, found.under) == ("W0316", "./backbone")


def test_numbers_for_texts_and_for_labels(project: Project) -> None:
    lay(project, [{**row, "body": str(100 + i)} for i, row in enumerate(rows(100))])
    assert project.validate().codes == ["W0320"]
    scores = [f"{(i % 40) / 10:.1f}" for i in range(200)]
    lay(project, [{**row, "queue": score} for row, score in zip(rows(200), scores, strict=True)], [
        {**row, "queue": score} for row, score in zip(rows(40, 5_000), scores, strict=False)
    ])  # fmt: skip
    (found,) = project.validate().findings
    assert (found.code, found.under) == ("W0317", "queue")
    halves = [{**row, "queue": f"{1 + i % 9 / 2}"} for i, row in enumerate(rows(200))]
    lay(project, halves, [{**row, "queue": "1.5"} for row in rows(40, 5_000)])
    assert set(project.validate().codes) <= {"W0430"}, "half stars are classes"


def test_labels_that_differ_in_case(project: Project) -> None:
    lay(project, [*rows(100), {"body": "one more", "queue": "Bug "}])
    (found,) = project.validate().findings
    assert (found.code, found.place) == ("W0319", "train.jsonl:101")
    assert "`Bug ` has 1 row, `bug` has 33" in found.notes


@pytest.mark.parametrize(("each", "codes"), [(1, ["E0330"]), (2, ["W0430"])])
def test_a_label_of_every_row_is_none(project: Project, each: int, codes: list[str]) -> None:
    labels = [f"number {i}" for i in range(1_100)] * each
    train = [{"body": f"a letter {i}", "queue": label} for i, label in enumerate(labels)]
    lay(project, train, [{**row, "queue": "number 7"} for row in rows(30, 5_000)])
    assert project.validate().codes == codes


@pytest.mark.parametrize(("each", "codes"), [(1, ["W0530"]), (2, ["W0430"])])
def test_a_label_of_nearly_every_row_is_worth_a_look(project: Project, each: int, codes: list[str]) -> None:
    train = [{"body": f"a letter {i}", "queue": f"T-{i // each}"} for i in range(80)]
    lay(project, train, [{**row, "queue": "T-7"} for row in rows(30, 5_000)])
    answer = project.validate()
    assert answer.codes == codes
    assert codes != ["W0530"] or answer.findings[0].under == "queue"


def test_data_that_is_wrong_is_not_counted_too(project: Project) -> None:
    lay(project, [*rows(20), *rows(20)], [{"body": "x", "queue": "spam"}])
    assert project.validate().codes == ["E0314"]


def test_what_reading_rows_lacks_stands_at_the_data(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graftc.compiler.facts.rows.find_spec", lambda name: None)
    (project.folder / "train.parquet").write_bytes(b"PAR1")
    project.replace("train: train.jsonl", "train: train.parquet")
    answer = project.validate()
    found = next(found for found in answer.findings if found.code == "E0409")
    assert (answer.status, found.under) == (4, "train.parquet")


def test_a_machine_at_fault_hides_nothing_of_the_data(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lay(project, [*rows(100), {"body": "", "queue": "bug"}], [*rows(30, 5_000), *rows(1)])
    project.replace("./backbone", "hub:nobody/nothing@" + "0" * 40)
    answer = project.validate()
    assert (answer.status, answer.codes) == (4, ["E0320", "E0313"])


def test_copies_are_known_by_a_picture_s_bytes(pictures: Project) -> None:
    (pictures.folder / "pictures/again.png").write_bytes((pictures.folder / "pictures/0.png").read_bytes())
    pictures.write("validation.jsonl", [{"image": "pictures/again.png", "label": "light"}])
    found = next(found for found in pictures.validate().findings if found.code == "W0310")
    assert "1 row stands" in found.headline


def test_copies_in_a_folder_of_pictures_are_named_by_their_files(pictures: Project) -> None:
    for number, label in enumerate(("dark", "light", "dark", "light")):
        (pictures.folder / "classes" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures.folder / f"pictures/{number}.png", pictures.folder / f"classes/{label}/{number}.png")
    shutil.copytree(pictures.folder / "classes", pictures.folder / "others")
    pictures.replace("train: train.jsonl", "train: classes")
    pictures.replace("validation: validation.jsonl", "validation: others")
    answer = pictures.validate()
    found = next(found for found in answer.findings if found.code == "W0310")
    assert "`dark/0.png` is `dark/0.png`, " in found.notes
    assert "take `dark/0.png`, `dark/2.png`, `light/1.png`, `light/3.png` out of the training data" in found.notes
    assert "::: others/dark/0.png\n" in answer.err
    annotated = pictures.graftc("validate", pictures.spec, "--format", "github").out
    assert "others/dark/0.png%0A" in annotated, "a file that is a row has no line"


@pytest.mark.parametrize(
    ("stray", "help"),
    [
        ("dark/notes.txt", "take `dark/notes.txt` out of the folder"),
        ("train/dark/0.png", "name the folder that holds the classes, perhaps `train` in it"),
        ("0.png", "name the folder above it, which has one per class"),
    ],
)
def test_a_folder_that_is_not_one_per_class_stands_where_the_spec_names_it(
    pictures: Project, stray: str, help: str
) -> None:
    (pictures.folder / "classes" / stray).parent.mkdir(parents=True)
    (pictures.folder / "classes" / stray).write_bytes(b"")
    pictures.replace("train: train.jsonl", "train: classes")
    found = next(found for found in pictures.validate().findings if found.code == "E0317")
    assert (found.under, help in found.notes) == ("classes", True)


def test_the_sample_is_drawn_from_all_rows(project: Project) -> None:
    lay(project, rows(4_000))
    facts = gather(draft(read(project.spec)), project.folder)
    days = [int(text.split()[-1]) for text in facts.splits["train"].sample]
    assert len(days) == len(set(days)) == 1_000
    assert abs(sum(days) / 1_000 - 2_000) < 4 * 4_000 / (12 * 1_000) ** 0.5


def test_a_column_of_a_hundred_thousand_labels_stays_small(project: Project) -> None:
    content = "".join(json.dumps({"body": f"a letter {i}", "queue": f"T{i}"}) + "\n" for i in range(100_000))
    project.write("train.jsonl", content)
    answer = project.validate()
    assert (answer.status, answer.codes) == (1, ["E0330"])
    assert "more than 65,536 different ones" in answer.findings[0].notes
    assert len(answer.err) < 1_000
