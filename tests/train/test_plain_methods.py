"""Every method of PEFT, and every head that transformers has too, against the script that a user would write with them."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from graftc.compiler.model.assembly import assemble
from graftc.compiler.planning.split import derived_seed

from ..backbones import tiny
from ..matrix import rows as few
from . import running
from .plain import PEFTS, MeanPooled, assert_equal_losses, optimise, order, spec

COUNT, LENGTH = 48, 64
IGNORED = -100
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
# what a user writes for each word
CONFIGS: dict[str, Any] = {
    "loha": lambda record: peft.LoHaConfig(r=8, alpha=16, target_modules=["query", "value"]),
    "lokr": lambda record: peft.LoKrConfig(r=8, alpha=16, target_modules=["query", "value"]),
    "oft": lambda record: peft.OFTConfig(r=0, oft_block_size=32, target_modules=["query", "value"]),
    "vera": lambda record: peft.VeraConfig(r=256, target_modules=["query", "value"], save_projection=False),
    "ia3": lambda record: peft.IA3Config(
        target_modules=list(record["target"]), feedforward_modules=list(record["feedforward"])
    ),
    "lora": lambda record: peft.LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["query", "value"]),
    "lora, dora": lambda record: peft.LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"], use_dora=True),
    "lora, rslora": lambda record: peft.LoraConfig(
        r=8, lora_alpha=16, target_modules=["query", "value"], use_rslora=True
    ),
    "p-tuning": lambda record: peft.PromptEncoderConfig(num_virtual_tokens=20, encoder_hidden_size=128),
    "prefix": lambda record: peft.PrefixTuningConfig(num_virtual_tokens=20),
    "prefix, projection": lambda record: peft.PrefixTuningConfig(
        num_virtual_tokens=20, prefix_projection=True, encoder_hidden_size=128
    ),
    "prompt": lambda record: peft.PromptTuningConfig(num_virtual_tokens=20),
}
RATES = {"lora": 1e-2, "ia3": 5e-2, "prefix": 5e-2, "prefix, projection": 5e-3}


def test_every_method_of_peft_is_compared() -> None:
    assert {case.partition(",")[0] for case in CONFIGS} == set(PEFTS)


class Words(nn.Module):
    """A prompted encoder whose states are those of the words, as a script cuts them."""

    def __init__(self, encoder: Any, tokens: int) -> None:
        super().__init__()
        self.encoder, self.tokens = encoder, tokens

    def forward(self, **inputs: torch.Tensor) -> Any:
        out = self.encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        out.last_hidden_state = out.last_hidden_state[:, self.tokens :]
        return out


@pytest.mark.parametrize("case", CONFIGS)
def test_each_step_of_a_method_loses_what_peft_loses(case: str, tmp_path: Path) -> None:
    method, _, flag = case.partition(", ")
    tiny.save("bert", tmp_path / "tiny", **NO_DROPOUT)
    rows, rate = written(tmp_path, ("text", "label")), RATES.get(case, RATES.get(method, 2e-2))
    adapt = {"method": method, **({flag: True} if flag else {})}
    path = spec(tmp_path, tmp_path / "tiny", adapt, "text-classification", data(tmp_path, 40), rate)
    plan, _, out = running.trained(path, tmp_path / "store")
    ours = assemble(plan, tmp_path / "tiny")
    config = CONFIGS[case](plan.method.record)
    config.task_type = "FEATURE_EXTRACTION"
    theirs = peft.get_peft_model(AutoModel.from_pretrained(tmp_path / "tiny", add_pooling_layer=False), config)
    if config.is_prompt_learning:
        theirs.prompt_encoder["default"].load_state_dict(ours.backbone.prompt.state_dict())
        cut = 0 if method == "prefix" else plan.method.record["tokens"]
        model = MeanPooled(Words(theirs, cut), 2, 32)
    else:
        peft.set_peft_model_state_dict(theirs, peft.get_peft_model_state_dict(ours.backbone))
        model = MeanPooled(theirs, 2, 32)
    copy(ours.heads[0].out, model.classifier)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")

    def loss_of(model: nn.Module, chosen: np.ndarray) -> torch.Tensor:
        inputs = tokenizer([rows[i]["text"] for i in chosen], padding=True, return_tensors="pt")
        return nn.functional.cross_entropy(model(**inputs), torch.tensor([rows[i]["label"] for i in chosen]))

    assert_equal_losses(np.load(out / "losses.npy"), optimise(model, order(COUNT), loss_of, rate))


ANSWERS = {
    "label": ("single_label_classification", lambda row: row["label"], torch.long),
    "labels": ("multi_label_classification", lambda row: [float(n in row["labels"]) for n in "abc"], torch.float),
    "score": ("regression", lambda row: row["score"], torch.float),
}


@pytest.mark.parametrize(("role", "outputs"), [("label", 2), ("labels", 3), ("score", 1)])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_each_step_of_a_classifier_loses_what_transformers_loses(
    family: str, role: str, outputs: int, tmp_path: Path
) -> None:
    """Its classes for decoders have one linear layer on the last token, as graftc; those for encoders have more."""
    off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "pad_token_id": 0}
    tiny.save(family, tmp_path / "tiny", **(off if family == "gpt2" else {}))
    rows = written(tmp_path, ("text", role))
    head = "text-regression" if role == "score" else "text-classification"
    path = spec(tmp_path, tmp_path / "tiny", {"method": "full"}, head, data(tmp_path), 1e-3)
    plan, _, out = running.trained(path, tmp_path / "store")
    kind, answer, dtype = ANSWERS[role]
    model = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "tiny", num_labels=outputs, problem_type=kind, attn_implementation="sdpa"
    )
    model.score = nn.Linear(32, outputs)  # with a bias, unlike theirs
    copy(assemble(plan, tmp_path / "tiny").heads[0].out, model.score)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    tokenizer.pad_token = tokenizer.eos_token

    def loss_of(model: nn.Module, chosen: np.ndarray) -> torch.Tensor:
        inputs = tokenizer([rows[i]["text"] for i in chosen], padding=True, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        return model(**inputs, labels=torch.tensor([answer(rows[i]) for i in chosen], dtype=dtype)).loss

    assert_equal_losses(np.load(out / "losses.npy"), optimise(model, order(COUNT), loss_of, 1e-3))


def test_each_step_on_tokens_loses_what_transformers_loses(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "tiny", **NO_DROPOUT)
    rows = written(tmp_path, ("tokens", "tags"))
    path = spec(tmp_path, tmp_path / "tiny", {"method": "full"}, "token-classification", data(tmp_path), 1e-3)
    plan, _, out = running.trained(path, tmp_path / "store")
    labels = list(plan.tasks[0].head.record["labels"])
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "tiny", num_labels=len(labels))
    copy(assemble(plan, tmp_path / "tiny").heads[0].out, model.classifier)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")

    def loss_of(model: nn.Module, chosen: np.ndarray) -> torch.Tensor:
        words = [rows[i]["tokens"] for i in chosen]
        inputs = tokenizer(words, is_split_into_words=True, padding=True, return_tensors="pt")
        targets = torch.full(inputs["input_ids"].shape, IGNORED)
        for n, i in enumerate(chosen):
            places = inputs.word_ids(n)
            for at, word in enumerate(places):
                if word is not None and places[at - 1] != word:
                    targets[n, at] = labels.index(rows[i]["tags"][word])
        return model(**inputs, labels=targets).loss

    assert_equal_losses(np.load(out / "losses.npy"), optimise(model, order(COUNT), loss_of, 1e-3))


def test_each_step_of_answering_loses_what_transformers_loses(tmp_path: Path) -> None:
    tiny.save("bert", tmp_path / "tiny", **NO_DROPOUT)
    rows = written(tmp_path, ("question", "context", "answers"))
    path = spec(tmp_path, tmp_path / "tiny", {"method": "full"}, "question-answering", data(tmp_path), 1e-3)
    plan, _, out = running.trained(path, tmp_path / "store")
    model = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "tiny")
    copy(assemble(plan, tmp_path / "tiny").heads[0].out, model.qa_outputs)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")

    def loss_of(model: nn.Module, chosen: np.ndarray) -> torch.Tensor:
        asked = [[rows[i][name] for i in chosen] for name in ("question", "context")]
        inputs = tokenizer(*asked, padding=True, return_tensors="pt")
        assert inputs["input_ids"].shape[1] <= LENGTH, "one window each"
        edges = []
        for n, i in enumerate(chosen):
            given = rows[i]["answers"]
            start, text = given["answer_start"][0], given["text"][0]
            ends = (start, start + len(text) - 1)
            edges.append([inputs.char_to_token(n, at, sequence_index=1) for at in ends])
        first, last = torch.tensor(edges).T
        return model(**inputs, start_positions=first, end_positions=last).loss

    assert_equal_losses(np.load(out / "losses.npy"), optimise(model, order(COUNT), loss_of, 1e-3))


def test_each_step_of_masked_words_loses_what_transformers_loses(tmp_path: Path) -> None:
    """The masks are those that graftc draws; what is made of them is not."""
    tiny.save("bert", tmp_path / "tiny", AutoModelForMaskedLM, **NO_DROPOUT)
    written(tmp_path, ("text",))
    path = spec(tmp_path, tmp_path / "tiny", {"method": "full"}, "fill-mask", data(tmp_path), 1e-3)
    plan, _, run = running.training(path, tmp_path / "store")
    (rows,) = run.sets[0].rows
    steps = count()

    def loss_of(model: nn.Module, chosen: np.ndarray) -> torch.Tensor:
        seed = derived_seed(plan.seed, "augment", next(steps))
        batch, targets = rows.raw.batch(chosen, seed), rows.targets(chosen, seed)
        labels = torch.full_like(batch["input_ids"], IGNORED)
        labels[batch.pop("chosen").bool()] = targets[targets != IGNORED]
        return model(**batch, labels=labels).loss

    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "tiny")
    assert_equal_losses(np.array(run.losses), optimise(model, order(COUNT), loss_of, 1e-3))


def written(folder: Path, roles: tuple[str, ...]) -> list[dict[str, Any]]:
    """Writes the training rows; gives them."""
    several = {"labels": lambda i: [name for name, n in zip("abc", (2, 3, 5), strict=True) if i % n == 0]}
    rows = [{role: {**few.ROLES, **several}[role](i) for role in roles} for i in range(COUNT)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def data(folder: Path, length: int = LENGTH) -> dict[str, Any]:
    return {"train": str(folder / "rows.jsonl"), "max_length": length}


def copy(ours: nn.Linear, theirs: nn.Linear) -> None:
    """Starts their last layer as ours starts."""
    with torch.no_grad():
        theirs.weight.copy_(ours.weight)
        theirs.bias.copy_(ours.bias)
