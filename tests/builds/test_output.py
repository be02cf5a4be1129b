"""What `graftc build` tells: bars on a terminal, lines elsewhere, the result alone when quiet."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graftc.compiler.cli import main
from graftc.compiler.execution import progress
from graftc.compiler.execution.progress import Progress
from graftc.compiler.store.store import Store

from . import subjects


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    quick = {"epochs": 1, "batch_size": 8}
    subjects.write(folder, subjects.text(folder, name="one", train=quick), "one.yaml")
    subjects.write(folder, subjects.text(folder, name="two", train={**quick, "precision": "bf16"}), "two.yaml")
    return folder


@contextmanager
def terminal() -> Iterator[list[bytes]]:
    """Puts a terminal under the standard error; the list holds what came out, once it is closed."""
    ours, theirs = os.openpty()
    seen: list[bytes] = []

    def read() -> None:
        while True:
            try:
                found = os.read(ours, 4096)
            except OSError:  # the other side was closed
                return
            if not found:
                return
            seen.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    before, sys.stderr = sys.stderr, os.fdopen(theirs, "w")
    try:
        yield seen
    finally:
        sys.stderr.close()
        sys.stderr = before
        reader.join()
        os.close(ours)


def test_several_specs_are_built_in_one_process_each_in_its_precision(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = [str(source / "one.yaml"), str(source / "two.yaml")]
    main(["build", *specs, "-o", str(tmp_path / "out"), "--store", str(tmp_path / "store")])
    out, err = capsys.readouterr()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one", "two"]
    assert [line.split(":")[0] for line in out.splitlines() if not line.startswith(" ")] == ["one", "two", "all 2"]
    assert err.count("prepare-train …") == 1, "they share their rows"
    assert err.splitlines().count("train …") == 2
    assert "epoch 1/1: loss" in err
    assert "\x1b" not in err, "no bars where there is no terminal"


def test_quiet_prints_the_result_only(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", str(source / "one.yaml"), "-o", str(tmp_path / "out"), "--store", str(tmp_path), "--quiet"]
    main(words)
    out, err = capsys.readouterr()
    said = [line for line in err.splitlines() if line[:1].isalpha()]
    assert all(line.startswith("warning[W04") for line in said), "findings of the training alone"
    assert re.match(r"one: prepare-train .* s\n  test .*\n  validation .*\n  bundle +\S+\n$", out)


def test_a_terminal_shows_bars_with_lines_above_them(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal() as seen:
        main(["build", str(source / "one.yaml"), "-o", str(tmp_path / "out"), "--store", str(tmp_path / "store")])
    text = b"".join(seen).decode()
    assert "\x1b[" in text
    assert re.search(r"train.*\d/4", text)
    assert "epoch 1/1: loss" in text
    assert "bundle" in capsys.readouterr().out


def test_fp16_on_a_machine_without_gpu_is_refused_before_any_work(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAFTC_DEVICE", "cpu")
    words = ["build", str(source / "one.yaml"), "--set", "train.precision=fp16", "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as left:
        main([*words, "--store", str(tmp_path / "store")])
    assert left.value.code == 4
    assert "error[E0411]: fp16 training needs a GPU" in capsys.readouterr().err
    assert not (tmp_path / "store" / "stages").exists()


def test_a_store_may_be_given_by_a_relative_path(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(["build", str(source / "one.yaml"), "-o", "out", "--store", "store", "--quiet"])
    assert Store(Path("store")).path("pack", "key").is_absolute()
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_a_log_gets_a_line_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress().steps("train", 30, done=10) as advance:
        advance(1, "loss 0.2")
        monkeypatch.setattr(progress, "PAUSE", 0.0)
        advance(1, "loss 0.1")
    assert capsys.readouterr().err == "  train      12/30 loss 0.1\n"
