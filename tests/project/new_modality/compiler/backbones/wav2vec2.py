"""wav2vec 2.0: convolutions over a waveform, and a transformer encoder over what they find (Baevski et al., 2020, arXiv:2006.11477)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.backbone import Config, Family, Mistake
from ._shapes import Shapes, linear, norm, stack, undivided

if TYPE_CHECKING:
    import torch
    from torch import nn


def width(config: Config) -> int:
    """The size of a state, and of the pooled vector."""
    return int(config.get("hidden_size", 768))


def longest(config: Config) -> int | None:
    """Positions are told by a convolution, which has no end."""
    return None


def mask(outputs: Any, config: Config, arguments: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Which frames are of the waveform: as many as its convolutions make of its samples."""
    import torch

    lengths = arguments["attention_mask"].sum(-1)
    for kernel, stride in zip(config["conv_kernel"], config["conv_stride"], strict=True):
        lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
    frames = torch.arange(outputs.last_hidden_state.shape[1], device=lengths.device)
    return (frames < lengths[:, None]).to(torch.int64)


def ready(module: nn.Module) -> nn.Module:
    """Draws no masks and skips no layers in training, which would hang on numpy's own generator."""
    module.config.apply_spec_augment, module.config.layerdrop = False, 0.0
    return module


def shapes(config: Config) -> Shapes:
    """Every tensor of Wav2Vec2Model."""
    width, inner, channels = config["hidden_size"], config["intermediate_size"], config["conv_dim"]
    layer = {
        **linear("feed_forward.intermediate_dense", width, inner),
        **linear("feed_forward.output_dense", inner, width),
        **norm("layer_norm", width),
        **norm("final_layer_norm", width),
    }
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        layer |= linear(f"attention.{part}", width, width)
    kernel = config["num_conv_pos_embeddings"]
    position = "encoder.pos_conv_embed.conv"
    return {
        **_convolutions(config),
        **norm("feature_projection.layer_norm", channels[-1]),
        **linear("feature_projection.projection", channels[-1], width),
        f"{position}.bias": (width,),
        f"{position}.parametrizations.weight.original0": (1, 1, kernel),
        f"{position}.parametrizations.weight.original1": (
            width,
            width // config["num_conv_pos_embedding_groups"],
            kernel,
        ),
        **norm("encoder.layer_norm", width),
        **stack("encoder.layers", config["num_hidden_layers"], layer),
        **({"masked_spec_embed": (width,)} if config["mask_time_prob"] > 0 or config["mask_feature_prob"] > 0 else {}),
    }


def _convolutions(config: Config) -> Shapes:
    found: dict[str, tuple[int, ...]] = {}
    before = 1
    for i, (channels, kernel) in enumerate(zip(config["conv_dim"], config["conv_kernel"], strict=True)):
        name = f"feature_extractor.conv_layers.{i}"
        found |= {f"{name}.conv.weight": (channels, before, kernel)}
        found |= {f"{name}.conv.bias": (channels,)} if config["conv_bias"] else {}
        found |= norm(f"{name}.layer_norm", channels) if config["feat_extract_norm"] == "layer" or not i else {}
        before = channels
    return found


def mistakes(config: Config) -> Iterator[Mistake]:
    """What no tensor's shape shows, and what of the architecture can't be had here."""
    yield from undivided(config, "hidden_size", "num_attention_heads")
    if len({len(config[key]) for key in ("conv_dim", "conv_kernel", "conv_stride")}) > 1:
        yield "conv_dim", "`conv_dim`, `conv_kernel` and `conv_stride` differ in length"
    if config["feat_extract_norm"] != "layer":
        reason = "a norm over a padded batch makes an answer hang on the inputs beside it"
        yield "feat_extract_norm", f"`feat_extract_norm` is not `layer`, and {reason}"
    for key in ("add_adapter", "adapter_attn_dim"):
        if config[key]:
            yield key, "adapters of its own are not read"


FAMILY = Family(
    modality="waveform",
    provides=frozenset({"tokens"}),
    prefix="wav2vec2.",
    omitted=(r"(?!(feature_extractor|feature_projection|encoder)\.|masked_spec_embed$)",),
    renamed={
        r"pos_conv_embed\.conv\.weight_g$": "pos_conv_embed.conv.parametrizations.weight.original0",
        r"pos_conv_embed\.conv\.weight_v$": "pos_conv_embed.conv.parametrizations.weight.original1",
    },
    parts={
        "embeddings": r"(?:feature_extractor|feature_projection|encoder\.pos_conv_embed)\.|masked_spec_embed$",
        "layers": r"encoder\.layers\.(\d+)\.",
    },
    norms=r"layer_norm\.(weight|bias)$",
    kinds={
        "query": r"attention\.q_proj$",
        "key": r"attention\.k_proj$",
        "value": r"attention\.v_proj$",
        "attention": r"attention\.([qkv]|out)_proj$",
        "mlp": r"feed_forward\.(intermediate|output)_dense$",
        "attention-output": r"attention\.out_proj$",
        "mlp-output": r"feed_forward\.output_dense$",
        "all-linear": r"(attention\.([qkv]|out)_proj|feed_forward\.(intermediate|output)_dense)$",
    },
    target=("query", "value"),
    convolves=False,
    uncacheable="the frames of its layers are fewer than the samples of a row",
    shapes=shapes,
    mistakes=mistakes,
    width=width,
    longest=longest,
    ready=ready,
    inputs=("input_values", "attention_mask"),
    mask=mask,
)
