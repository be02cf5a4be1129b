"""The graph of a tiny decoder beside transformers' own `generate`: the same tokens, but for ties.

At the first difference rounding decided: torch's own logits of the two tokens lie within TIE of the largest. Of beams,
the scores of the two texts do, or those of the last beam that torch keeps and the first that it drops, in some step.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from graftc.compiler import variants
from graftc.runtime.generation import Options, generate
from graftc.runtime.generation.cached import CachedSteps
from graftc.runtime.graphs import Graphs

from ..backbones import tiny
from ..train import running

TIE = 1e-4
FIRST = 7  # the first token that is no special one
LARGER = 3.0  # factor of a tiny model's matrices, so that its next tokens depend on those before
FAMILIES = tuple(
    word
    for word in variants.words("backbones")
    if "causal-language-model" in variants.family(word).provides and tiny.is_text(word)
)
Tokens = list[int]


@dataclass(frozen=True)
class Case:
    """A decoder of transformers, and the graph that a build made of it."""

    model: Any
    steps: CachedSteps | None
    tokens: Sequence[Tokens]  # prompts; random ones of a tiny model


def backbone(family: str, folder: Path, **more: Any) -> Any:
    """A tiny decoder with large weights, saved with its tokenizer."""
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} if family == "gpt2" else {}
    special = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0)
    model = tiny.model(family, transformers.AutoModelForCausalLM, **{**special, **still, **more})
    words = model.get_input_embeddings()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(LARGER)
        if hasattr(words, "embed_scale"):  # or else a word and not the layers would say what comes next
            words.weight.div_(LARGER * words.embed_scale)
    model.save_pretrained(folder)
    tiny.tokenizer(family).save_pretrained(folder)
    return model.eval()


def built(family: str, folder: Path, method: str = "lora", **more: Any) -> Case:
    """A family's graph, by the stages of a build up to `export`, whose only step of training changes nothing."""
    model = backbone(family, folder / "backbone", **more)
    return Case(model, _steps(folder, method), random_tokens(model.config.vocab_size))


def built_of(source: Path, folder: Path) -> Case:
    """The graph of a backbone in a folder, and prompts that are the beginnings of support tickets."""
    (folder / "backbone").symlink_to(source.resolve())
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    lines = (running.TICKETS / "train.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["body"] for line in lines]
    return Case(model, _steps(folder, "lora"), [tokenizer(text)["input_ids"] for text in texts])


def _steps(folder: Path, method: str) -> CachedSteps:
    """The graph that a build makes of the backbone in a folder."""
    words = ["the", "small", "network", "reads", "a", "text", "and", "writes", "what", "comes", "next"]
    draw = random.Random(0)
    rows = [{"text": " ".join(draw.choices(words, k=30))} for _ in range(20)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = running.write_spec(
        folder,
        backbone={"from": "./backbone"},
        adapt={"method": method},
        head={"type": "text-generation"},
        data={"train": "rows.jsonl", "validation": {"fraction": 0.2}, "max_length": 48},
        train={"max_steps": 1, "batch_size": 4, "learning_rate": 1e-9},
    )
    plan, _, out = running.trained(spec, folder / "store", "export")
    graphs = {
        name: {"inputs": graph.inputs, "outputs": graph.outputs, "files": {"fp32": f"{name}.onnx"}}
        for name, graph in plan.export.graphs.items()
    }
    record = plan.tasks[0].head.record.plain()
    run = Graphs(out, graphs, plan.export.passes, "fp32", threads=torch.get_num_threads()).run
    return CachedSteps(run, record["pad_id"])


def random_tokens(vocabulary: int) -> list[Tokens]:
    """Prompts of random tokens, none of them special."""
    draw = random.Random(1)
    return [[draw.randrange(FIRST, vocabulary) for _ in range(100)] for _ in range(200)]


def prompts(case: Case, count: int, longest: int, seed: int = 1) -> list[Tokens]:
    """Ragged prompts, of 1 to `longest` tokens."""
    draw = random.Random(seed)
    return [tokens[: draw.randint(1, longest)] for tokens in draw.sample(case.tokens, count)]


def ours(case: Case, asked: Sequence[Tokens], new: int, beams: int = 1) -> list[Tokens]:
    """What the graph writes, all prompts in one batch."""
    options = Options(max_new_tokens=new, beams=beams, stop_tokens=tuple(_ends(case)))
    assert case.steps is not None
    return [list(each[0].tokens) for each in generate(case.steps, asked, options)]


def theirs(case: Case, asked: Sequence[Tokens], new: int, beams: int = 1) -> list[Tokens]:
    """What `generate` writes, all prompts in one batch that is padded on the left."""
    longest = max(map(len, asked))
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in asked])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in asked])
    with torch.inference_mode():
        found = case.model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            num_beams=beams,
            max_new_tokens=new,
            pad_token_id=0,
            eos_token_id=_ends(case),
        )
    return [_ended(row[longest:].tolist(), _ends(case)) for row in found]


def _ends(case: Case) -> Tokens:
    """The tokens that end a text."""
    found = case.model.config.eos_token_id
    return found if isinstance(found, list) else [found]


def _ended(tokens: Tokens, ends: Tokens) -> Tokens:
    at = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: at + 1]


def difference(case: Case, prompt: Tokens, mine: Tokens, other: Tokens, beams: int = 1) -> float:
    """How far two texts are apart as torch sees them, relative to TIE: 0 for the same, up to 1 for a tie."""
    at = next((i for i, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b), None)
    if at is None and len(mine) == len(other):
        return 0.0
    if at is None:
        return float("inf")
    if beams > 1:
        first, second = (_score(case, prompt, tokens) for tokens in (mine, other))
        apart = abs(first - second) / max(abs(first), abs(second))
        return min(apart, _cut(case, prompt, len(other), beams)) / TIE
    logits = _logits(case, prompt + mine[:at])[-1]
    return float((logits[mine[at]] - logits[other[at]]).abs() / logits.abs().max()) / TIE


def _cut(case: Case, prompt: Tokens, new: int, beams: int) -> float:
    """The least distance in torch's beam search of the last beam that is kept from the first that is dropped."""
    found: list[tuple[float, Tokens]] = [(0.0, [])]
    least = float("inf")
    for _ in range(new):
        with torch.inference_mode():
            logits = case.model(input_ids=torch.tensor([prompt + tokens for _, tokens in found])).logits[:, -1]
        best = logits.log_softmax(-1).topk(2 * beams)
        longer = [
            (score + chance, [*tokens, token])
            for (score, tokens), *row in zip(found, best.values.tolist(), best.indices.tolist(), strict=True)
            for chance, token in zip(*row, strict=True)
            if token not in _ends(case)
        ]
        longer.sort(key=lambda each: -each[0])
        kept, dropped = longer[beams - 1][0], longer[beams][0]
        least, found = min(least, abs(kept - dropped) / abs(kept)), longer[:beams]
    return least


def _logits(case: Case, tokens: Tokens) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = case.model(input_ids=torch.tensor([tokens])).logits[0]
    return found


def _score(case: Case, prompt: Tokens, tokens: Tokens) -> float:
    """The score of a beam: the mean log-probability of its tokens."""
    chances = _logits(case, prompt + tokens)[len(prompt) - 1 : -1].log_softmax(-1)
    return float(chances.gather(1, torch.tensor(tokens)[:, None]).mean())
