"""`graftc explain`: every code has a page, an accepted text and, where a spec can be at fault, one that is."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from graftc.compiler.diagnostics import pages

from . import ground
from .cli import HEAD, Command
from .test_golden import GOLDEN, compare

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def raised() -> set[str]:
    """Every code that the program can say."""
    files = [path for folder in ("compiler", "runtime") for path in (ROOT / folder).rglob("*.py")]
    return {code for path in files for code in re.findall(r'"([EW]\d{4})"', path.read_text(encoding="utf-8"))}


def accepted() -> set[str]:
    """Every code that an accepted text shows."""
    lines = [line for path in GOLDEN.glob("*.txt") for line in path.read_text(encoding="utf-8").splitlines()]
    return {head["code"] for line in lines if (head := HEAD.match(line))}


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert raised() <= set(pages.codes())
    assert set(pages.codes()) <= raised()


def test_every_code_has_an_accepted_text_and_every_text_a_code() -> None:
    assert raised() <= accepted()
    assert accepted() <= raised()


def test_every_code_belongs_to_a_range() -> None:
    assert all(pages.range_of(code) for code in raised())


@dataclass(frozen=True)
class Page:
    """A page, cut at its headings."""

    headline: str
    words: str
    parts: dict[str, str]

    @classmethod
    def of(cls, code: str) -> Page:
        first, *rest = re.split(r"^## ", pages.page(code), flags=re.MULTILINE)
        headline, _, words = first.partition("\n")
        return cls(headline, words.strip(), {part.partition("\n")[0]: part for part in rest})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec that is fine; the test stands in it."""
    ground.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(part: str, folder: Path) -> None:
    """Writes the spec of a part, in which its fragment stands, and the files beside it."""
    blocks = list(BLOCK.finditer(part))
    assert [block["file"] for block in blocks if block["language"] == "yaml"].count(None) == 1, "one spec a part"
    for block in blocks:
        name, text = (block["file"], block["text"]) if block["file"] else ("spec.yaml", ground.replaced(block["text"]))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def test_the_spec_that_the_pages_change_is_fine(folder: Path, graftc: Command) -> None:
    answer = graftc("validate", "spec.yaml")
    assert (answer.status, answer.err) == (0, "")


@pytest.mark.parametrize("code", pages.codes())
def test_a_page_has_its_shape(code: str) -> None:
    page = Page.of(code)
    assert re.fullmatch(r"# .*[^.]", page.headline)
    assert len(page.words.split()) > 20
    assert list(page.parts) in (["Wrong", "Right"], ["When"])
    assert max(map(len, pages.page(code).splitlines())) <= 120
    if "When" in page.parts:
        assert [block["language"] for block in BLOCK.finditer(page.parts["When"])] == ["console"]


def test_a_part_changes_nothing_but_what_it_names() -> None:
    changed = ground.replaced("train:\n  epochs: 5\n")
    assert changed == ground.SPEC.replace("train:\n  epochs: 2\n  batch_size: 8\n", "") + "train:\n  epochs: 5\n"


@pytest.mark.parametrize("code", [code for code in pages.codes() if "Wrong" in Page.of(code).parts])
def test_what_a_page_calls_wrong_is_refused_and_reads_as_it_was_accepted(
    code: str, folder: Path, graftc: Command
) -> None:
    write(Page.of(code).parts["Wrong"], folder)
    answer = graftc("validate", "spec.yaml")
    assert code in answer.codes
    assert not {other for other in answer.codes if other.startswith("E")} - {code}, "the mistake, and no other"
    compare(code, answer.err)


@pytest.mark.parametrize("code", [code for code in pages.codes() if "Right" in Page.of(code).parts])
def test_what_a_page_calls_right_passes(code: str, folder: Path, graftc: Command) -> None:
    write(Page.of(code).parts["Right"], folder)
    answer = graftc("validate", "spec.yaml")
    assert not [found for found in answer.findings if found.code.startswith("E") or found.code == code], answer.err


# mistakes of the command line that cost nothing to make; the others need a build or a bundle
TYPED = (
    *("E0106", "E0107", "E0211", "E0212", "E0213", "E0214", "E0216", "E0223", "E0230", "E0231", "E0232", "E0353"),
    "E0415",
)


@pytest.mark.parametrize("code", TYPED)
def test_what_a_page_says_is_printed_is_printed(code: str, folder: Path, graftc: Command) -> None:
    (folder / "empty.yaml").write_text("# nothing yet\n", encoding="utf-8")
    (folder / "astray.yaml").write_text("graftc: 1\nname: astray\nextends: ../.netrc\n", encoding="utf-8")
    (folder / "settings.json").write_text('{"seed": 1}', encoding="utf-8")
    graftc("plan", "spec.yaml", "-o", "plan.json")
    plan = json.loads((folder / "plan.json").read_bytes())
    plan["train"]["batch_size"] = -5
    (folder / "edited.json").write_text(json.dumps(plan), encoding="utf-8")
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text(ground.SPEC, encoding="utf-8")
    (block,) = BLOCK.finditer(Page.of(code).parts["When"])
    typed, _, printed = block["text"].partition("\n")
    answer = graftc(*shlex.split(typed.removeprefix("$ graftc ")))
    assert answer.codes == [code]
    said = re.sub(r"(note: examples: ).*", r"\1…", answer.err)  # an example more is no change of the page
    assert said.rstrip() == printed.rstrip()
    compare(code, said)


def test_every_accepted_text_of_a_page_belongs_to_one() -> None:
    in_git = {"E0233", "E0234", "E0235", "E0236", "E0350"}  # typed in a repository, by the tests of `plan --diff`
    in_a_hurry = {"E0351"}  # typed while the data is written, by the tests of locks
    run = {code for code in pages.codes() if "Wrong" in Page.of(code).parts}
    run |= {*TYPED, *in_git, *in_a_hurry}
    assert {path.stem for path in GOLDEN.glob("[EW][0-9]*.txt")} == run


def test_one_code_is_explained(graftc: Command) -> None:
    for word in ("E0201", "e0201"):
        answer = graftc("explain", word)
        assert (answer.status, answer.err) == (0, "")
        assert answer.out == pages.page("E0201")


def test_without_a_code_all_are_listed_by_range(graftc: Command) -> None:
    answer = graftc("explain")
    assert answer.status == 0
    listed = re.findall(r"^  ([EW]\d{4})  (.+)$", answer.out, re.MULTILINE)
    assert sorted(listed) == [(code, pages.headline(code)) for code in pages.codes()]
    starts = re.findall(r"^([EW]\d+)x+  ", answer.out, re.MULTILINE)
    assert starts == list(pages.RANGES)
    assert re.findall(r"^  ([EW]\d{4})  ", answer.out.partition("E045x")[2], re.MULTILINE)[0] == "E0450"


def test_an_unknown_code_is_a_mistake_of_usage(graftc: Command) -> None:
    answer = graftc("explain", "E201")
    assert answer.status == 2
    assert "did you mean `E0201`?" in answer.err
    assert "lists them all" in graftc("explain", "elephant").err
