"""Preferences: what dpo and orpo learn of pairs of answers, what is computed once for them, and what is refused."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import graftc
from graftc.compiler.execution.prepared import Prepared
from graftc.compiler.heads import _objectives
from graftc.compiler.inputs._conversations import _shared
from graftc.compiler.metrics.preferences import _of_pairs
from graftc.runtime.prompts import Completed, Conversation, Preferred

from ..train import running
from .test_text_generation import TEMPLATE, WORDS, backbone, learned, reading, write

IGNORED = -100


def pairs(count: int = 24) -> list[dict[str, Any]]:
    """Pairs of which the preferred answers use the first words, and the others the last."""
    draw = random.Random(0)

    def words(own: list[str]) -> str:
        return " ".join(draw.sample(own, draw.randint(1, 5)))

    return [
        {"prompt": words(WORDS), "chosen": f" {words(WORDS[:6])}", "rejected": f" {words(WORDS[6:])}"}
        for _ in range(count)
    ]


def said(model: Any, folder: Path, rows: list[dict[str, Any]], answer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of log-probabilities of answers and their numbers of tokens, each row by itself."""
    tokenizer, sums, counts = transformers.AutoTokenizer.from_pretrained(folder), [], []
    for row in rows:
        ids = [*tokenizer(row["prompt"] + row[answer])["input_ids"], 0]
        first = len(tokenizer(row["prompt"])["input_ids"])
        with torch.no_grad():
            shares = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
        sums.append(sum(shares[i - 1, ids[i]] for i in range(first, len(ids))))
        counts.append(len(ids) - first)
    return torch.stack(sums), torch.tensor(counts)


class Asked:
    """A trained network with the interface of transformers' models."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def __call__(self, input_ids: torch.Tensor) -> Any:
        found = self.network(input_ids=input_ids, attention_mask=torch.ones_like(input_ids))
        return transformers.modeling_outputs.CausalLMOutput(logits=found["logits"])


def dpo(model: Any, untouched: Any, folder: Path, rows: list[dict[str, Any]], beta: float) -> float:
    """Rafailov et al. (2023), equation 7, read anew."""
    ratios = [
        said(model, folder, rows, answer)[0] - said(untouched, folder, rows, answer)[0]
        for answer in ("chosen", "rejected")
    ]
    return float(torch.log1p(torch.exp(-beta * (ratios[0] - ratios[1]))).mean())


def orpo(model: Any, folder: Path, rows: list[dict[str, Any]], beta: float) -> float:
    """Hong et al. (2024), equations 6 and 7, read anew; the mean of the supervised part is over tokens."""
    sums, counts = said(model, folder, rows, "chosen")
    likely = torch.exp(sums / counts)
    others, lengths = said(model, folder, rows, "rejected")
    unlikely = torch.exp(others / lengths)
    odds = (likely / (1 - likely)) / (unlikely / (1 - unlikely))
    return float(-sums.sum() / counts.sum() - beta * torch.log(torch.sigmoid(torch.log(odds))).mean())


def spec(folder: Path, family: str, objective: str, rows: list[dict[str, Any]], **sections: Any) -> Path:
    head = {
        "type": "text-generation",
        "generation": {"max_new_tokens": 12},
        "loss": {"objective": objective, "beta": 0.3},
    }
    train = {"max_steps": 1, "batch_size": len(rows), "learning_rate": 1e-3, "warmup": 0}
    data = {"train": "rows.jsonl", "max_length": 48}
    return write(folder, family, rows, **{"head": head, "train": train, "data": data, **sections})


@pytest.mark.parametrize(("family", "is_pretrained"), [("llama", False), ("gpt2", False), ("llama", True)])
def test_the_first_loss_of_dpo_is_that_of_a_coin(family: str, is_pretrained: bool, tmp_path: Path) -> None:
    """The reference is the backbone as this training finds it, after a stage of `pretrain` too."""
    backbone(family, tmp_path / "backbone")
    (tmp_path / "corpus.txt").write_text("the small network reads a text\n" * 40)
    stage = {"objective": "causal-language-modeling", "data": {"train": "corpus.txt", "max_length": 16}}
    before = {"pretrain": [{**stage, "train": {"max_steps": 3, "learning_rate": 1e-2}}]} if is_pretrained else {}
    _, _, out = running.trained(spec(tmp_path, family, "dpo", pairs(), **before), tmp_path / "store")
    assert np.load(out / "losses.npy") == pytest.approx([math.log(2)], abs=1e-6)
    assert math.log(2) == pytest.approx(0.6931, abs=1e-4)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("objective", ["dpo", "orpo"])
def test_losses_are_the_papers_formulas(objective: str, method: str, tmp_path: Path) -> None:
    """Of a network that has learned, whose second loss is computed from its weights by the formula."""
    untouched, rows = backbone("llama", tmp_path / "backbone"), pairs(12)
    train = {"max_steps": 3, "batch_size": 12, "learning_rate": 1e-2, "warmup": 0, "schedule": "constant"}
    path = spec(tmp_path, "llama", objective, rows, adapt={"method": method}, train=train)
    _, _, run = running.training(path, tmp_path / "store")
    taught = run.sets[0].batch(run.sets[0].every.tolist(), 0, 0)
    with torch.no_grad():
        ours = float(run.module.eval()(taught))
    model = Asked(run.network.eval())
    wanted = (
        dpo(model, untouched, tmp_path / "backbone", rows, 0.3)
        if objective == "dpo"
        else orpo(model, tmp_path / "backbone", rows, 0.3)
    )
    assert ours == pytest.approx(wanted, abs=1e-5)
    assert ours < run.losses[0] - 1e-3, "it has learned, so the formula is not at its beginning"


def test_a_reference_is_computed_once_for_any_rate(tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    validation = {"train": "rows.jsonl", "validation": {"fraction": 0.25}, "max_length": 48}
    names = {"reference-train", "reference-validation"}
    for rate, beta, ran in ((1e-3, 0.1, names), (1e-4, 0.1, set()), (1e-4, 0.5, set())):
        head = {"type": "text-generation", "loss": {"objective": "dpo", "beta": beta}}
        train = {"max_steps": 1, "batch_size": 8, "learning_rate": rate}
        path = spec(tmp_path, "llama", "dpo", pairs(), head=head, train=train, data=validation)
        built = graftc.build(path, tmp_path / "bundle", store=tmp_path / "store")
        assert {name for name in built.ran if name.startswith("reference")} == ran
        assert "train" in built.ran


def test_the_references_are_what_the_untouched_model_says(tmp_path: Path) -> None:
    model, rows = backbone("llama", tmp_path / "backbone"), pairs(10)
    path = spec(tmp_path, "llama", "dpo", rows, adapt={"method": "prefix", "tokens": 4})
    _, _, out = running.trained(path, tmp_path / "store", "reference-train")
    found: Any = Prepared(out).targets
    for place, answer in enumerate(("chosen", "rejected")):
        sums, _ = said(model, tmp_path / "backbone", rows, answer)
        assert np.asarray(found["reference"])[place::2] == pytest.approx(sums.numpy(), rel=1e-5)
    assert {path.name for path in out.iterdir()} >= {"targets.reference.npy", "owners.npy"}
    assert not {"values.npy", "done.json"} & {path.name for path in out.iterdir()}


@pytest.mark.parametrize("objective", ["dpo", "orpo"])
def test_a_bundle_learned_from_pairs_answers_and_says_what_it_prefers(objective: str, tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    path = spec(
        tmp_path, "llama", objective, pairs(40),
        adapt={"method": "lora"},
        train={"epochs": 8, "batch_size": 8, "learning_rate": 5e-2},
        data={"train": "rows.jsonl", "validation": {"fraction": 0.2}, "max_length": 48},
        export={"gate": {"metric_drop": 1.0}},
    )  # fmt: skip
    graftc.build(path, tmp_path / "bundle", store=tmp_path / "store")
    assert graftc.load(tmp_path / "bundle").predict("the small").generated_text
    manifest = json.loads((tmp_path / "bundle/manifest.json").read_bytes())
    scores = manifest["metrics"]["validation"]
    assert 0 <= scores["fp32"]["reward_accuracy"] <= 1
    for name in ("reward_margin", "perplexity", "loss"):
        assert scores["fp32"][name] == pytest.approx(scores["torch"][name], rel=1e-3)
    assert scores["fp32"]["reward_margin"] > 0, "the words of preferred answers are easy to tell"
    (history,) = (tmp_path / "store/stages/train").glob("*/history.json")
    epochs = json.loads(history.read_bytes())["epochs"]
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    assert epochs[0]["validation_loss"] == pytest.approx(epochs[0]["train_loss"], rel=0.9), "losses of one kind"


def test_what_is_learned_of_a_pair(tmp_path: Path) -> None:
    """The answers: what both conversations begin with is the prompt, an earlier turn of the assistant too."""
    reader = reading(tmp_path, TEMPLATE)
    shared = [("user", "read"), ("assistant", "what"), ("user", "and")]
    both = [[*shared, ("assistant", text)] for text in ("a text", "next")]
    chats = [Conversation(tuple({"role": r, "content": c} for r, c in turns), None, 3) for turns in both]
    assert learned(reader, Preferred(*chats)) == ["a text<|endoftext|>", "next<|endoftext|>"]
    texts = Preferred(Completed("a text", " and"), Completed("a text", " next"))
    assert learned(reader, texts) == [" and<|endoftext|>", " next<|endoftext|>"]


CHAT = [{"role": "user", "content": "read"}]


def chat(*turns: tuple[str, str], start: Any = CHAT) -> list[dict[str, str]]:
    return [*start, *({"role": role, "content": content} for role, content in turns)]


@pytest.mark.parametrize(
    ("chosen", "rejected", "says"),
    [
        (chat(("assistant", "a")), chat(("assistant", "b"), start=[{"role": "user", "content": "?"}]), "in common"),
        (chat(("assistant", "a")), chat(("assistant", "b"), ("user", "c")), "both end with"),
        (chat(("assistant", "a")), "b", "its pair is one"),
        ("a", None, "is missing"),
        (" ", "b", "is empty"),
        ([], chat(("assistant", "b")), "holds no message"),
        (3, 4, "not messages"),
    ],
)
def test_rows_that_are_no_pairs_are_refused_at_their_place(
    chosen: Any, rejected: Any, says: str, tmp_path: Path
) -> None:
    backbone("llama", tmp_path / "backbone", TEMPLATE)
    good = {"chosen": chat(("assistant", "a")), "rejected": chat(("assistant", "b"))}
    rows = [good, {"chosen": chosen, "rejected": rejected}, good]
    (found,) = [each for each in graftc.validate(spec(tmp_path, "llama", "dpo", rows)) if each.code.startswith("E")]
    assert found.code == "E0313"
    assert says in found.headline
    assert getattr(found.at, "number", 2) == 2


def test_conversations_without_a_chat_template_are_refused(tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    rows = [{"chosen": chat(("assistant", "a")), "rejected": chat(("assistant", word))} for word in WORDS]
    found = [each for each in graftc.validate(spec(tmp_path, "llama", "dpo", rows)) if each.code.startswith("E")]
    assert [each.code for each in found] == ["E0399"]
    assert "or give texts" in found[0].help


def test_a_lock_keeps_what_was_counted_of_pairs() -> None:
    columns = {"chosen": ("chosen",), "rejected": ("rejected",)}
    tally = _objectives.Tally(columns)
    for place in range(3):
        tally.add({"chosen": "a", "rejected": "ab"[place % 2]}, ("rows.jsonl", place))
    known = _objectives.Tally.recall(columns, tally.record(), ("rows.lock", 0))
    assert (known.rows, known.equal, known.has_pairs) == (3, 2, True)
    with pytest.raises(ValueError, match="pairs are equal"):
        _objectives.Tally.recall(columns, {**tally.record(), "equal": 4}, ("rows.lock", 0))


def codes(path: Path) -> list[str]:
    return [each.code for each in graftc.validate(path) if each.code != "W0304"]


def test_equal_answers_are_counted(tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    rows = pairs(6)
    rows[2]["rejected"], rows[4]["rejected"] = rows[2]["chosen"], rows[4]["chosen"]
    (found,) = [each for each in graftc.validate(spec(tmp_path, "llama", "dpo", rows)) if each.code == "W0375"]
    assert "2 rows of 6" in found.headline
    assert getattr(found.at, "number", 3) == 3


@pytest.mark.parametrize(
    ("loss", "rows", "more", "wanted"),
    [
        ({"objective": "dpo"}, [{"prompt": "a", "completion": " b"}] * 4, {}, ["E0572"]),
        ({}, pairs(4), {}, ["E0572"]),
        ({"objective": "orpo", "beta": 0}, pairs(4), {}, ["E0205"]),
        ({"objective": "dpo", "beta": 11}, pairs(4), {}, ["E0205"]),
        ({"beta": 0.1}, [{"text": "a text"}] * 4, {}, ["E0209"]),
        ({"objective": "dpo", "on": "all"}, pairs(4), {}, ["E0209"]),
        ({"objective": "dpo"}, pairs(4), {"packing": True}, ["E0571"]),
        ({"objective": "ppo"}, pairs(4), {}, ["E0202"]),
    ],
)
def test_keys_that_do_not_go_with_rows_are_refused(
    loss: Any, rows: Any, more: Any, wanted: list[str], tmp_path: Path
) -> None:
    backbone("llama", tmp_path / "backbone")
    head = {"type": "text-generation", "loss": loss}
    data = {"train": "rows.jsonl", "max_length": 48, **more}
    found = codes(spec(tmp_path, "llama", "dpo", rows, head=head, data=data))
    assert [code for code in found if code.startswith("E")] == wanted


KILLED = """
import os, signal, sys
import torch
from graftc.compiler.cli import main
from graftc.compiler.execution import saves
from graftc.compiler.features.cache import FeatureWriter
from graftc.compiler.stages import reference
saves.EVERY = saves.SHARE = 0.0
reference.BATCH = 4
def killing(function, at):
    calls = iter(range(1, 1000))
    def killed(*args, **more):
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **more)
    return killed
FeatureWriter.put = killing(FeatureWriter.put, int(sys.argv[1]))
torch.optim.AdamW.step = killing(torch.optim.AdamW.step, int(sys.argv[2]))
main(sys.argv[3:])
"""


def test_a_killed_build_goes_on_to_the_same_bundle(tmp_path: Path) -> None:
    """Killed while references were computed, then in the midst of training."""
    backbone("llama", tmp_path / "backbone")
    train = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3}
    path = spec(tmp_path, "llama", "dpo", pairs(), adapt={"method": "lora", "dropout": 0.1}, train=train)

    def build(place: str, *at: int) -> subprocess.CompletedProcess[str]:
        where = ["-o", str(tmp_path / place / "bundle"), "--store", str(tmp_path / place / "store")]
        words = [sys.executable, "-c", KILLED, *map(str, at), "build", str(path), *where]
        return subprocess.run(words, capture_output=True, text=True)

    assert build("killed", 5, 0).returncode == -9
    again = build("killed", 0, 4)
    assert again.returncode == -9
    assert "going on from row" in again.stderr
    last = build("killed", 0, 0)
    assert "going on from step 3 of 6" in last.stderr
    assert "reference-train …" not in last.stderr
    assert build("whole", 0, 0).returncode == 0
    found, expected = (
        {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in (tmp_path / "killed" / "bundle", tmp_path / "whole" / "bundle")
    )
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_a_reference_against_itself_prefers_neither_answer() -> None:
    """Rounding would make any share of its pairs right, and a warning of what scores below it."""
    rewards = np.array([1e-8, -2e-8, -3e-8, 1e-8, 0.5, 0.1, 0.1, 0.5], np.float32)
    assert _of_pairs(rewards)["reward_accuracy"] == 0.5
    assert _of_pairs(rewards[:4])["reward_accuracy"] == 0.5
    assert _of_pairs(rewards[4:6])["reward_accuracy"] == 1.0


def test_words_of_rejected_answers_count_in_no_score() -> None:
    draw = np.random.default_rng(0)
    logits = [draw.normal(size=(4, 9)).astype(np.float32) for _ in range(4)]
    each = [
        {
            _objectives.ANSWER: np.array([IGNORED, 1, 2, IGNORED]),
            _objectives.PREFERRED: np.array(i % 2 == 0),
            "reference": np.float32(-3.0),
        }
        for i in range(4)
    ]
    found = _objectives.condense({"objective": "dpo", "beta": 0.1, "on": "completion"}, {"logits": logits}, each)
    assert [len(row) for row in found["losses"]] == [2, 0, 2, 0]
    assert [len(row) for row in found["hits"]] == [2, 0, 2, 0]
    shares = torch.from_numpy(logits[2]).log_softmax(-1)
    assert found["losses"][2] == pytest.approx([-float(shares[1, 1]), -float(shares[2, 2])], abs=1e-6)


def test_an_answer_of_several_messages_begins_with_the_first_of_them() -> None:
    """Both call the same tool and go on otherwise: the call belongs to either answer."""
    user, call = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    chosen = (user, call, {"role": "assistant", "content": "c"})
    rejected = (user, call, {"role": "assistant", "content": "d"})
    assert _shared(chosen, rejected) == 1
    assert _shared((user, call, user, chosen[2]), (user, call, user, rejected[2])) == 3
