"""Tiny backbones of every family, seeded and saved the way a real checkpoint lies on disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn

from graftc.compiler import variants

VOCABULARY = 400
IMAGE = 32
_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# Layers that start as usual do next to nothing; these start strong enough that a lost one shows.
_STRONG = {"initializer_range": 0.2}
_ATTENTION = {
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "intermediate_size": 64,
    **_STRONG,
}
_TOKENS = {"vocab_size": VOCABULARY, "max_position_embeddings": 64}
_ENCODER = {**_ATTENTION, **_TOKENS}
_SHIFTED = {**_ENCODER, "max_position_embeddings": 66}  # two positions go to padding
_IMAGE = {"image_size": IMAGE}
_PATCHES = {**_ATTENTION, **_IMAGE, "patch_size": 8}
_DECODER = {
    **_ENCODER,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_STACKS = {
    **{"d_model": 32, "encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 64, "decoder_ffn_dim": 48},
    **{"encoder_attention_heads": 4, "decoder_attention_heads": 2, "init_std": 0.2, "scale_embedding": True},
    **_TOKENS,
}
_T5 = {
    **{"d_model": 32, "d_kv": 12, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 2},
    **{"relative_attention_num_buckets": 8, "relative_attention_max_distance": 16},
    **{"vocab_size": VOCABULARY, "decoder_start_token_id": 0, "feed_forward_proj": "gated-gelu"},
}
_CONFIGS: dict[str, dict[str, Any]] = {
    "albert": {**_ENCODER, "embedding_size": 16},
    "bart": _STACKS,
    "bert": _ENCODER,
    "convnext": {
        **{"num_stages": 3, "hidden_sizes": [8, 16, 24], "depths": [1, 2, 1], "layer_scale_init_value": 1.0},
        **_IMAGE,
        **_STRONG,
    },
    "deberta-v2": {  # as published, with the convolution of the largest
        **{
            "relative_attention": True,
            "position_buckets": 16,
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
        },
        **{"norm_rel_ebd": "layer_norm", "position_biased_input": False, "conv_kernel_size": 3},
        **_ENCODER,
    },
    "deit": {**_PATCHES, "architectures": ["DeiTForImageClassification"]},  # it has two classifiers
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64, **_TOKENS, **_STRONG},
    "electra": {**_ENCODER, "embedding_size": 16},
    "gemma": _DECODER,
    "gemma2": {
        **{"sliding_window": 16, "query_pre_attn_scalar": 24},
        **{"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
        **_DECODER,
    },
    "gemma3-text": {
        **{"sliding_window": 16, "query_pre_attn_scalar": 24, "final_logit_softcapping": 3.0},
        **{"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
        **_DECODER,
    },
    "gpt-neox": {**_ENCODER, "bos_token_id": 0, "eos_token_id": 0},
    "gpt2": {
        **{"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 64, "vocab_size": VOCABULARY},
        **{"bos_token_id": 0, "eos_token_id": 0},
        **_STRONG,
    },
    "granite": {
        **{"embedding_multiplier": 3.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2, "logits_scaling": 2.0},
        **_DECODER,
    },
    "llama": _DECODER,
    "m2m-100": {**_STACKS, "bos_token_id": 0},
    "marian": {**_STACKS, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
    "mbart": {**_STACKS, "decoder_start_token_id": 2},
    "mistral": {**_DECODER, "sliding_window": 16},
    "mobilenet-v2": {"depth_multiplier": 0.25, "finegrained_output": False, **_IMAGE},
    "modernbert": {
        **{"pad_token_id": 0, "cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3},
        **_ENCODER,
        "local_attention": 16,
    },
    "mpnet": _SHIFTED,
    "mt5": {**_T5, "num_decoder_layers": 2},
    "olmo2": _DECODER,
    "phi3": {
        **{"sliding_window": 16},
        **{"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}},
        **_DECODER,
    },
    "pegasus": {**_STACKS, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "resnet": {"embedding_size": 8, "hidden_sizes": [16, 32, 48], "depths": [1, 2, 1]},
    "roberta": {**_SHIFTED, "type_vocab_size": 1},
    "t5": _T5,
    "smollm3": {**_DECODER, "no_rope_layers": [1, 0, 1], "use_sliding_window": True, "sliding_window": 16},
    "stablelm": {**_DECODER, "qk_layernorm": True},
    "swin": {
        **{"embed_dim": 8, "depths": [1, 2, 1], "num_heads": [1, 2, 2], "window_size": 2, "patch_size": 4},
        **_IMAGE,
        **_STRONG,
    },
    "vit": _PATCHES,
    "xlm-roberta": {**_SHIFTED, "type_vocab_size": 1},
}

_TEXT = """
The parcel arrived late and the box was open. Please refund my order, I was billed twice this month.
How do I change the password of my account? The app crashes when I open the settings page.
A man is playing a guitar on the stage while two children are dancing in the rain.
This film is a warm, funny and beautiful story; the acting is great and the music even better.
It was a dull, boring and badly written book, and nobody in it is worth knowing.
The central bank raised interest rates by 25 basis points to 5.25 percent in June 2023.
We train a small network on text and images, measure its loss, and export the graph.
Which of these three trains goes to the north of the city before nine in the morning?
abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,;:!?'()-
"""


def config(word: str, **more: Any) -> transformers.PreTrainedConfig:
    """The configuration of a family's tiny backbone; `more` overrides it."""
    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    model_type = word if word in known else word.replace("-", "_")
    return transformers.AutoConfig.for_model(model_type, **{**_CONFIGS[word], **more})


def is_text(word: str) -> bool:
    """Whether a family reads text; the others read images."""
    return "vocab_size" in _CONFIGS[word]


def model(word: str, auto: Any = transformers.AutoModel, **more: Any) -> Any:
    """A backbone, or with its head through another Auto class; the same at every call."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        built = auto.from_config(config(word, **more)).eval()
        _strengthen(built)
    return built


def _strengthen(built: Any) -> None:
    """Starts networks with batch norms so that their signal neither fades nor turns chaotic."""
    modules = list(built.modules())
    if any(isinstance(module, nn.BatchNorm2d) for module in modules):
        for module in modules:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.8, 1.2)


def save(word: str, folder: Path, auto: Any = transformers.AutoModel, **more: Any) -> Any:
    """Writes config.json, model.safetensors and the tokenizer or image processor; gives the model."""
    built = model(word, auto, **more)
    built.save_pretrained(folder)
    (tokenizer if is_text(word) else processor)(word).save_pretrained(folder)
    return built


def processor(word: str) -> Any:
    """The image processor of a family, whose images measure 32 by 32."""
    square = {"height": IMAGE, "width": IMAGE}
    if word in ("swin", "vit"):
        return transformers.ViTImageProcessorPil(size=square)
    if word == "deit":
        return transformers.DeiTImageProcessorPil(size={"height": 36, "width": 36}, crop_size=square)
    if word == "mobilenet-v2":
        return transformers.MobileNetV2ImageProcessorPil(size={"shortest_edge": 36}, crop_size=square)
    return transformers.ConvNextImageProcessorPil(size={"shortest_edge": IMAGE})


def tokenizer(word: str) -> Any:
    """The tokenizer of a family: the words of a few sentences, and letters for all others."""
    limit = {"model_max_length": 64}
    if word in ("bart", "m2m-100", "marian", "mbart", "pegasus", "roberta"):
        vocab, merges = _merges(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
        return transformers.RobertaTokenizer(vocab=vocab, merges=merges, **limit)
    if "causal" in variants.family(word).provides:
        return _decoder(*_merges(["<|endoftext|>"]), limit)
    if word in ("mt5", "t5"):
        scored = _scored(["<pad>", "</s>", "<unk>"])
        return transformers.T5Tokenizer(vocab=scored, extra_ids=0, **limit)
    if word == "modernbert":
        return _modernbert(*_merges(_BERT), limit)
    if word == "xlm-roberta":
        scored = [*_scored(["<s>", "<pad>", "</s>", "<unk>"]), ("<mask>", 0.0)]
        return transformers.XLMRobertaTokenizer(vocab=scored, **limit)
    if word == "deberta-v2":
        scored = [*_scored(["[PAD]", "[CLS]", "[SEP]", "[UNK]"]), ("[MASK]", 0.0)]
        return transformers.DebertaV2Tokenizer(vocab=scored, **limit)
    if word == "mpnet":
        vocab = _pieces(["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"])
        return transformers.MPNetTokenizer(vocab=vocab, **limit)
    return transformers.BertTokenizer(vocab=_pieces(_BERT), **limit)


def _decoder(vocab: dict[str, int], merges: list[tuple[str, str]], limit: dict[str, Any]) -> Any:
    """Byte pairs without a word at either end, and without padding, as GPT-2's own."""
    built = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    return transformers.PreTrainedTokenizerFast(tokenizer_object=built, bos_token=end, eos_token=end, **limit)


def _modernbert(vocab: dict[str, int], merges: list[tuple[str, str]], limit: dict[str, Any]) -> Any:
    """Built by hand: transformers has no class of its own for it."""
    built = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    built.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _BERT, strict=True))
    names = ["input_ids", "attention_mask"]
    return transformers.PreTrainedTokenizerFast(tokenizer_object=built, model_input_names=names, **special, **limit)


# The trainers of WordPiece and Unigram break ties by chance, so two runs differ; only byte pairs are learned.
def _pieces(special: list[str]) -> dict[str, int]:
    letters = sorted({letter for letter in _TEXT.lower() if not letter.isspace()})
    words = sorted(set(re.findall(r"[a-z]{2,}", _TEXT.lower())))
    return {piece: i for i, piece in enumerate([*special, *letters, *(f"##{letter}" for letter in letters), *words])}


def _scored(special: list[str]) -> list[tuple[str, float]]:
    letters = sorted({letter for letter in _TEXT if not letter.isspace()})
    words = sorted({f"▁{word}" for word in re.findall(r"[A-Za-z]{2,}", _TEXT)})
    rest = [("▁", -8.0), *((letter, -9.0) for letter in letters), *((word, -5.0) for word in words)]
    return [*((token, 0.0) for token in special), *rest]


def _merges(special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    built.train_from_iterator([_TEXT], trainer)
    learned = json.loads(built.to_str())["model"]
    return learned["vocab"], [tuple(pair) for pair in learned["merges"]]
