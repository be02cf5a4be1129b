"""What of `export.quantization` can't be had, and what is decided of it."""

from __future__ import annotations

from typing import Any

import pytest

from .cli import Command
from .conftest import Project

ROWS = 36  # that train


def spec(project: Project, **export: Any) -> None:
    lines = {"precision": "[fp32, int8]", **export}
    text = "".join(f"\n  {key}: {value}" for key, value in lines.items()).strip()
    project.replace("precision: [fp32]", text)


@pytest.mark.parametrize(
    ("export", "code", "under"),
    [
        ({"quantization": "weights"}, "E0450", "weights"),
        ({"quantization": "four-bits"}, "E0202", "four-bits"),
        ({"calibration_samples": ROWS + 1}, "E0451", str(ROWS + 1)),
        ({"calibration_samples": 0}, "E0205", "0"),
        ({"quantization": "dynamic", "calibration_samples": 10}, "W0302", "10"),
        ({"precision": "[fp32]", "quantization": "static"}, "W0302", "static"),
        ({"precision": "[fp32]", "calibration_samples": 10}, "W0302", "10"),
        ({"precision": "[fp32, int4]", "optimize": "onnxruntime"}, "E0450", "[fp32, int4]"),
    ],
)
def test_what_can_t_be_had_is_told_at_its_key(project: Project, export: dict[str, Any], code: str, under: str) -> None:
    spec(project, **export)
    answer = project.validate()
    assert [(found.code, found.under) for found in answer.findings] == [(code, under)]
    assert answer.status == (code[0] == "E")


@pytest.mark.parametrize(
    "export",
    [
        {},
        {"quantization": "auto"},
        {"quantization": "static", "calibration_samples": ROWS},
        {"quantization": "weights", "optimize": "onnxruntime"},
    ],
)
def test_what_can_be_had_is_fine(project: Project, export: dict[str, Any]) -> None:
    spec(project, **export)
    assert project.validate().codes == []


def test_the_rows_that_validation_takes_fix_no_scales(project: Project) -> None:
    spec(project, calibration_samples=ROWS - 2)
    project.replace("validation: validation.jsonl", "validation: {fraction: 0.25}")
    (found,) = [each for each in project.validate().findings if each.code[0] == "E"]
    assert (found.code, found.label) == ("E0451", "there are 27 training rows")


@pytest.mark.parametrize(
    ("export", "kinds"),
    [
        ({}, "[dynamic, static]"),
        ({"optimize": "onnxruntime"}, "[dynamic, static, weights]"),
        ({"quantization": "static"}, "static"),
    ],
)
def test_why_tells_the_order_and_its_reason(
    project: Project, graftc: Command, export: dict[str, Any], kinds: str
) -> None:
    spec(project, **export)
    said = graftc("plan", "spec.yaml", "--why", "export.quantization", "--why", "export.calibration_samples").out
    assert f"export.quantization = {kinds}" in said
    assert ("the order for encoders" in said) == (not export.get("quantization"))
    assert f"export.calibration_samples = {ROWS}" in said
    assert "int8         " in graftc("plan", "spec.yaml").out


def test_without_int8_there_is_nothing_to_decide(project: Project, graftc: Command) -> None:
    assert "int8  " not in graftc("plan", "spec.yaml").out
