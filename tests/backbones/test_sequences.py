"""Families of encoder-decoders, held against the module that transformers builds from a checkpoint."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from graftc.compiler import variants
from graftc.compiler.contracts.backbone import Family
from graftc.compiler.facts.backbone import gather_backbone
from graftc.compiler.layers.sequences import SequenceToSequence
from graftc.compiler.model.language_models import load_language_model

from . import tiny

WORDS = [word for word in variants.words("backbones") if "sequence-to-sequence" in variants.family(word).provides]
# in no part: what comes after the last layer of either stack
ON_TOP = {
    **{word: {"encoder.final_layer_norm", "decoder.final_layer_norm"} for word in ("mt5", "t5")},
    **{word: {"encoder.layer_norm", "decoder.layer_norm"} for word in ("m2m-100", "mbart", "pegasus")},
}


@pytest.fixture(scope="module", params=WORDS)
def word(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def family(word: str) -> Family:
    return variants.family(word)


@pytest.fixture(scope="module")
def folder(word: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(word)
    tiny.save(word, path, transformers.AutoModelForSeq2SeqLM)
    return path


@pytest.fixture(scope="module")
def module(family: Family, folder: Path) -> Any:
    return load(family, folder)


def load(family: Family, folder: Path) -> Any:
    """The backbone that graftc runs, which must have found all its weights."""
    built, info = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not [n for n in info["missing_keys"] if not any(re.match(pattern, n) for pattern in family.omitted)]
    assert not info["mismatched_keys"]
    return family.ready(built)


def said(family: Family, folder: Path) -> dict[str, torch.Tensor]:
    """What the family says of a header: strip, omit."""
    plain = {name.removeprefix(family.prefix): t for name, t in load_file(folder / "model.safetensors").items()}
    return {name: t for name, t in plain.items() if not any(re.match(pattern, name) for pattern in family.omitted)}


def assert_same(found: dict[str, torch.Tensor], module: nn.Module) -> None:
    state = module.state_dict()
    assert sorted(found) == sorted(state)
    assert [name for name in state if not torch.equal(found[name], state[name])] == []


def inputs(length: int = 7) -> dict[str, torch.Tensor]:
    tokens = torch.arange(2 * length).reshape(2, length) % 50 + 7
    mask = torch.ones_like(tokens)
    mask[1, 5:] = 0
    return {"input_ids": tokens, "attention_mask": mask, "decoder_input_ids": tokens.flip(0)}


def matching(pattern: str, names: Any) -> set[str]:
    return {name for name in names if re.search(pattern, name)}


def test_names_of_a_checkpoint_with_its_head(family: Family, folder: Path, module: Any) -> None:
    assert_same(said(family, folder), module)


def test_names_of_a_bare_checkpoint(word: str, family: Family, tmp_path: Path) -> None:
    tiny.save(word, tmp_path)
    assert_same(said(family, tmp_path), load(family, tmp_path))


def test_names_of_a_checkpoint_with_the_embedding_under_every_name(
    family: Family, folder: Path, module: Any, tmp_path: Path
) -> None:
    stored = load_file(folder / "model.safetensors")
    shared = next(tensor for name, tensor in stored.items() if name.endswith("shared.weight"))
    prefix = "model." if any(name.startswith("model.") for name in stored) else ""
    names = [f"{prefix}{part}.embed_tokens.weight" for part in ("encoder", "decoder")]
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file({**stored, **{n: shared.clone() for n in names}}, tmp_path / "model.safetensors", {"format": "pt"})
    assert_same(said(family, tmp_path), load(family, tmp_path))


@pytest.mark.parametrize("word", ["marian", "pegasus"], scope="module")
def test_positions_that_a_checkpoint_lacks_are_sines(folder: Path, module: Any) -> None:
    for part in ("encoder", "decoder"):
        positions = getattr(module, part).embed_positions
        places = torch.arange(len(positions.weight), dtype=torch.float64)
        assert not positions.weight.requires_grad
        assert torch.allclose(positions.weight[:, 0], places.sin().float(), atol=1e-6)


def test_shapes_are_those_of_the_module(word: str, family: Family, module: Any) -> None:
    config = {**type(module.config)().to_dict(), **module.config.to_dict()}
    assert dict(family.shapes(config)) == {name: tuple(t.shape) for name, t in module.state_dict().items()}


def test_an_update_of_the_embedding_reaches_both_stacks(family: Family, folder: Path) -> None:
    module = load(family, folder)
    with torch.no_grad():
        module.shared.weight.zero_()
    for name in ("encoder", "decoder"):
        assert not getattr(module, name).embed_tokens.weight.any()


def test_each_tensor_is_in_one_part_or_on_top(word: str, family: Family, module: Any) -> None:
    owners = {name: [p for p, r in family.parts.items() if re.match(r, name)] for name in module.state_dict()}
    assert {name.rpartition(".")[0] for name, parts in owners.items() if not parts} == ON_TOP.get(word, set())
    assert [name for name, parts in owners.items() if len(parts) > 1] == []


def test_stacks_have_every_index(family: Family, module: Any) -> None:
    depths = {"encoder.layers": 2, "decoder.layers": 2 if module.config.model_type == "mt5" else 3}
    for part, depth in depths.items():
        hits = [re.match(family.parts[part], name) for name in module.state_dict()]
        assert {int(hit[1]) for hit in hits if hit} == set(range(depth))


def test_kinds_divide_the_linear_layers(family: Family, module: Any) -> None:
    modules = dict(module.named_modules())
    linear = {name for name, m in modules.items() if isinstance(m, nn.Linear)}
    kinds = {kind: matching(pattern, modules) for kind, pattern in family.kinds.items()}
    assert kinds["all-linear"] == linear == kinds["mlp"] | kinds["attention"]
    assert not kinds["mlp"] & kinds["attention"]
    assert len(kinds["query"] | kinds["key"] | kinds["value"]) == sum(len(kinds[k]) for k in ("query", "key", "value"))
    assert kinds["attention-output"] == kinds["attention"] - kinds["query"] - kinds["key"] - kinds["value"]
    assert kinds["mlp-output"] < kinds["mlp"]


def test_norms_are_the_tensors_of_normalisations(family: Family, module: Any) -> None:
    norms = {f"{path}." for path, m in module.named_modules() if "Norm" in type(m).__name__}
    owned = {name for name in module.state_dict() if name.rpartition(".")[0] + "." in norms}
    assert matching(family.norms, module.state_dict()) == owned


def test_inputs_all_change_the_outputs(family: Family, module: Any) -> None:
    given = inputs()
    before = module(**given).last_hidden_state
    assert before.shape == (2, 7, family.width(module.config.to_dict()))
    for name in family.inputs:
        changed = given[name].clone()
        changed[..., 3:] = 0 if name == "attention_mask" else 9
        assert not torch.allclose(before, module(**{**given, name: changed}).last_hidden_state), name


def test_missing_keys_mean_the_defaults(word: str, family: Family) -> None:
    settings = type(tiny.config(word))().to_dict()
    assert family.width({}) == family.width(settings)
    assert family.longest({}) == family.longest(settings)
    assert family.cache({}) == family.cache(settings)


def test_longest_runs_and_one_more_does_not(family: Family, folder: Path, module: Any) -> None:
    longest = family.longest(json.loads((folder / "config.json").read_text()))
    module(**inputs(longest or 80))
    if longest and module.config.model_type != "m2m_100":  # which computes as many positions as it needs
        with pytest.raises((IndexError, RuntimeError)):
            module(**inputs(longest + 1))


def test_the_head_is_planned_name_by_name_and_answers_as_transformers(word: str, tmp_path: Path) -> None:
    whole = tiny.save(word, tmp_path, transformers.AutoModelForSeq2SeqLM)
    assert_head(word, tmp_path, whole)


def test_t5_has_a_head_of_its_own_where_the_checkpoint_has_one(tmp_path: Path) -> None:
    """As T5 1.1 and FLAN-T5 are published, whose outputs are not scaled."""
    whole = tiny.save("t5", tmp_path, transformers.AutoModelForSeq2SeqLM)
    tensors = load_file(tmp_path / "model.safetensors")
    own = torch.randn_like(tensors["shared.weight"])
    save_file({**tensors, "lm_head.weight": own}, tmp_path / "model.safetensors", {"format": "pt"})
    told = json.loads((tmp_path / "config.json").read_text())
    told.pop("scale_decoder_outputs")
    (tmp_path / "config.json").write_text(json.dumps({**told, "tie_word_embeddings": False}))
    whole = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert torch.equal(whole.lm_head.weight, own)
    assert not whole.config.scale_decoder_outputs
    assert_head("t5", tmp_path, whole)


def assert_head(word: str, folder: Path, whole: Any) -> None:
    """The head that graftc loads from a folder, on the backbone that it runs, gives the logits of the whole model."""
    facts = gather_backbone(f"./{folder.name}", folder.parent).language_model
    assert facts is not None
    assert facts.is_there
    with torch.no_grad():
        expected = whole.eval()(**inputs()).logits
        backbone = load(variants.family(word), folder).eval()
        model, missing = load_language_model("sequence-to-sequence", folder, variants.family(word))
        head = SequenceToSequence(model.eval())
        head.tie(backbone)
        assert not missing
        assert torch.allclose(head(backbone(**inputs()).last_hidden_state), expected, atol=1e-6)
        assert {name.removeprefix("model."): tuple(t.shape) for name, t in head.state_dict().items()} == {
            tensor.name: tensor.shape for tensor in facts.tensors
        }
        assert torch.allclose(head.whole(backbone)(**inputs()).logits, expected, atol=1e-6)
