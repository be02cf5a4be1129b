"""One cell of the matrix: a head, a method and a family, built from a spec and held to all that a bundle promises."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import time
import warnings
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from graftc.compiler import variants
from graftc.compiler.api import Ready, build_ready, check
from graftc.compiler.diagnostics import Diagnostic, Refused
from graftc.compiler.execution.preprocessing import preprocessor
from graftc.compiler.execution.progress import Progress
from graftc.compiler.export.parity import apart, of_graphs, of_network
from graftc.compiler.language.source import Source, read
from graftc.compiler.methods import CAPABILITIES
from graftc.compiler.model.assembly import reassemble
from graftc.compiler.planning.plan import Plan
from graftc.runtime.session import Session

from ..backbones import tiny
from . import rows

HEADS = tuple(  # that learn from an answer in each row
    word for word in variants.words("heads") if (head := variants.head(word)).modality == "text" and head.targets
)
METHODS = variants.words("methods")
TEXTS = tuple(word for word in variants.words("backbones") if variants.family(word).modality == "text")
FAMILIES = ("bert", "roberta", "distilbert", "deberta-v2", "modernbert", "gpt2", "llama")
NAMED = ("full", "probe", "lora", "adapter", "ia3", "prefix", "prompt", "p-tuning", "bitfit", "layernorm")
BATCHES, LENGTHS = (1, 3, 8), (1, 7, 16, 32)
OPTIONS = {"dimensions": 16}  # keys that give a head something to learn where it has nothing of its own
REFUSALS = {f"needs {thing}" for thing in CAPABILITIES.values()}  # the whole list: a cell is built, or one of these


@dataclass(frozen=True)
class Cell:
    """Which three are put together."""

    head: str
    method: str
    family: str

    def __str__(self) -> str:
        return f"{self.head}/{self.method}/{self.family}"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: `built`, `refused` or `failed`, and why."""

    outcome: str
    why: str = ""
    parity: float = 0.0  # the largest relative difference over all batch sizes and lengths
    works: tuple[str, ...] = ()  # the methods that a refusal names instead
    seconds: float = 0.0
    stages: tuple[tuple[str, float], ...] = ()  # seconds of each


def every(heads: Any = HEADS, methods: Any = METHODS, families: Any = FAMILIES) -> list[Cell]:
    """All cells, those of a family together."""
    return [Cell(head, method, family) for family, head, method in product(families, heads, methods)]


def run(cell: Cell, folder: Path) -> Outcome:
    """Validates, plans, builds and asks one cell; `folder` keeps what cells share: backbones, rows and the store."""
    start = time.monotonic()
    try:
        found = _run(cell, folder)
    except Exception as error:  # whatever it is, the other cells are still to come
        said = error.diagnostics[0].headline if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
        found = Outcome("failed", said[:300])
    return dataclasses.replace(found, seconds=round(time.monotonic() - start, 2))


def _run(cell: Cell, folder: Path) -> Outcome:
    source, plan, refusal = judge(cell, folder)
    if plan is None:
        return refusal
    output = source.folder / "bundle"
    built = build_ready(Ready(plan, source.folder, source), output, folder / "store", Progress(is_quiet=True))
    worst = _parity(plan, folder / cell.family, output)
    if worst > plan.export.parity:
        return Outcome("failed", f"parity {worst:.1e}", worst)
    _ask(cell, source, plan, output)
    return Outcome("built", parity=worst, stages=tuple(built.ran.items()))


def judge(cell: Cell, folder: Path) -> tuple[Source, Plan | None, Outcome]:
    """What validation makes of a cell: a plan, or a refusal."""
    source = read(_spec(cell, folder))
    plan, said = check(source)
    return source, plan, _refused([diagnostic for diagnostic in said if diagnostic.is_error])


def _refused(errors: list[Diagnostic]) -> Outcome:
    """A refusal for a stated capability with the methods that do work; any other is a failure."""
    reasons = {why for error in errors for why in REFUSALS if error.code == "E0309" and why in error.headline}
    if len(errors) != 1 or not reasons:
        return Outcome("failed", "; ".join(f"{error.code} {error.headline}" for error in errors)[:300])
    return Outcome("refused", reasons.pop(), works=tuple(errors[0].help.rpartition(": ")[2].split(", ")))


def _spec(cell: Cell, folder: Path) -> Path:
    if not (folder / cell.family).exists():
        tiny.save(cell.family, folder / cell.family)
    own = folder / f"{cell.family}-{cell.head}-{cell.method}"
    own.mkdir(exist_ok=True)
    known = variants.head(cell.head).options.model_fields
    spec = {
        "graftc": 1, "name": "cell", "backbone": {"from": f"../{cell.family}"}, "adapt": {"method": cell.method},
        "head": {"type": cell.head, **{key: value for key, value in OPTIONS.items() if key in known}},
        "data": {**rows.write(folder, cell.head), "max_length": 32},
        "train": {"max_steps": 3, "batch_size": 8, "warmup": 0.0},
        "export": {"gate": {"metric_drop": 1.0}},  # what was hardly learned may waver
    }  # fmt: skip
    path = own / "spec.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def _parity(plan: Plan, backbone: Path, bundle: Path) -> float:
    """The largest difference between the bundle's graph and its checkpoint, which torch reads again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of one library calling another's deprecated names
        network = reassemble(plan, backbone, bundle / "checkpoint")
    sessions = {name: Session(bundle / f"{name}.onnx", 1) for name in plan.export.passes}
    processor, draw = preprocessor(plan, backbone), np.random.default_rng(0)
    worst = 0.0
    for batch, length in product(BATCHES, LENGTHS):
        lengths = [length, *draw.integers(1, length + 1, batch - 1)]
        inputs = [_row(draw.integers(5, 300, n)) for n in lengths]
        ours = of_network(network, plan, processor, inputs)
        worst = max(worst, apart(ours, of_graphs(sessions, plan, processor, inputs))[0])
    return worst


def _row(ids: np.ndarray) -> dict[str, np.ndarray]:
    return {"input_ids": ids, "token_type_ids": np.arange(len(ids)) // (len(ids) // 2 + 1)}


def _ask(cell: Cell, source: Source, plan: Plan, bundle: Path) -> None:
    """Asks the bundle's own wrapper; alone or in a list, an input gets the same answer."""
    reader, columns = variants.reader(cell.head), plan.tasks[0].data.columns
    asked = [reader.raw({role: rows.ROLES[role](i) for role in columns}, columns, source.folder) for i in range(5)]
    name = f"predict_{abs(hash(cell))}"
    spec = importlib.util.spec_from_file_location(name, bundle / "predict.py")
    assert spec is not None
    assert spec.loader is not None
    wrapper = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(wrapper)
        model = wrapper.Model()
        answers, alone = model.predict(asked), model.predict(asked[0])
    finally:
        del sys.modules[name]
    assert len(answers) == len(asked)
    if not _same(answers[0], alone):
        raise AssertionError(f"alone {alone}, in a list {answers[0]}")


def _same(one: Any, other: Any) -> bool:
    """Whether two answers are equal but for the rounding of numbers."""
    if dataclasses.is_dataclass(one):
        return _same(dataclasses.astuple(one), dataclasses.astuple(other))
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(np.isclose(one, other, atol=1e-4)) if isinstance(one, float) else one == other
