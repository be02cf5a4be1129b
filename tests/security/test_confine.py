"""Door 7: with `--confine` nothing is opened that a spec, a table, a row or a lock names elsewhere, and nothing of it is said."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from graftc.compiler.boundary import OPEN, Boundary

from ..front import ground
from ..front.cli import Answer, Command
from . import ways_out
from .ways_out import SECRET, WAYS, Place, Way

FORMATS = ("json", "sarif", "github")
_watched: list[tuple[str, set[str]]] = []


def _see(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes files and folders that Python opens in a watched folder; hooks stay for the life of a process."""
    if (
        _watched
        and event in ("open", "os.listdir", "os.scandir")
        and isinstance(arguments[0], str | bytes | os.PathLike)
    ):
        real = os.path.realpath(os.fsdecode(arguments[0]))
        for folder, seen in _watched:
            if real == folder or real.startswith(folder + os.sep):
                seen.add(real)


sys.addaudithook(_see)


@contextmanager
def watched(folder: Path) -> Iterator[set[str]]:
    seen: set[str] = set()
    _watched.append((os.path.realpath(folder), seen))
    try:
        yield seen
    finally:
        _watched.pop()


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return ways_out.lay(tmp_path_factory.mktemp("laid"))


@pytest.fixture
def place(laid: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Somebody stands in the checkout; the secret is in the environment, too."""
    shutil.copytree(laid.folder, tmp_path, dirs_exist_ok=True)
    found = Place(tmp_path)
    monkeypatch.chdir(found.checkout)
    monkeypatch.setenv("GRAFTC_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PASSWORD", SECRET)
    return found


@pytest.fixture
def graftc(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def written(place: Place) -> Iterator[Path]:
    """Files in the checkout and the store that hold the secret, those apart that hold it by the way that was laid."""
    for folder in (place.checkout, place.folder / "store"):
        for file in folder.rglob("*"):
            is_own = file.is_file() and not file.is_symlink() and ".git" not in file.parts
            if is_own and os.path.realpath(file).startswith(str(folder)) and SECRET.encode() in file.read_bytes():
                yield file


def is_silent(answer: Answer) -> bool:
    return SECRET not in answer.out + answer.err


def test_the_spec_itself_is_fine(place: Place, graftc: Command) -> None:
    assert graftc("validate", "spec.yaml", "--confine", ".").status == 0


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_way_out_is_refused_at_its_place(place: Place, graftc: Command, way: Way) -> None:
    way.lay(place)
    with watched(place.elsewhere) as opened:
        answer = graftc(*way.words, "--confine", place.checkout)
        form = FORMATS[WAYS.index(way) % len(FORMATS)]
        other = graftc(*way.words, "--confine", ".", *(("--format", form) if way.words[0] == "validate" else ()))
    assert (answer.status, other.status) == (1, 1), answer.err
    found = next((each for each in answer.findings if each.code == way.code), None)
    assert found, answer.err
    assert way.place in (found.place + found.under if way.place else found.place), answer.err
    assert found.notes
    assert is_silent(answer), answer.err
    assert is_silent(other), other.out
    assert not opened
    assert not [*written(place)]


def test_there_are_forty() -> None:
    assert len({way.name for way in WAYS}) == len(WAYS) >= 40


@pytest.mark.parametrize("name", ["nothing", ".netrc"])
def test_it_is_not_said_whether_something_lies_there(place: Place, graftc: Command, name: str) -> None:
    place.spec(ways_out.data(f"{{from: ../elsewhere/{name}, format: txt}}"))
    first = graftc("validate", "spec.yaml", "--confine", ".").err.replace(name, "")
    (place.elsewhere / name).unlink(missing_ok=True)
    assert graftc("validate", "spec.yaml", "--confine", ".").err.replace(name, "") == first


# --- what lies inside


@pytest.mark.parametrize("key", ["data.train", "data.validation", "backbone.from", "data"])
def test_what_the_command_line_names_may_lie_anywhere(place: Place, graftc: Command, key: str) -> None:
    shutil.copytree(place.checkout, place.folder / "own")
    (place.folder / "own/a.jsonl").write_bytes((place.checkout / "train.jsonl").read_bytes())
    value = {
        "data.train": "../own/a.jsonl",
        "data.validation": "../own/validation.jsonl",
        "backbone.from": "../own/backbone",
        "data": "{train: ../own/a.jsonl, validation: validation.jsonl}",
    }[key]
    answer = graftc("validate", "spec.yaml", "--confine", ".", "--set", f"{key}={value}")
    assert (answer.status, answer.err) == (0, "")


def test_rows_of_what_the_command_line_names_stay_inside(place: Place, graftc: Command) -> None:
    place.pictures()
    (place.elsewhere / "p.jsonl").write_text(json.dumps({"image": "secret.png", "label": "dark"}) + "\n")
    answer = graftc("validate", "spec.yaml", "--confine", ".", "--set", "data.train=../elsewhere/p.jsonl")
    assert "E0353" in answer.codes


def test_a_spec_elsewhere_is_the_user_s_own(place: Place, graftc: Command) -> None:
    (place.folder / "own").mkdir()
    text = (place.checkout / "spec.yaml").read_text()
    inside = text.replace("./backbone", "../checkout/backbone").replace(": train.", ": ../checkout/train.")
    (place.folder / "own/spec.yaml").write_text(inside.replace(": validation.", ": ../checkout/validation."))
    assert graftc("validate", "../own/spec.yaml", "--confine", ".").status == 0
    assert graftc("plan", "spec.yaml", "--confine", ".", "--diff", "../own/spec.yaml").status == 0
    assert graftc("plan", "spec.yaml", "--confine", ".", "-o", "../own/plan.json").status == 0


def test_links_that_stay_inside_are_followed(place: Place, graftc: Command) -> None:
    for name, target in (("a", "backbone"), ("train2.jsonl", "train.jsonl")):
        (place.checkout / name).symlink_to(target)
    (place.checkout / "sub").mkdir()
    place.spec("backbone:\n  from: sub/../a\n" + ways_out.data("./sub/../train2.jsonl"))
    assert graftc("validate", "spec.yaml", "--confine", place.checkout).status == 0


def test_the_hub_s_snapshots_are_inside_and_its_token_is_not(
    place: Place, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = place.folder / "hf"
    shutil.copytree(place.checkout / "backbone", home / "hub/blobs")
    (home / "token").write_text(SECRET)
    monkeypatch.setenv("HF_HOME", str(home))
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        place.link(f"backbone/{name}", home / "hub/blobs" / name)
    assert graftc("validate", "spec.yaml", "--confine", ".").status == 0
    place.spec(ways_out.data("{from: ../hf/token, format: txt}"))
    answer = graftc("validate", "spec.yaml", "--confine", ".")
    assert "E0353" in answer.codes
    assert is_silent(answer)


def test_what_git_lfs_and_annex_keep_is_inside_and_the_clone_s_own_is_not(place: Place) -> None:
    boundary = Boundary((os.path.realpath(place.checkout),), (".",))
    key = "SHA256E-s9--0a1b.csv"
    kept = f"lfs/objects/aa/bb/{'ab' * 32}"
    assert not boundary.is_outside(f".git/{kept}")
    assert not boundary.is_outside(f".git/modules/m/{kept}")
    assert not boundary.is_outside(f".git/annex/objects/Kj/2v/{key}/{key}")
    assert boundary.is_outside(".git/annex/creds/remote")
    assert boundary.is_outside(".git/modules/annex/objects/aa/bb/config/config")
    assert not boundary.is_outside(".github/a.yaml")
    assert all(map(boundary.is_outside, (".git", ".git/config", "sub/.git/config", ".git/lfs/objects/../../config")))


def test_a_folder_more_is_inside_and_no_clone_of_either(place: Place, graftc: Command) -> None:
    checkout = os.path.realpath(place.checkout)
    for folders in ((checkout, os.path.dirname(checkout)), (os.path.dirname(checkout), checkout)):
        boundary = Boundary(folders, folders)
        assert not boundary.is_outside("../elsewhere/rows.csv")
        assert all(map(boundary.is_outside, (".git/config", "../other/.git/config", "/etc/passwd")))
    (place.folder / "mnt").mkdir()
    shutil.copy(place.checkout / "train.jsonl", place.folder / "mnt" / "train.jsonl")
    place.spec(ways_out.data("../mnt/train.jsonl"))
    both = ["--confine", ".", "--confine", "../mnt"]
    for words in (both, both[2:] + both[:2]):
        assert graftc("validate", "spec.yaml", *words).codes == []
    (place.folder / "other").mkdir()
    answer = graftc("validate", "spec.yaml", "--confine", ".", "--confine", "../other")
    assert answer.codes == ["E0353"]
    assert "leads out of `.` and `../other`" in answer.err
    assert "`--confine . --confine ../other` lets nothing be opened" in answer.err
    assert "E0353" in graftc("validate", "spec.yaml", "--confine", ".").codes


@pytest.mark.parametrize("name", ["lfs/objects", "m/lfs/objects/aa/bb", f"lfs/objects/aa/bb/{'ab' * 32}"])
def test_a_submodule_called_as_lfs_does_not_open_its_clone(place: Place, graftc: Command, name: str) -> None:
    """The attack: who writes .gitmodules chooses under which name a clone keeps a submodule's configuration."""
    config = place.checkout / ".git/modules" / name / "config"
    config.parent.mkdir(parents=True)
    config.write_bytes((place.checkout / "train.jsonl").read_bytes())
    place.spec(ways_out.data(f"{{from: .git/modules/{name}/config, format: jsonl}}"))
    assert "E0353" in graftc("validate", "spec.yaml", "--confine", ".").codes


def test_no_line_of_a_lock_is_quoted(place: Place, graftc: Command) -> None:
    assert graftc("lock", "spec.yaml").status == 0
    (line,) = [line for line in Path("spec.lock.yaml").read_text().splitlines() if "config.json: " in line]
    with (place.checkout / "backbone/config.json").open("a") as file:
        file.write("\n")
    words = ("validate", "--locked", "spec.yaml")
    assert line in graftc(*words).err
    answer = graftc(*words, "--confine", ".")
    assert answer.codes == ["E0344"]
    assert line.strip() not in answer.err


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="there are no links here that lead elsewhere than they say"
)
def test_a_link_that_leads_elsewhere_than_it_says_is_outside(place: Place) -> None:
    """As those of /proc into other containers: by its name it ends inside, and what is opened is another file."""
    boundary, gone = Boundary((os.path.realpath(place.checkout),), (".",)), place.checkout / "gone"
    gone.write_text(SECRET)
    with gone.open() as held:
        link = f"/proc/self/fd/{held.fileno()}"
        assert not boundary.is_outside(link)
        gone.unlink()
        (place.checkout / "gone (deleted)").write_text("")
        assert Path(os.path.realpath(link)).exists()
        assert boundary.is_outside(link)


def test_without_a_boundary_nothing_is_outside() -> None:
    assert not OPEN.is_outside("/etc/passwd")
    assert OPEN.including(["/"]) == OPEN


# --- what is said of files inside

FOREIGN = {
    "a header": ("f.csv", f"{SECRET},label\na,b\n", "{from: f.csv}"),
    "a header twice": ("f.csv", f"{SECRET},{SECRET}\na,b\n", "{from: f.csv}"),
    "a cell too many": ("f.csv", f"text,label,\na,b,{SECRET}\n", "{from: f.csv}"),
    "a cell of another kind": ("f.jsonl", json.dumps({"text": [SECRET], "label": "a"}), "f.jsonl"),
    "a label of another kind": ("f.jsonl", json.dumps({"text": "a", "label": [SECRET]}), "f.jsonl"),
    "rare labels": ("f.jsonl", json.dumps({"text": "a", "label": SECRET}), "f.jsonl"),
    "labels that differ in case": (
        "f.jsonl",
        "".join(json.dumps({"text": f"a {i}", "label": (SECRET, SECRET.upper())[i % 2]}) + "\n" for i in range(40)),
        "f.jsonl",
    ),
    "too many labels": (
        "f.jsonl",
        "".join(json.dumps({"text": f"t{i % 3}", "label": f"{SECRET}{i}"}) + "\n" for i in range(40)),
        "f.jsonl",
    ),
    "a key twice": ("f.jsonl", f'{{"{SECRET}": 1, "{SECRET}": 2}}\n', "f.jsonl"),
    "a key with a backtick": ("f.jsonl", f'{{"a`{SECRET}": 1, "a`{SECRET}": 2}}\n', "f.jsonl"),
    "no JSON": ("f.jsonl", f"{SECRET}\n", "f.jsonl"),
    "a text in JSON": ("f.json", f'["{SECRET}"]', "f.json"),
    "passwords as tags": ("f.conll", f"machine {SECRET}\n", "{from: f.conll}"),
    "lines": (".env", f"TOKEN={SECRET}\n", "{from: .env, format: csv}"),
}


@pytest.mark.parametrize(("name", "text", "entry"), FOREIGN.values(), ids=FOREIGN)
def test_values_of_files_are_told_by_kind_and_length(
    place: Place, graftc: Command, name: str, text: str, entry: str
) -> None:
    verb = ("validate", "lock")[len(text) % 2]
    (place.checkout / name).write_text(text)
    rest = "head:\n  type: token-classification\n" if name.endswith("conll") else ""
    place.spec(rest + ways_out.data(entry))
    answer = graftc(verb, "spec.yaml", "--confine", ".")
    assert answer.findings
    assert is_silent(answer), answer.err
    plain = graftc(verb, "spec.yaml")
    assert set(plain.codes) == set(answer.codes)
    assert [each.place for each in plain.findings] == [each.place for each in answer.findings]


def test_a_cell_is_quoted_to_who_runs_it_alone(place: Place, graftc: Command) -> None:
    (place.checkout / "f.jsonl").write_text(json.dumps({"text": [SECRET], "label": "a"}))
    place.spec(ways_out.data("f.jsonl"))
    assert f"it is ['{SECRET}']" in graftc("validate", "spec.yaml").err
    assert "it is a list of 1" in graftc("validate", "spec.yaml", "--confine", ".").err


def test_rows_that_are_left_out_are_listed_without_their_cells(place: Place, graftc: Command) -> None:
    rows = [*ground.rows(), {"text": [SECRET], "label": "bug"}]
    place.rows("train.jsonl", *rows)
    place.spec(ways_out.data("train.jsonl", "bad_rows: {skip: 0.5}\n  "))
    assert graftc("lock", "spec.yaml", "--confine", ".").status == 0
    (left,) = (place.checkout / "spec.bad_rows.jsonl").read_text().splitlines()
    assert json.loads(left)["detail"] == "it is a list of 1"


@pytest.mark.parametrize("more", [(), ("--confine", ".")])
@pytest.mark.parametrize(
    "text",
    [f"TOKEN={SECRET}", f"{SECRET}: 1\n{SECRET}: 2\n", f"a: [layers[{SECRET}]]", f"a: '{SECRET}", f"# graftc\n{SECRET}: {SECRET}\n"],
)  # fmt: skip
def test_a_base_that_is_no_spec_is_never_quoted(
    place: Place, graftc: Command, text: str, more: tuple[str, ...]
) -> None:
    (place.checkout / ".env").write_text(text)
    place.spec("extends: .env\n")
    for form in ("text", *FORMATS):
        answer = graftc("validate", "spec.yaml", *more, "--format", form)
        assert answer.status == 1
        assert is_silent(answer)


@pytest.mark.parametrize("more", [(), ("--confine", ".")])
def test_a_lock_that_is_none_is_never_quoted(place: Place, graftc: Command, more: tuple[str, ...]) -> None:
    for text in (f"{SECRET}: {SECRET}\n{SECRET}: 1\n", f"- {SECRET}\n", f"a: '{SECRET}"):
        (place.checkout / "spec.lock.yaml").write_text(text)
        answer = graftc("validate", "spec.yaml", "--locked", *more)
        assert answer.codes == ["E0341"]
        assert is_silent(answer)


def test_a_config_is_not_quoted(place: Place, graftc: Command) -> None:
    config = json.loads((place.checkout / "backbone/config.json").read_text())
    for key, value in (("model_type", SECRET), ("hidden_act", SECRET), ("attn_implementation", f"{SECRET}/x")):
        (place.checkout / "backbone/config.json").write_text(json.dumps({**config, key: value}))
        answer = graftc("validate", "spec.yaml", "--confine", ".")
        assert answer.status == 1
        assert is_silent(answer)


def test_the_action_and_the_hook_confine_to_the_checkout() -> None:
    root = Path(__file__).resolve().parents[2]
    (hook,) = yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text())
    assert "--confine . " in hook["entry"]
    action = yaml.safe_load((root / "action.yml").read_text())
    assert action["inputs"]["confine"]["default"] == "."
    checking = [step["run"] for step in action["runs"]["steps"] if "validate" in step.get("run", "")]
    assert len(checking) == 2
    assert all('--confine "$CONFINE"' in run for run in checking)


# --- keys of config.json that choose what runs (door 2)


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("attn_implementation", "org/name", "E0382"),
        ("_attn_implementation", {"text": "org/name"}, "E0384"),
        ("experts_implementation", "org/name", "E0384"),
        ("custom_pipelines", {"x": {"impl": "here/run.py"}}, "E0384"),
        ("quantization_config", {"bits": 4}, "E0384"),
        ("auto_map", {"AutoModel": "a.B"}, "E0384"),
        ("transformers_weights", "other.safetensors", "W0384"),
        ("use_kernels", True, "W0384"),
        ("subfolder", "x", "W0384"),
        ("attn_implementation", "mine", "E0382"),
        ("attn_implementation", "sdpa", ""),
        ("_attn_implementation", {"": "eager"}, ""),
        ("attn_implementation", None, ""),
        ("use_kernels", False, ""),
        ("experts_implementation", "grouped_mm", ""),
    ],
)
def test_keys_that_choose_what_runs_are_named(place: Place, graftc: Command, key: str, value: Any, code: str) -> None:
    path = place.checkout / "backbone/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}, indent=1))
    answer = graftc("validate", "spec.yaml")
    assert answer.codes == ([code] if code else [])
    assert answer.status == (1 if code.startswith("E") else 0)
    for found in answer.findings:
        assert f"`{key}`" in found.headline or key in ("auto_map", "quantization_config")
        line = path.read_text().splitlines()[int(found.place.rsplit(":", 2)[1]) - 1]
        assert f'"{key}"' in line
