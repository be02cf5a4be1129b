"""Doors 1 and 2: what is loaded are the tensors of the planned files, whatever else a backbone's folder says and holds."""

from __future__ import annotations

import inspect
import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from graftc.compiler import variants
from graftc.compiler.api import plan as planned
from graftc.compiler.diagnostics import Refused
from graftc.compiler.facts.configuration import CHOOSING, UNDECLARED, rules
from graftc.compiler.model import checkpoint_files
from graftc.compiler.model.loading import load_backbone
from graftc.compiler.planning.plan import Plan

from ..backbones import tiny
from ..train import running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny BERT, with other weights beside it that nobody planned."""
    tiny.save("bert", tmp_path / "backbone")
    weights = load_file(tmp_path / "backbone" / "model.safetensors")
    others = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    save_file(others, tmp_path / "backbone" / "other.safetensors", {"format": "pt"})
    return tmp_path / "backbone"


def plan(folder: Path) -> Plan:
    data = {
        "train": str(running.TICKETS / "train.jsonl"),
        "columns": {"text": "body", "label": "queue"},
        "max_length": 16,
    }
    sections = {"backbone": {"from": "./backbone"}, "head": {"type": "text-classification"}, "data": data}
    return planned(running.write_spec(folder.parent, **sections))


def say(folder: Path, **keys: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def loaded(folder: Path, made: Plan) -> dict[str, torch.Tensor]:
    return load_backbone(made, folder).state_dict()


def test_other_weights_that_a_key_names_are_not_loaded(folder: Path) -> None:
    made = plan(folder)
    say(folder, transformers_weights="other.safetensors")
    stored = load_file(folder / "model.safetensors")
    found = loaded(folder, made)
    assert all(torch.equal(found[name], tensor) for name, tensor in stored.items() if name in found)
    assert found["embeddings.word_embeddings.weight"].any()


def test_an_adapter_beside_the_weights_is_not_put_on(folder: Path) -> None:
    made = plan(folder)
    before = loaded(folder, made)
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["query"], "base_model_name_or_path": "."}
    (folder / "adapter_config.json").write_text(json.dumps(told))
    shape = before["encoder.layer.0.attention.self.query.weight"].shape[0]
    named = "base_model.model.encoder.layer.{}.attention.self.query.lora_{}.weight"
    sizes = {"A": (2, shape), "B": (shape, 2)}
    adapter = {named.format(i, side): torch.ones(size) for i in range(3) for side, size in sizes.items()}
    save_file(adapter, folder / "adapter_model.safetensors", {"format": "pt"})
    after = loaded(folder, made)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("key", sorted(CHOOSING))
def test_no_key_that_chooses_what_runs_reaches_the_loader(folder: Path, key: str) -> None:
    say(folder, **{key: "org/name"})
    with checkpoint_files.alone(folder) as own:
        config = json.loads((own / "config.json").read_text())
        assert key not in config
        assert config["hidden_size"] == 32
        assert sorted(path.name for path in own.iterdir()) == ["config.json", "model.safetensors"]


def test_only_keys_that_the_architecture_knows_reach_the_loader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack: a key that a new transformers follows, and that nobody has put on a list of bad ones."""
    from transformers import PreTrainedModel

    made, seen = plan(folder), []
    say(folder, fusion_config={"patch_embeddings": True}, key_of_tomorrow="org/name", per_layer_config={"0": {"x": 1}})
    real = PreTrainedModel.from_pretrained.__func__

    def watching(cls: type, *args: object, **kwargs: object) -> object:
        seen.append(kwargs["config"].to_dict())  # type: ignore[attr-defined]
        return real(cls, *args, **kwargs)

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(watching))
    assert loaded(folder, made)
    assert seen
    assert not {"fusion_config", "key_of_tomorrow"} & seen[0].keys()
    assert not seen[0].get("per_layer_config")


# what the code of an architecture reads for heads of its own, or beside a model of pictures, which are not loaded
NOT_LOADED = re.compile(
    "summary_.*|classifier_dropout|cls_dropout|hidden_dropout"
    "|image_token_id|mm_tokens_per_image|(text|vision)_config|get_text_config"
)


@pytest.mark.parametrize("word", variants.words("backbones"))
def test_every_key_that_an_architecture_reads_is_handed_on(word: str) -> None:
    """Else a checkpoint would run as another one, without a word."""
    known, place = rules(word), type(tiny.config(word)).__module__
    own, model = import_module(place), import_module(place.replace(".configuration_", ".modeling_"))
    code, made = inspect.getsource(model), inspect.getsource(own)
    read = {*re.findall(r"\bconfig\.([a-z]\w*)", code), *re.findall(r'attr\((?:self\.)?config, "([a-z]\w*)"', code)}
    read |= {*re.findall(r'kwargs\.(?:get|pop)\(\s*"([a-z]\w*)"', made)}
    worked_out = {*re.findall(r"def (\w+)\(self", made)}  # of others
    lost = read - known.keys.keys() - known.aliases.keys() - UNDECLARED - worked_out
    assert not {key for key in lost if not NOT_LOADED.fullmatch(key)}


def test_code_from_a_hub_is_not_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack: transformers' own way to kernels of a Hub leaves a mark if it is gone."""
    from transformers.integrations import hub_kernels

    asked: list[object] = []
    for name in ("get_kernel", "load_and_register_attn_kernel", "load_kernel"):
        monkeypatch.setattr(hub_kernels, name, lambda *a, **k: asked.append(a), raising=False)
    made = plan(folder)
    say(folder, attn_implementation="org/name", _attn_implementation="org/name")
    assert loaded(folder, made)
    assert asked == []


def test_weights_other_than_the_file_s_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(folder)
    module = load_backbone(made, folder)
    monkeypatch.setattr(checkpoint_files, "_COMPARED", set())  # as in a process that has loaded nothing yet
    checkpoint_files.refuse_others(module, folder, variants.family("bert"))
    checkpoint_files._COMPARED.clear()
    with torch.no_grad():
        module.embeddings.word_embeddings.weight[3, 3] += 1
    with pytest.raises(Refused) as caught:
        checkpoint_files.refuse_others(module, folder, variants.family("bert"))
    (found,) = caught.value.diagnostics
    assert (found.code, found.notes) == ("E0406", ("`embeddings.word_embeddings.weight` of model.safetensors",))
