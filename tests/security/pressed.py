"""Interrupts builds at moments spread over their length, each in a process forked once the libraries are loaded.

A script of its own, so that there are no threads to lose: `python pressed.py FOLDER MOMENTS` prints, as JSON, of each
build its status and what it said; first of one that was left alone, with its seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from graftc.compiler import variants
from tests.builds import subjects

PATIENCE = 60.0  # seconds until a build that did not hear is killed


def start(folder: Path, number: int) -> int:
    """Forks a build as the command line's door makes it; returns its process once it listens."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        return child
    shutil.rmtree(folder / f"store{number}", ignore_errors=True)
    log = os.open(folder / f"{number}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    words = ["build", "spec.yaml", "-o", f"out{number}/bundle", "--store", f"store{number}"]
    sys.argv = ["graftc", *words]
    from graftc import __main__
    from graftc.compiler import interrupts

    listen = interrupts.listen

    def told() -> None:
        listen()
        os.write(writing, b".")

    interrupts.listen = told
    try:
        __main__.main()
    finally:
        (folder / "modules").write_text("\n".join(sys.modules))
    sys.exit(0)


def ended(child: int) -> int:
    """The status of a build; of one that hears nothing, that of its end by force."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Builds once in peace, then once a moment."""
    folder, moments = Path(sys.argv[1]), int(sys.argv[2])
    os.chdir(folder)
    import torch

    torch.set_num_threads(1)
    for name in variants.words("stages"):
        import_module(f"graftc.compiler.stages.{name}")
    import_module("graftc.compiler.cli.build")
    subjects.write(folder, subjects.features(folder))
    ended(start(folder, 0))
    for name in (folder / "modules").read_text().splitlines():
        with suppress(Exception):  # the next builds find loaded what this one had to load
            import_module(name)
    begun = time.monotonic()
    found = [{"status": ended(start(folder, 0)), "moment": 0.0}]
    seconds = time.monotonic() - begun
    for number in range(1, moments + 1):
        child = start(folder, number)
        moment = seconds * (number - 0.5) / moments
        time.sleep(moment)
        os.kill(child, signal.SIGINT)
        found.append({"status": ended(child), "moment": moment})
    for number, each in enumerate(found):
        each["said"] = (folder / f"{number}.log").read_text()
    print(json.dumps({"seconds": seconds, "builds": found}))


if __name__ == "__main__":
    main()
