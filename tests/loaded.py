"""Python processes that begin with the libraries of a build loaded, for tests that need a process and not its start.

To load torch, transformers and peft takes several seconds of a processor. A server does so once, and forks a process
for each command; graftc itself is loaded by that process, from where its PYTHONPATH says. Hashes have the seed of the
server, which is drawn.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = (
    "torch", "transformers.modeling_utils", "transformers.models.bert.modeling_bert", "peft", "onnx", "safetensors.torch",
    "sklearn.linear_model", "tokenizers", "pydantic", "click", "yaml", "jinja2",
)  # fmt: skip


spent = 0.0  # seconds of a processor that commands took which have ended


class Running:
    """A command that was started; it must be waited for."""

    def __init__(self, words: list[str], asked: dict[str, Any], folder: TemporaryDirectory[str]) -> None:
        self.words, self.folder = words, folder
        self.number = int(_server().ask(asked))

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Its exit status and what it printed, once it has ended."""
        global spent
        status, seconds = _server().ask({"wait": self.number}).split()
        spent += float(seconds)
        said = (Path(self.folder.name, name).read_text(encoding="utf-8") for name in ("out", "err"))
        done = subprocess.CompletedProcess(self.words, int(status), *said)
        self.folder.cleanup()
        return done


def start(*words: Any, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Running:
    """Starts `python` with some words: `-m MODULE …`, `-c CODE …` or `FILE …`, as `subprocess.Popen` would."""
    folder = TemporaryDirectory(prefix="graftc-")
    given = [str(word) for word in words]
    asked = {"words": given, "cwd": str(cwd or Path.cwd()), "env": dict(env or os.environ), "folder": folder.name}
    return Running([sys.executable, *given], asked, folder)


def run(*words: Any, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The same, ended, as `subprocess.run` would."""
    return start(*words, cwd=cwd, env=env).wait()


class _Server:
    """The process that has the libraries, from which others are forked; it ends with this one."""

    def __init__(self) -> None:
        settings = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHASHSEED")}
        command = [sys.executable, "-P", __file__]
        self.process = subprocess.Popen(command, env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, asked: dict[str, Any]) -> str:
        """What it answers: the number of a process, or the status and the seconds of one that has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def end(self) -> None:
        """Lets it end."""
        self.process.communicate()


@cache
def _server() -> _Server:
    made = _Server()
    atexit.register(made.end)
    return made


# ------------------------------------------------------------------------------------------------ in the server itself


def _serve() -> None:
    for name in LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()  # what the collector leaves alone need not be copied for a child
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _, status, used = os.wait4(asked["wait"], 0)
            print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, flush=True)
        else:
            print(os.fork() or _begin(asked), flush=True)


def _begin(asked: dict[str, Any]) -> int:
    """Runs a command in this process, which was forked for it, and ends it."""
    for number, name in enumerate((os.devnull, f"{asked['folder']}/out", f"{asked['folder']}/err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(i, mode, encoding="utf-8", closefd=False) for i, mode in enumerate("rww")
    )
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.path[:0] = [path for path in asked["env"].get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.dont_write_bytecode = bool(asked["env"].get("PYTHONDONTWRITEBYTECODE"))
    own = os.getpid()
    status = _status(asked["words"])
    with suppress(OSError):
        if os.getpid() == own:  # the command may have forked
            atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _status(words: list[str]) -> int:
    """The exit status of a command, as Python itself would end it."""
    try:
        _run(words)
    except SystemExit as left:
        if left.code is None or isinstance(left.code, int):
            return left.code or 0
        print(left.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _run(words: list[str]) -> None:
    kind, rest = words[0], words[1:]
    if kind == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        module = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), module.__dict__)
    else:
        sys.path.insert(0, str(Path(kind).resolve().parent))
        sys.argv = words
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    _serve()
