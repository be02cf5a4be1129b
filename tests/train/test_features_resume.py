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
from graftc.compiler.features.cache import DONE, EDGES, VALUES, FeatureWriter
from graftc.compiler.features.layers import Prefix
from graftc.compiler.stages import features as features_stage
from graftc.compiler.store import store

from ..backbones import tiny
from ..builds.test_content_keys import write as labelled
from . import running
from .test_feature_caching import write


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each batch had that was kept, of four at most."""
    found: list[int] = []
    put = FeatureWriter.put

    def counted(self: FeatureWriter, rows: Any, values: np.ndarray) -> None:
        put(self, rows, values)
        found.append(len(rows))

    monkeypatch.setattr(FeatureWriter, "put", counted)
    monkeypatch.setattr(features_stage, "BATCH", 4)
    return found


def killed() -> None:
    """Ends the attempt as nothing in it expects."""
    raise SystemExit


def pressed() -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def ended(at: int, how: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the attempt end in the midst of a batch."""
    put, left = FeatureWriter.put, iter(range(1, 100))

    def put_once(self: FeatureWriter, rows: Any, values: np.ndarray) -> None:
        put(self, rows, values)
        if next(left) == at:
            how()

    monkeypatch.setattr(FeatureWriter, "put", put_once)


@pytest.mark.parametrize("adapt", [{}, {"method": "probe"}])
@pytest.mark.parametrize(("how", "every", "again"), [(killed, 0.0, 3), (pressed, 60.0, 2), (killed, 60.0, 5)])
def test_it_goes_on_where_it_was(
    adapt: dict[str, Any], how: Callable[[], None], every: float, again: int, tmp_path: Path, puts: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Killed in its third batch it lost that one; interrupted, none; without a save, all."""
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path, **({"adapt": adapt, "backbone": {"from": "./backbone"}} if adapt else {}))
    _, _, whole = running.trained(spec, tmp_path / "cold", "features-train")
    batches = len(puts)
    puts.clear()
    with monkeypatch.context() as changed:
        changed.setattr(saves, "EVERY", every)
        changed.setattr(saves, "SHARE", 0.0)
        ended(3, how, changed)
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            running.trained(spec, tmp_path / "store", "features-train")
    assert len(puts) == 3
    puts.clear()
    _, _, out = running.trained(spec, tmp_path / "store", "features-train")
    assert len(puts) == batches - 5 + again
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


@pytest.mark.parametrize("damage", ["cut", "empty", "words", "none", "other shape", "other batches"])
def test_it_begins_anew_where_what_was_left_can_t_be_used(damage: str, tmp_path: Path) -> None:
    def attempt(batches: int = 2) -> FeatureWriter:
        return FeatureWriter(tmp_path, 8, 2, None, batches=batches)

    writer = attempt()
    writer.put([0], np.ones((1, 2), np.float32))
    writer.passed(at_once=True)
    assert attempt().done == 1
    values, done = tmp_path / VALUES, tmp_path / DONE
    if damage == "cut":
        values.write_bytes(values.read_bytes()[:-1])
    elif damage == "empty":
        values.write_bytes(b"")
    elif damage == "words":
        done.write_text(json.dumps({"done": 1}))
    elif damage == "none":
        values.unlink()
    elif damage == "other shape":
        np.save(values, np.ones((8, 3), np.float32))
    for _ in range(2):  # killed at once, it leaves nothing that the next one could take for its work
        found = attempt(3 if damage == "other batches" else 2)
        assert found.done == 0
        assert not found.values.any()
        assert found.values.shape == (8, 2)


def test_a_batch_is_taken_in_as_many_parts_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that its rows are padded as they would have been without an end."""
    tiny.save("bert", tmp_path / "backbone")
    spec, seen = write(tmp_path), []
    states = Prefix.states

    def tight(self: Prefix, given: Any) -> Any:
        seen.append(len(given["input_ids"]))
        if len(seen) == 1:
            raise MemoryError
        return states(self, given)

    monkeypatch.setattr(Prefix, "states", tight)
    monkeypatch.setattr(features_stage, "BATCH", 4)
    with monkeypatch.context() as changed:
        ended(4, pressed, changed)
        with pytest.raises(KeyboardInterrupt):
            running.trained(spec, tmp_path / "store", "features-train")
    running.trained(spec, tmp_path / "store", "features-train")
    assert seen[0] == 4
    assert max(seen[1:]) == 2


@pytest.mark.parametrize("adapt", [{}, {"method": "probe"}])
def test_what_is_whole_is_not_computed_again(
    adapt: dict[str, Any], tmp_path: Path, puts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it took its place, and with the half of a file that it was writing."""
    tiny.save("bert", tmp_path / "backbone")
    spec = write(tmp_path, **({"adapt": adapt, "backbone": {"from": "./backbone"}} if adapt else {}))
    with monkeypatch.context() as changed:
        changed.setattr(store, "sync_tree", lambda folder: killed() if "features" in str(folder) else None)
        with pytest.raises(SystemExit):
            running.trained(spec, tmp_path / "store", "features-train")
    (staging,) = (tmp_path / "store" / "staging").glob("features-*")
    whole = {path.name: path.read_bytes() for path in staging.iterdir()}
    (staging / f"{DONE}.partial").write_text("{")
    puts.clear()
    _, _, out = running.trained(spec, tmp_path / "store", "features-train")
    assert not puts
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def half(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt for one label that ended after its first batch."""
    with monkeypatch.context() as changed:
        ended(1, pressed, changed)
        with pytest.raises(KeyboardInterrupt):
            running.trained(labelled(folder, "mood"), folder / "store", "features-train")


def test_what_another_has_made_meanwhile_is_linked_over_it(
    tmp_path: Path, puts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    half(tmp_path, monkeypatch)
    _, _, other = running.trained(labelled(tmp_path, "thing"), tmp_path / "store", "features-train")
    puts.clear()
    _, _, out = running.trained(labelled(tmp_path, "mood"), tmp_path / "store", "features-train")
    assert not puts
    assert (out / VALUES).samefile(other / VALUES)
    assert {path.name for path in out.iterdir()} == {path.name for path in other.iterdir()}
    assert not list((tmp_path / "store").rglob("*.tried"))
    assert not list((tmp_path / "store" / "staging").iterdir())


@pytest.mark.parametrize("reason", ["damaged", "no links"])
def test_it_goes_on_where_what_another_has_made_is_of_no_use(
    reason: str, tmp_path: Path, puts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    half(tmp_path, monkeypatch)
    puts.clear()
    _, _, other = running.trained(labelled(tmp_path, "thing"), tmp_path / "store", "features-train")
    batches, whole = len(puts), (other / VALUES).read_bytes()
    puts.clear()
    if reason == "damaged":
        (other / VALUES).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:

        def unable(*_: Any) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", unable)
    _, _, out = running.trained(labelled(tmp_path, "mood"), tmp_path / "store", "features-train")
    assert len(puts) == batches - 1
    assert (out / VALUES).read_bytes() == whole


@pytest.mark.parametrize("left", [{DONE, EDGES, VALUES}, {VALUES}, {VALUES, EDGES}])
def test_nothing_is_written_into_what_another_has_finished(left: set[str], tmp_path: Path) -> None:
    """An attempt that was killed may have left links to it."""
    lengths = np.array([2, 1])
    (tmp_path / "other").mkdir()
    (tmp_path / "out").mkdir()
    finished = FeatureWriter(tmp_path / "other", 2, 2, lengths)
    finished.put([0, 1], np.ones((2, 2, 2), np.float32))
    finished.passed()
    finished.close()
    before = {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    for name in left & before.keys():
        os.link(tmp_path / "other" / name, tmp_path / "out" / name)
    again = FeatureWriter(tmp_path / "out", 2, 2, lengths)
    assert again.done == (DONE in left)
    if not again.done:
        again.put([0, 1], np.zeros((2, 2, 2), np.float32))
        again.passed()
    inode = (tmp_path / "other" / EDGES).stat().st_ino
    again.close()
    assert {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()} == before
    assert (tmp_path / "out" / EDGES).stat().st_ino != inode, "a file of its own, so that the other was never cut"


def test_a_disk_that_is_full_at_once_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        FeatureWriter(tmp_path, 8, 2, None)
    assert not list(tmp_path.iterdir())
