"""A tenth of what benchmarks/json_edits.py tries: edited plans and manifests are refused, or they are what they say."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ..front.cli import Answer
from ..front.conftest import Project, bert, graftc, pictures, project, vit
from ..front.test_bad_bundle import text_bundle
from . import json_edits

__all__ = ["bert", "graftc", "pictures", "project", "text_bundle", "vit"]  # fixtures
COUNT = 20  # of each


def test_plans(project: Project, graftc: Callable[..., Answer]) -> None:
    whole = json.loads(graftc("plan", "spec.yaml", "--json").out)
    seen = [*json_edits.plans(whole, COUNT, 0, project.folder, graftc)]
    assert [tried for tried in seen if tried.is_wrong] == []
    assert sum(tried.statuses == (1,) for tried in seen) > COUNT // 2


def test_manifests(text_bundle: Path, tmp_path: Path, graftc: Callable[..., Answer]) -> None:
    seen = [*json_edits.manifests(text_bundle, "a text", COUNT, 0, tmp_path, graftc)]
    assert [tried for tried in seen if tried.is_wrong] == []
    assert all(tried.statuses[2] == 1 for tried in seen)


def test_an_oracle_that_can_fail(project: Project, graftc: Callable[..., Answer]) -> None:
    whole = json.loads(graftc("plan", "spec.yaml", "--json").out)
    assert json_edits._is_given(whole, project.folder)
    assert not json_edits._is_given({**whole, "seed": 7}, project.folder)


@pytest.mark.parametrize("value", [{"a": 1}, {"a": [1, {"b": None}]}, {"a": {"b": "c"}}])
def test_an_edit_is_never_the_same(value: object) -> None:
    chance = random.Random(0)
    assert all(json.dumps(json_edits.edited(value, chance).value) != json.dumps(value) for _ in range(200))
