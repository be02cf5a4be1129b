"""Door 3: nothing that a user writes becomes code of the wrapper, whatever escapes the quoting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.api import plan
from graftc.compiler.bundling import rendering
from graftc.compiler.bundling.rendering import Runtime, refuse_other_code, write_wrapper

from ..front.conftest import Project

RUNTIME = Runtime("graftc_runtime_0", ("__init__",), "0" * 64)
EVIL = "import os; os.system('x')"
LABELS = ['a"]; import os #', "'''", '"""\n' + EVIL, "\\", "a\nb", "{{ 1 }}", "\u2028" + EVIL, "fine"]


@pytest.fixture
def hostile(project: Project) -> Any:
    rows = [{"body": f"row {i}", "queue": LABELS[i % len(LABELS)]} for i in range(64)]
    for name in ("train.jsonl", "validation.jsonl"):
        if (project.folder / name).exists():
            project.write(name, "".join(json.dumps(row) + "\n" for row in rows))
    return plan(project.spec)


def heads(planned: Any) -> dict[str, Any]:
    return {"heads": {task.name: {"type": task.head.type, **task.head.record.plain()} for task in planned.tasks}}


def test_hostile_labels_are_words_in_quotes(hostile: Any, tmp_path: Path) -> None:
    write_wrapper(hostile, heads(hostile), RUNTIME, tmp_path)
    text = (tmp_path / "predict.py").read_text()
    assert "os.system" in text, "else this test sees nothing"


@pytest.fixture
def unquoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quoting that lets everything through: the door behind it is still there."""
    made = rendering._template

    def template(name: str) -> Any:
        found = made(name)
        found.environment.filters["pyrepr"] = lambda value: f'"{value}"' if isinstance(value, str) else repr(value)
        return found

    monkeypatch.setattr(rendering, "_template", template)


def test_words_that_escape_their_quotes_are_found_out(hostile: Any, unquoted: None, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not the code of its template"):
        write_wrapper(hostile, heads(hostile), RUNTIME, tmp_path)
    assert not (tmp_path / "predict.py").exists()


@pytest.mark.parametrize("text", ["x = 1; y = 2", "x = (", "x = 'a'\nimport os", "y = 'a'", "x = 1", "return 'a'"])
def test_code_of_another_shape_is_refused(text: str) -> None:
    refuse_other_code("x = 'b'", "x = 'a'")
    with pytest.raises(RuntimeError):
        refuse_other_code(text, "x = 'a'")
