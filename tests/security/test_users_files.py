"""Door 16: what users have beside an output stays theirs, nobody else may write to a bundle, and Ctrl-C is heard."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.bundling.delivery import deliver
from graftc.compiler.cli import init
from graftc.compiler.cli._output import write_whole
from graftc.compiler.diagnostics import Refused
from graftc.compiler.store.staging import ENDING, MARK, TEXT, beside
from graftc.compiler.store.store import Store
from graftc.runtime.manifest import sha256

from .. import loaded
from ..front.conftest import Project

ROOT = Path(__file__).resolve().parents[2]
MEMORY = Path("/dev/shm")  # where fsync costs nothing
MOMENTS = 6
INTERRUPTED = "interrupted; run the same command to go on\n"


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """What a build would deliver."""
    return bundle(tmp_path / "packed", "right")


def bundle(folder: Path, text: str) -> Path:
    (folder / "graftc_runtime").mkdir(parents=True)
    (folder / "graftc_runtime" / "model.py").write_text(text)
    files = {"graftc_runtime/model.py": {"bytes": len(text), "sha256": sha256(folder / "graftc_runtime" / "model.py")}}
    (folder / "manifest.json").write_text(json.dumps({"bundle": 3, "name": "t", "files": files}))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def modes(folder: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (folder, *folder.rglob("*"))}


# --- beside an output

NAMES = (".out.partial", ".out.retired", f".out.mine{ENDING}", f".out.{ENDING}", f".out{ENDING}")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_of_the_user_s_stays_beside_an_output(tmp_path: Path, packed: Path, name: str, is_there: bool) -> None:
    output, mine = tmp_path / "bundles" / "out", tmp_path / "bundles" / name
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("mine")
    (mine / MARK).write_text("a mark of my own")
    if is_there:
        bundle(output, "an older one")
    deliver(packed, output, Store(tmp_path / "store"))
    assert contents(output) == contents(packed)
    assert contents(mine) == {"notes.txt": b"mine", MARK: b"a mark of my own"}
    assert {path.name for path in output.parent.iterdir()} == {"out", name}


def test_a_link_that_is_called_like_a_leftover_is_not_followed(tmp_path: Path, packed: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / MARK).write_text(TEXT)
    link, marked = tmp_path / f".out.a{ENDING}", tmp_path / f".out.b{ENDING}"
    link.symlink_to(home)
    marked.mkdir()
    (marked / "notes.txt").write_text("mine")
    (marked / MARK).symlink_to(home / MARK)
    deliver(packed, tmp_path / "out", Store(tmp_path / "store"))
    assert contents(home) == {MARK: TEXT.encode()}
    assert link.is_symlink()
    assert (marked / "notes.txt").read_text() == "mine"


def test_what_a_killed_build_left_is_removed_and_what_another_makes_is_not(tmp_path: Path, packed: Path) -> None:
    store, output = Store(tmp_path / "store"), tmp_path / "bundles" / "out"
    output.parent.mkdir()
    for name, said in (("whole", TEXT), ("half", TEXT[:9]), ("begun", "")):
        (output.parent / f".out.{name}{ENDING}").mkdir()
        (output.parent / f".out.{name}{ENDING}" / MARK).write_text(said)
    shutil.copytree(packed, output.parent / f".out.whole{ENDING}" / "new")
    (output.parent / f".out.empty{ENDING}").mkdir()
    with beside(output) as another:
        (another / "new").mkdir()
        with (another / MARK).open() as mark, pytest.raises(BlockingIOError):
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        deliver(packed, output, store)
        assert sorted(path.name for path in output.parent.iterdir()) == [another.name, "out"]
        assert (another / "new").is_dir()
    assert [path.name for path in output.parent.iterdir()] == ["out"]


def test_what_came_into_the_output_while_a_build_ran_is_not_taken_away(tmp_path: Path, packed: Path) -> None:
    output = bundle(tmp_path / "out", "an older one")
    (output / "notes.txt").write_text("mine")
    with pytest.raises(Refused, match="E0501"):
        deliver(packed, output, Store(tmp_path / "store"))
    assert (output / "notes.txt").read_text() == "mine"
    assert (output / "graftc_runtime" / "model.py").read_text() == "an older one"


def test_the_older_bundle_comes_back_where_the_newer_can_t_take_its_place(
    tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = bundle(tmp_path / "bundles" / "out", "an older one")
    before, rename = contents(output), os.rename

    def failing(source: Any, target: Any) -> None:
        if Path(source).name == "new":
            raise PermissionError(1, "no", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(PermissionError):
        deliver(packed, output, Store(tmp_path / "store"))
    assert contents(output) == before
    assert [path.name for path in output.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("place", ["mine", "."])
def test_init_leaves_folders_alone_that_are_called_partial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".partial", ".mine.partial"):
        Path(name).mkdir()
        Path(name, "notes.txt").write_text("mine")
    init.copy(init.EXAMPLES / "tickets.yaml", Path(place))
    assert Path(place, "tickets.yaml").is_file()
    assert not Path(place, "notes.txt").exists()
    for name in (".partial", ".mine.partial"):
        assert contents(Path(name)) == {"notes.txt": b"mine"}
    assert not list(Path().glob(f"**/.*{ENDING}"))


def test_a_file_that_is_called_like_a_list_of_bad_rows_stays(project: Project) -> None:
    listed, mine = Path("spec.bad_rows.jsonl"), '{"row": 1, "my": "notes"}\n'
    for kept in (mine, "", "not JSON\n"):
        listed.write_text(kept)
        assert project.graftc("lock", "spec.yaml").status == 0
        assert listed.read_text() == kept
    listed.write_text(json.dumps(dict.fromkeys(("split", "file", "row", "reason", "detail"), "x")) + "\n")
    assert project.graftc("lock", "spec.yaml").status == 0
    assert not listed.exists()


# --- who may write


@pytest.mark.usefixtures("open_umask")
def test_a_bundle_is_its_owner_s_to_write_and_everybody_s_to_read(tmp_path: Path, packed: Path) -> None:
    shutil.copytree(packed, tmp_path / "loose")
    for path in (tmp_path / "loose").rglob("*"):
        path.chmod(0o777)
    output = tmp_path / "new" / "bundles" / "out"
    deliver(tmp_path / "loose", output, Store(tmp_path / "store"))
    assert modes(output) == {(True, 0o755), (False, 0o644)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (output.parent, output.parents[1])} == {0o755}


@pytest.mark.usefixtures("open_umask")
def test_files_that_were_asked_for_are_not_for_all_to_write(project: Project) -> None:
    assert project.graftc("lock", "spec.yaml").status == 0
    assert project.graftc("plan", "spec.yaml", "-o", "plan.json").status == 0
    for name in ("spec.lock.yaml", "plan.json"):
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o644


@pytest.mark.parametrize(("umask", "before", "mode"), [(0o077, None, 0o600), (0o022, 0o600, 0o600), (0, 0o666, 0o644)])
def test_no_file_is_written_wider_than_it_was(tmp_path: Path, umask: int, before: int | None, mode: int) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.touch()
        path.chmod(before)
    own = os.umask(umask)
    try:
        write_whole(path, "text")
    finally:
        os.umask(own)
    assert stat.S_IMODE(path.stat().st_mode) == mode


# --- Ctrl-C

RUN = """
import os, signal, sys
from graftc.compiler import interrupts
{before}
from graftc import __main__
sys.argv = ["graftc", "validate", "spec.yaml"]
__main__.main()
"""
PRESS = "os.kill(os.getpid(), signal.SIGINT)"
TRANSLATED = f"""
class Spec:
    def find_spec(self, name, path=None, target=None):
        if name == {{name!r}}:
            try:
                {PRESS}
                for _ in range(1000): pass
            except KeyboardInterrupt:
                raise {{error}}("a library's own error") from None
sys.meta_path.insert(0, Spec())
"""
LOST = f"""
import time
class Late:
    def __del__(self):
        {PRESS}
        for _ in range(1000): pass
class Spec:
    def find_spec(self, name, path=None, target=None):
        if name == "graftc.compiler.cli.validate":
            Late()
            time.sleep(0.5)  # the work that is still to come
sys.meta_path.insert(0, Spec())
"""
ATEXIT = f"""
import atexit, time
def late():
    {PRESS}
    time.sleep(0.01)
atexit.register(late)
"""


def run(project: Project, before: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", RUN.format(before=before)],
        cwd=project.folder,
        env=settings,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ["graftc.compiler.renderers.text", "graftc.compiler.cli.validate"])
@pytest.mark.parametrize("error", ["RuntimeError", "OSError", "ImportError"])
def test_an_interrupt_of_which_a_library_makes_another_error_is_one(project: Project, name: str, error: str) -> None:
    done = run(project, TRANSLATED.format(name=name, error=error))
    assert (done.returncode, done.stderr.lstrip("\n")) == (130, INTERRUPTED)


def test_an_interrupt_in_a_finaliser_is_heard(project: Project) -> None:
    done = run(project, LOST)
    assert (done.returncode, done.stderr.lstrip("\n")) == (130, INTERRUPTED)


def test_an_interrupt_after_the_end_prints_nothing(project: Project) -> None:
    done = run(project, ATEXIT)
    assert (done.returncode, done.stderr) == (0, "")


def test_validate_ends_as_interrupted_or_finished_whenever_it_is_pressed(project: Project) -> None:
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = "import os; from graftc.compiler import interrupts; listen = interrupts.listen\n"
    told += "interrupts.listen = lambda: (listen(), os.write(1, b'.'))"
    command = [sys.executable, "-c", RUN.format(before=told)]

    def start() -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            command, cwd=project.folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert child.stdout is not None
        assert os.read(child.stdout.fileno(), 1) == b"."
        return child

    begun = time.monotonic()
    with start() as whole:
        assert whole.communicate()[1] == b""
    seconds, seen = time.monotonic() - begun, set()
    for number in range(MOMENTS):
        with start() as child:
            time.sleep(seconds * number / MOMENTS)
            child.send_signal(signal.SIGINT)
            said = child.communicate()[1].decode()
        assert child.returncode in (0, 130), said
        assert said.lstrip("\n") == (INTERRUPTED if child.returncode else ""), number
        seen.add(child.returncode)
    assert 130 in seen


def test_a_build_ends_as_interrupted_or_finished_whenever_it_is_pressed() -> None:
    folder = tempfile.mkdtemp(prefix="graftc-", dir=MEMORY if MEMORY.is_dir() else None)
    try:
        script = Path(__file__).with_name("pressed.py")
        settings = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = loaded.run(script, folder, MOMENTS, env=settings)
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    first, *builds = json.loads(done.stdout)["builds"]
    assert first["status"] == 0, first["said"]
    assert len(builds) == MOMENTS
    for built in builds:
        assert built["status"] in (0, 130), built
        assert "Traceback" not in built["said"], built
        assert "Exception ignored" not in built["said"], built
        assert built["said"].endswith(INTERRUPTED) == (built["status"] == 130), built
    assert sum(built["status"] == 130 for built in builds) >= MOMENTS // 4
