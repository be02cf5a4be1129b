"""Nothing is written outside the store, the output and the temporary folder, and no name is resolved: by system calls."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..builds import subjects
from . import tracer

ROOT = Path(__file__).resolve().parents[2]
GRAFTC = (sys.executable, "-m", "graftc")
SETTING = "ORT_DISABLE_TELEMETRY"
ELSEWHERE = ("/dev/null", "/dev/tty", "/dev/shm/sem.")  # no files: devices, and locks of Python's multiprocessing


@dataclass(frozen=True)
class Place:
    """A folder with a spec, a store, a temporary folder and an empty home."""

    folder: Path

    @property
    def allowed(self) -> tuple[str, ...]:
        return tuple(os.path.realpath(self.folder / name) for name in ("store", "out", "tmp"))

    def environment(self, **more: str) -> dict[str, str]:
        """Little more than what a container has; Python's own bytecode is none of ours."""
        given = {"PATH": os.environ["PATH"], "USER": "somebody", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        names = {"HOME": "home", "TMPDIR": "tmp", "GRAFTC_STORE": "store"}
        places = {name: str(self.folder / folder) for name, folder in names.items()}
        return {**given, **places, "PYTHONDONTWRITEBYTECODE": "1", **more}

    def traced(self, *words: str, has_reads: bool = False, **more: str) -> Traced:
        """Runs a command under the tracer; skips where the machine allows none."""
        log = self.folder / "calls.jsonl"
        flags = ["--reads"] if has_reads else []
        command = [sys.executable, str(Path(tracer.__file__)), *flags, str(log), *words]
        ran = subprocess.run(command, cwd=self.folder, env=self.environment(**more), capture_output=True, text=True)
        if ran.returncode == tracer.REFUSED:
            pytest.skip("this machine traces no system calls: Linux 5.3 on x86_64 or aarch64, and ptrace, are needed")
        calls = [tuple(json.loads(line)[1:]) for line in log.read_text().splitlines()]
        return Traced(ran.returncode, ran.stdout, ran.stderr, tuple(calls))

    def stray(self, calls: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Calls that reach outside."""
        return {
            (call, what)
            for call, what in calls
            if not what.startswith(ELSEWHERE)
            and not any(what == at or what.startswith(f"{at}/") for at in self.allowed)
        }


@dataclass(frozen=True)
class Traced:
    """How a command ended and what it asked of the system."""

    status: int
    out: str
    err: str
    calls: tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("silence")
    for name in ("home", "tmp", "out", "store"):
        (folder / name).mkdir()
    export = {"precision": ["fp32", "int8"], "gate": {"metric_drop": 1.0}}
    subjects.write(folder, subjects.text(folder, train={"max_steps": 2, "batch_size": 8}, export=export))
    return Place(folder)


@pytest.fixture(scope="module")
def build(place: Place) -> Traced:
    return place.traced(*GRAFTC, "build", "spec.yaml", "--quiet", "--output", "out/bundle")


def test_the_tracer_sees_what_threads_and_children_do(place: Place) -> None:
    code = (
        "import os, socket, subprocess, sys, threading\n"
        "done = threading.Thread(target=lambda: open('home/by-a-thread', 'w'))\n"
        "done.start(); done.join()\n"
        "subprocess.run([sys.executable, '-c', 'import os; os.mkdir(\"home/by-a-child\"); os.rmdir(\"home/by-a-child\")'])\n"
        "open('tmp/allowed', 'w')\n"
        "os.unlink('home/by-a-thread')\n"
        "for ask in (socket.create_connection, lambda at: socket.socket(type=socket.SOCK_DGRAM).sendto(b'', at)):\n"
        "    try: ask(('127.0.0.1', 9))\n"
        "    except OSError: pass\n"
        "try: socket.getaddrinfo('nowhere.invalid', 80)\n"
        "except OSError: pass\n"
        "sys.exit(3)"
    )
    ran = place.traced(sys.executable, "-c", code)
    home = os.path.realpath(place.folder / "home")
    assert ran.status == 3, ran.err
    found = place.stray(ran.calls)
    assert found >= {
        ("openat", f"{home}/by-a-thread"),
        ("mkdir" if ("mkdir", f"{home}/by-a-child") in found else "mkdirat", f"{home}/by-a-child"),
        ("connect", "inet 127.0.0.1 9"),
        ("sendto", "inet 127.0.0.1 9"),
    }
    assert {what for call, what in found if call.startswith("unlink")} >= {f"{home}/by-a-thread"}
    assert {"/etc/resolv.conf", "/etc/hosts"} & {what for _, what in found}  # what a resolver reads
    assert not any("allowed" in what for _, what in found)


@pytest.mark.parametrize("home", ["home", "nowhere"])
@pytest.mark.parametrize("verb", ["validate", "plan"])
def test_checking_is_silent(place: Place, verb: str, home: str) -> None:
    ran = place.traced(*GRAFTC, verb, "spec.yaml", HOME=str(place.folder / home))
    assert (ran.status, ran.err) == (0, "")
    assert not place.stray(ran.calls)


def test_a_build_is_silent(place: Place, build: Traced) -> None:
    said = [line for line in build.err.splitlines() if line[:1].isalpha()]
    assert build.status == 0, build.err
    assert all(line.startswith("warning[W04") for line in said), "findings of the training, and nothing else"
    assert not place.stray(build.calls)
    assert any(what.startswith(place.allowed[1]) for _, what in build.calls)  # what is allowed was seen
    assert not [*(place.folder / "home").iterdir()]


@pytest.mark.parametrize("home", ["home", "nowhere"])
@pytest.mark.parametrize("words", [("-m", "graftc", "verify", "out/bundle"), ("out/bundle/predict.py", "a warm film")])
def test_a_bundle_is_silent(place: Place, build: Traced, words: tuple[str, ...], home: str) -> None:
    ran = place.traced(sys.executable, *words, HOME=str(place.folder / home))
    assert (ran.status, ran.err) == (0, "")
    assert not place.stray(ran.calls)
    assert not [*(place.folder / "home").iterdir()]
    assert not (place.folder / "nowhere").exists()


def test_who_asks_for_telemetry_has_it(place: Place, build: Traced) -> None:
    """So that the setting is what keeps it away, and one that a user made is kept."""
    ran = place.traced(sys.executable, "out/bundle/predict.py", "a warm film", **{SETTING: "0", "HOME": "asked"})
    assert ran.status == 0
    assert any("onnxruntime" in what for _, what in place.stray(ran.calls))


@pytest.mark.parametrize("package", ["graftc.compiler", "graftc.runtime"])
@pytest.mark.parametrize(("given", "kept"), [(None, "1"), ("0", "0")])
def test_each_side_sets_it_before_anything_is_imported(package: str, given: str | None, kept: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != SETTING}
    environment |= {SETTING: given} if given else {}
    code = f"import os, sys, {package}; print(os.environ['{SETTING}'], 'onnxruntime' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.split() == [kept, "False"], ran.stderr


def test_onnxruntime_is_imported_where_it_is_set() -> None:
    """Modules of compiler and runtime, whose packages set it; whatever else imports it must set it, too."""
    inside = {path for folder in ("compiler", "runtime") for path in (ROOT / folder).rglob("*.py")}
    assert any(_imports(path) for path in inside)
    others = [path for folder in ("tests", "benchmarks", "templates") for path in (ROOT / folder).rglob("*.*")]
    others = [path for path in others if path.suffix in (".py", ".j2") and path != Path(__file__).resolve()]
    unset = [path for path in others if _imports(path) and SETTING not in path.read_text(encoding="utf-8")]
    assert not unset


def _imports(path: Path) -> bool:
    """Whether a file imports onnxruntime, itself or in code that it hands to another interpreter."""
    text = path.read_text(encoding="utf-8")
    if "onnxruntime" not in text:
        return False
    if path.suffix != ".py":
        return bool(re.search(r"\b(import|from)\b[^\n\"']*\bonnxruntime\b", text))
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        if any(name.partition(".")[0] == "onnxruntime" for name in names):
            return True
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if re.search(r"^\s*(import|from)\s[^\n]*\bonnxruntime\b|\bimport_module\(.onnxruntime", text, re.M):
            return True
    return False
