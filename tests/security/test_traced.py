"""Door 7, seen from the system: what validate, plan and build read lies where the spec says, or is installed."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import pytest

from ..builds import subjects
from ..silence.test_silence import ROOT, Place, Traced

GRAFTC = (sys.executable, "-P", "-m", "graftc")  # as the installed command, which has no working folder on its path
CODE = ("compiler", "runtime", "templates", "graftc", "pyproject.toml", "graftc.egg-info")
# what the system and its libraries read of themselves: no file of a user
SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share", "/usr/bin", "/bin", "/sys"),
    *("/dev/null", "/dev/tty", "/dev/random", "/dev/urandom", "/dev/zero", "/dev/shm/sem."),
    *("/etc/ld.so", "/etc/localtime", "/etc/mime.types", "/etc/os-release", "/etc/ssl", "/etc/nsswitch", "/etc/passwd"),
)
OWN = re.compile(
    r"/proc/(?:(?:self|\d+)/(?:task/\d+/)?(?:maps|status|stat|cgroup|mountinfo|comm|cmdline|fd|statm)|cpuinfo|meminfo|sys/|stat|mounts|filesystems|version)"
)
SECRETS = (".netrc", ".env", ".ssh/id_ed25519", ".cache/huggingface/token", ".config/graftc", ".gitconfig", "pip.conf")
ALLOCATOR = re.compile(r"/proc/\d+/environ")  # that of torch looks there for its options, before anything is loaded
EVERY = """
import contextlib, sys
from graftc.compiler.cli import main
for verb in ("validate", "plan"):
    for name in sys.argv[1:]:
        with contextlib.suppress(SystemExit):
            main([verb, name])
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The examples and a spec to be built, each in a folder of its own; files about them that are nobody's business."""
    folder = tmp_path_factory.mktemp("traced")
    for name in ("home", "tmp", "out", "store", "built"):
        (folder / name).mkdir()
    shutil.copytree(ROOT / "specs", folder / "specs", ignore=shutil.ignore_patterns("__pycache__"))
    for above in (folder, folder / "home"):
        for name in SECRETS:
            (above / name).parent.mkdir(parents=True, exist_ok=True)
            (above / name).write_text("graftc: 1\npassword\n")
    export = {"precision": ["fp32"], "gate": {"metric_drop": 1.0}}
    subjects.write(
        folder / "built", subjects.text(folder / "built", train={"max_steps": 2, "batch_size": 8}, export=export)
    )
    return Place(folder)


def strays(ran: Traced, within: Iterable[Path]) -> set[str]:
    """What was read that lies neither in some folders nor is installed."""
    installed = {
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        sysconfig.get_path("stdlib"),
        *(str(ROOT / name) for name in CODE),
    }
    roots = {os.path.realpath(path) for path in (*installed, *within)} | {sys.prefix}
    found = set()
    for call, what in ran.calls:
        if not call.startswith("open"):
            continue
        real = os.path.realpath(what) if not what.startswith("/proc") else what
        is_known = any(real == root or real.startswith(f"{root}/") for root in roots) or what == str(ROOT)
        is_finder = "__editable__" in what  # setuptools asks for a folder of this name; there is none
        if (
            not is_known
            and not is_finder
            and not real.startswith(SYSTEM)
            and not what.startswith(SYSTEM)
            and not OWN.match(what)
        ):
            found.add(what)
    return found


def test_the_trace_sees_what_is_read(place: Place) -> None:
    """So that an empty one means something: a file of the home, one by a link, and the environment."""
    (place.folder / "tmp/link").symlink_to(place.folder / "home" / ".netrc")
    code = "open('home/.env'); open('tmp/link'); open('/proc/self/environ'); open('specs/tickets.yaml')"
    ran = place.traced(sys.executable, "-c", code, has_reads=True)
    found = strays(ran, [place.folder / "specs"])
    assert {os.path.basename(path) for path in found} >= {".env", "link", "environ"}
    assert not any("tickets" in path for path in found)


def test_checking_every_example_reads_nothing_else(place: Place) -> None:
    names = sorted(path.name for path in (place.folder / "specs").glob("*.yaml"))
    given = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    words = (sys.executable, "-P", "-c", f"import os; os.chdir('specs')\n{EVERY}", *names)
    ran = place.traced(*words, has_reads=True, **given)
    assert ran.status == 0, ran.err
    assert ran.out.count(": fine") >= len(names) - 2, ran.err  # of some the backbone is on a Hub
    allowed = [place.folder / name for name in ("specs", "store", "tmp", "home/.cache/huggingface/hub")]
    assert not strays(ran, allowed)
    assert any("tickets/train.jsonl" in what for _, what in ran.calls)


def test_a_build_reads_nothing_else(place: Place) -> None:
    words = (*GRAFTC, "build", "built/spec.yaml", "--quiet", "--confine", "built", "--output", "out/bundle")
    ran = place.traced(*words, has_reads=True, HF_HUB_OFFLINE="1")
    assert ran.status == 0, ran.err
    found = strays(ran, [place.folder / name for name in ("built", "store", "tmp", "out")])
    assert not {what for what in found if not ALLOCATOR.fullmatch(what)}
