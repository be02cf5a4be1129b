"""Writes the trained network in Hugging Face form, and checks that the reloaded network gives the same outputs."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path

from safetensors.torch import save_file

from ..contracts.stage import Stage
from ..diagnostics import refuse
from ..execution.preprocessing import preprocessor
from ..execution.work import Work
from ..export.parity import apart, golden_inputs, outputs
from ..facts.backbone import PREPROCESSING
from ..facts.sentence_transformers import read_sentences
from ..model.assembly import HEAD, assemble, of_adapter, of_heads, reassemble, remember
from ..planning.portable import base
from ..sources import SENTENCES

FEW = 4  # inputs on which the reloaded network is compared
BASE = "backbone"  # the folder of the backbone that an adapter belongs to, if `pretrain` made it
SAME = 1e-5  # allowed relative difference; some architectures store tensors in another layout than they use


def run(work: Work) -> None:
    """Writes config.json with model.safetensors, or a PEFT adapter, and head.safetensors.

    A head's own adapter lies in a folder of its name under `adapters`. Where stages of `pretrain` made the backbone
    that adapters belong to, it lies in `backbone`, because the spec names another.

    Raises Refused E0413 where the reloaded network's outputs differ.
    """
    plan = work.plan
    learned = work.inputs["train"] / "learned.safetensors"
    method = plan.method.variant
    # merging removed the adapter from the remembered network, so it is assembled again
    network = (
        assemble(plan, work.backbone, learned)
        if method.adds
        else remember(work.memory, plan, work.backbone, work.inputs["train"])
    )
    network = network.to("cpu").eval()
    source, beneath = base(plan.backbone.source), work.backbone
    if method.adds and plan.pretrain:
        _copy_base(work.backbone, work.out / BASE, source)
        source, beneath = f"checkpoint/{BASE}", work.out / BASE
    for adapter, backbone in network.backbones.items():
        folder = of_adapter(work.out, adapter)
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries call deprecated names of each other
            method.save(backbone, folder)
        _anonymise(folder, source)
    # with these, AutoTokenizer, AutoImageProcessor and `from: bundle:…` read the checkpoint as they read a backbone
    _copy(work.backbone, work.out, PREPROCESSING)
    for name, text in plan.reading.variant.beside(plan.reading.preprocessing).items():
        (work.out / name).write_text(text, encoding="utf-8")
    if not method.adds and _pools_as_before(work):
        _copy(work.origin, work.out, SENTENCES)
    heads = of_heads(network)
    save_file({name: tensor.detach().contiguous() for name, tensor in heads.items()}, work.out / HEAD)
    processor = preprocessor(plan, work.backbone)
    inputs = golden_inputs(plan)[:FEW]
    before = outputs(network, plan, processor, inputs)
    after = outputs(reassemble(plan, beneath, work.out), plan, processor, inputs)
    worst, _ = apart(before, after)
    if worst > SAME:
        raise refuse(
            "E0413",
            "the saved checkpoint does not give the trained model's answers",
            f"largest relative difference {worst:.1e}",
            f"kept for inspection: {work.out}",
            help="report this with the spec",
        )


def _pools_as_before(work: Work) -> bool:
    """Whether the sentence-transformers files beside the backbone are true of the trained network.

    They are if nothing in the backbone learned, or if every head pooled as they say.
    """
    plan = work.plan
    said = read_sentences(work.origin) if plan.reading.variant.vocabulary else None
    if said is None:
        return False
    is_untouched = plan.backbone.is_frozen and not plan.pretrain
    return is_untouched or all(task.head.pooling == said.pooling for task in plan.tasks)


def _copy(source: Path, target: Path, names: Iterable[str]) -> None:
    """Copies those files of a folder that exist."""
    for name in names:
        if (source / name).is_file():
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, target / name)


def _copy_base(made: Path, folder: Path, source: str) -> None:
    folder.mkdir()
    for file in (*made.glob("*.safetensors*"), *(made / name for name in ("config.json", *PREPROCESSING))):
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    _anonymise(folder, source)


def _anonymise(folder: Path, source: str) -> None:
    """Replaces the local path of the backbone by its name in the spec."""
    for name, key in (("config.json", "_name_or_path"), ("adapter_config.json", "base_model_name_or_path")):
        path = folder / name
        if path.is_file():
            values = json.loads(path.read_bytes())
            if key in values:
                values[key] = source
            for field, value in values.items():
                if isinstance(value, list) and field.endswith("_modules"):  # sets of PEFT's, which have no fixed order
                    values[field] = sorted(value)
            path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's card names the local path; the bundle has its own


STAGE = Stage(run=run)
