"""`graftc explain`: every code has a page, an accepted text and, where a spec can be at fault, one that is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from graftc.compiler import explanations
from graftc.compiler.diagnostics import Diagnostic
from graftc.compiler.verbs import validate

from . import ground
from .cli import HEAD, Command

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

# still to be written; both sets only ever shrink
PAGELESS = {
    "E0101", "E0102", "E0103", "E0104", "E0105", "E0106", "E0107",
    "E0202", "E0203", "E0204", "E0205", "E0206", "E0207", "E0208", "E0209", "E0211", "E0212", "E0213",
    "E0301", "E0302", "E0303", "E0304", "E0305", "E0306", "E0307", "E0308", "E0310", "E0311", "E0312", "E0313",
    "E0314", "E0315", "E0316", "E0317", "E0319", "E0320", "E0321",
    "E0401", "E0402", "E0403", "E0404", "E0405", "E0406", "E0407", "E0408", "E0409", "E0410", "E0411", "E0412",
    "E0413", "E0414",
    "E0501", "E0502", "E0503", "E0504", "E0505", "E0506", "E0507",
    "W0301", "W0302", "W0303", "W0304",
}  # fmt: skip
UNACCEPTED = {
    "E0101", "E0104", "E0106", "E0107",
    "E0204", "E0212", "E0213",
    "E0301", "E0304", "E0305", "E0306", "E0307", "E0311", "E0315", "E0316", "E0320",
    "E0401", "E0402", "E0403", "E0404", "E0405", "E0406", "E0407", "E0408", "E0409", "E0410", "E0411", "E0412",
    "E0413", "E0414",
    "E0501", "E0502", "E0503", "E0504", "E0505", "E0506", "E0507",
    "W0301", "W0302",
}  # fmt: skip


def raised() -> set[str]:
    """Every code that the program can say."""
    files = [path for folder in ("compiler", "runtime") for path in (ROOT / folder).rglob("*.py")]
    return {code for path in files for code in re.findall(r'"([EW]\d{4})"', path.read_text(encoding="utf-8"))}


def accepted() -> set[str]:
    """Every code that an accepted text shows."""
    lines = [line for path in GOLDEN.glob("*.txt") for line in path.read_text(encoding="utf-8").splitlines()]
    return {head["code"] for line in lines if (head := HEAD.match(line))}


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert raised() - set(explanations.codes()) <= PAGELESS
    assert set(explanations.codes()) <= raised()


def test_every_code_has_an_accepted_text_and_every_text_a_code() -> None:
    assert raised() - accepted() <= UNACCEPTED
    assert accepted() <= raised()


def test_every_code_belongs_to_a_range() -> None:
    assert {code[:3] for code in raised()} <= set(explanations.RANGES)


@dataclass(frozen=True)
class Page:
    """A page, cut at its headings."""

    headline: str
    words: str
    parts: dict[str, str]

    @classmethod
    def of(cls, code: str) -> Page:
        first, *rest = re.split(r"^## ", explanations.page(code), flags=re.MULTILINE)
        headline, _, words = first.partition("\n")
        return cls(headline, words.strip(), {part.partition("\n")[0]: part for part in rest})


def run(part: str, folder: Path) -> tuple[Diagnostic, ...]:
    """What is said of the fragment of a part, in a folder of its own."""
    spec = ground.lay(folder)
    blocks = list(BLOCK.finditer(part))
    assert [block["file"] for block in blocks if block["language"] == "yaml"] == [None], "one spec a part"
    for block in blocks:
        if block["file"]:
            (folder / block["file"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / block["file"]).write_text(block["text"], encoding="utf-8")
        else:
            spec.write_text(ground.replaced(block["text"]), encoding="utf-8")
    return validate(spec)


def test_the_spec_that_the_pages_change_is_fine(tmp_path: Path) -> None:
    assert validate(ground.lay(tmp_path)) == ()


@pytest.mark.parametrize("code", explanations.codes())
def test_a_page_has_its_shape(code: str) -> None:
    page = Page.of(code)
    assert re.fullmatch(r"# .*[^.]", page.headline)
    assert len(page.words.split()) > 20
    assert list(page.parts) in (["Wrong", "Right"], ["When"])
    assert max(map(len, explanations.page(code).splitlines())) <= 120
    if "When" in page.parts:
        assert [block["language"] for block in BLOCK.finditer(page.parts["When"])] == ["console"]


@pytest.mark.parametrize("code", [code for code in explanations.codes() if "Wrong" in Page.of(code).parts])
def test_what_a_page_calls_wrong_is_refused_and_what_it_calls_right_is_not(code: str, tmp_path: Path) -> None:
    parts = Page.of(code).parts
    assert code in [found.code for found in run(parts["Wrong"], tmp_path / "wrong")]
    right = run(parts["Right"], tmp_path / "right")
    assert not [found for found in right if found.is_error or found.code == code]


def test_one_code_is_explained(graftc: Command) -> None:
    for word in ("E0201", "e0201"):
        answer = graftc("explain", word)
        assert (answer.status, answer.err) == (0, "")
        assert answer.out == explanations.page("E0201")


def test_without_a_code_all_are_listed_by_range(graftc: Command) -> None:
    answer = graftc("explain")
    assert answer.status == 0
    listed = re.findall(r"^  ([EW]\d{4})  (.+)$", answer.out, re.MULTILINE)
    assert sorted(listed) == [(code, explanations.headline(code)) for code in explanations.codes()]
    assert re.findall(r"^(...)xx  ", answer.out, re.MULTILINE) == list(explanations.RANGES)


def test_an_unknown_code_is_a_mistake_of_usage(graftc: Command) -> None:
    answer = graftc("explain", "E201")
    assert answer.status == 2
    assert "did you mean `E0201`?" in answer.err
    assert "lists them all" in graftc("explain", "elephant").err
