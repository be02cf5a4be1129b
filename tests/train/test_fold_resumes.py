"""What frozen layers give is kept while it is computed: an attempt that ends early loses little of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftc.compiler.execution import saves
from graftc.compiler.execution.kept import DONE, VALUES, Keeper
from graftc.compiler.stages import fold

from ..backbones import tiny
from ..builds.test_likeness import write as labelled
from . import running
from .test_folding import write


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each batch had that was kept, of four at most."""
    found: list[int] = []
    put = Keeper.put

    def counted(self: Keeper, rows: Any, values: np.ndarray) -> None:
        put(self, rows, values)
        found.append(len(rows))

    monkeypatch.setattr(Keeper, "put", counted)
    monkeypatch.setattr(fold, "BATCH", 4)
    return found


def killed() -> None:
    """Ends the attempt as nothing in it expects."""
    raise SystemExit


def pressed() -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def ended(at: int, how: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the attempt end in the midst of a batch."""
    put, left = Keeper.put, iter(range(1, 100))

    def put_once(self: Keeper, rows: Any, values: np.ndarray) -> None:
        put(self, rows, values)
        if next(left) == at:
            how()

    monkeypatch.setattr(Keeper, "put", put_once)


@pytest.mark.parametrize("adapt", [{}, {"method": "probe"}])
@pytest.mark.parametrize(("how", "every", "again"), [(killed, 0.0, 3), (pressed, 60.0, 2), (killed, 60.0, 5)])
def test_it_goes_on_where_it_was(
    adapt: dict[str, Any], how: Callable[[], None], every: float, again: int, tmp_path: Path, puts: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Killed in its third batch it lost that one; interrupted, none; without a save, all."""
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path, **({"adapt": adapt, "backbone": {"from": "./backbone"}} if adapt else {}))
    _, _, whole = running.trained(spec, tmp_path / "cold", "fold-train")
    batches = len(puts)
    puts.clear()
    with monkeypatch.context() as changed:
        changed.setattr(saves, "EVERY", every)
        changed.setattr(saves, "SHARE", 0.0)
        ended(3, how, changed)
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            running.trained(spec, tmp_path / "store", "fold-train")
    assert len(puts) == 3
    puts.clear()
    _, _, out = running.trained(spec, tmp_path / "store", "fold-train")
    assert len(puts) == batches - 5 + again
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


@pytest.mark.parametrize("damage", ["cut", "words", "other"])
def test_it_begins_anew_where_what_was_left_can_t_be_used(damage: str, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, 8, 2, None)
    keeper.put([0], np.ones((1, 2), np.float32))
    keeper.passed(is_last=True)
    assert Keeper(tmp_path, 8, 2, None).done == 1
    if damage == "cut":
        (tmp_path / VALUES).write_bytes((tmp_path / VALUES).read_bytes()[:-1])
    elif damage == "words":
        (tmp_path / DONE).write_text(json.dumps({"done": 1}))
    else:
        np.save(tmp_path / VALUES, np.ones((8, 3), np.float32))
    found = Keeper(tmp_path, 8, 2, None)
    assert found.done == 0
    assert not found.values.any()
    assert found.values.shape == (8, 2)


def test_what_another_has_made_meanwhile_is_linked_over_it(
    tmp_path: Path, puts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        ended(1, pressed, changed)
        with pytest.raises(KeyboardInterrupt):
            running.trained(labelled(tmp_path, "mood"), tmp_path / "store", "fold-train")
    _, _, other = running.trained(labelled(tmp_path, "thing"), tmp_path / "store", "fold-train")
    puts.clear()
    _, _, out = running.trained(labelled(tmp_path, "mood"), tmp_path / "store", "fold-train")
    assert not puts
    assert (out / VALUES).samefile(other / VALUES)
    assert {path.name for path in out.iterdir()} == {path.name for path in other.iterdir()}


def test_a_disk_that_is_full_at_once_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        Keeper(tmp_path, 8, 2, None)
    assert not list(tmp_path.iterdir())
