"""The rules that hold the house up and that no linter knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_origin

import pytest

from graftc.compiler.frozen import Frozen
from graftc.compiler.planning import plan

ROOT = Path(__file__).resolve().parents[2]
LINKS = ("compiler", "runtime", "specs", "templates")
CODE = sorted(path for folder in ("compiler", "runtime") for path in (ROOT / folder).rglob("*.py"))
SKIPPED = {".venv", ".git", "build", "dist", "bundles", "__pycache__", "graftc.egg-info"}
EXAMPLES = sorted((ROOT / "specs").glob("*.yaml"))
# whatever loads slowly and is of no use before a build
HEAVY = ("torch", "transformers", "peft", "accelerate", "datasets", "onnx", "kornia", "torchmetrics")


def run(code: str, *words: str) -> str:
    """What a fresh interpreter prints, started from the repository's root."""
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", LINKS)
def test_links_resolve(name: str) -> None:
    link = ROOT / "graftc" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"
    assert link.is_dir()


def test_no_class_exists_twice() -> None:
    """From the root, `import compiler` would make a second copy of every class; nothing in the package does it."""
    loaded = run(
        "import pkgutil, sys, importlib, graftc\n"
        "for found in pkgutil.walk_packages(graftc.__path__, 'graftc.'):\n"
        "    if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
        "print(*sorted(sys.modules))"
    ).split()
    assert "graftc.compiler.stages.train" in loaded
    assert not {"compiler", "runtime", "templates", "specs"} & {name.partition(".")[0] for name in loaded}


def test_runtime_runs_without_the_compiler() -> None:
    run(
        "import sys, importlib, pkgutil\n"
        "sys.modules['graftc.compiler'] = None\n"
        "import graftc.runtime\n"
        "for found in pkgutil.walk_packages(graftc.runtime.__path__, 'graftc.runtime.'): importlib.import_module(found.name)\n"
        f"assert not set({HEAVY}) & set(sys.modules)"
    )


def test_runtime_runs_from_a_folder_of_its_own(tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys, pkgutil, importlib\n"
        "spec = importlib.util.spec_from_file_location('other', sys.argv[1] + '/__init__.py', submodule_search_locations=[sys.argv[1]])\n"
        "sys.modules['other'] = module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "for found in pkgutil.walk_packages(module.__path__, 'other.'): importlib.import_module(found.name)\n"
        "assert not [name for name in sys.modules if name.startswith('graftc.')]"
    )
    run(code, str(ROOT / "runtime"))


@pytest.mark.parametrize("verb", ["validate", "plan"])
@pytest.mark.parametrize("spec", EXAMPLES, ids=lambda path: path.stem)
def test_checking_and_planning_load_no_training_library(verb: str, spec: Path) -> None:
    code = (
        "import sys\n"
        "from graftc.compiler.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code in (None, 0, 4), end.code\n"  # 4: the hub can't be asked from here
        f"assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)"
    )
    run(code, verb, str(spec))


def test_names_say_what_is_inside() -> None:
    banned = re.compile(r"(^|_)(utils?|helpers?|common|misc|manager|handler|base|core)(_|$)")
    found = [path for path in CODE for part in path.relative_to(ROOT).with_suffix("").parts if banned.search(part)]
    assert not found


def tracked() -> list[Path]:
    """Every text file that is part of the project, whether or not this checkout has git."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in SKIPPED and not name.endswith("_cache")]
        found += [Path(folder) / name for name in files if not name.endswith((".png", ".pyc"))]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = {ROOT / name for name in listed.stdout.split("\0")} if listed.returncode == 0 else set(found)
    return [path for path in found if path in names]


def test_no_path_of_a_machine_and_no_index_is_written_down() -> None:
    # spelt in pieces, so that this file passes its own test
    words = (
        "/ho" + "me/",
        "/wo" + "rk/",
        "/ro" + "ot/",
        "/Us" + "ers/",
        "C:" + "\\\\",
        "find-li" + "nks",
        "index-" + "url",
    )
    hosts = ("py" + "pi.org", "pytho" + "nhosted", "pytor" + "ch.org/whl", "art" + "ifactory")
    pattern = re.compile("|".join(re.escape(word) for word in (*words, *hosts)))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_a_plan_holds_nothing_that_changes() -> None:
    """A list in it could be appended to, and its hash would no longer be the plan's."""
    for record in vars(plan).values():
        if isinstance(record, type) and issubclass(record, Frozen):
            for name, field in record.model_fields.items():
                kinds = {get_origin(field.annotation), *map(get_origin, get_args(field.annotation))}
                assert not kinds & {list, dict, set}, f"{record.__name__}.{name}"
