"""How fast a bundle answers, beside transformers' pipeline with the same backbone.

    python benchmarks/serving.py BUNDLE --texts FILE [--rounds 5] [--limit N] [--peers] [--output DIR]

BUNDLE classifies texts and holds fp32 and int8 graphs; FILE is jsonl with a column `text`. Everyone gets raw texts and
gives answers, in this process's threads; contestants take turns, and the figures are medians over rounds (one short text
has ten times as many turns, as it takes milliseconds). Printed are how many times faster the bundle is than the pipeline
as called by default and at its best batch size, the latency of one short text, the share of int8 answers that are those
of fp32, the seconds from the start of a process to its first answer, and floors of all that. The pipeline's head is as
large as the bundle's, and untrained. `--peers` adds Olive's and optimum-onnx's graphs of the same checkpoint, converted in
venvs of their own, under this bundle's runtime, once with the bundle's own batches and once handed 32 texts at a time; it
needs an index to install from. Writes serving.json and serving.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # of what is started in other environments, too

from accuracy import machine, measured_on  # type: ignore[import-not-found]
from arithmetic import rate, seconds_of  # type: ignore[import-not-found]

HANDED = "handed 32 texts at a time"
PART = 12  # of the texts, one in so many goes to the peers' graphs, in so many times as many turns
SIZES = (1, 4, 8, 16, 32, 64)
AT_LEAST = {
    "fp32 / pipeline": 3.0, "int8 / pipeline": 5.5, "fp32 / pipeline at its best": 1.8, "int8 / pipeline at its best": 3.5,
    "one text, fp32": 2.3, "one text, int8": 4.0, "agreement of int8": 0.98,
}  # fmt: skip
START = {"seconds to a first answer": 0.6, "first answer / pipeline's": 0.12}
PEERS = {
    "optimum-onnx": (["optimum-onnx==0.1.0", "transformers==4.57.6", "onnxruntime==1.31.1"], "optimum-cli export onnx --model {model} --task text-classification {out}", "model.onnx"),
    "olive": (["olive-ai", "transformers==4.57.6", "onnxruntime==1.31.1", "peft"], "olive capture-onnx-graph -m {model} --task text-classification -o {out}", "model.onnx"),
}  # fmt: skip

FIRST = """
import time, sys
from transformers import pipeline
print(pipeline("text-classification", model=sys.argv[1])(sys.argv[2]))
"""


def main() -> int:
    """Runs everything; exit status 1 where a mark is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundle", type=Path)
    options.add_argument("--texts", type=Path, required=True, help="jsonl with a column `text`")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--limit", type=int, help="the first N texts: a quick look")
    options.add_argument("--peers", action="store_true", help="also Olive's and optimum-onnx's graphs")
    options.add_argument("--output", type=Path, default=Path("bundles/serving"))
    chosen = options.parse_args()
    texts = [json.loads(line)["text"] for line in chosen.texts.read_text(encoding="utf-8").splitlines()][: chosen.limit]
    with tempfile.TemporaryDirectory() as folder:
        model = peer_checkpoint(chosen.bundle, Path(folder) / "model")
        found = {
            "whole": throughput(chosen, texts, model),
            "one": latency(chosen, texts, model),
            "start": first(chosen, texts, model),
            "floor": floor(chosen.bundle, texts, model, chosen.rounds),
        }
        if chosen.peers:
            found["peers"] = peers(chosen, texts, model, Path(folder))
    marks = judge(found, chosen.bundle, texts)
    name = json.loads((chosen.bundle / "manifest.json").read_bytes())["name"]
    report(found, marks, f"{name}, {len(texts):,} texts of {chosen.texts}", chosen.output)
    return 0 if all(mark["is_met"] for mark in marks.values()) else 1


def peer_checkpoint(bundle: Path, folder: Path) -> Path:
    """The bundle's trained backbone under transformers' own classification head: the same size and work."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    manifest = json.loads((bundle / "manifest.json").read_bytes())
    (head,) = manifest["heads"].values()
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(bundle / "checkpoint", num_labels=len(head["labels"]))
    model.save_pretrained(folder)
    shutil.copy(bundle / "tokenizer.json", folder / "tokenizer.json")
    AutoTokenizer.from_pretrained(bundle / "checkpoint").save_pretrained(folder)
    return folder


def pipeline(model: Path) -> Any:
    """transformers' pipeline."""
    from transformers import pipeline as make
    from transformers.utils import logging

    logging.set_verbosity_error()
    return make("text-classification", model=str(model), truncation=True)


def medians(acts: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each act, in turns."""
    found: dict[str, list[float]] = {name: [] for name in acts}
    for number in range(rounds):
        for name in acts if number % 2 == 0 else reversed(list(acts)):
            start = time.perf_counter()
            acts[name]()
            found[name].append(time.perf_counter() - start)
            print(f"{name}: {found[name][-1]:.3f} s", file=sys.stderr, flush=True)
    return {name: statistics.median(times) for name, times in found.items()}


def throughput(chosen: argparse.Namespace, texts: list[str], model: Path) -> dict[str, float]:
    """Seconds for all texts: both graphs, and the pipeline by batch size."""
    from graftc.runtime.model import Model

    acts: dict[str, Callable[[], Any]] = {}
    for precision in ("fp32", "int8"):
        loaded = Model(chosen.bundle, precision)
        loaded.predict(texts[:64])
        acts[precision] = lambda loaded=loaded: loaded.predict(texts)  # type: ignore[misc]
        rows = loaded.rows(texts)
        acts[f"{precision}, rows ready"] = lambda loaded=loaded, rows=rows: loaded.run(rows)  # type: ignore[misc]
        acts["texts to rows"] = lambda loaded=loaded: loaded.rows(texts)  # type: ignore[misc]
    asked = pipeline(model)
    asked(texts[:8])
    for size in SIZES:
        acts[f"pipeline {size}"] = lambda size=size: asked(texts, batch_size=size)  # type: ignore[misc]
    return medians(acts, chosen.rounds)


def latency(chosen: argparse.Namespace, texts: list[str], model: Path) -> dict[str, float]:
    """Seconds for one short text."""
    from graftc.runtime.model import Model

    short = short_of(texts)
    asked = pipeline(model)
    acts: dict[str, Callable[[], Any]] = {"pipeline": lambda: asked(short)}
    for precision in ("fp32", "int8"):
        loaded = Model(chosen.bundle, precision)
        acts[precision] = lambda loaded=loaded: loaded.predict(short)  # type: ignore[misc]
    for act in acts.values():
        act()
    often = {name: (lambda act=act: [act() for _ in range(20)]) for name, act in acts.items()}  # type: ignore[misc]
    found = medians(often, 10 * chosen.rounds)
    return {name: seconds / 20 for name, seconds in found.items()}


def short_of(texts: list[str]) -> str:
    """The first text of about twelve words."""
    return min(texts, key=lambda text: abs(len(text.split()) - 12))


def first(chosen: argparse.Namespace, texts: list[str], model: Path) -> dict[str, float]:
    """Seconds from the start of a process to its first answer."""
    ours = [sys.executable, str(chosen.bundle / "predict.py"), texts[0]]
    theirs = [sys.executable, "-c", FIRST, str(model), texts[0]]

    def run(words: list[str]) -> Callable[[], Any]:
        settings = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # both have the bytecode that an installed package has
        return lambda: subprocess.run(words, check=True, capture_output=True, env=settings)

    return medians({"ours": run(ours), "pipeline": run(theirs)}, chosen.rounds)


def floor(bundle: Path, texts: list[str], model: Path, rounds: int) -> dict[str, float]:
    """What can't be avoided: in fp32 the products of matrices at the rate of this machine, and imports at the start."""
    from graftc.runtime.model import Model

    config, loaded = json.loads((model / "config.json").read_bytes()), Model(bundle, "fp32")
    lengths = {
        name: [len(row["input_ids"]) for row in loaded.rows(chosen).features]
        for name, chosen in (("all texts", texts), ("one text", [short_of(texts)]))
    }
    imports = [sys.executable, "-c", "import numpy, onnxruntime, tokenizers"]
    settings = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    took = medians({"imports": lambda: subprocess.run(imports, check=True, env=settings)}, rounds)["imports"]
    speed = rate(config["hidden_size"], config["intermediate_size"])
    return {
        **{name: seconds_of(config, each) for name, each in lengths.items()},
        "GFLOP/s": speed / 1e9,
        "imports": took,
    }


def peers(chosen: argparse.Namespace, texts: list[str], model: Path, folder: Path) -> dict[str, float]:
    """Seconds of other converters' graphs of the same checkpoint, under the same runtime and the same batches.

    One text in twelve, in twelve times as many turns: graphs so alike take more of them to tell apart.
    """
    from graftc.runtime.model import Model

    texts = texts[::PART]
    acts: dict[str, Callable[[], Any]] = {}
    rows = Model(chosen.bundle, "fp32").rows(texts)
    for name, (packages, words, graph) in PEERS.items():
        venv, out = folder / f"{name}-venv", folder / name
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "-q", "torch==2.13.0", *packages], check=True)
        subprocess.run(
            [
                str(venv / "bin" / word) if not i else word
                for i, word in enumerate(words.format(model=model, out=out).split())
            ],
            check=True,
        )
        place = folder / f"{name}-bundle"
        shutil.copytree(chosen.bundle, place)
        shutil.copy(next(out.rglob(graph)), place / "model.onnx")
        loaded = Model(place, "fp32")
        acts[name] = lambda loaded=loaded: loaded.run(rows)  # type: ignore[misc]
        acts[f"{name}, {HANDED}"] = (
            lambda loaded=loaded: [  # type: ignore[misc]
                loaded.outputs(texts[i : i + 32]) for i in range(0, len(texts), 32)
            ]
        )
    own = Model(chosen.bundle, "fp32")
    acts["ours"] = lambda: own.run(rows)
    acts["ours, from texts"] = lambda: own.outputs(texts)
    return medians(acts, PART * chosen.rounds)


def judge(found: dict[str, dict[str, float]], bundle: Path, texts: list[str]) -> dict[str, Any]:
    """Each figure beside its mark."""
    from graftc.runtime.model import Model

    whole, one, start = found["whole"], found["one"], found["start"]
    best = min(seconds for name, seconds in whole.items() if name.startswith("pipeline"))
    labels = [[answer.label for answer in Model(bundle, precision).predict(texts)] for precision in ("fp32", "int8")]
    figures = {
        **{f"{p} / pipeline": whole["pipeline 1"] / whole[p] for p in ("fp32", "int8")},
        **{f"{p} / pipeline at its best": best / whole[p] for p in ("fp32", "int8")},
        **{f"one text, {p}": one["pipeline"] / one[p] for p in ("fp32", "int8")},
        "agreement of int8": sum(a == b for a, b in zip(*labels, strict=True)) / len(texts),
    }
    marks = {
        name: {"found": figures[name], "mark": mark, "is_met": figures[name] >= mark} for name, mark in AT_LEAST.items()
    }
    begun = {"seconds to a first answer": start["ours"], "first answer / pipeline's": start["ours"] / start["pipeline"]}
    marks |= {name: {"found": begun[name], "mark": mark, "is_met": begun[name] <= mark} for name, mark in START.items()}
    theirs = found.get("peers", {})
    for name in (name for name in theirs if name in PEERS):  # the same rows in the same batches; and each from texts on
        for what, other in ((name, "ours"), (f"{name}, {HANDED}", "ours, from texts")):
            ratio = theirs[what] / theirs[other]
            marks[f"{what} / {other}"] = {"found": ratio, "mark": 1.0, "is_met": ratio >= 1.0}
    return marks


def report(found: dict[str, dict[str, float]], marks: dict[str, Any], asked: str, output: Path) -> None:
    """Prints the table and writes it with machine and versions."""
    lines = [*measured_on(), asked, "", "| figure | found | mark | met |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {mark['found']:.3f} | {mark['mark']} | {'yes' if mark['is_met'] else 'NO'} |"
        for name, mark in marks.items()
    ]
    lines += ["", "| where the time goes | seconds |", "|---|---|"]
    lines += [f"| {name} | {seconds:.4f} |" for name, seconds in _spent(found).items()]
    output.mkdir(parents=True, exist_ok=True)
    (output / "serving.json").write_text(
        json.dumps({"machine": machine(), "asked": asked, "seconds": found, "marks": marks}, indent=2) + "\n"
    )
    (output / "serving.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _spent(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """Seconds of every part, each floor after what it is of."""
    least = found["floor"]
    best = min((name for name in found["whole"] if "pipeline" in name), key=found["whole"].__getitem__)
    all_texts = ("texts to rows", "int8, rows ready", "int8", "fp32, rows ready", "fp32")
    return {
        **{f"all texts: {name}": found["whole"][name] for name in all_texts},
        f"floor of all texts: arithmetic in fp32 at {least['GFLOP/s']:.0f} GFLOP/s": least["all texts"],
        **{f"all texts: {name} at once": found["whole"][name] for name in ("pipeline 1", best)},
        **{f"a twelfth of all texts: {name}": seconds for name, seconds in found.get("peers", {}).items()},
        **{f"one text: {name}": seconds for name, seconds in found["one"].items()},
        "floor of one text: arithmetic in fp32": least["one text"],
        **{f"a first answer: {name}": seconds for name, seconds in found["start"].items()},
        "floor of a first answer: importing numpy, onnxruntime and tokenizers": least["imports"],
    }


if __name__ == "__main__":
    sys.exit(main())
