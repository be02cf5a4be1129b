"""Errors about bundles and their inputs."""

from __future__ import annotations


class BundleError(Exception):
    """A coded refusal: `code` E05xx, a message, notes, advice, and the index of the input in question, if any."""

    def __init__(self, code: str, message: str, *notes: str, help: str = "", index: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.notes = notes
        self.help = help
        self.index = index

    def __str__(self) -> str:
        lines = [f"error[{self.code}]: {self.message}", *(f" = note: {note}" for note in self.notes)]
        return "\n".join([*lines, f" = help: {self.help}"] if self.help else lines)
