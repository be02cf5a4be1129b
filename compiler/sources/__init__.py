"""Sources of backbones, one module per word before the colon of `backbone.from`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# files that sentence-transformers keeps beside a backbone
SENTENCES = ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json")


@dataclass(frozen=True)
class Located:
    """The local folder of a backbone, and its reference as a plan holds it."""

    folder: Path
    pinned: str  # the reference with the Hub revision resolved to a commit


class Missing(Exception):
    """Raised for a reference that can't be resolved; `reason` says why, `help` what to do.

    `is_machine` is True where the cause is this machine or its network, not the spec.
    """

    def __init__(self, reason: str, help: str = "", is_machine: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.help = help
        self.is_machine = is_machine


def split(reference: str) -> tuple[str, str]:
    """The word of a reference, which names a module here, and its rest; a reference without a word is a folder's path.

    >>> split("package:name/path"), split("./folder"), split("../a:b")
    (('package', 'name/path'), ('folder', './folder'), ('folder', '../a:b'))
    """
    word, colon, rest = reference.partition(":")
    return (word, rest) if colon and "/" not in word else ("folder", reference)
