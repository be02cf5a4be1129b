"""The language-model heads that families declare are the ones that transformers builds, loads and runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from graftc.compiler import variants
from graftc.compiler.facts.backbone import gather_backbone
from graftc.compiler.layers.language import LanguageModel

from ..backbones import tiny

AUTO = {
    "masked-language-model": transformers.AutoModelForMaskedLM,
    "causal-language-model": transformers.AutoModelForCausalLM,
}


def kind(word: str) -> str | None:
    return next((kind for kind in AUTO if kind in variants.family(word).provides), None)


# the heads of encoder-decoders are held against theirs in tests/backbones/test_sequences.py
FAMILIES = [
    word
    for word in variants.words("backbones")
    if tiny.is_text(word) and "sequence-to-sequence" not in variants.family(word).provides
]
MASKED = [word for word in FAMILIES if kind(word) == "masked-language-model"]
MORE = {"modernbert": {"norm_bias": True, "classifier_bias": True}, "deberta-v2": {"legacy": False}}
CASES = [(word, tied, {}) for word in FAMILIES for tied in (True, False)] + [(w, True, m) for w, m in MORE.items()]


def test_every_family_that_reads_text_has_a_language_model() -> None:
    assert {kind(word) for word in FAMILIES} == set(AUTO)


@pytest.mark.parametrize(("word", "is_tied", "more"), CASES)
def test_the_head_is_planned_name_by_name_and_answers_as_transformers(
    word: str, is_tied: bool, more: dict[str, bool], tmp_path: Path
) -> None:
    auto = AUTO[str(kind(word))]
    whole = tiny.save(word, tmp_path, auto, tie_word_embeddings=is_tied, **more)
    facts = gather_backbone(f"./{tmp_path.name}", tmp_path.parent).language_model
    assert facts is not None
    assert facts.is_there
    assert facts.vocabulary == whole.config.vocab_size
    with torch.no_grad():
        for parameter in whole.parameters():  # norms and biases that start as ones and zeros would hide a mistake
            parameter.add_(0.1 * torch.randn_like(parameter))
    given = torch.randint(5, 60, (2, 7))
    expected = whole.eval()(given).logits.detach()
    backbone = getattr(whole, whole.base_model_prefix)
    states = backbone(given).last_hidden_state
    head = LanguageModel(whole)
    head.tie(backbone)
    assert torch.equal(head(states), expected)
    found = {name.removeprefix("model."): tuple(t.shape) for name, t in head.state_dict().items()}
    assert found == {tensor.name: tensor.shape for tensor in facts.tensors}
    assert torch.equal(head.whole(backbone)(given).logits, expected)


@pytest.mark.parametrize("word", FAMILIES)
def test_a_bare_checkpoint_lacks_the_head_unless_there_is_nothing_to_lack(word: str, tmp_path: Path) -> None:
    tiny.save(word, tmp_path)
    facts = gather_backbone(f"./{tmp_path.name}", tmp_path.parent).language_model
    assert facts is not None
    assert facts.is_there == (word in ("gemma", "gemma2", "gemma3-text", "gpt2", "smollm3"))


def test_a_tied_decoder_learns_with_the_words(tmp_path: Path) -> None:
    whole = tiny.model("bert", transformers.AutoModelForMaskedLM)
    backbone = whole.bert
    head = LanguageModel(whole)
    head.tie(backbone)
    states = torch.randn(1, 3, 32)
    before = head(states)
    with torch.no_grad():
        backbone.embeddings.word_embeddings.weight.mul_(2)
    assert torch.allclose(head(states), 2 * before, atol=1e-5)
    assert not {id(p) for p in head.parameters()} & {id(p) for p in backbone.parameters()}
