"""Door 13: names of heads become names in a program, so they are names of one."""

from __future__ import annotations

import pytest

from graftc.compiler.language.heads import is_name
from graftc.compiler.planning.plan import TaskPlan

from ..front.conftest import Project


@pytest.mark.parametrize(
    "name", ["class", "import", "lambda", "is", "intent\n", "Intent", "a-b", "a.b", "1a", "", "ä", "x" * 33]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize("name", ["intent", "match", "type", "a", "a_1", "x" * 32])
def test_what_is_a_name_is_one(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(("written", "help"), [("class", "write `class_:`"), ('"intent\\n"', "write `intent:`")])
def test_validate_refuses_it_at_its_place(project: Project, written: str, help: str) -> None:
    head = "head:\n  type: text-classification\n  dropout: 0.1\n"
    project.replace(head, f"heads:\n  {written}:\n    type: text-classification\n")
    found = [each for each in project.validate().findings if each.code == "E0380"]
    assert len(found) == 1
    assert help in found[0].notes


@pytest.mark.parametrize("name", ["intent\n", "x: int\n    y", "a b"])
def test_a_plan_has_no_other_name_either(name: str) -> None:
    plan = TaskPlan.model_construct(name="", head=None, data=None, weight=None, metric=None, adapt=None)
    with pytest.raises(ValueError, match="name"):
        TaskPlan.__pydantic_validator__.validate_assignment(plan, "name", name)
