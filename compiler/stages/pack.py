"""Assembles the bundle: graphs, runtime, wrapper, card, checkpoint, checksums."""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ...runtime.manifest import sealed, sha256
from ...runtime.variants import preprocessing
from ..bundling.manifest import compose, file_of, licence
from ..bundling.rendering import PACKAGE, Comparison, Runtime, write_card, write_wrapper
from ..bundling.sbom import write_sbom
from ..contracts.stage import Stage
from ..execution.work import Work, stage_name
from ..machine import installed
from ..planning.plan import Plan
from ..planning.portable import portable
from ..store.hashes import combined, digest, file_sha256


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that quotes every text that begins like a number, because specs read `1e5` as a number."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "'" if value[:1] in set("+-.0123456789") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def run(work: Work) -> None:
    """Fills the stage's folder with the bundle."""
    plan, out = portable(work.plan), work.out
    manifest = _manifest(work, plan)
    micro = {"micro_batch": _micro_batches(manifest)}
    for precision, name in (
        (precision, file_of(graph, precision)) for precision in plan.export.precision for graph in plan.export.graphs
    ):
        source = work.inputs["export" if precision == "fp32" else "quantize"]
        if (work.inputs["verify"] / name).exists():  # a version with nodes in float, which passed the gates
            source = work.inputs["verify"]
        for file in source.glob(f"{name}*"):
            shutil.copy2(file, out / file.name)
    for name, file in plan.reading.variant.assets(work.backbone).items():
        shutil.copyfile(file, out / name)
    shutil.copyfile(work.inputs["verify"] / "samples.jsonl", out / "samples.jsonl")
    shutil.copytree(work.inputs["checkpoint"], out / "checkpoint")
    runtime = _runtime(plan, out / "graftc_runtime")
    write_wrapper(plan, manifest, runtime, out)
    write_card(plan, manifest, _answers(work), out)
    requires = (
        "onnxruntime",
        "numpy",
        *preprocessing(plan.reading.modality).requires(plan.reading.preprocessing.plain()),
    )
    (out / "requirements.txt").write_text("".join(f"{name}=={installed(name)}\n" for name in requires))
    write_sbom(plan, manifest, requires, work.backbone, out)
    (out / "plan.json").write_text(plan.text() + "\n", encoding="utf-8")
    spec = yaml.dump(plan.spec.plain(), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    (out / "spec.yaml").write_text(spec, encoding="utf-8")
    told = {name: manifest[name] for name in ("optimize", "fused", "left_out", "findings") if name in manifest}
    receipt = work.machine.model_dump() | told | micro
    (out / "receipt.json").write_text(json.dumps(receipt, indent=2, sort_keys=True) + "\n")
    _seal(out, manifest)


def _manifest(work: Work, plan: Plan) -> dict[str, Any]:
    read = {
        name: json.loads((work.inputs[stage] / f"{name}.json").read_bytes())
        for stage, name in (
            ("verify", "calibrated"),
            ("verify", "metrics"),
            ("verify", "gates"),
            ("train", "history"),
            ("verify", "quantization"),
            ("export", "fused"),
            ("health", "findings"),
        )
    }
    manifest = compose(plan, read["calibrated"], read["metrics"], read["gates"])
    licences = {"backbone": licence(work.backbone), "runtime": "Apache-2.0"}
    weights = combined(file_sha256(work.backbone / name) for name in work.plan.backbone.files)
    hashes = manifest["hashes"] | {"weights": weights}
    training = read["history"] | gap(read["history"])
    own = {"training": training, "licences": licences, "hashes": hashes, "fused": read["fused"]}
    own |= {"quantization": read["quantization"]} if read["quantization"] else {}
    return manifest | own | {"findings": read["findings"], **_floors(work, plan)} | _unsupervised(work)


def _floors(work: Work, plan: Plan) -> dict[str, Any]:
    """The floors' scores by split and floor, with metrics named as the model's."""
    scores: dict[str, dict[str, dict[str, Any]]] = {}
    for task in plan.tasks:
        folder = work.inputs.get(stage_name("floor", task.name))
        found = json.loads((folder / "floors.json").read_bytes())["scores"] if folder else {}
        for split, floor, values in ((s, f, v) for s, floors in found.items() for f, v in floors.items()):
            own = {task.named(name): value for name, value in values.items()}
            scores.setdefault(split, {}).setdefault(floor, {}).update(own)
    return {"floors": scores} if scores else {}


def _answers(work: Work) -> list[Comparison]:
    """Golden inputs whose answers the untuned network gave too, with both answers."""
    folders = (work.inputs.get(stage_name("floor", task.name)) for task in work.plan.tasks)
    files = [folder / "answers.json" for folder in folders if folder and (folder / "answers.json").is_file()]
    before = [each for file in files for each in json.loads(file.read_bytes())]
    samples = (work.inputs["verify"] / "samples.jsonl").read_text(encoding="utf-8").split("\n") if before else []
    after = [json.loads(line) for line in samples if line]
    return [
        Comparison(each["input"], each["answer"], other["answer"])
        for each in before
        for other in after
        if other["input"] == each["input"]
    ]


def gap(history: Mapping[str, Any]) -> dict[str, float]:
    """The difference of validation and training loss in the best epoch; empty without validation."""
    best: Mapping[str, Any] = next(
        (epoch for epoch in history["epochs"] if epoch["epoch"] == history["best_epoch"]), {}
    )
    return {"gap": round(best["validation_loss"] - best["train_loss"], 6)} if "validation_loss" in best else {}


def _unsupervised(work: Work) -> dict[str, Any]:
    """The reports of the stages of `pretrain` and of `retain`."""
    names = [f"pretrain-{i}-merge" for i in range(1, len(work.plan.pretrain) + 1)]
    reports = [json.loads((work.inputs[name] / "report.json").read_bytes()) for name in names]
    kept = {"retain": json.loads((work.inputs["retain"] / "retain.json").read_bytes())} if work.plan.retain else {}
    return {**({"pretrain": reports} if reports else {}), **kept}


def _micro_batches(manifest: dict[str, Any]) -> dict[str, int]:
    """Takes out the rows that went through the network at once, by stage, because they depend on memory alone."""
    stages = {f"pretrain-{i}": report for i, report in enumerate(manifest.get("pretrain", ()), 1)}
    return {name: report.pop("micro_batch") for name, report in {**stages, "train": manifest["training"]}.items()}


def _runtime(plan: Plan, target: Path) -> Runtime:
    """Copies the runtime modules that this task needs."""
    wanted = {"__init__", "model", "verify", "printing", "inputs.__init__", "heads.__init__"}
    wanted |= {f"inputs.{modality}" for modality in plan.reading.modalities} | {
        *(f"heads.{t.head.type.replace('-', '_')}" for t in plan.tasks)
    }
    done: set[str] = set()
    while wanted - done:
        module = min(wanted - done)
        done.add(module)
        wanted |= _imports(PACKAGE / "runtime" / f"{module.replace('.', '/')}.py", module)
    content = hashlib.sha256()
    for module in sorted(done):
        source = PACKAGE / "runtime" / f"{module.replace('.', '/')}.py"
        file = target / f"{module.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source.read_bytes())
        content.update(f"{module}\n".encode() + source.read_bytes())
    whole = content.hexdigest()
    return Runtime(f"graftc_runtime_{whole[:16]}", tuple(sorted(done)), whole)


def _imports(path: Path, module: str) -> set[str]:
    """The modules of the runtime that a module imports."""
    parents = module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parents[: len(parents) - node.level + 1]
            names = [node.module] if node.module else ["__init__"]
            found |= {".".join([*base, name]) for name in names}
    packages = {name for name in found if (PACKAGE / "runtime" / name.replace(".", "/")).is_dir()}
    return found - packages | {f"{name}.__init__" for name in packages}


def _seal(out: Path, manifest: dict[str, Any]) -> None:
    """Writes the manifest last, with size and SHA-256 of every other file."""
    files = {
        p.relative_to(out).as_posix(): {"bytes": p.stat().st_size, "sha256": sha256(p)}
        for p in sorted(out.rglob("*"))
        if p.is_file()
    }
    whole = sealed(manifest | {"files": files, "content": digest(files)})
    (out / "manifest.json").write_text(
        json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )


STAGE = Stage(run=run)
