"""One input of any kind, and what must hold of it: an answer in seconds, coded, that every report can print."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from graftc.compiler import variants
from graftc.compiler.api import CheckOptions, look
from graftc.compiler.diagnostics import Diagnostic, Refused, Status
from graftc.compiler.language.overrides import override
from graftc.compiler.language.source import Source, read
from graftc.compiler.renderers import Checked

KEPT = Path(__file__).parent / "cases"  # a folder each, its files those of a case
LOCK = "spec.lock.yaml"  # where it is among the files, the spec is held to it, and its data is not read
SETS = "sets.txt"  # its flags, one a line
LONGEST = 5.0  # seconds of processor time: other programs may keep the machine busy
TEXT = b"""graftc: 1
name: fuzz
backbone: {from: ./bert}
head: {type: text-classification}
data:
  train: train.jsonl
  validation: validation.jsonl
  columns: {text: body, label: queue}
"""


@dataclass(frozen=True)
class Case:
    """A spec, files that stand in the world in place of sound ones, and flags."""

    spec: bytes = TEXT
    files: Mapping[str, bytes] = field(default_factory=dict)
    sets: tuple[str, ...] = ()

    def keep(self, name: str) -> Path:
        """Writes the case down, to be tried again by every run of the tests."""
        folder = KEPT / name
        for file, content in {"spec.yaml": self.spec, SETS: "\n".join(self.sets).encode(), **self.files}.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        return folder


def kept(folder: Path) -> Case:
    """A case that was written down."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    sets = tuple(files.pop(SETS, b"").decode().split("\n"))
    return Case(files.pop("spec.yaml"), files, tuple(flag for flag in sets if flag))


def hold(case: Case, world: Path) -> float:
    """Asserts what must hold of a case; gives the seconds that it took."""
    with _placed(case, world):
        start = time.process_time()
        with _silence() as printed_by_others:
            found, source = _ask(world / "spec.yaml", case)
        seconds = time.process_time() - start
        seconds += _printable(found, source)
    assert seconds < LONGEST, f"it took {seconds:.1f} s"
    assert not printed_by_others, f"a library wrote to the terminal: {printed_by_others[0]}"
    return seconds


def _ask(spec: Path, case: Case) -> tuple[tuple[Diagnostic, ...], Source | None]:
    source: Source | None = None
    options = CheckOptions(is_locked=True, has_data=False) if LOCK in case.files else CheckOptions()
    try:
        source = override(read(spec), case.sets)
        seen = look(source, options)
        return seen.found, seen.source
    except Refused as refused:
        return refused.diagnostics, refused.source if isinstance(refused.source, Source) else source


def _printable(found: tuple[Diagnostic, ...], source: Source | None) -> float:
    """Asserts that every diagnostic is coded and that every report can show it; gives the slowest one's seconds."""
    slowest = 0.0
    for diagnostic in found:
        assert len(diagnostic.code) == 5, diagnostic
        assert diagnostic.code[0] in "EW", diagnostic
        assert diagnostic.headline, diagnostic
    status = Status.WRONG if any(diagnostic.is_error for diagnostic in found) else Status.FINE
    for form in variants.words("renderers"):
        out = io.StringIO()
        start = time.process_time()
        with redirect_stdout(out), redirect_stderr(out):
            variants.renderer(form).report([Checked("spec.yaml", source, found, status)], False)
        slowest = max(slowest, time.process_time() - start)
        printed = out.getvalue()
        assert all(c.isprintable() or c == "\n" for c in printed), (form, printed)
        printed.encode()
        if form in ("json", "sarif"):
            json.loads(printed)
    return slowest


@contextmanager
def _silence() -> Iterator[list[str]]:
    """Collects what is written to the terminal past Python too, such as a library's panic, and warnings."""
    written: list[str] = []
    with tempfile.TemporaryFile() as file, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield written
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            file.seek(0)
            written += [str(each.message) for each in warned] + file.read().decode(errors="replace").splitlines()


@contextmanager
def _placed(case: Case, world: Path) -> Iterator[None]:
    """The world with a case's files in it; afterwards it is as before."""
    before = {name: (world / name).read_bytes() if (world / name).is_file() else None for name in case.files}
    try:
        for name, content in {"spec.yaml": case.spec, **case.files}.items():
            (world / name).parent.mkdir(parents=True, exist_ok=True)
            (world / name).write_bytes(content)
        yield
    finally:
        for name, content in before.items():
            if content is None:
                (world / name).unlink()
            else:
                (world / name).write_bytes(content)
