"""Specs of an older version of the language are read as today's; no such version exists yet, so the tests make one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from graftc.compiler.diagnostics import Refused, Span
from graftc.compiler.language.migrations import MIGRATIONS, Migration, renamed, upgrade
from graftc.compiler.language.parse import parse
from graftc.compiler.language.source import Source, parse_text, read
from graftc.compiler.language.spec import LANGUAGE
from graftc.compiler.renderers.text import text

from .conftest import SPEC, Project

OLD = SPEC.replace("graftc: 1", "graftc: 0").replace("epochs: 2", "rounds: 2").replace("adapt:", "tune:")


def from_0(source: Source) -> Source:
    """Version 0, had there been one, said `tune` and `rounds`."""
    return renamed(renamed(source, ("tune",), "adapt"), ("train", "rounds"), "epochs")


def from_minus_1(source: Source) -> Source:
    return renamed(source, ("tuning",), "tune")


REGISTERED: Mapping[int, Migration] = {0: from_0, -1: from_minus_1}


def old(project: Project, spec: str = OLD) -> Source:
    project.write("spec.yaml", spec)
    return read(project.spec, "spec.yaml", migrations=REGISTERED)


def test_an_older_spec_is_read_as_one_of_today(project: Project) -> None:
    today = read(project.spec)
    source = old(project)
    assert source.data == today.data
    assert parse(source) == parse(today)


def test_places_stay_where_the_old_words_stand(project: Project) -> None:
    source = old(project)
    assert source.keys["train", "epochs"] == Span("spec.yaml", 26, 3, 6)
    assert source.values["adapt", "rank"] == Span("spec.yaml", 12, 9, 1)
    assert not [path for path in (*source.keys, *source.values) if "rounds" in path or "tune" in path]


def test_what_changed_is_told_with_every_finding(project: Project) -> None:
    source = old(project, OLD.replace("rounds: 2", "rounds: two"))
    with pytest.raises(Refused) as refused:
        parse(source)
    printed = text(refused.value.diagnostics, source)
    assert "26 |   rounds: two" in printed
    assert "note: spec.yaml is written in version 0 of the language and was read as version 1" in printed
    assert "note: `tune` is `adapt` now" in printed
    assert "note: `train.rounds` is `train.epochs` now" in printed


def test_versions_are_passed_one_after_another(project: Project) -> None:
    source = old(project, OLD.replace("graftc: 0", "graftc: -1").replace("tune:", "tuning:"))
    assert source.data == read_today(project)
    assert [note for note in source.notes if "version" in note] == [
        "spec.yaml is written in version 0 of the language and was read as version 1",
        "spec.yaml is written in version -1 of the language and was read as version 0",
    ]


def read_today(project: Project) -> object:
    project.write("today.yaml", SPEC)
    return read(project.folder / "today.yaml").data


def test_a_base_may_be_older_than_the_spec_that_extends_it(project: Project) -> None:
    project.write("base.yaml", OLD)
    source = old(project, "graftc: 1\nextends: base.yaml\ntrain: {epochs: 5}\n")
    assert source.data["train"] == {"epochs": 5, "metric": "f1_macro"}
    assert source.data["adapt"]["rank"] == 4
    assert source.values["adapt", "rank"].file == "base.yaml"
    assert parse(source).train.epochs == 5


def test_a_migration_changes_nothing_that_it_was_given() -> None:
    source = parse_text("graftc: 0\ntune: {method: lora}\n", "s", Path())
    before = replace(source, data=dict(source.data), keys=dict(source.keys), values=dict(source.values))
    assert upgrade(source, REGISTERED).data == {"graftc": 1, "adapt": {"method": "lora"}}
    assert source == before


@pytest.mark.parametrize("version", ["0", "-1", "2", "99", "one", "1.0", "true", "''"])
def test_without_a_migration_another_version_is_refused(version: str, project: Project) -> None:
    project.replace("graftc: 1", f"graftc: {version}")
    assert project.validate().codes == ["E0208"]


def test_every_migration_leads_to_today() -> None:
    assert all(version + 1 in MIGRATIONS or version + 1 == LANGUAGE for version in MIGRATIONS)
