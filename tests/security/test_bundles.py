"""Door 4: a bundle holds what its manifest lists and nothing else, and its wrapper runs no other code of its folder."""

from __future__ import annotations

import importlib.util
import marshal
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graftc.runtime import bytecode

from ..bundle.test_bundle import TEXT, build
from ..front.cli import Command

QUESTION = "I was charged twice"
WRITING = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    return build(folder, "bert", adapt={"method": "probe"}, data=TEXT, train={"max_steps": 2})


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bundle", symlinks=True))


@pytest.fixture
def graftc(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def evil(mark: Path) -> str:
    return f"open({str(mark)!r}, 'w').close()\n"


def poison(source: Path, mark: Path) -> Path:
    """Byte code that Python takes for that of a source, and that leaves a mark and then does what the source does."""
    written, times = source.read_text(), source.stat()
    first = "from __future__ import annotations\n"
    source.write_text(written.replace(first, first.rstrip() + "; " + evil(mark), 1))
    made = Path(py_compile.compile(str(source), doraise=True))
    source.write_text(written)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    raw = bytearray(made.read_bytes())
    raw[8:12], raw[12:16] = int(times.st_mtime).to_bytes(4, "little"), times.st_size.to_bytes(4, "little")
    made.write_bytes(raw)
    return made


def package(folder: Path, name: str, mark: Path) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    (made / "__init__.py").write_text(evil(mark))
    return made


def cached(bundle: Path, mark: Path) -> None:
    poison(bundle / "graftc_runtime" / "session.py", mark)


def linked_inside(bundle: Path, mark: Path) -> None:
    (bundle / "graftc_runtime" / "session").symlink_to(package(bundle.parent / "else", "session", mark))


def linked_beside(bundle: Path, mark: Path) -> None:
    (bundle / "onnxruntime").symlink_to(package(bundle.parent / "else", "onnxruntime", mark))


def folder_beside(bundle: Path, mark: Path) -> None:
    package(bundle, "numpy", mark)


def module_beside(bundle: Path, mark: Path) -> None:
    (bundle / "hashlib.py").write_text(evil(mark))


ATTACKS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "byte code of the runtime": (cached, "`graftc_runtime/__pycache__/` is not part of the bundle: delete it"),
    "a package linked into the runtime": (linked_inside, "`graftc_runtime/session` is not part of the bundle"),
    "a package linked beside": (linked_beside, "`onnxruntime` is not part of the bundle"),
    "a package beside": (folder_beside, "`numpy/` is not part of the bundle"),
    "a module beside": (module_beside, "`hashlib.py` is not part of the bundle"),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_planted_code_is_named_and_not_run(case: str, bundle: Path, tmp_path: Path, graftc: Command) -> None:
    plant, said = ATTACKS[case]
    plant(bundle, tmp_path / "mark")
    done = subprocess.run(
        [sys.executable, "predict.py", QUESTION], cwd=bundle, env=WRITING, capture_output=True, text=True
    )
    assert (done.returncode, (tmp_path / "mark").exists()) == (0, False), done.stderr
    answer = graftc("verify", bundle)
    assert (answer.status, answer.codes) == (1, ["E0503"])
    assert said in answer.err


def imported(bundle: Path) -> str:
    words = [sys.executable, "-c", f"import predict; print(predict.Model().predict({QUESTION!r}))"]
    return subprocess.run(words, cwd=bundle, env=WRITING, capture_output=True, text=True, check=True).stdout


def test_byte_code_of_the_wrapper_is_compared_with_it(bundle: Path, tmp_path: Path, graftc: Command) -> None:
    assert "label" in imported(bundle)
    kept = Path(importlib.util.cache_from_source(str(bundle / "predict.py")))
    assert kept.is_file()
    assert not (bundle / "graftc_runtime" / "__pycache__").exists()
    assert graftc("verify", bundle).status == 0
    assert graftc("verify", "--strict", bundle).codes == ["E0503"]
    poison(bundle / "predict.py", tmp_path / "mark")
    imported(bundle)
    assert (tmp_path / "mark").exists(), "else this is no attack"
    answer = graftc("verify", bundle)
    assert answer.codes == ["E0503"]
    assert f"`__pycache__/{kept.name}` is not part of the bundle: delete it" in answer.err


@pytest.mark.parametrize("name", ["predict.cpython-27.pyc", "numpy.cpython-311.pyc", "predict.cpython-311.pyc", "x"])
def test_other_byte_code_is_refused(name: str, bundle: Path, graftc: Command) -> None:
    (bundle / "__pycache__").mkdir()
    (bundle / "__pycache__" / name).write_bytes(b"\0" * 40)
    assert graftc("verify", bundle).codes == ["E0503"]


def test_byte_code_without_end_is_refused_in_little_memory(bundle: Path) -> None:
    """A tuple that holds one twice, which holds one twice, and so on: a kilobyte that is gigabytes when written out."""
    shared: tuple[object, ...] = (b"x" * 1000,)
    for _ in range(21):  # with each more, Python takes twice as long to read it, here and there
        shared = (shared, shared)
    code = compile("x = 1", "predict.py", "exec").replace(co_consts=(shared,))
    kept = Path(importlib.util.cache_from_source(str(bundle / "predict.py")))
    kept.parent.mkdir()
    kept.write_bytes(importlib.util.MAGIC_NUMBER + b"\0" * 12 + marshal.dumps(code))
    assert kept.stat().st_size < 4000
    script = (
        "import resource, sys; from pathlib import Path; from graftc.runtime.bytecode import is_bytecode;"
        "print(is_bytecode(Path(sys.argv[1]), Path(sys.argv[2])), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    words = [sys.executable, "-c", script, str(kept), str(bundle / "predict.py")]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == "False"
    assert 100_000 < int(said[1]) < 600_000, "kilobytes: what it reads is large, and ends where it may take no more"


def test_byte_code_that_takes_too_long_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Path(py_compile.compile(str(bundle / "predict.py")))
    assert bytecode.is_bytecode(kept, bundle / "predict.py")
    monkeypatch.setattr(bytecode, "SECONDS", 0.001)
    assert not bytecode.is_bytecode(kept, bundle / "predict.py")


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "predict.py", "checkpoint/config.json", "__pycache__", "manifest.sig"]
)
def test_links_in_a_circle_are_strangers(name: str, bundle: Path, graftc: Command) -> None:
    (bundle / name).unlink(missing_ok=True)
    (bundle / name).symlink_to(Path(name).name)
    answer = graftc("verify", bundle)
    assert (answer.status, answer.codes) == (1, ["E0503"])
    assert f"`{name}`" in answer.err


def test_optimised_byte_code_is_compared_too(bundle: Path, graftc: Command) -> None:
    words = [sys.executable, "-OO", "-c", "import predict"]
    subprocess.run(words, cwd=bundle, env=WRITING, check=True)
    assert [path.name for path in (bundle / "__pycache__").iterdir()] == [f"predict.{sys.implementation.cache_tag}.opt-2.pyc"]  # fmt: skip
    assert graftc("verify", bundle).status == 0


def test_a_bundle_may_lie_in_git(bundle: Path, graftc: Command) -> None:
    (bundle / ".git").mkdir()
    os.mkfifo(bundle / ".git" / "HEAD")  # never read
    (bundle / ".gitattributes").write_text("*.onnx filter=lfs\n")
    assert graftc("verify", bundle).status == 0
    assert graftc("verify", bundle, "--strict").codes == ["E0503"]
    (bundle / "checkpoint" / ".git").mkdir()
    assert graftc("verify", bundle).codes == ["E0503"]


@pytest.mark.parametrize("plant", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("predict.py")])
def test_what_is_no_file_is_refused_too(plant: Callable[[Path], None], bundle: Path, graftc: Command) -> None:
    plant(bundle / "graftc_runtime" / "extra")
    answer = graftc("verify", bundle)
    assert answer.codes == ["E0503"]
    assert "`graftc_runtime/extra" in answer.err


def test_a_listed_file_that_is_a_link_is_refused(bundle: Path, graftc: Command) -> None:
    (bundle / "predict.py").rename(bundle.parent / "predict.py")
    (bundle / "predict.py").symlink_to(bundle.parent / "predict.py")
    assert graftc("verify", bundle).codes == ["E0503"]


@pytest.mark.parametrize("case", ["byte code of the runtime", "byte code of the wrapper"])
def test_build_delivers_anew_over_poisoned_byte_code(
    case: str, whole: Path, tmp_path: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFTC_STORE", str(whole.parent / "store"))
    again = lambda: graftc("build", whole.parent / "spec.yaml", "-o", whole, "--quiet")  # noqa: E731
    assert "nothing to do" in again().out
    source = whole / ("predict.py" if case.endswith("wrapper") else "graftc_runtime/session.py")
    poisoned = poison(source, tmp_path / "mark")
    assert graftc("verify", whole).codes == ["E0503"]
    again()
    assert not poisoned.exists()
    assert graftc("verify", whole).status == 0


def test_build_does_not_take_a_link_for_its_own(
    whole: Path, tmp_path: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFTC_STORE", str(whole.parent / "store"))
    linked_beside(whole, tmp_path / "mark")
    try:
        assert graftc("build", whole.parent / "spec.yaml", "-o", whole, "--quiet").codes == ["E0501"]
    finally:
        (whole / "onnxruntime").unlink()


def test_ends_of_lines_that_git_changed_are_told_apart(bundle: Path, graftc: Command) -> None:
    """A clone under core.autocrlf: every text of the bundle differs, and none of them was tampered with."""
    for name in ("README.md", "predict.py"):
        (bundle / name).write_bytes((bundle / name).read_bytes().replace(b"\n", b"\r\n"))
    answer = graftc("verify", bundle)
    assert answer.codes == ["E0503"]
    assert "`predict.py` was changed: its lines end in CRLF now" in answer.err
    assert "* -text" in answer.err
    (bundle / "README.md").write_bytes(b"# Another\r\n" + (bundle / "README.md").read_bytes())
    assert "`README.md` was changed\n" in graftc("verify", bundle).err


def test_what_lies_beside_is_to_be_taken_out(bundle: Path, graftc: Command) -> None:
    (bundle / ".DS_Store").write_bytes(b"\0")
    answer = graftc("verify", bundle)
    assert answer.codes == ["E0503"]
    assert "help: take out what is not the bundle's own" in answer.err
    (bundle / "README.md").unlink()
    assert "help: build or copy it again" in graftc("verify", bundle).err


@pytest.mark.parametrize("content", [b"", b"x" * 63, b"x" * 65, b"PK" * 100_000])
def test_the_one_file_that_is_not_listed_holds_a_signature_and_nothing_else(
    content: bytes, bundle: Path, graftc: Command
) -> None:
    (bundle / "manifest.sig").write_bytes(content)
    answer = graftc("verify", bundle)
    assert (answer.status, answer.codes) == (1, ["E0503"])
    assert "`manifest.sig` is no signature" in answer.err


def test_a_manifest_that_says_something_twice_is_refused(bundle: Path, graftc: Command) -> None:
    """The attack: whoever takes the first of two equal keys reads another manifest than the one that was sealed."""
    raw = (bundle / "manifest.json").read_text()
    for more in ('{"files": {}, ', '{"description": "of somebody else", '):
        (bundle / "manifest.json").write_text(raw.replace("{", more, 1))
        for verb in ("verify", "inspect"):
            assert graftc(verb, bundle).codes == ["E0503"]
