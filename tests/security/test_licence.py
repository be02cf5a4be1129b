"""Door 12: a backbone's model card gives one plain word to ours, and never holds a build up."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from graftc.compiler.bundling.manifest import licence

BOMB = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'lol'}]\n" for i in range(12))


def card(folder: Path, text: str) -> str:
    (folder / "README.md").write_text(text)
    return licence(folder)


@pytest.mark.parametrize(
    ("front", "word"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license: 'mit'", "mit"),
        ('language: en\nlicense: "cc-by-4.0"', "cc-by-4.0"),
        ("license: mit\nbase_model: x", "mit"),
        ("license: [mit]", "unknown"),
        ("license: mit\x1b[2J", "unknown"),
        ("license: <script>alert(1)</script>", "unknown"),
        ("license: |\n  mit\n  pipeline_tag: evil", "unknown"),
        ("license: " + "x" * 65, "unknown"),
        ("a: b", "unknown"),
    ],
)
def test_the_licence_is_one_plain_word(tmp_path: Path, front: str, word: str) -> None:
    assert card(tmp_path, f"---\n{front}\n---\n# A model\nlicense: other\n") == word


def test_a_card_of_aliases_costs_nothing(tmp_path: Path) -> None:
    start = time.monotonic()
    assert card(tmp_path, f"---\n{BOMB}license: *a11\n---\n") == "unknown"
    assert card(tmp_path, "---\n" + "x" * 10_000_000 + "\nlicense: mit\n---\n") == "unknown"
    assert time.monotonic() - start < 1


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "README.md")
    assert licence(tmp_path) == "unknown"
    (tmp_path / "README.md").unlink()
    (tmp_path / "README.md").symlink_to("/dev/zero")
    assert licence(tmp_path) == "unknown"
    (tmp_path / "README.md").unlink()
    (tmp_path / "README.md").mkdir()
    assert licence(tmp_path) == "unknown"


def test_a_card_of_a_snapshot_is_read_through_its_link(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "README.md").symlink_to("blob")
    assert licence(tmp_path) == "mit"
