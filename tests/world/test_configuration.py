"""Rules of config.json: what transformers reads in more than one way."""

from __future__ import annotations

import pytest

from graftc.compiler.facts.configuration import rules


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_a_dtype_may_be_written_as_torch_prints_it(key: str) -> None:
    for value in ("float32", "torch.float32", "torch.bfloat16"):
        assert not list(rules("vit").wrong({key: value}))
    for value in ("torch.flat32", "float32.torch", "torch.torch.float32"):
        assert len(list(rules("vit").wrong({key: value}))) == 1
