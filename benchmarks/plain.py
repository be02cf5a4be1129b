"""The scripts that a user writes without graftc: transformers, peft, a loop. What they score is what graftc is held to.

One function for each kind of task: a `Recipe` and rows of training and test data in, the test score out, from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

Row = Mapping[str, Any]
Batch = dict[str, torch.Tensor]
IGNORED = -100


@dataclass(frozen=True)
class Recipe:
    """What both sides have in common: the backbone's folder, the method, how long and how fast."""

    backbone: str
    method: str
    epochs: int
    batch_size: int
    rate: float
    head_rate: float
    max_length: int
    stride: int = 0


def classify(recipe: Recipe, train: Sequence[Row], test: Sequence[Row]) -> float:
    """Accuracy of a classifier of texts, adapted by peft."""
    labels = sorted({row["label_name"] for row in train})
    model = AutoModelForSequenceClassification.from_pretrained(recipe.backbone, num_labels=len(labels))
    tokenizer = AutoTokenizer.from_pretrained(recipe.backbone)

    def batch(rows: Sequence[Row]) -> Batch:
        texts = [row["text"] for row in rows]
        found = tokenizer(texts, padding=True, truncation=True, max_length=recipe.max_length, return_tensors="pt")
        return {**found, "labels": torch.tensor([labels.index(row["label_name"]) for row in rows])}

    model = fit(recipe, adapted(model, recipe.method), train, batch)
    hits = sum(int((out.logits.argmax(-1) == given["labels"]).sum()) for out, given in answers(model, test, batch))
    return hits / len(test)


def regress(recipe: Recipe, train: Sequence[Row], test: Sequence[Row]) -> float:
    """Pearson's correlation of the scores of pairs of sentences."""
    model = AutoModelForSequenceClassification.from_pretrained(recipe.backbone, num_labels=1, problem_type="regression")
    tokenizer = AutoTokenizer.from_pretrained(recipe.backbone)

    def batch(rows: Sequence[Row]) -> Batch:
        first, second = ([row[name] for row in rows] for name in ("sentence1", "sentence2"))
        found = tokenizer(
            first, second, padding=True, truncation=True, max_length=recipe.max_length, return_tensors="pt"
        )
        return {**found, "labels": torch.tensor([row["score"] for row in rows])}

    model = fit(recipe, model, train, batch)
    scores = [out.logits.squeeze(-1).numpy() for out, _ in answers(model, test, batch)]
    return float(np.corrcoef(np.concatenate(scores), [row["score"] for row in test])[0, 1])


def tag(recipe: Recipe, train: Sequence[Row], test: Sequence[Row]) -> float:
    """F1 of entities, by seqeval; the first piece of a word stands for it."""
    from seqeval.metrics import f1_score

    labels = sorted({tag for row in train for tag in row["tags"]})
    model = AutoModelForTokenClassification.from_pretrained(recipe.backbone, num_labels=len(labels))
    tokenizer = AutoTokenizer.from_pretrained(recipe.backbone)

    def batch(rows: Sequence[Row]) -> Batch:
        words = [row["tokens"] for row in rows]
        found = tokenizer(
            words, is_split_into_words=True, padding=True, truncation=True, max_length=recipe.max_length, return_tensors="pt"
        )  # fmt: skip
        targets = torch.full(found["input_ids"].shape, IGNORED)
        for i, row in enumerate(rows):
            places = found.word_ids(i)
            for at, word in enumerate(places):
                if word is not None and (at == 0 or places[at - 1] != word):
                    targets[i, at] = labels.index(row["tags"][word])
        return {**found, "labels": targets}

    model = fit(recipe, model, train, batch)
    truth, said = [], []
    for out, given in answers(model, test, batch):
        for guess, target in zip(out.logits.argmax(-1), given["labels"], strict=True):
            kept = target != IGNORED
            truth.append([labels[i] for i in target[kept]])
            said.append([labels[i] for i in guess[kept]])
    return float(f1_score(truth, said))


def find(recipe: Recipe, train: Sequence[Row], test: Sequence[Row]) -> float:
    """F1 of answers over windows, by torchmetrics' SQuAD; every question has an answer."""
    from torchmetrics.functional.text import squad

    model = AutoModelForQuestionAnswering.from_pretrained(recipe.backbone)
    tokenizer = AutoTokenizer.from_pretrained(recipe.backbone)

    def windows(rows: Sequence[Row]) -> list[dict[str, Any]]:
        found = tokenizer(
            [row["question"] for row in rows], [row["context"] for row in rows], truncation="only_second",
            max_length=recipe.max_length, stride=recipe.stride, return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip
        return [
            {
                "row": row, "ids": found["input_ids"][i], "types": found["token_type_ids"][i],
                "offsets": [at if s == 1 else None for at, s in zip(found["offset_mapping"][i], found.sequence_ids(i), strict=True)],
            }
            for i, row in enumerate(found["overflow_to_sample_mapping"])
        ]  # fmt: skip

    def batch(chosen: Sequence[Row]) -> Batch:
        given = tokenizer.pad(
            {"input_ids": [w["ids"] for w in chosen], "token_type_ids": [w["types"] for w in chosen]},
            return_tensors="pt",
        )
        return {**given, "start_positions": torch.tensor([w["edges"][0] for w in chosen]), "end_positions": torch.tensor([w["edges"][1] for w in chosen])}  # fmt: skip

    learnt, asked = windows(train), windows(test)
    for rows, found in ((train, learnt), (test, asked)):
        for window in found:
            window["edges"] = _edges(window["offsets"], rows[window["row"]]["answers"])
    model = fit(recipe, model, learnt, batch)
    best: dict[int, tuple[float, str]] = {}
    at = iter(asked)
    for out, _ in answers(model, asked, batch):
        for starts, ends in zip(out.start_logits.numpy(), out.end_logits.numpy(), strict=True):
            window = next(at)
            score, span = _span(window["offsets"], starts, ends)
            text = test[window["row"]]["context"][span[0] : span[1]]
            best[window["row"]] = max(best.get(window["row"], (-np.inf, "")), (score, text))
    said = [{"id": str(i), "prediction_text": best[i][1]} for i in range(len(test))]
    truth = [{"id": str(i), "answers": row["answers"]} for i, row in enumerate(test)]
    return float(squad(said, truth)["f1"]) / 100


def _edges(offsets: list[Any], given: Mapping[str, Any]) -> tuple[int, int]:
    """The first and the last token of an answer, or the first of all where the window has it not whole."""
    start = given["answer_start"][0]
    end = start + len(given["text"][0])
    inside = [i for i, at in enumerate(offsets) if at and at[0] < end and at[1] > start]
    whole = inside and offsets[inside[0]][0] <= start and offsets[inside[-1]][1] >= end
    return (inside[0], inside[-1]) if whole else (0, 0)


def _span(offsets: list[Any], starts: np.ndarray, ends: np.ndarray, most: int = 30) -> tuple[float, tuple[int, int]]:
    """The best span of at most so many tokens, in characters."""
    found = (-np.inf, (0, 0))
    for i in np.argsort(-starts)[:20]:
        for j in np.argsort(-ends)[:20]:
            if i < len(offsets) and j < len(offsets) and offsets[i] and offsets[j] and i <= j < i + most:
                found = max(found, (float(starts[i] + ends[j]), (offsets[i][0], offsets[j][1])))
    return found


def adapted(model: Any, method: str) -> Any:
    """What peft makes of a classifier; `full` leaves it as it is."""
    import peft

    kind: Any = {"task_type": "SEQ_CLS"}
    configs: dict[str, Callable[[], Any]] = {
        "lora": lambda: peft.LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"], **kind),
        "ia3": lambda: peft.IA3Config(**kind),
        "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=20, **kind),
        "prompt": lambda: peft.PromptTuningConfig(num_virtual_tokens=20, **kind),
    }
    return peft.get_peft_model(model, configs[method]()) if method in configs else model


def fit(recipe: Recipe, model: Any, rows: Sequence[Row], batch: Callable[[Sequence[Row]], Batch]) -> Any:
    """AdamW, linear schedule with warm-up, clipping: the loop of every tutorial."""
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    learns = {name: p for name, p in model.named_parameters() if p.requires_grad}
    on_top = {name for name in learns if "classifier" in name or "qa_outputs" in name}
    groups = [
        {"params": [p for name, p in learns.items() if (name in on_top) == is_head and (p.ndim > 1) == is_matrix],
         "lr": recipe.head_rate if is_head else recipe.rate, "weight_decay": 0.01 if is_matrix else 0.0}
        for is_head in (True, False) for is_matrix in (True, False)
    ]  # fmt: skip
    optimizer = torch.optim.AdamW(groups)
    steps = recipe.epochs * -(-len(rows) // recipe.batch_size)
    schedule = get_linear_schedule_with_warmup(optimizer, round(0.1 * steps), steps)
    for _ in range(recipe.epochs):
        order = draw.permutation(len(rows))
        model.train()
        for at in range(0, len(rows), recipe.batch_size):
            model(**batch([rows[i] for i in order[at : at + recipe.batch_size]])).loss.backward()
            torch.nn.utils.clip_grad_norm_(list(learns.values()), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return model.eval()


def answers(
    model: Any, rows: Sequence[Row], batch: Callable[[Sequence[Row]], Batch], size: int = 64
) -> Iterator[tuple[Any, Batch]]:
    """Outputs with what they were given, batch by batch, in inference mode."""
    with torch.inference_mode():
        for at in range(0, len(rows), size):
            given = batch(rows[at : at + size])
            yield model(**given), given
