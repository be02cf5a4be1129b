"""Places a backbone can come from, one module per word before the colon of `backbone.from`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# what sentence-transformers keeps beside a backbone
SENTENCES = ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json")


@dataclass(frozen=True)
class Located:
    """A backbone's folder on this machine, and what the plan writes of where it came from."""

    folder: Path
    pinned: str  # the reference with nothing left open: a hub revision is a commit here


class Missing(Exception):
    """The reference leads nowhere; `reason` says what was tried, `help` a way out."""

    def __init__(self, reason: str, help: str = "", is_machine: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.help = help
        self.is_machine = is_machine


def split(reference: str) -> tuple[str, str]:
    """The word of a reference, which names a module here, and the rest; without a word it is a folder's path.

    >>> split("package:name/path"), split("./folder"), split("../a:b")
    (('package', 'name/path'), ('folder', './folder'), ('folder', '../a:b'))
    """
    word, colon, rest = reference.partition(":")
    return (word, rest) if colon and "/" not in word else ("folder", reference)
