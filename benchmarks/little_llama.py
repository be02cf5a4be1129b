"""Makes the small language model of the example `camp` anew: specs/bases/little-llama, from the other examples' texts.

    python benchmarks/little_llama.py [OUT] [--steps 600]

A Llama of 3 layers and 0.4 million parameters, trained from scratch on the texts in specs/data, without those of `camp`.
Prints the loss on every 20th text, which is held out.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

DATA = Path(__file__).resolve().parents[1] / "specs" / "data"
END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
WORDS, LENGTH, BATCH, RATE = 1024, 128, 16, 2e-3
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}\n"
)


def main() -> int:
    """Writes the folder and prints what it learned."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("out", type=Path, nargs="?", default=DATA.parent / "bases" / "little-llama")
    asked.add_argument("--steps", type=int, default=600)
    given = asked.parse_args()
    torch.manual_seed(0)
    texts = list(dict.fromkeys(each for file in files() for each in texts_of(file)))
    held, learned = texts[::20], [text for i, text in enumerate(texts) if i % 20]
    tokenizer = tokenizer_of(learned)
    model = AutoModelForCausalLM.from_config(config(len(tokenizer)))
    print(f"{len(texts):,} texts, {sum(p.numel() for p in model.parameters()):,} parameters")
    train(model, joined(tokenizer, learned), given.steps)
    print(f"held out: loss {loss_on(model, joined(tokenizer, held)):.3f}")
    model.to(torch.bfloat16).save_pretrained(given.out)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(given.out)
    return 0


def files() -> list[Path]:
    """The tables of the other examples."""
    every = [*DATA.rglob("*.jsonl"), *DATA.rglob("*.csv")]
    return sorted(file for file in every if file.parent.name != "camp")


def texts_of(file: Path) -> Iterator[str]:
    """The texts of a table, one for each cell that is a sentence."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows: Iterator[dict[str, Any]] = map(json.loads, lines) if file.suffix == ".jsonl" else csv.DictReader(lines)
        for row in rows:
            cells = [" ".join(cell) if isinstance(cell, list) else cell for cell in row.values() if cell]
            yield from (cell for cell in cells if isinstance(cell, str) and " " in cell)


def tokenizer_of(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte pairs of some texts, with the special tokens of conversations."""
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    special = [END, TURN, TURN_END]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    built.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=built, eos_token=TURN_END, pad_token=END, model_max_length=256)


def config(words: int) -> LlamaConfig:
    """The model's sizes."""
    return LlamaConfig(
        vocab_size=words,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=[0, 2],
        pad_token_id=0,
    )


def joined(tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """All tokens of some texts, each text with its end."""
    return torch.tensor([id for text in texts for id in [*tokenizer(text)["input_ids"], 0]])


def train(model: Any, tokens: torch.Tensor, steps: int) -> None:
    """AdamW on pieces from anywhere; the rate falls to zero along half a cosine."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.1)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        starts = torch.randint(len(tokens) - LENGTH, (BATCH,))
        batch = torch.stack([tokens[at : at + LENGTH] for at in starts.tolist()])
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}", flush=True)


def loss_on(model: Any, tokens: torch.Tensor) -> float:
    """The mean loss on pieces of some tokens."""
    model.eval()
    pieces = tokens[: len(tokens) // LENGTH * LENGTH].view(-1, LENGTH)
    with torch.inference_mode():
        return float(model(input_ids=pieces, labels=pieces).loss)


if __name__ == "__main__":
    sys.exit(main())
