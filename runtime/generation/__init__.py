"""Decoding of language models: from next-token logits to answers, with numpy alone.

`generate` gives whole answers, `stream` pieces of their text as they come. Both ask a model through `Steps`, and mean
by `Options` what transformers' `generate` means by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import BundleError
from .beams import beam_search
from .options import CALL, Options, options_of
from .search import search
from .steps import Generated, Piece, Steps
from .streaming import Detokenizer, TextStream

__all__ = [
    "CALL", "Detokenizer", "Generated", "Options", "Piece", "Steps", "TextStream", "generate", "options_of", "stream",
]  # fmt: skip

Prompts = Sequence[Sequence[int]]


def generate(
    steps: Steps,
    prompts: Prompts,
    options: Options,
    detokenizer: Detokenizer | None = None,
    *,
    contexts: Prompts | None = None,
    keys: Prompts | None = None,
) -> list[tuple[Generated, ...]]:
    """The answers to each prompt, `sequences` of them, those of beam search with the best first.

    `prompts` are tokens of any lengths, of an encoder-decoder what its decoder begins with; penalties count them.
    `detokenizer` makes texts of answers, and stop strings need it. `contexts` are tokens before each answer that its
    text goes on from, say the prompts: without them an answer's text is one by itself, which matters to its first
    space. `keys` are numbers that tell prompts apart where tokens are drawn, the prompts themselves if left out: an
    answer depends on the seed, its key, its prompt, and which of its prompt's answers it is.

    Raises BundleError E0503 for a model that gives no logits, and E0505 where options leave no token.
    """
    if not len(prompts):
        return []
    if options.beams > 1:
        return beam_search(steps, prompts, options, _texts(prompts, options, detokenizer, contexts))
    found: dict[tuple[int, int], Generated] = {}
    for piece in stream(steps, prompts, options, detokenizer, contexts=contexts, keys=keys):
        if piece.answer:
            found[piece.prompt, piece.sequence] = piece.answer
    return [tuple(found[i, j] for j in range(options.sequences)) for i in range(len(prompts))]


def stream(
    steps: Steps,
    prompts: Prompts,
    options: Options,
    detokenizer: Detokenizer | None = None,
    *,
    contexts: Prompts | None = None,
    keys: Prompts | None = None,
) -> Iterator[Piece]:
    """Pieces of the texts of answers as they come, with whole characters; those of an answer together are its text.

    Takes and raises what `generate` does, and raises BundleError E0505 for beam search, whose answers change until they
    are done.
    """
    if options.beams > 1:
        help = "give `beams` 1, or wait for whole answers"
        raise BundleError("E0505", f"`beams` is {options.beams}, and beam search has no pieces to stream", help=help)
    texts = _texts(prompts, options, detokenizer, contexts)
    return search(steps, prompts, options, texts, prompts if keys is None else keys) if len(prompts) else iter(())


def _texts(
    prompts: Prompts, options: Options, detokenizer: Detokenizer | None, contexts: Prompts | None
) -> list[TextStream | None]:
    """A text for each prompt, without anything of an answer yet."""
    if detokenizer is None:
        if options.stop:
            raise ValueError("stop strings need a detokenizer")
        return [None] * len(prompts)
    before: Prompts = [()] * len(prompts) if contexts is None else contexts
    return [TextStream(detokenizer, options.stop, each) for each in before]
