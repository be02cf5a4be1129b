"""Door 6: a store gives back what was written there by its owner, and writes nowhere else, whatever others put into it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graftc.compiler.cli import main
from graftc.compiler.diagnostics import Refused
from graftc.compiler.store import collection, integrity
from graftc.compiler.store.hashes import WORTH, digest, file_sha256, recall
from graftc.compiler.store.ownership import make_folders
from graftc.compiler.store.store import ABSENT, UNRECORDED, Store, write_atomically

from ..builds import subjects

MARK = "print('planted')\n"
SETTLED = 0.15  # seconds until a file's times tell it from a later state
SOMEBODY = 12_345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attacked")
    subjects.write(folder, subjects.features(folder))
    build(folder)
    return folder


@pytest.fixture
def place(built: Path, tmp_path: Path) -> Path:
    """A copy of a built spec with its store and bundle, to be attacked."""
    return Path(shutil.copytree(built, tmp_path / "place", symlinks=True))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A folder of the user's that no attack may change."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["precious"]
    assert (folder / "precious").read_text() == "mine"


def build(place: Path, *words: str) -> None:
    main(["build", str(place / "spec.yaml"), "-o", str(place / "bundle"), "--store", str(place / "store"), *words])


def of(place: Path, stage: str) -> Path:
    (found,) = (place / "store" / "stages" / stage).iterdir()
    return found


def made(store: Store, stage: str = "pack", key: str = "a" * 64, text: str = "right") -> Path:
    def run(out: Path) -> None:
        (out / "inner").mkdir(exist_ok=True)
        (out / "inner" / "predict.py").write_text(text)

    return store.make(stage, key, run)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        act()
    (found,) = caught.value.diagnostics
    assert found.code == "E0426"
    assert "--store" in found.help
    return found.notes[0]


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*")) if not path.is_symlink()}


# --- whole builds


def test_another_wrapper_under_the_right_key_is_not_delivered(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = (place / "bundle" / "predict.py").read_text()
    shutil.rmtree(place / "bundle")
    packed = of(place, "pack")
    (packed / "predict.py").write_text(MARK)
    entries = json.loads((packed / "manifest.json").read_bytes())
    entries["files"]["predict.py"] = {"bytes": len(MARK), "sha256": file_sha256(packed / "predict.py")}
    (packed / "manifest.json").write_text(json.dumps(entries))
    build(place)
    said = capsys.readouterr().err
    assert (place / "bundle" / "predict.py").read_text() == right
    assert said.count("pack: what the store holds is not as it was written, and is made again") == 1
    build(place)
    assert "not as it was written" not in capsys.readouterr().err


def test_other_graphs_under_the_right_key_are_not_packed(place: Path) -> None:
    right = (place / "bundle" / "model.onnx").read_bytes()
    graph = of(place, "export") / "model.onnx"
    graph.write_bytes(right[:-9] + bytes(9))
    build(place, "--set", "description=Other words.")
    assert (place / "bundle" / "model.onnx").read_bytes() == right


def test_what_cache_why_says_runs_is_what_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (of(place, "pack") / "predict.py").write_text(MARK)
    main(["cache", "why", str(place / "spec.yaml"), "--store", str(place / "store"), "--json"])
    rows = {row["stage"]: row for row in json.loads(capsys.readouterr().out)}
    assert [name for name in rows if rows[name]["is_needed"]] == ["pack"]
    assert rows["pack"]["because"] == ["not as it was written: predict.py has changed"]


def test_write_bits_of_others_are_taken_away_and_that_is_said_once(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (place / "store", *(place / "store").rglob("*")):
        path.chmod(path.stat().st_mode | 0o022)
    build(place)
    first = capsys.readouterr()
    build(place)
    again = capsys.readouterr()
    assert "tiny: nothing to do" in first.out
    assert first.err.count("others could write to") == 1
    assert "others could write to" not in again.err
    assert not stat.S_IMODE((place / "store").stat().st_mode) & 0o022
    assert not any(mode & 0o022 for mode in modes(of(place, "pack")))


# --- records


def test_whatever_differs_counts_as_absent_and_is_made_again(store: Store) -> None:
    def spoil(path: Path) -> None:
        path.write_text("wrong")

    spoilt: dict[str, Callable[[Path], object]] = {
        "inner/predict.py has changed": lambda out: spoil(out / "inner" / "predict.py"),
        "inner/predict.py is missing": lambda out: (out / "inner" / "predict.py").unlink(),
        "inner/more.py was added": lambda out: spoil(out / "inner" / "more.py"),
        "inner/predict.py is a link": lambda out: linked(out / "inner" / "predict.py"),
        "it is a link": lambda out: (shutil.move(out, out.with_name("elsewhere")), out.symlink_to("elsewhere")),
        UNRECORDED: lambda out: store.record("pack", out.name).unlink(),
    }

    def linked(path: Path) -> None:
        path.rename(path.parents[3] / "elsewhere.py")
        path.symlink_to(path.parents[3] / "elsewhere.py")

    for number, (word, spoils) in enumerate(spoilt.items()):
        key = f"{number:064}"
        spoils(made(store, key=key))
        assert store.flaws("pack", key) == [word]
        again = made(store, key=key)
        assert store.flaws("pack", key) == []
        assert (again / "inner" / "predict.py").read_text() == "right"
        assert not again.is_symlink()


def test_own_outputs_that_change_places_are_known_as_such(store: Store) -> None:
    keys = ("a" * 64, "b" * 64)
    for key in keys:
        made(store, key=key, text=key)
    for path in (lambda key: store.path("pack", key), lambda key: store.record("pack", key)):
        first, second = map(path, keys)
        first.rename(first.with_name("aside"))
        second.rename(first)
        first.with_name("aside").rename(second)
    assert store.flaws("pack", keys[0]) == [UNRECORDED]
    assert (made(store, key=keys[0], text="right") / "inner" / "predict.py").read_text() == "right"


def test_a_record_of_before_is_held_to_its_key(store: Store) -> None:
    """Records that name no key are those of an earlier graftc: what they were made of tells it."""
    what = {"stage": "pack", "record": {"plan": "x"}}
    key = digest(what)
    store.make("pack", key, lambda out: (out / "predict.py").write_text("right") and None, made={"plan": "t", **what})
    path = store.record("pack", key)
    record = {name: value for name, value in json.loads(path.read_bytes()).items() if name != "of"}
    path.write_text(json.dumps(record))
    assert store.flaws("pack", key) == []
    path.write_text(json.dumps({**record, "made": {**record["made"], "record": {"plan": "y"}}}))
    assert store.flaws("pack", key) == [UNRECORDED]


@pytest.mark.parametrize(
    "files", ['{"inner/predict.py": [5, NaN]}', '{"inner/predict.py": {}}', "[]", "1e999", '{"\\ud800": [5, "x"]}']
)
def test_an_odd_record_is_none(store: Store, files: str) -> None:
    made(store)
    path = store.record("pack", "a" * 64)
    path.write_text(f'{{"of": ["pack", "{"a" * 64}"], "made": [], "files": {files}}}')
    assert store.flaws("pack", "a" * 64)
    assert (made(store) / "inner" / "predict.py").read_text() == "right"
    assert store.flaws("pack", "a" * 64) == []


def test_an_output_is_read_once_and_again_where_it_was_touched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(store) / "inner" / "predict.py"
    time.sleep(SETTLED)
    read: list[Path] = []
    monkeypatch.setattr(integrity, "file_sha256", lambda path: read.append(path) or file_sha256(path))
    assert store.flaws("pack", "a" * 64) == []
    assert store.flaws("pack", "a" * 64) == []
    assert read == [path]
    before = path.stat()
    path.write_text("wrong")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # of one size, and of the same date
    assert store.flaws("pack", "a" * 64) == ["inner/predict.py has changed"]


# --- whose they are


@as_root
@pytest.mark.parametrize("what", ["stages", "stages/pack", "entry", "file", "record", "locks", "staging", "digests"])
def test_what_is_somebody_else_s_is_refused(store: Store, what: str) -> None:
    entry = made(store)
    places = {
        "entry": entry,
        "file": entry / "inner" / "predict.py",
        "record": store.record("pack", "a" * 64),
    }
    for name in ("staging", "digests", "locks"):
        make_folders(store.root / name)
    os.chown(places.get(what, store.root / what), SOMEBODY, -1)
    assert f"user {SOMEBODY}" in refused(lambda: made(Store(store.root)))


@as_root
def test_root_takes_what_is_of_the_store_s_owner(store: Store) -> None:
    made(store)
    for path in (store.root, *store.root.rglob("*")):
        os.chown(path, SOMEBODY, -1)
    assert Store(store.root).flaws("pack", "a" * 64) == []


@pytest.mark.parametrize(("mode", "is_refused"), [(0o777, True), (0o1777, False), (0o775, False)])
def test_a_world_writable_folder_above_needs_a_sticky_bit(tmp_path: Path, mode: int, is_refused: bool) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    store = Store(tmp_path / "open" / "store")
    if is_refused:
        assert "without sticky bit" in refused(lambda: made(store))
        assert not store.root.exists()
    else:
        assert made(store).is_dir()
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == mode


def test_the_folder_of_other_things_keeps_its_mode(tmp_path: Path) -> None:
    """A store made in a folder that others share, as /tmp is, leaves that as it is."""
    (tmp_path / "notes.txt").write_text("ours")
    tmp_path.chmod(0o1777)
    assert made(Store(tmp_path)).is_dir()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    tmp_path.chmod(0o777)
    assert "world-writable" in refused(lambda: made(Store(tmp_path)))


def test_all_that_is_made_is_for_its_owner_only(store: Store) -> None:
    before = os.umask(0)
    try:
        made(store)
        store.offer("content_key", "pack", "a" * 64)
        large = store.root.parent / "large"
        large.write_bytes(bytes(WORTH))
        time.sleep(SETTLED)
        assert len(file_sha256(large, store.digests)) == 64
    finally:
        os.umask(before)
    assert list(store.digests.iterdir())
    assert modes(store.root) == {0o700, 0o600}


def test_hashes_that_others_could_have_noted_are_not_believed(store: Store, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(WORTH))
    time.sleep(SETTLED)
    right = file_sha256(large, store.digests)
    (note,) = store.digests.iterdir()
    note.write_text("f" * 64)
    assert file_sha256(large, store.digests) == "f" * 64, "it is the owner's"
    note.chmod(0o620)
    assert file_sha256(large, store.digests) == right
    note.unlink()
    (tmp_path / "theirs").write_text("f" * 64)
    note.symlink_to(tmp_path / "theirs")
    assert file_sha256(large, store.digests) == right
    note.unlink()
    note.write_text("f" * 64)
    note.chmod(0o600)
    store.digests.chmod(0o770)
    assert recall(store.digests, note.name) == ""
    if os.geteuid() == 0:
        store.digests.chmod(0o700)
        os.chown(note, SOMEBODY, -1)
        assert file_sha256(large, store.digests) == right


# --- planted links


def test_a_lock_that_is_a_link_is_not_written_through(store: Store, victim: Path) -> None:
    (store.folder("locks") / f"pack-{'a' * 64}").symlink_to(victim / "precious")
    assert "a link" in refused(lambda: made(store))


@pytest.mark.parametrize("name", ["stages", "records", "staging", "locks", "digests", "content-keys", "trash"])
def test_a_folder_that_is_a_link_is_not_gone_into(store: Store, victim: Path, name: str) -> None:
    make_folders(store.root)
    (store.root / name).symlink_to(victim)
    assert "a link" in refused(lambda: made(store))
    assert recall(store.digests, "precious") == ""


def test_a_collector_does_not_empty_what_the_trash_leads_to(store: Store, victim: Path) -> None:
    made(store)
    fresh = Store(store.root)
    (entry,) = collection.entries(fresh)  # which has looked at the store already
    (store.root / "trash").symlink_to(victim)
    refused(lambda: collection.remove(fresh, entry))


def test_a_stage_does_not_work_in_what_a_link_leads_to(store: Store, victim: Path) -> None:
    staging = store.folder("staging") / f"pack-{'a' * 64}"
    staging.symlink_to(victim)
    assert (made(store) / "inner" / "predict.py").read_text() == "right"
    staging.symlink_to(victim)
    seen: list[list[Path]] = []
    store.make("train", "a" * 64, lambda out: seen.append(list(out.iterdir())), resumes=True)
    assert seen == [[]]


def test_nothing_is_gone_on_with_that_others_could_have_left(store: Store) -> None:
    def left(mode: int) -> list[str]:
        staging = store.folder("staging") / f"train-{'a' * 64}"
        make_folders(staging)
        (staging / "checkpoint").write_text("planted")
        staging.chmod(mode)
        seen: list[list[str]] = []

        def run(out: Path) -> None:
            seen.append([path.name for path in out.iterdir()])
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.make("train", "a" * 64, run, resumes=True)
        return seen[0]

    assert left(0o700) == ["checkpoint"]
    assert left(0o770) == []
    assert left(0o703) == []


def test_a_file_is_replaced_and_not_what_a_link_in_its_way_leads_to(store: Store, victim: Path) -> None:
    folder = store.folder("records")
    for name in ("file", "file.partial"):
        (folder / name).symlink_to(victim / "precious")
    write_atomically(folder / "file", lambda staged: staged.write_text("new"))
    assert (folder / "file").read_text() == "new"
    assert not (folder / "file").is_symlink()


def test_a_likeness_leads_to_an_output_and_nowhere_else(store: Store, victim: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    source = store.make("features", "a" * 64, lambda out: (out / "values").write_text("right") and None)
    store.offer("content_key", "features", "a" * 64)
    assert store.take("content_key", out) == "features"
    assert (out / "values").stat().st_ino == (source / "values").stat().st_ino
    pointer = store.root / "content-keys" / "content_key"
    for planted in ('["../..", "home"]', '["features", "../../../home"]', "[1, 2]", "{}", '["features"]'):
        pointer.write_text(planted)
        assert store.take("content_key", out) is None
    pointer.write_text(json.dumps(["features", "a" * 64]))
    pointer.chmod(0o666)
    assert store.take("content_key", out) is None


def test_an_output_that_is_not_there_is_no_more_than_that(store: Store) -> None:
    assert store.flaws("pack", "a" * 64) == [ABSENT]
    assert not store.root.exists(), "looking makes nothing"
