"""A chat template of one's own, and what a bundle with it is asked: from the command line, from rows, in its card."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import transformers

import graftc
from graftc.compiler.diagnostics import Diagnostic, Row
from graftc.runtime import escapes
from graftc.runtime.model import Model

from .test_text_generation import CHATS, TEMPLATE, backbone, pairs, write

HEAD = {"type": "text-generation", "template": "own.jinja", "generation": {"max_new_tokens": 12}}
DATA = {"train": "rows.jsonl", "validation": {"fraction": 0.2}, "max_length": 64}
ROWS = [{"messages": row["messages"]} for row in CHATS]


def spec_of(folder: Path, text: str | bytes | None = TEMPLATE, rows: Any = ROWS, **head: Any) -> Path:
    """A spec whose head names own.jinja, which holds `text`; the backbone has none."""
    if not (folder / "backbone").exists():
        backbone("llama", folder / "backbone")
    if text is not None:
        (folder / "own.jinja").write_bytes(text if isinstance(text, bytes) else text.encode())
    return write(folder, "llama", rows, head={**HEAD, **head}, data=DATA)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    graftc.build(spec_of(folder), folder / "bundle", store=folder / "store")
    return folder / "bundle"


def errors(spec: Path, **more: Any) -> list[Diagnostic]:
    return [each for each in graftc.validate(spec, **more) if each.code.startswith("E")]


def test_the_template_takes_the_place_of_the_backbones(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    (tmp_path / "backbone/chat_template.jinja").write_text("{{ raise_exception('not this one') }}")
    assert not errors(spec)
    assert graftc.plan(spec).reading.preprocessing["template"] == TEMPLATE


def test_another_text_of_the_template_is_another_plan(tmp_path: Path) -> None:
    before = graftc.plan(spec_of(tmp_path)).sha256
    assert graftc.plan(spec_of(tmp_path, TEMPLATE + " ")).sha256 != before


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (None, "`own.jinja` can't be read"),
        (b"\xff\xfe{{ messages }}", "`own.jinja` can't be read"),
        ("{% for m in messages %}{{ m", "can't be used"),
    ],
)
def test_a_template_that_can_t_be_used_is_refused_at_its_key(
    template: str | bytes | None, says: str, tmp_path: Path
) -> None:
    (found,) = errors(spec_of(tmp_path, template))
    assert (found.code, getattr(found.at, "path", None)) == ("E0399", ("head", "template"))
    assert says in found.headline


def test_a_template_outside_of_the_boundary_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    spec = spec_of(tmp_path / "inside", None, template="../own.jinja")
    (tmp_path / "own.jinja").write_text("{{ secret")
    (found,) = errors(spec, confine=[tmp_path / "inside"])
    assert found.code == "E0353"


def test_without_a_template_messages_have_a_way_out(tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    (found,) = errors(write(tmp_path, "llama", ROWS, data=DATA))
    assert (found.code, "`template: chat.jinja` under `head`" in found.help) == ("E0399", True)


def test_prompts_that_end_in_a_space_are_counted(tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    rows = pairs(20)
    assert "W0321" not in {each.code for each in graftc.validate(write(tmp_path, "llama", rows))}
    for row in rows[3:8]:
        row["prompt"] += " "
    (found,) = (each for each in graftc.validate(write(tmp_path, "llama", rows)) if each.code == "W0321")
    assert found.headline == "5 of 20 prompts in the train data end in a space"
    assert isinstance(found.at, Row)
    assert found.at.number == 4


def test_the_template_travels(built: Path) -> None:
    asked = [{"role": "user", "content": "read a text"}]
    (row,) = graftc.load(built).rows([asked]).features
    tokenizer = transformers.AutoTokenizer.from_pretrained(built / "checkpoint")
    theirs = tokenizer.apply_chat_template(asked, add_generation_prompt=True)
    assert row["input_ids"].tolist() == list(theirs["input_ids"] if not isinstance(theirs, list) else theirs)


# --- what the command lines take


def run(built: Path, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "graftc", "predict", str(built), *words]
    return subprocess.run(line, capture_output=True, text=True, cwd=built.parent, **more)


def test_options_reach_the_answers(built: Path) -> None:
    model = Model(built)
    asked = model.from_words(["read a text"])
    words = {"--max-new-tokens": "5", "--temperature": "0.9", "--seed": "3", "--stop": "zz", "--top-k": "0"}
    options = {"max_new_tokens": 5, "temperature": 0.9, "seed": 3, "stop": ["zz"], "top_k": 0}
    done = run(built, "read a text", *(word for pair in words.items() for word in pair))
    assert json.loads(done.stdout)["generated_text"] == model.predict(asked, **options)[0].generated_text
    done = run(built, "read a text", "--temperature", "-1")
    assert (done.returncode, "error[E0505]: `temperature` is -1.0" in done.stderr) == (1, True)


def test_rows_of_a_file_are_asked_without_their_answers(built: Path) -> None:
    lines: list[Any] = [ROWS[0], {"prompt": "read a text", "completion": " and"}, ROWS[0]["messages"][:1], "a text"]
    (built.parent / "asked.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = run(built, "--input", "asked.jsonl")
    answers = [json.loads(line)["generated_text"] for line in done.stdout.splitlines()]
    model = Model(built)
    wanted = [ROWS[0]["messages"][:1], "read a text", ROWS[0]["messages"][:1], "a text"]
    assert answers == [model.predict(each).generated_text for each in wanted], done.stderr
    (built.parent / "asked.jsonl").write_text('{"completion": "a text"}\n')
    assert "an object is no input" in run(built, "--input", "asked.jsonl").stderr


@pytest.mark.parametrize("words", [("-m", "graftc", "predict", "bundle"), ("bundle/predict.py",)], ids=len)
@pytest.mark.parametrize("more", [(), ("--beams", "2")], ids=len)
def test_a_terminal_gets_the_text_alone(words: tuple[str, ...], more: tuple[str, ...], built: Path) -> None:
    """As it comes, and nothing that controls the terminal; what is no text from left to right is a line of JSON."""
    inner, outer = pty.openpty()
    line = [sys.executable, *words, *more, "read a text"]
    done = subprocess.run(line, stdout=outer, stderr=subprocess.PIPE, cwd=built.parent, check=False)
    os.close(outer)
    shown = os.read(inner, 1 << 16).decode().replace("\r\n", "\n")
    os.close(inner)
    model = Model(built)
    (answer,) = model.predict(model.from_words(["read a text"]), **({"beams": 2} if more else {}))
    assert done.returncode == 0, done.stderr
    said = json.loads(shown)["generated_text"] if more else shown.removesuffix("\n")
    assert said == (answer.generated_text if more else escapes.shown(answer.generated_text))
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", shown)


def test_help_names_every_option_with_what_it_does(built: Path) -> None:
    said = run(built, "--help").stdout
    for option in ("--max-new-tokens N", "--temperature X", "--top-k N", "--stop TEXT"):
        assert re.search(rf"{option} +\S+", said), option


# --- the card


def test_the_card_has_answers_before_and_after(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_bytes())
    floors, scores = manifest["floors"]["validation"], manifest["metrics"]["validation"]["fp32"]
    assert set(floors) == {"most frequent", "untuned"}
    assert scores["perplexity"] < floors["untuned"]["perplexity"]
    card = (built / "README.md").read_text(encoding="utf-8")
    assert card.count("Untuned:") == 4
    samples = [json.loads(line) for line in (built / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    (said,) = (s["answer"]["generated_text"] for s in samples if s["input"] == [{"role": "user", "content": "no"}])
    block = card.partition("    user: no\n")[2].partition("This model:\n\n    ")[2]
    assert block.startswith(escapes.shown(said.splitlines()[0]) if said else "")
    for row in ROWS:
        assert row["messages"][0]["content"] not in card, "rows travel only where the spec says so"
