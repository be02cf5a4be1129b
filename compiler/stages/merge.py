"""Writes the backbone that a stage of `pretrain` made, in Hugging Face form, and reports its scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..contracts.method import Method
from ..contracts.stage import Stage
from ..diagnostics import refuse
from ..execution.prepared import Prepared, target_of
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..export.parity import apart, golden_inputs, outputs
from ..facts.backbone import PREPROCESSING
from ..heads._vocabulary import IGNORED, unigram_entropy
from ..layers.language import LanguageModel, WordHead
from ..model.assembly import assemble, load_heads
from ..model.language_models import AUTO, load_language_model
from ..model.network import Network
from ..planning.plan import PretrainPlan
from ..training.loaders import Rows
from ..training.validation import scored

SAME = 1e-4  # relative difference that merging may cause
CARD = "README.md"  # it states the licence


def run(work: Work) -> None:
    """Writes a backbone's folder and `report.json`; raises Refused E0403 where merging changes the outputs."""
    phase = work.plan
    assert isinstance(phase, PretrainPlan)
    torch.set_num_threads(work.machine.threads)
    method = phase.method.variant
    before = assemble(phase, work.backbone).to(work.machine.device)
    if work.fitted:
        load_heads(before, work.fitted)
    split = next((s for s in ("test", "validation") if phase.has(s)), "")
    report: dict[str, Any] = {"objective": phase.tasks[0].head.type, "split": split}
    if split:
        report["before"] = _scores(work, before, split)
    network = assemble(phase, work.backbone, work.inputs[work.phase] / "learned.safetensors").to(work.machine.device)
    _merge(work, network, method)
    if split:
        report["after"] = _scores(work, network, split)
    if split and phase.tasks[0].head.variant.condense:  # an objective over a vocabulary
        report["unigram_entropy"] = round(unigram_entropy(_texts(work, split)), 6)
    history = json.loads((work.inputs[work.phase] / "history.json").read_bytes())
    report |= {name: history[name] for name in ("steps", "best_epoch", "micro_batch")}
    if work.fitted:
        fitted = json.loads((work.fitted.parent / "history.json").read_bytes())
        report["fitted"] = {"steps": fitted["steps"], "train_loss": fitted["epochs"][-1]["train_loss"]}
    _save(work, phase, network.to("cpu"))
    (work.out / "report.json").write_text(json.dumps(report))


def _scores(work: Work, network: Network, split: str) -> dict[str, Any]:
    processor = preprocessor(work.plan, work.backbone)
    return scored(network, Rows(work, work.plan.tasks[0], split, processor, work.machine.device))


def _merge(work: Work, network: Network, method: Method[Any]) -> None:
    """Merges adapters in place; raises Refused E0403 where outputs change."""
    if not method.adds:
        return
    processor, plan = preprocessor(work.plan, work.backbone), work.plan
    inputs = golden_inputs(plan)
    adapted = outputs(network, plan, processor, inputs)
    network.backbone = method.merge(network.backbone)
    worst, _ = apart(adapted, outputs(network, plan, processor, inputs))
    if not worst <= SAME:
        note = f"largest relative difference {worst:.1e}, allowed {SAME:.1e}"
        help = "lower `alpha` or `learning_rate` of this stage: an update this large loses precision"
        raise refuse("E0403", f"the merged model of {work.phase} disagrees with the adapted one", note, help=help)


def _texts(work: Work, split: str) -> Iterator[np.ndarray]:
    """The token ids of a split's rows, without special tokens and with masked tokens restored."""
    task = work.plan.tasks[0]
    rows = Prepared(work.prepared(task, split))
    for i in range(rows.rows):
        row, target = rows.row(i), target_of(rows.targets, i)
        assert isinstance(target, np.ndarray)
        if "masks" in row:
            words = row["input_ids"].copy()
            words[row["masks"]] = np.where(target == IGNORED, words[row["masks"]], target)
            yield words[~np.isin(words, task.head.record["special_ids"])]
        else:
            yield target


def _save(work: Work, phase: PretrainPlan, network: Network) -> None:
    """Saves the backbone with its language-model head, if it has one, because the next phase may need it."""
    head = network.head(0)
    if isinstance(head, WordHead):
        whole = head.language.whole(network.backbone)
    elif phase.language_model in AUTO:
        model, _ = load_language_model(phase.language_model, work.backbone, phase.backbone.variant)
        whole = LanguageModel(model).whole(network.backbone)
    else:
        whole = network.backbone
    whole.save_pretrained(work.out)
    for name in (*PREPROCESSING, CARD):
        if Path(work.backbone / name).is_file():
            shutil.copyfile(work.backbone / name, work.out / name)


STAGE = Stage(run=run)
