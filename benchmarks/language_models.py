"""Language models beside TRL: losses of the same batches, step by step, and the seconds of their training.

    python benchmarks/language_models.py --peer PYTHON [--only dpo …] [--steps N] [--size tiny|small] [--output DIR]

PYTHON is one that has trl 1.16. Both sides start from one Llama that is drawn at random, in fp32 and without dropout,
and learn the same batches in the same order: supervised (`sft`), supervised with packed rows (`packed`, of which TRL
joins each batch to one sequence, as its packing does), `dpo` and `orpo`. Exit status 1 where a loss of ours is more
than 1e-3 from TRL's. Seconds are those of the processor, which others that use the machine do not change much: of the
steps, ours with loading the network; of dpo, ours are shown with and without the reference's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from graftc.compiler.api import plan as planned
from graftc.compiler.execution import pipeline
from graftc.compiler.execution.executor import run_stages, stages_of
from graftc.compiler.execution.prepared import Prepared
from graftc.compiler.execution.progress import Progress
from graftc.compiler.execution.work import Work
from graftc.compiler.facts.backbone import gather_backbone
from graftc.compiler.machine import describe
from graftc.compiler.planning.split import epoch_order
from graftc.compiler.store.store import Store

KINDS = ("sft", "packed", "dpo", "orpo")
SIZES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    "small": {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 6},
}
LONGEST = {"tiny": 12, "small": 60}  # words of a prompt, and of an answer
WORDS = (
    "the",
    "small",
    "network",
    "reads",
    "a",
    "text",
    "and",
    "writes",
    "what",
    "comes",
    "next",
    "while",
    "its",
    "loss",
)
BATCH, RATE, BETA, APART = 8, 1e-3, 0.1, 1e-3


def main() -> int:
    """Runs every kind on both sides and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peer", type=Path, required=True, help="a Python that has trl 1.16")
    options.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS), help="kinds to run")
    options.add_argument("--steps", type=int, default=50, help="steps of each training")
    options.add_argument("--size", choices=SIZES, default="tiny", help="the size of the network")
    options.add_argument("--output", type=Path, default=Path("bundles/language-models"), help="where all of it goes")
    chosen = options.parse_args()
    output = chosen.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    backbone(output / f"backbone-{chosen.size}", chosen.size)
    found = {kind: compared(kind, chosen.steps, chosen.size, output, chosen.peer) for kind in chosen.only}
    (output / "language_models.json").write_text(json.dumps(found, indent=2) + "\n")
    print(table(found))
    return int(any(each["apart"] > APART for each in found.values()))


def backbone(folder: Path, size: str) -> None:
    """A Llama drawn at random, with a tokenizer of bytes that names no token for a beginning."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    if folder.exists():
        return
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<end>", "<pad>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator([" ".join(WORDS)] * 10, trainer)
    torch.manual_seed(0)
    shape = {**SIZES[size], "vocab_size": 400 if size == "tiny" else 8000}
    config = LlamaConfig(**shape, max_position_embeddings=1024, eos_token_id=0, pad_token_id=1, bos_token_id=None)
    LlamaForCausalLM(config).save_pretrained(folder)
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>")
    whole.save_pretrained(folder)


def rows(kind: str, count: int, longest: int) -> list[dict[str, str]]:
    """Rows of many lengths."""
    draw = random.Random(0)

    def text() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(2, longest)))

    if kind in ("sft", "packed"):
        return [{"prompt": text(), "completion": f" {text()}"} for _ in range(count)]
    return [{"prompt": text(), "chosen": f" {text()}", "rejected": f" {text()}"} for _ in range(count)]


def compared(kind: str, steps: int, size: str, output: Path, peer: Path) -> dict[str, Any]:
    """Losses of both sides and their largest difference, and seconds of training."""
    taught = rows(kind, steps * BATCH, LONGEST[size])
    ours = _ours(kind, steps, size, taught, output)
    request = {
        "kind": kind, "backbone": str(output / f"backbone-{size}"), "batch_size": BATCH, "steps": steps, "rate": RATE,
        "beta": BETA, "warmup": ours.pop("warmup"), "rows": [taught[i] for i in ours.pop("order")],
        "threads": describe().threads, "precomputes": False,
    }  # fmt: skip
    theirs = _theirs(request, output / f"{kind}-{size}", peer)
    apart = float(np.abs(np.array(ours["losses"]) - np.array(theirs["losses"])).max())
    return {"ours": ours, "trl": theirs, "apart": apart, "first": ours["losses"][0], "last": ours["losses"][-1]}


def _ours(kind: str, steps: int, size: str, taught: list[dict[str, str]], output: Path) -> dict[str, Any]:
    folder = output / f"{kind}-{size}"
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in taught))
    loss = {"objective": kind, "beta": BETA, **({"on": "all"} if kind == "orpo" else {})}
    spec = {
        "graftc": 1, "name": kind, "backbone": {"from": f"../backbone-{size}"},
        "head": {"type": "text-generation", **({"loss": loss} if kind in ("dpo", "orpo") else {})},
        "data": {"train": "rows.jsonl", "max_length": 512, "packing": kind == "packed"},
        "train": {"max_steps": steps, "batch_size": BATCH, "learning_rate": RATE, "group_by_length": False},
    }  # fmt: skip
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    plan = planned(path)
    where = gather_backbone(plan.backbone.source, folder, weights=True).located.folder.absolute()
    store, machine = Store(output / "store"), describe()
    names = [stage.name for stage in stages_of(plan, where, store)]
    stages = tuple(s for s in stages_of(plan, where, store)[: names.index("train") + 1] if s.name != "rehearse")
    stages = tuple(replace(s, inputs=tuple(name for name in s.inputs if name != "rehearse")) for s in stages)
    known = pipeline.keys(stages, machine)
    work, took = Work(plan, folder, where, machine, {}, Path(), Progress(is_quiet=True)), {}
    for end in range(1, len(stages) + 1):
        before = time.process_time()
        ran = run_stages(stages[:end], known, work, store)
        took |= dict.fromkeys(ran, time.process_time() - before)
    at = {stage.name: store.path(stage.name, known[stage.name]) for stage in stages}
    return {
        "losses": np.load(at["train"] / "losses.npy").tolist(), "warmup": plan.train.warmup_steps,
        "order": epoch_order(len(taught), plan.seed, 0).tolist(),
        "tokens": int(Prepared(at["prepare-train"]).lengths().sum()),
        "seconds": round(took.get("train", 0.0), 2), "reference_seconds": round(took.get("reference-train", 0.0), 2),
    }  # fmt: skip


def _theirs(request: Mapping[str, Any], folder: Path, peer: Path) -> dict[str, Any]:
    asked, answer = folder / "request.json", folder / "answer.json"
    asked.write_text(json.dumps(request))
    script = Path(__file__).with_name("trl_peer.py")
    subprocess.run([str(peer), str(script), str(asked), str(answer)], check=True, env={**os.environ, "PYTHONPATH": ""})
    found: dict[str, Any] = json.loads(answer.read_bytes())
    return found


def table(found: Mapping[str, Any]) -> str:
    """A line for each kind."""
    lines = [
        "| kind | first loss | last | largest difference | ours, tokens/s | with the reference | TRL's |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, each in found.items():
        ours, tokens = each["ours"], each["ours"]["tokens"]
        rates = [
            f"{tokens / seconds:,.0f}" if seconds else "–"
            for seconds in (ours["seconds"], ours["seconds"] + ours["reference_seconds"], each["trl"]["seconds"])
        ]
        said = f"{each['first']:.4f} | {each['last']:.4f} | {each['apart']:.1e}"
        lines.append(f"| {kind} | {said} | {' | '.join(rates)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
