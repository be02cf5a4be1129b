"""Mistakes inside of `heads`, `pretrain` and misspelt variants: each with the way out that holds in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import ground
from .cli import Command

HEADS = "heads:\n  one:\n    type: text-classification\n  other:\n    type: text-classification\n"
STAGE = "pretrain:\n  - objective: contrastive\n    data: {train: train.jsonl, validation: validation.jsonl}\n"

# sections, then code, headline and what the notes and the help say
CASES = [
    (HEADS + "    wieght: 2\n", "E0201", "unknown key `wieght`", "did you mean `weight`?"),
    (HEADS + "    colour: red\n", "E0201", "unknown key `colour`", "keys: adapt, data, dropout, hidden, labels, loss, metric, pooling, start, type, weight"),
    (HEADS + "    method: lora\n", "E0207", "`method` does not belong under `heads.other`", "move it under `adapt`"),
    (HEADS + "    data: [train.jsonl]\n", "E0202", "`data` is not a mapping", ""),
    (STAGE + "    epochs: 1\n", "E0207", "`epochs` does not belong under `pretrain`", "move it under `train` of this stage"),
    (STAGE + "    rank: 1\n", "E0207", "`rank` does not belong under `pretrain`", "move it under `adapt` of this stage"),
    (STAGE + "    mask_share: 0.2\n", "E0207", "`mask_share` does not belong under `pretrain`", "use it with `objective: masked-language-modeling`"),
    (STAGE + "    train: {temperature: 0.1}\n", "E0207", "`temperature` does not belong under `train`", "move it beside `objective`"),
    (STAGE + "    train: {freeze: [embeddings]}\n", "E0207", "`freeze` does not belong under `train`", "move it beside `objective`"),
    (STAGE + "    adapt: {method: lora, max_length: 8}\n", "E0207", "`max_length` does not belong under `adapt`", "move it under `data` of this stage"),
    (STAGE + "    adapt: {method: ia3, rank: 8}\n", "E0207", "`rank` does not belong under `adapt`", "use it with `method: lora`"),
    ("backbone: ./backbone\n", "E0202", "`backbone` is not a mapping", "write `backbone: {from: ./backbone}`"),
    ("backbone: distilbert/base\n", "E0202", "`backbone` is not a mapping", "write `backbone: {from: SOURCE}`"),
    ("adapt: lora\n", "E0202", "`adapt` is not a mapping", "write `adapt: {method: lora}`"),
    ("heads: {type: text-classification}\n", "E0202", "`type` is not a mapping", "write `NAME: {type: text-classification}`"),
    ("adapt: LoRA\n", "E0202", "`adapt` is not a mapping", ""),
    ("heads: {one: text-classification}\n", "E0202", "`one` is not a mapping", "write `one: {type: text-classification}`"),
    ("pretrain: [contrastive]\n", "E0202", "item 1 of `pretrain` is not a mapping", ""),
    ("adapt: {method: LoRA}\n", "E0203", "unknown method `LoRA`", "did you mean `lora`?"),
    ("backbone: {from: ./backbone, freeze: ['layers[::2]']}\n", "E0302", "`layers[::2]` matches nothing", "did you mean `layers[0:6]`?"),
    ("train: {method: lora}\n", "E0207", "`method` does not belong under `train`", "move it under `adapt`"),
]  # fmt: skip


@pytest.mark.parametrize(("fragment", "code", "headline", "way"), CASES)
def test_the_way_out_holds_where_the_mistake_is(
    fragment: str, code: str, headline: str, way: str, tmp_path: Path, graftc: Command
) -> None:
    spec = ground.lay(tmp_path)
    spec.write_text(ground.replaced(fragment))
    (finding,) = graftc("validate", spec).findings
    assert finding.code == code
    assert finding.headline.startswith(headline)
    assert way in finding.notes
    assert bool(way) == bool(finding.notes), "what nobody can tell is not guessed"


LIMITED = [
    ("heads:\n" + "".join(f"  h{i}: {{type: text-classification}}\n" for i in range(101)), "`heads` is too long"),
    ("pretrain:\n" + "  - {objective: contrastive, data: {train: train.jsonl}}\n" * 101, "`pretrain` is too long"),
    ("data:\n  train:\n" + "    - away.jsonl\n" * 1001, "`train` is too long"),
    ("backbone:\n  from: ./backbone\n  freeze:\n" + "    - layer\n" * 1001, "`freeze` is too long"),
    ("adapt:\n  method: lora\n  target:\n" + "    - quer\n" * 1001, "`target` is too long"),
]


@pytest.mark.parametrize(("fragment", "headline"), LIMITED, ids=[headline for _, headline in LIMITED])
def test_what_is_looked_for_one_by_one_is_limited(
    fragment: str, headline: str, tmp_path: Path, graftc: Command
) -> None:
    """Else a spec of one megabyte is looked at for minutes."""
    spec = ground.lay(tmp_path)
    spec.write_text(ground.replaced(fragment))
    assert [finding.headline for finding in graftc("validate", spec).findings] == [headline]
    cut = "\n".join(fragment.rstrip("\n").split("\n")[:-1]) + "\n"
    spec.write_text(ground.replaced(cut))
    assert headline not in graftc("validate", spec).err


def test_a_file_that_leads_nowhere_is_not_meant_to_be_itself(tmp_path: Path, graftc: Command) -> None:
    spec = ground.lay(tmp_path)
    (tmp_path / "trains.jsonl").symlink_to("away")
    spec.write_text(ground.replaced("data: {train: trains.jsonl, validation: validation.jsonl}\n"))
    (finding,) = graftc("validate", spec).findings
    assert finding.code == "E0310"
    assert "did you mean `train.jsonl`?" in finding.notes


@pytest.mark.parametrize(
    ("selector", "is_there"), [("[-6]", True), ("[5]", True), ("[0]", True), ("[6]", False), ("[-7]", False)]
)
def test_a_layer_is_counted_from_both_ends_and_no_further(
    selector: str, is_there: bool, tmp_path: Path, graftc: Command
) -> None:
    spec = ground.lay(tmp_path)
    spec.write_text(ground.replaced(f"backbone:\n  from: ./backbone\n  freeze:\n    - layers{selector}\n"))
    assert graftc("validate", spec).codes == ([] if is_there else ["E0302"])


def test_one_head_with_validation_rows_is_enough_to_stop_early(tmp_path: Path, graftc: Command) -> None:
    spec = ground.lay(tmp_path)
    heads = HEADS.replace("  other:", "    data: {validation: validation.jsonl}\n  other:")
    text = ground.replaced(
        heads + "data: {train: train.jsonl}\ntrain: {epochs: 2, batch_size: 8, early_stopping: {patience: 1}}\n"
    )
    spec.write_text(text)
    assert "E0209" not in graftc("validate", spec).codes
    spec.write_text(text.replace("    data: {validation: validation.jsonl}\n", ""))
    assert "E0209" in graftc("validate", spec).codes
