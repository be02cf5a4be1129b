"""What `graftc plan --diff` says, word for word, and where the old side may come from."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler import variants
from graftc.compiler.diff.changes import changes
from graftc.compiler.diff.compare import Diff
from graftc.compiler.diff.show import OUTPUTS
from graftc.compiler.facts.bad_rows import ranges
from graftc.compiler.frozen import Json
from graftc.compiler.planning.plan import read_plan

from . import ground
from .cli import Answer, Command
from .test_explain import BLOCK, Page
from .test_golden import GOLDEN, compare

HEAVY = ("torch", "transformers", "peft", "accelerate", "datasets", "onnx", "onnxruntime", "kornia", "torchmetrics")
OLD = "before/spec.yaml"
MULTI = """\
head: {type: text-classification}
data:
  train: several.jsonl
  validation: several.jsonl
"""
Edit = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec, and in `before` the same to be compared with; the test stands in it."""
    ground.lay(tmp_path)
    for name in ("test.jsonl", "before/test.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in ground.rows()[:6]))
    ground.lay(tmp_path / "before")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    return tmp_path


@pytest.fixture
def repository(folder: Path) -> Path:
    """The same in git, everything of it committed but the weights, which git ignores."""
    shutil.rmtree(folder / "before")
    (folder / ".gitignore").write_text("*.safetensors\nstore/\n")
    git("init", "-q", "-b", "main")
    commit("first")
    return folder


def git(*words: str) -> str:
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], env=os.environ | settings, capture_output=True, check=True)
    return done.stdout.decode()


def commit(message: str) -> None:
    git("add", "-A")
    git("commit", "-q", "-m", message)


def spec(fragment: str, old: str | None = None) -> Edit:
    """Sections in place of those of the spec, and others in place of those of the old one."""

    def edit(folder: Path) -> None:
        (folder / "spec.yaml").write_text(ground.replaced(fragment))
        if old is not None:
            (folder / OLD).write_text(ground.replaced(old))

    return edit


def replace(name: str, old: str, new: str, count: int = -1) -> Edit:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, count))

    return edit


def several(folder: Path) -> None:
    """Any number of labels a row; the new spec has no validation rows to choose thresholds by."""
    rows = [{"text": row["text"], "labels": [row["label"]]} for row in ground.rows()]
    for name in ("several.jsonl", "before/several.jsonl"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec(MULTI.replace("  validation: several.jsonl\n", ""), MULTI)(folder)


def renamed_column(folder: Path) -> None:
    for name in ("train.jsonl", "validation.jsonl"):
        replace(name, '"text"', '"body"')(folder)
    spec("data:\n  train: train.jsonl\n  validation: validation.jsonl\n  columns: {text: body}\n  max_length: 64\n")(
        folder
    )


def weights(folder: Path) -> None:
    path = folder / "backbone" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")


def shorter(folder: Path) -> None:
    """A backbone that has other weights, and more attention heads."""
    replace("backbone/config.json", '"num_attention_heads": 2', '"num_attention_heads": 4')(folder)
    weights(folder)


def other_bad_rows(folder: Path) -> None:
    """Both leave rows out: of training rows others, of validation rows none before."""
    skipping = DATA + "  bad_rows: {skip: 0.1}\n"
    spec(skipping, skipping)(folder)
    for name, numbers in (("before/train.jsonl", (2,)), ("train.jsonl", (2, 7, 8)), ("validation.jsonl", (3,))):
        lines = (folder / name).read_text().splitlines()
        lines = ['{"text": ""}' if number in numbers else line for number, line in enumerate(lines, 1)]
        (folder / name).write_text("\n".join(lines) + "\n")


def unlabelled(folder: Path) -> None:
    """Heads of one file, of which one leaves out what it can't use."""
    for name in ("train.jsonl", "validation.jsonl"):
        for place in (folder, folder / "before"):
            lines = [json.loads(line) for line in (place / name).read_text().splitlines()]
            rows = [{**row, "mood": "good" if i % 2 else "bad"} for i, row in enumerate(lines)]
            rows[4]["mood"] = [1] if place == folder and name == "train.jsonl" else "good"
            (place / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    heads = HEADS + "    data: {columns: {label: mood}}\n" + DATA + "  bad_rows: {skip: 0.1}\n"
    spec(heads, heads)(folder)


TRAIN = "train:\n  epochs: 2\n  batch_size: 8\n"
DATA = "data:\n  train: train.jsonl\n  validation: validation.jsonl\n  max_length: 64\n"
FULL = "adapt:\n  method: full\n"
STAGE = "pretrain:\n  - objective: contrastive\n    data: {train: train.jsonl, validation: validation.jsonl}\n"
HEADS = "heads:\n  first:\n    type: text-classification\n  second:\n    type: text-classification\n"
FROZEN = "backbone:\n  from: ./backbone\n  freeze:\n"
CASES: dict[str, Edit] = {
    "nothing": replace("spec.yaml", "graftc: 1\n", "# the first line\ngraftc: 1\n"),
    "spelling": replace("spec.yaml", "graftc: 1\n", "graftc: 1\nseed: 0\n"),
    "learning_rate": spec(TRAIN + "  learning_rate: 1e-4\n", TRAIN + "  learning_rate: 2e-5\n"),
    "epochs": spec("train:\n  epochs: 3\n  batch_size: 8\n"),
    "batch_size": spec("train:\n  epochs: 2\n  batch_size: 16\n"),
    "seed": replace("spec.yaml", "graftc: 1\n", "graftc: 1\nseed: 7\n"),
    "description": replace("spec.yaml", "graftc: 1\n", "graftc: 1\ndescription: Routes tickets.\n"),
    "metric": spec(TRAIN + "  metric: f1_macro\n"),
    "head_dropout": spec("head:\n  type: text-classification\n  dropout: 0.2\n"),
    "label_order": spec("head:\n  type: text-classification\n  labels: [howto, bug, billing]\n"),
    "label_added": replace("train.jsonl", '"howto"', '"praise"', 3),
    "max_length": spec(DATA.replace("64", "32")),
    "freeze_deeper": spec(FROZEN + "    - layers[0:4]\n", FROZEN + "    - layers[0:2]\n"),
    "method": spec("adapt:\n  method: lora\n", "adapt:\n  method: probe\n"),
    "rank": spec("adapt:\n  method: lora\n  rank: 16\n"),
    "opset": spec("export:\n  precision: [fp32]\n  opset: 18\n"),
    "optimize": spec("export:\n  precision: [fp32]\n  optimize: onnxruntime\n"),
    "int8_added": spec("export:\n  precision: [fp32, int8]\n"),
    "int8_instead": spec("export:\n  precision: [int8]\n"),
    "gate": spec("export:\n  precision: [fp32]\n  gate: {metric_drop: 0.02}\n"),
    "samples": spec("export:\n  precision: [fp32]\n  samples: validation\n"),
    "test_data_edited": lambda folder: (
        spec(DATA + "  test: test.jsonl\n", DATA + "  test: test.jsonl\n")(folder),
        replace("test.jsonl", "manager", "director")(folder),
    ),
    "train_data_edited": replace("train.jsonl", "manager", "director"),
    "rows_left_out": other_bad_rows,
    "rows_left_out_of_a_head": unlabelled,
    "gradual_unfreezing": spec(FULL + TRAIN + "  gradual_unfreezing: 1\n", FULL + TRAIN),
    "stage_added": spec(STAGE, ""),
    "stage_trains_otherwise": spec(STAGE + "    train: {epochs: 2}\n", STAGE),
    "stage_reads_a_copy": lambda folder: (
        spec(STAGE.replace("train.jsonl", "copy.jsonl", 1), STAGE)(folder),
        shutil.copy(folder / "train.jsonl", folder / "copy.jsonl"),
    ),
    "head_added": spec(HEADS + "  third:\n    type: text-classification\n", HEADS),
    "heads_in_another_order": spec(
        HEADS.replace("first", "a").replace("second", "first").replace("a:", "second:", 1), HEADS
    ),
    "heads_read_apart": lambda folder: (
        spec(HEADS + "    data: {train: copy.jsonl}\n", HEADS)(folder),
        shutil.copy(folder / "train.jsonl", folder / "copy.jsonl"),
    ),
    "thresholds": several,
    "column_renamed": renamed_column,
    "weights": weights,
    "backbone": shorter,
    "tokenizer": replace("backbone/tokenizer.json", '"lowercase": true', '"lowercase": false'),
    "task": spec(
        "backbone: {from: ./vit}\nadapt: {method: probe}\nhead: {type: image-classification}\ndata: {train: pictures}\n"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_difference_reads_as_it_was_accepted(name: str, folder: Path, graftc: Command) -> None:
    CASES[name](folder)
    answer = graftc("plan", "spec.yaml", "--diff", OLD)
    assert answer.status == 0, answer.err
    compare(f"diff/{name}", answer.out)


def test_every_stage_has_words_for_what_it_leaves_behind() -> None:
    words = {*variants.words("stages"), "pretrain"} - {"merge"}  # `pretrain-1-merge` is one of `pretrain`
    assert set(OUTPUTS) == words


def test_many_rows_left_out_are_cut_and_counted() -> None:
    path = ("tasks", "", "data", "splits", "train", "tables", "rows.jsonl", "skipped")
    (told,) = changes([(path, None, ranges(range(1, 2000, 2)))])
    assert told.text == (
        "rows left out of `rows.jsonl` (train): none → 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, … (1,000 rows)"
    )


def test_what_more_runtimes_can_run_breaks_nobody(folder: Path, graftc: Command) -> None:
    newer = spec(
        "export:\n  precision: [fp32]\n  opset: 17\n",
        "export:\n  precision: [fp32]\n  opset: 18\n  optimize: onnxruntime\n",
    )
    newer(folder)
    found = difference(graftc, "--diff", OLD)
    assert not found.breaking
    assert {"export", "verify", "pack"} == {run.stage for run in found.runs}


def test_every_accepted_difference_belongs_to_a_case() -> None:
    assert {path.stem for path in (GOLDEN / "diff").glob("*")} == {*CASES}


def difference(graftc: Command, *words: Any) -> Diff:
    """What `--json` prints, which has the documented shape and no other."""
    answer = graftc("plan", "spec.yaml", "--json", *words)
    assert answer.status == 0, answer.err
    return Diff.model_validate_json(answer.out)


# ---------------------------------------------------------------------------------------------------------
# what is forbidden


@pytest.mark.parametrize(
    ("case", "breaks", "retrains"),
    [("nothing", 0, 0), ("gate", 0, 0), ("learning_rate", 0, 1), ("int8_instead", 1, 0), ("max_length", 1, 1)],
)
def test_fail_on_stops_what_it_names_and_prints_it_all_the_same(
    case: str, breaks: int, retrains: int, folder: Path, graftc: Command
) -> None:
    CASES[case](folder)
    printed = graftc("plan", "spec.yaml", "--diff", OLD).out
    for word, status in (("breaking", breaks), ("retrains", breaks or retrains)):
        answer = graftc("plan", "spec.yaml", "--diff", OLD, "--fail-on", word)
        assert (answer.status, answer.codes) == (status, ["E0230"] * status)
        assert answer.out == printed


def decided_otherwise(**record: Any) -> None:
    """An old plan of the spec whose head was decided otherwise."""
    plan = read_plan(Path("now.json").read_text(), "now.json")
    (task,) = plan.tasks
    head = task.head.model_copy(update={"record": Json({**task.head.record.plain(), **record})})
    Path("old.json").write_text(plan.model_copy(update={"tasks": (task.model_copy(update={"head": head}),)}).text())


def test_thresholds_of_another_plan_break_its_users(folder: Path, graftc: Command) -> None:
    several(folder)
    spec(MULTI)(folder)
    assert graftc("plan", "spec.yaml", "-o", "now.json").status == 0
    decided_otherwise(thresholds=[0.5, 0.5, 0.25])
    (change,) = difference(graftc, "--diff", "old.json").breaking
    assert (change.field, change.old, change.new) == ("thresholds", [0.5, 0.5, 0.25], [0.5, 0.5, 0.5])
    decided_otherwise()
    assert difference(graftc, "--diff", "old.json").breaking == ()


def test_thresholds_of_other_labels_are_no_news_besides(folder: Path, graftc: Command) -> None:
    several(folder)
    spec(MULTI)(folder)
    replace("several.jsonl", "howto", "praise", 3)(folder)
    assert [change.field for change in difference(graftc, "--diff", OLD).breaking] == ["labels", "outputs.logits"]


def test_rows_pass_the_layers_that_are_folded_once_and_those_above_in_every_epoch(
    folder: Path, graftc: Command
) -> None:
    frozen = FULL + FROZEN + "    - embeddings\n    - layers[0:4]\n"
    spec(frozen + TRAIN, frozen + TRAIN + "  fold: off\n")(folder)
    found = difference(graftc, "--diff", OLD)
    assert [c.text for run in found.runs if run.stage == "train" for c in run.because] == [
        "train.fold none → layers[0:4]"
    ]
    (rows,) = [cost for cost in found.costs if cost.name == "training rows through the backbone"]
    assert (rows.old, rows.new) == (120, 80)  # of six layers, four see 60 rows once and two see them twice


def test_a_head_that_is_gone_breaks_its_users(folder: Path, graftc: Command) -> None:
    spec(HEADS, HEADS + "  third:\n    type: text-classification\n")(folder)
    (change, _) = difference(graftc, "--diff", OLD).breaking
    assert (change.field, change.text) == ("heads", "no longer answered for: third")


def test_other_fields_of_an_answer_and_other_numbers_of_answers_break_its_users(folder: Path, graftc: Command) -> None:
    scores = [{"text": row["text"], "score": i / 10} for i, row in enumerate(ground.rows())]
    several(folder)
    for name in ("scores.jsonl", "before/scores.jsonl"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in scores))
    regression = "head: {type: text-regression}\ndata:\n  train: scores.jsonl\n  validation: scores.jsonl\n"
    one = "head: {type: text-classification}\n" + DATA
    spec(regression, one)(folder)
    found = {change.field: change for change in difference(graftc, "--diff", OLD).breaking}
    assert found["answers"].text == "fields of an answer: label, score → name, score"
    spec(MULTI, one)(folder)
    found = {change.field: change for change in difference(graftc, "--diff", OLD).breaking}
    assert found["answers"].text == "an input gets one answer → a tuple of answers"


def test_json_says_what_the_text_says(folder: Path, graftc: Command) -> None:
    CASES["max_length"](folder)
    diff = difference(graftc, "--diff", OLD)
    assert (diff.is_equal, diff.retrains, diff.notes) == (False, True, ())
    assert [(change.field, change.old, change.new) for change in diff.breaking] == [
        ("preprocessing.max_length", 64, 32)
    ]
    assert [run.stage for run in diff.runs if run.because] == [
        "prepare-train", "prepare-validation", "rehearse", "features-train-head", "train",
    ]  # fmt: skip
    assert {cost.name for cost in diff.costs} >= {"parameters", "trainable", "memory", "disk", "steps"}
    assert difference(graftc, "--diff", "spec.yaml").is_equal


def test_a_judgement_needs_a_difference(folder: Path, graftc: Command) -> None:
    assert graftc("plan", "spec.yaml", "--fail-on", "breaking").status == 2


def test_a_flag_changes_the_new_side_alone(folder: Path, graftc: Command) -> None:
    (change,) = difference(graftc, "--diff", "spec.yaml", "--set", "description=Words.").runs[0].because
    assert (change.field, change.old, change.new) == ("description", "", "Words.")


def test_nothing_heavy_is_loaded(repository: Path) -> None:
    CASES["epochs"](repository)
    code = (
        "import sys\n"
        "from graftc.compiler.cli import main\n"
        "main(sys.argv[1:])\n"
        f"assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)"
    )
    words = [sys.executable, "-c", code, "plan", "spec.yaml", "--diff", "git:HEAD"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "RETRAINS" in done.stdout


# ---------------------------------------------------------------------------------------------------------
# where the old side comes from


def test_a_plan_is_as_good_as_its_spec_but_for_the_weights(folder: Path, graftc: Command) -> None:
    assert graftc("plan", OLD, "-o", "old.json").status == 0
    CASES["epochs"](folder)
    of_plan, of_spec = difference(graftc, "--diff", "old.json"), difference(graftc, "--diff", OLD)
    assert "the weights are compared by" in of_plan.notes[0]
    assert of_spec.notes == ()
    assert of_plan.model_copy(update={"old": OLD, "notes": ()}) == of_spec


@pytest.mark.parametrize(("section", "key"), [("head", "type"), ("method", "method"), ("data", "modality")])
def test_a_plan_that_names_what_this_graftc_lacks_is_refused(
    section: str, key: str, folder: Path, graftc: Command
) -> None:
    assert graftc("plan", OLD, "-o", "old.json").status == 0
    plan = json.loads((folder / "old.json").read_bytes())
    (plan if section in plan else plan["tasks"][0])[section][key] = "foo"
    (folder / "old.json").write_text(json.dumps(plan))
    assert graftc("plan", "spec.yaml", "--diff", "old.json").codes == ["E0212"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plan: plan["tasks"][0]["head"]["record"].update(labels=[{"bad": 1}]),
        lambda plan: plan["tasks"][0]["head"]["record"].update(labels=5),
        lambda plan: plan["export"]["graphs"]["model"]["inputs"].update(input_ids={"dims": 2}),
    ],
)
def test_a_plan_with_records_that_no_variant_wrote_is_refused(
    spoil: Callable[[Any], None], folder: Path, graftc: Command
) -> None:
    assert graftc("plan", OLD, "-o", "old.json").status == 0
    plan = json.loads((folder / "old.json").read_bytes())
    spoil(plan)
    (folder / "old.json").write_text(json.dumps(plan))
    answer = graftc("plan", "spec.yaml", "--diff", "old.json")
    assert (answer.status, answer.codes) == (1, ["E0212"]), answer.err


def bundle(folder: Path, sha256: str) -> None:
    """What of a bundle a comparison reads; builds are compared elsewhere."""
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"hashes": {"weights": sha256}, "licences": {"backbone": "mit"}}))


def test_a_bundle_tells_weights_apart(folder: Path, graftc: Command) -> None:
    bundle(folder / "bundle", "0" * 64)
    assert graftc("plan", "spec.yaml", "-o", "bundle/plan.json").status == 0
    diff = difference(graftc, "--diff", "bundle")
    assert diff.retrains
    assert [change.field for change in diff.runs[0].because] == ["backbone.weights"]
    (folder / "bundle" / "manifest.json").write_text("{")
    assert difference(graftc, "--diff", "bundle").is_equal, "a manifest that can't be read knows no weights"


# ---------------------------------------------------------------------------------------------------------
# git


def test_a_revision_is_the_spec_and_the_data_of_then(repository: Path, graftc: Command) -> None:
    assert difference(graftc, "--diff", "git:HEAD").is_equal
    CASES["epochs"](repository)
    replace("train.jsonl", "manager", "director")(repository)
    commit("second")
    replace("backbone/tokenizer.json", '"lowercase": true', '"lowercase": false')(repository)
    before = git("status", "--short")
    diff = difference(graftc, "--diff", "git:HEAD~1")
    fields = {change.field for run in diff.runs for change in run.because}
    assert {"data.train.tables.train.jsonl.sha256", "train.epochs", "data.assets.tokenizer.json"} <= fields
    assert diff.old == "git:HEAD~1"
    assert any("backbone/model.safetensors" in note for note in diff.notes), "the weights are not in git"
    assert {c.field for r in difference(graftc, "--diff", "git:main").runs for c in r.because} >= {
        "data.assets.tokenizer.json"
    }
    assert git("status", "--short") == before


def test_a_spec_in_a_folder_finds_what_lies_beside_it(repository: Path, graftc: Command) -> None:
    """Up, through a link, and outside of the repository."""
    (repository / "specs").mkdir()
    (repository / "specs" / "data").symlink_to("../shared")
    (repository / "shared").mkdir()
    for name in ("train.jsonl", "validation.jsonl"):
        (repository / name).rename(repository / "shared" / name)
    text = (repository / "spec.yaml").read_text().replace("./backbone", "../backbone")
    (repository / "specs" / "spec.yaml").write_text(text.replace(" train.jsonl", " data/train.jsonl").replace(" validation.jsonl", " data/validation.jsonl"))  # fmt: skip
    (repository / "spec.yaml").unlink()
    commit("moved")
    replace("shared/train.jsonl", "manager", "director")(repository)
    answer = graftc("plan", "specs/spec.yaml", "--diff", "git:HEAD", "--json")
    assert answer.status == 0, answer.err
    diff = Diff.model_validate_json(answer.out)
    assert diff.runs[0].because[0].text == "the content of `data/train.jsonl` (train) differs"
    os.chdir(repository / "specs")
    assert graftc("plan", "spec.yaml", "--diff", "git:HEAD", "--json").out == answer.out.replace("specs/spec", "spec")


def test_a_folder_of_pictures_and_pictures_of_a_table_are_those_of_then(repository: Path, graftc: Command) -> None:
    rows = [{"image": f"pictures/{label}/{i}.png", "label": label} for label in ("dark", "light") for i in range(8)]
    (repository / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for data in ("pictures", "rows.jsonl"):
        fragment = f"backbone: {{from: ./vit}}\nadapt: {{method: probe}}\nhead: {{type: image-classification}}\ndata: {{train: {data}}}\n"  # fmt: skip
        spec(fragment)(repository)
        commit(data)
        assert difference(graftc, "--diff", "git:HEAD").is_equal
        picture = repository / "pictures" / "dark" / "0.png"
        old = picture.read_bytes()
        shutil.copy(repository / "pictures" / "light" / "7.png", picture)
        (change,) = difference(graftc, "--diff", "git:HEAD").runs[0].because
        assert change.text == f"the content of `{data}` (train) differs"
        picture.write_bytes(old)
        assert difference(graftc, "--diff", "git:HEAD").is_equal


def test_what_a_spec_extends_is_that_of_then(repository: Path, graftc: Command) -> None:
    (repository / "shared").mkdir()
    (repository / "spec.yaml").rename(repository / "shared" / "base.yaml")
    replace("shared/base.yaml", "from: ./backbone", "from: ../backbone")(repository)
    replace("shared/base.yaml", ": train.jsonl", ": ../train.jsonl")(repository)
    replace("shared/base.yaml", ": validation.jsonl", ": ../validation.jsonl")(repository)
    (repository / "spec.yaml").write_text("graftc: 1\nname: tickets\nextends: shared/base.yaml\n")
    commit("extends")
    assert difference(graftc, "--diff", "git:HEAD").is_equal
    replace("shared/base.yaml", "epochs: 2", "epochs: 3")(repository)
    (run,) = (run for run in difference(graftc, "--diff", "git:HEAD").runs if run.because)
    assert [change.text for change in run.because] == ["train.epochs 2 → 3"]


def test_a_lock_of_then_tells_weights_that_git_does_not_watch(repository: Path, graftc: Command) -> None:
    assert graftc("lock", "spec.yaml").status == 0
    commit("locked")
    weights(repository)
    diff = difference(graftc, "--diff", "git:HEAD")
    assert [change.text for change in diff.runs[0].because] == ["the backbone's weights changed"]
    assert difference(graftc, "--diff", "git:HEAD~1").is_equal, "without a lock they are taken as they are now"


def test_without_data_both_sides_are_planned_from_their_locks(repository: Path, graftc: Command) -> None:
    assert graftc("lock", "spec.yaml").status == 0
    commit("locked")
    replace("train.jsonl", '"howto"', '"praise"', 3)(repository)
    assert graftc("lock", "spec.yaml").status == 0
    commit("another label")
    for name in ("train.jsonl", "validation.jsonl"):
        (repository / name).unlink()
    git("rm", "-q", "--cached", "train.jsonl", "validation.jsonl")
    diff = difference(graftc, "--no-data", "--diff", "git:HEAD~1")
    assert "labels" in {change.field for change in diff.breaking}


def test_data_that_git_does_not_watch_is_taken_as_it_is_and_said(repository: Path, graftc: Command) -> None:
    git("rm", "-q", "--cached", "train.jsonl")
    with (repository / ".gitignore").open("a") as file:
        file.write("train.jsonl\n")
    commit("ignored")
    replace("train.jsonl", "manager", "director")(repository)
    diff = difference(graftc, "--diff", "git:HEAD")
    assert diff.is_equal
    assert any("train.jsonl" in note for note in diff.notes)


def test_what_was_wrong_then_is_shown_at_its_place_of_then(repository: Path, graftc: Command) -> None:
    good = (repository / "spec.yaml").read_text()
    replace("spec.yaml", "epochs: 2", "epoch: 2")(repository)
    commit("spoilt")
    (repository / "spec.yaml").write_text(good)
    (finding,) = graftc("plan", "spec.yaml", "--diff", "git:HEAD").findings
    assert (finding.code, finding.under, finding.place) == ("E0201", "epoch", "git:HEAD:spec.yaml:14:3")


def test_data_that_came_later_was_not_there_and_nothing_tells_of_a_temporary_folder(
    repository: Path, graftc: Command
) -> None:
    moved = {"validation.jsonl": "later.jsonl", "backbone/config.json": "later.json"}
    for name, away in moved.items():
        (repository / name).rename(repository / away)
    commit("without")
    for name, away in moved.items():
        (repository / away).rename(repository / name)
    commit("with")
    answer = graftc("plan", "spec.yaml", "--diff", "git:HEAD~1")
    assert answer.status == 1
    assert {"E0301", "E0310"} == set(answer.codes)
    assert "graftc-" not in answer.err


def test_a_hook_of_another_repository_does_not_mislead(
    repository: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    CASES["epochs"](repository)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"):
        monkeypatch.setenv(name, "elsewhere")
    assert difference(graftc, "--diff", "git:HEAD").retrains


def test_another_name_of_then_may_be_given(repository: Path, graftc: Command) -> None:
    git("mv", "spec.yaml", "renamed.yaml")
    commit("renamed")
    (repository / "spec.yaml").write_text((repository / "renamed.yaml").read_text())
    assert graftc("plan", "renamed.yaml", "--diff", "git:HEAD~1").codes == ["E0234"]
    assert graftc("plan", "renamed.yaml", "--diff", "git:HEAD~1:spec.yaml").status == 0


IN_GIT: dict[str, Edit] = {
    "E0233": lambda folder: None,
    "E0234": lambda folder: shutil.copy(folder / "spec.yaml", folder / "routing.yaml"),
    "E0235": lambda folder: stored_elsewhere(folder),
    "E0236": lambda folder: linked_away(folder),
    "E0350": lambda folder: (in_a_submodule(folder) / ".git").unlink(),
}


def stored_elsewhere(folder: Path) -> None:
    """Rows committed as what Git LFS puts in their place, and changed since."""
    rows = (folder / "train.jsonl").read_text()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 4000\n"
    (folder / "train.jsonl").write_text(pointer)
    commit("a pointer")
    (folder / "train.jsonl").write_text(rows)


def linked_away(folder: Path) -> None:
    """Rows that were a link out of the repository, and are a file now."""
    rows = (folder / "train.jsonl").read_text()
    (folder / "train.jsonl").unlink()
    (folder / "train.jsonl").symlink_to("/srv/rows.jsonl")
    commit("a link")
    (folder / "train.jsonl").unlink()
    (folder / "train.jsonl").write_text(rows)


def typed(code: str, graftc: Command) -> tuple[Answer, str]:
    """What the command of a code's page prints, and what the page says of it."""
    (block,) = BLOCK.finditer(Page.of(code).parts["When"])
    line, _, printed = block["text"].partition("\n")
    return graftc(*shlex.split(line.removeprefix("$ graftc "))), printed


@pytest.mark.parametrize("code", IN_GIT)
def test_what_a_page_about_git_says_is_printed_is_printed(code: str, repository: Path, graftc: Command) -> None:
    IN_GIT[code](repository)
    answer, printed = typed(code, graftc)
    assert answer.codes == [code]
    shown = re.sub(r"origin [0-9a-f]{12}", "origin COMMIT", answer.err)
    assert shown.rstrip() == printed.rstrip()
    compare(code, shown)


def test_what_lfs_has_on_this_machine_is_used(repository: Path, graftc: Command) -> None:
    rows = (repository / "train.jsonl").read_bytes()
    stored_elsewhere(repository)
    place = repository / ".git" / "lfs" / "objects" / "aa" / "aa" / ("a" * 64)
    place.parent.mkdir(parents=True)
    place.write_bytes(rows)
    assert difference(graftc, "--diff", "git:HEAD").is_equal
    replace("train.jsonl", "manager", "director")(repository)
    assert not difference(graftc, "--diff", "git:HEAD").is_equal
    assert place.read_bytes() == rows


@pytest.mark.parametrize("flag", ["--skip-worktree", "--assume-unchanged"])
def test_a_file_that_git_takes_for_unchanged_is_compared_by_its_content(
    flag: str, repository: Path, graftc: Command
) -> None:
    git("update-index", flag, "train.jsonl", "validation.jsonl")
    assert difference(graftc, "--diff", "git:HEAD").is_equal
    replace("train.jsonl", "manager", "director")(repository)
    assert not git("status", "--short")
    (change,) = difference(graftc, "--diff", "git:HEAD").runs[0].because
    assert change.text == "the content of `train.jsonl` (train) differs"


def in_a_submodule(folder: Path) -> Path:
    """Moves the data into a repository of its own, which the spec's has as the submodule `shared`."""
    other = folder.parent / f"{folder.name}-shared"
    other.mkdir()
    for name in ("train.jsonl", "validation.jsonl"):
        (folder / name).rename(other / name)
        replace("spec.yaml", f": {name}", f": shared/{name}")(folder)
    os.chdir(other)
    git("init", "-q", "-b", "main")
    commit("rows")
    os.chdir(folder)
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "shared")
    commit("as a submodule")
    return folder / "shared"


def commit_within(folder: Path, message: str) -> None:
    home = Path.cwd()
    os.chdir(folder)
    commit(message)
    os.chdir(home)


def test_data_of_a_submodule_is_that_of_the_commit_of_then(repository: Path, graftc: Command) -> None:
    shared = in_a_submodule(repository)
    assert difference(graftc, "--diff", "git:HEAD").is_equal
    assert not any("shared" in note for note in difference(graftc, "--diff", "git:HEAD").notes)
    replace("shared/train.jsonl", "manager", "director")(repository)
    for is_committed in (False, True):
        if is_committed:
            commit_within(shared, "other rows")
            commit("newer rows")
        diff = difference(graftc, "--diff", "git:HEAD~1" if is_committed else "git:HEAD")
        assert [change.text for change in diff.runs[0].because] == [
            "the content of `shared/train.jsonl` (train) differs"
        ]
        assert not any("shared" in note for note in diff.notes)
    assert difference(graftc, "--diff", "git:HEAD").is_equal


def test_a_folder_in_a_submodule_is_that_of_then(repository: Path, graftc: Command) -> None:
    """As a whole, by a link into it, and with files that its repository does not watch."""
    shared = in_a_submodule(repository)
    (repository / "pictures").rename(shared / "pictures")
    (repository / "linked").symlink_to("shared/pictures")
    commit_within(shared, "pictures")
    for data in ("shared/pictures", "linked"):
        spec(f"backbone: {{from: ./vit}}\nadapt: {{method: probe}}\nhead: {{type: image-classification}}\ndata: {{train: {data}}}\n")(repository)  # fmt: skip
        commit(data)
        assert difference(graftc, "--diff", "git:HEAD").is_equal
        picture = shared / "pictures" / "dark" / "0.png"
        old = picture.read_bytes()
        picture.write_bytes((shared / "pictures" / "light" / "7.png").read_bytes())
        (change,) = difference(graftc, "--diff", "git:HEAD").runs[0].because
        assert change.text == f"the content of `{data}` (train) differs"
        picture.write_bytes(old)
        shutil.copy(picture, picture.with_name("new.png"))
        diff = difference(graftc, "--diff", "git:HEAD")
        assert any("shared/pictures/dark/new.png" in note for note in diff.notes)
        picture.with_name("new.png").unlink()


def test_nothing_is_fetched_from_where_a_partial_clone_came(
    repository: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace("train.jsonl", "manager", "director")(repository)
    commit("other rows")
    git("config", "uploadpack.allowFilter", "true")
    git("clone", "-q", "--filter=blob:none", repository.as_uri(), f"{repository}-partial")
    partial = Path(f"{repository}-partial")
    for name in ("backbone", "vit"):
        shutil.copy(repository / name / "model.safetensors", partial / name)
    monkeypatch.chdir(partial)
    assert difference(graftc, "--diff", "git:HEAD").is_equal
    answer = graftc("plan", "spec.yaml", "--diff", "git:HEAD~1")
    assert answer.codes == ["E0232"], answer.err
    assert "git can't give `train.jsonl`" in answer.err
    git("cat-file", "-e", "HEAD~1:train.jsonl")  # it was to be had


@pytest.mark.parametrize(("environment", "has_colours"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_a_difference_has_the_colours_that_findings_have(
    environment: dict[str, str], has_colours: bool, folder: Path
) -> None:
    CASES["max_length"](folder)
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE")}
    command = [sys.executable, "-m", "graftc", "plan", "spec.yaml", "--diff", OLD]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=True)
    assert ("\x1b[31m" in done.stdout) is has_colours
    assert "BREAKING" in done.stdout
