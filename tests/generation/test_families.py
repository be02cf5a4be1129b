"""Every family of decoders: its graph writes what transformers' `generate` writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

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
    asked = agreement.prompts(case, 8, longest=28)
    mine, other = (write(case, asked, 36) for write in (agreement.ours, agreement.theirs))
    apart = [agreement.difference(case, *each) for each in zip(asked, mine, other, strict=True)]
    assert max(apart) <= 1, apart
    assert apart.count(0.0) >= 7
    assert len(set(map(tuple, other))) > 4, "texts differ"


def test_beams_are_those_of_generate(case: Case) -> None:
    asked = agreement.prompts(case, 4, longest=28, seed=2)
    mine, other = (write(case, asked, 16, 4) for write in (agreement.ours, agreement.theirs))
    apart = [agreement.difference(case, *each, beams=4) for each in zip(asked, mine, other, strict=True)]
    assert max(apart) <= 1, apart
    assert apart.count(0.0) >= 3
