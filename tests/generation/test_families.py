"""Every family of decoders: its graph writes what transformers' `generate` writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ..backbones import tiny
from . import agreement
from .agreement import Case


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=agreement.FAMILIES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return agreement.built(request.param, tmp_path_factory.mktemp(request.param))


def test_greedy_tokens_are_those_of_generate(case: Case) -> None:
    """Prompts shorter and longer than the windows of 16 tokens, up to the last position."""
    asked = agreement.prompts(case, 6, longest=28)
    mine, other = (write(case, asked, 36) for write in (agreement.ours, agreement.theirs))
    apart = [agreement.difference(case, *each) for each in zip(asked, mine, other, strict=True)]
    assert max(apart) <= 1, apart
    assert apart.count(0.0) >= 5
    assert len(set(map(tuple, other))) > 4, "texts differ"


@pytest.mark.parametrize(
    ("family", "lost"),
    [
        ("gemma2", {"sliding_window": 40}),
        ("gemma2", {"attn_logit_softcapping": None}),
        ("gemma3-text", {"sliding_window": 40}),
        ("gpt-neox", {"use_parallel_residual": False}),
        ("granite", {"residual_multiplier": 1.0}),
        ("mistral", {"sliding_window": 40}),
        ("phi3", {"sliding_window": 40}),
        ("smollm3", {"no_rope_layers": [1, 1, 1]}),
    ],
    ids=str,
)
def test_what_a_family_has_of_its_own_shows_in_its_texts(family: str, lost: dict[str, Any], tmp_path: Path) -> None:
    """Or else a graph without it would pass."""
    tokens = agreement.random_tokens(tiny.VOCABULARY)
    cases = [
        Case(agreement.backbone(family, tmp_path / str(i), **more), None, tokens) for i, more in enumerate(({}, lost))
    ]
    asked = agreement.prompts(cases[0], 6, longest=28)
    whole, other = (agreement.theirs(case, asked, 30) for case in cases)
    assert sum(a != b for a, b in zip(whole, other, strict=True)) >= 4


def test_beams_are_those_of_generate(case: Case) -> None:
    asked = agreement.prompts(case, 3, longest=28, seed=2)
    mine, other = (write(case, asked, 12, 4) for write in (agreement.ours, agreement.theirs))
    apart = [agreement.difference(case, *each, beams=4) for each in zip(asked, mine, other, strict=True)]
    assert max(apart) <= 1, apart
    assert apart.count(0.0) >= 2
