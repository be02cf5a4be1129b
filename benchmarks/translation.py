"""A small T5 that learns to translate from nothing, beside transformers' Seq2SeqTrainer on the same rows.

    python benchmarks/translation.py --data DIR [--steps 1500] [--rows N] [--output DIR]

DIR holds `data/multi30k` (en and de). The tokenizer is learned from the training rows, and both sides start from one
T5 that is drawn at random, with the same steps, batch size, rate and schedule; batches are drawn by either's own order.
Printed are BLEU of the test rows with its signature: of the network in torch, of the bundle by precision, and of the
trainer's model by its own `generate`. Exit status 1 where ours is more than half a point below the trainer's, at most 3,
or more than a tenth apart between torch and the fp32 bundle. Writes translation.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

BATCH, RATE, LONGEST, WORDS = 64, 1e-3, 48, 6000
SHAPE = {
    "d_model": 256, "d_kv": 64, "d_ff": 1024, "num_layers": 3, "num_decoder_layers": 3, "num_heads": 4,
    "decoder_start_token_id": 0, "dropout_rate": 0.1,
}  # fmt: skip


def main() -> int:
    """Trains both; exit status 1 where a mark is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder with data/multi30k")
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--rows", type=int, help="the first N training rows: a quick look")
    options.add_argument("--output", type=Path, default=Path("bundles/translation"))
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        splits = {name: rows(chosen.data / f"data/multi30k/{name}.jsonl") for name in ("train", "validation", "test")}
        splits["train"] = splits["train"][: chosen.rows]
        backbone(folder / "t5", splits["train"])
        found = {"steps": chosen.steps, **ours(folder, splits, chosen.steps), **theirs(folder, splits, chosen.steps)}
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "translation.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    is_near = found["torch"] >= found["trainer"] - 0.5 and abs(found["torch"] - found["fp32"]) <= 0.1
    return 0 if is_near and found["torch"] > 3 else 1


def rows(path: Path) -> list[dict[str, str]]:
    """The pairs of a file."""
    read = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [{"source": row["en"], "target": row["de"]} for row in read]


def backbone(folder: Path, train: list[dict[str, str]]) -> None:
    """A T5 drawn at random, and a tokenizer of byte pairs of both languages."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    known = Tokenizer(models.BPE(unk_token="<unk>"))
    known.pre_tokenizer, known.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=WORDS, special_tokens=special, show_progress=False)
    known.train_from_iterator((text for row in train for text in row.values()), trainer)
    known.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=known, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=known.get_vocab_size(), **SHAPE)
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)


def ours(folder: Path, splits: dict[str, list[dict[str, str]]], steps: int) -> dict[str, Any]:
    """BLEU of the test rows by runner, and the seconds of training."""
    import graftc

    for name, listed in splits.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in listed)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    spec = {
        "graftc": 1, "name": "multi30k", "backbone": {"from": "./t5"}, "adapt": {"method": "full"},
        "head": {"type": "translation", "generation": {"max_new_tokens": LONGEST}},
        "data": {**{name: f"{name}.jsonl" for name in splits}, "max_length": LONGEST, "max_target_length": LONGEST},
        "train": {"max_steps": steps, "batch_size": BATCH, "learning_rate": RATE},
        "export": {"precision": ["fp32", "int8"], "gate": {"metric_drop": 0.5}},
    }  # fmt: skip
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    built = graftc.build(folder / "spec.yaml", folder / "bundle", folder / "store")
    scores = {runner: each["bleu"] for runner, each in built.metrics["test"].items()}
    signature = built.metrics["test"]["torch"]["bleu_signature"]
    return {**scores, "signature": signature, "seconds": round(built.ran["train"])}


def theirs(folder: Path, splits: dict[str, list[dict[str, str]]], steps: int) -> dict[str, Any]:
    """BLEU of the test rows as Seq2SeqTrainer's model writes them, and the seconds of training."""
    import sacrebleu
    import torch
    import transformers

    known = transformers.AutoTokenizer.from_pretrained(folder / "t5")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder / "t5")
    cut = {"truncation": True, "max_length": LONGEST}
    learned = [
        {**known(row["source"], **cut), "labels": known(row["target"], **cut)["input_ids"]} for row in splits["train"]
    ]
    settings = transformers.Seq2SeqTrainingArguments(
        output_dir=str(folder / "trainer"), max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=RATE,
        warmup_steps=round(0.1 * steps), weight_decay=0.01, lr_scheduler_type="linear", report_to=[], seed=0,
        save_strategy="no", logging_steps=steps, use_cpu=not torch.cuda.is_available(), disable_tqdm=True,
    )  # fmt: skip
    collate = transformers.DataCollatorForSeq2Seq(known, model=model)
    trainer = transformers.Seq2SeqTrainer(model=model, args=settings, train_dataset=learned, data_collator=collate)
    start = time.perf_counter()
    trainer.train()
    seconds, texts = time.perf_counter() - start, []
    model.eval()
    for at in range(0, len(splits["test"]), 32):
        asked = known([row["source"] for row in splits["test"][at : at + 32]], padding=True, return_tensors="pt", **cut)
        asked.pop("token_type_ids", None)
        with torch.inference_mode():
            written = model.generate(**asked.to(model.device), max_new_tokens=LONGEST, do_sample=False, num_beams=1)
        texts += known.batch_decode(written, skip_special_tokens=True)
    score = sacrebleu.corpus_bleu(texts, [[row["target"] for row in splits["test"]]]).score
    return {"trainer": score, "trainer_seconds": round(seconds)}


if __name__ == "__main__":
    sys.exit(main())
