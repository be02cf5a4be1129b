"""Texts in pieces: whole characters, the tokenizer's own text, nothing of a stop string, and the same cost for each token."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from graftc.runtime.errors import BundleError
from graftc.runtime.generation import Detokenizer, Options, TextStream, generate, stream

from . import models
from .tokenizers_of import KINDS, REAL, TEXTS, WEIGHTS, letters, tokenizer

EVERY = [*KINDS, *REAL]


def pieces(kind: Tokenizer, ids: list[int], stop: tuple[str, ...] = (), context: tuple[int, ...] = ()) -> list[str]:
    found = TextStream(Detokenizer(kind), stop, context)
    return [*(found.push(id) for id in ids), found.end()]


@pytest.mark.parametrize("kind", EVERY)
def test_pieces_are_the_text_of_the_tokenizer_in_whole_characters(kind: str) -> None:
    own = tokenizer(kind)
    for text in TEXTS:
        ids = own.encode(text).ids
        found = pieces(own, ids)
        assert "".join(found) == own.decode(ids)
        assert "".join(found).count("\ufffd") == own.decode(ids).count("\ufffd")
        assert all("\ufffd" not in piece for piece in found if "\ufffd" not in text)


def whole(own: Tokenizer, ids: list[int]) -> list[int]:
    """Tokens that make whole characters: those of one byte only as they stand for a character."""
    bytes_of = Detokenizer(own).bytes
    ids_of = {byte: id for id, byte in bytes_of.items()}
    found = []
    for id in ids:
        letter = random.Random(id).choice("né你🙂\n ")
        found += [ids_of[bytes([byte])] for byte in letter.encode()] if id in bytes_of else [id]
    return found


@pytest.mark.parametrize("kind", EVERY)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_pieces_of_any_tokens_are_the_text_of_the_tokenizer(kind: str, data: st.DataObject) -> None:
    """Special tokens, cut characters, spaces at the beginning, and numbers that are no token."""
    own = tokenizer(kind)
    ids = data.draw(st.lists(st.integers(0, own.get_vocab_size() + 2), max_size=70))
    ids = whole(own, ids)
    assert "".join(pieces(own, ids)) == own.decode(ids)


@pytest.mark.parametrize("kind", EVERY)
def test_a_text_goes_on_from_its_context(kind: str) -> None:
    """With the space between two words that the same tokens lack at the beginning of a text."""
    own, text = tokenizer(kind), "hello world, it is you 你好 🙂 again"
    ids = [id for id in own.encode(text).ids if id not in (own.token_to_id("[SEP]"), own.token_to_id("</s>"))]
    for cut in range(len(ids) + 1):
        before, after = own.decode(ids[:cut]), own.decode(ids)
        if not before.endswith("\ufffd"):
            assert before + "".join(pieces(own, ids[cut:], context=tuple(ids[:cut]))) == after


@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback", "added", "aidreams260k_llama"])
def test_a_character_comes_with_its_last_byte(kind: str) -> None:
    own = tokenizer(kind)
    for text in ("a你好b", "🙂 e\u0301 👨‍👩‍👧‍👦 한", "½\n\n"):
        ids, shown = own.encode(text).ids, ""
        for i, piece in enumerate(pieces(own, ids)[:-1], 1):
            shown += piece
            whole_ = (own.decode(ids[:j]).partition("\ufffd")[0] for j in range(i + 1))
            assert shown == max(whole_, key=len), "no later than it can be known"


def test_bytes_that_are_no_text_spoil_nothing_else() -> None:
    own = tokenizer("byte_fallback")
    good, bad, letter = (
        [own.token_to_id(f"<0x{byte:02X}>") for byte in data] for data in ("語".encode(), b"\xff", b"a")
    )
    assert "".join(pieces(own, good + bad)) == "語\ufffd"
    assert "".join(pieces(own, good + good[:2])) == "語\ufffd", "an answer that ends within a character"
    assert "".join(pieces(own, bad + good + letter + good[:1] + letter)) == "\ufffd語a\ufffda"
    assert "".join(pieces(own, [*good[:2], own.token_to_id("▁t")])) == "\ufffd t"
    assert pieces(own, good + good) == ["", "", "語", "", "", "語", ""], "without waiting for the end of the bytes"


def test_a_broken_end_is_given_at_the_end() -> None:
    own = tokenizer("byte_level")
    ids = own.encode("🙂").ids
    assert len(ids) > 1
    assert pieces(own, ids[:-1]) == [""] * (len(ids) - 1) + ["\ufffd"]


class Counting:
    """A tokenizer that counts the tokens that it decodes."""

    def __init__(self, own: Tokenizer) -> None:
        self.own, self.count = own, 0

    def decode(self, ids: list[int]) -> str:
        self.count += len(ids)
        return self.own.decode(ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)


@pytest.mark.parametrize("kind", EVERY)
def test_each_token_costs_the_same(kind: str) -> None:
    """Also where nothing but broken characters comes, or nothing but bytes."""
    own, drawn = tokenizer(kind), random.Random(1)
    cut = own.encode("你").ids[:1]
    for ids in ([drawn.randrange(own.get_vocab_size()) for _ in range(600)], cut * 600, own.encode("🙂" * 200).ids):
        counting = Counting(own)
        stream_ = TextStream(Detokenizer(counting), ("stop it",))
        counting.count = 0
        text = "".join([*map(stream_.push, ids), stream_.end()])
        assert counting.count <= 20 * len(ids)
        assert text == own.decode(ids) or Detokenizer(own).bytes


def reference(text: str, stop: tuple[str, ...]) -> str:
    """A text up to the stop string that is whole first, letter by letter."""
    for end in range(len(text) + 1):
        found = [end - len(each) for each in stop if text[:end].endswith(each)]
        if found:
            return text[: min(found)]
    return text


STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple)
LETTERS = letters()


@settings(deadline=None, max_examples=200)
@given(words=st.lists(st.text("ab\n", min_size=1, max_size=3), max_size=12), stop=STOPS)
def test_a_text_ends_before_its_stop_string_however_tokens_cut_it(words: list[str], stop: tuple[str, ...]) -> None:
    text, shown, so_far = reference("".join(words), stop), "", ""
    found = TextStream(Detokenizer(LETTERS), stop)
    for word in words:
        shown += found.push(LETTERS.token_to_id(word))
        so_far += word
        assert found.is_stopped == any(each in so_far for each in stop), "as soon as it is whole"
        if not found.is_stopped:
            held = [each[:n] for each in stop for n in range(1, len(each)) if so_far.endswith(each[:n])]
            assert shown == so_far[: len(so_far) - max(map(len, held), default=0)], "no more is held than may be one"
    assert shown + found.end() == text
    assert not found.is_stopped or found.push(0) == ""


@pytest.mark.parametrize("kind", EVERY)
def test_stop_strings_are_found_in_the_texts_of_tokenizers(kind: str) -> None:
    own = tokenizer(kind)
    for text in TEXTS:
        ids = own.encode(text).ids
        written = own.decode(ids)
        for at in range(0, max(len(written) - 2, 0), 3):
            stop = (written[at : at + 2],)
            if "\ufffd" not in stop[0]:
                assert "".join(pieces(own, ids, stop)) == reference(written, stop)


def test_a_fork_goes_on_by_itself() -> None:
    own = tokenizer("byte_fallback")
    ids = own.encode("h🙂你好 the end").ids
    first = TextStream(Detokenizer(own), ("end",))
    begun = "".join(first.push(id) for id in ids[:4])
    second = first.fork()
    rest = ["".join([*(each.push(id) for id in ids[4:]), each.end()]) for each in (first, second)]
    assert [begun + each for each in rest] == ["h🙂你好 the "] * 2
    assert first.fork().is_stopped


def ids_of(text: str) -> list[int]:
    return [LETTERS.token_to_id(letter) for letter in text]


def said(text: str) -> models.FixedSteps:
    return models.spelled(*ids_of(text), vocabulary=LETTERS.get_vocab_size())


@pytest.mark.parametrize("more", [{}, {"beams": 2}, {"temperature": 0.01, "seed": 0}], ids=str)
def test_an_answer_ends_with_its_stop_string_and_its_text_before(more: dict[str, Any]) -> None:
    detokenizer = Detokenizer(LETTERS)
    options = Options(stop=("\n\n", "bbb"), max_new_tokens=9, **more)
    ((answer,),) = generate(said("ab\na\n\nab"), [[0]], options, detokenizer)
    assert answer.text == "ab\na"
    assert answer.tokens == tuple(ids_of("ab\na\n\n"))
    assert answer.finish_reason == "stop_sequence"
    ((answer,),) = generate(said("ab\nab"), [[0]], Options(max_new_tokens=5, stop=("\n\n", "bbb"), **more), detokenizer)
    assert (answer.text, answer.finish_reason) == ("ab\nab", "length")
    stopped = Options(max_new_tokens=5, stop_tokens=(ids_of("\n")[0],), **more)
    ((answer,),) = generate(said("ab\nab"), [[0]], stopped, detokenizer)
    assert (answer.text, answer.finish_reason) == ("ab", "eos_token"), "without the stop token, special or not"


def test_pieces_of_several_answers_come_as_they_are_made() -> None:
    options = Options(stop=("bb",), max_new_tokens=4, temperature=0.01, seed=0, sequences=2)
    found = list(stream(said("abab"), [[0], [1]], options, Detokenizer(LETTERS)))
    assert [(piece.prompt, piece.sequence) for piece in found[:4]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [piece.text for piece in found if (piece.prompt, piece.sequence) == (1, 0)] == ["a", "", "ba", "b"]
    assert [piece.answer.text for piece in found if piece.answer] == ["abab"] * 4
    assert found[-1].answer


def test_a_trained_model_tells_its_story_in_pieces() -> None:
    """The text is what transformers decodes, its first space included, and comes token by token."""
    folder = WEIGHTS / "aidreams260k_llama"
    if not folder.exists():
        pytest.skip("the weights aidreams260k_llama are absent")
    model, own = AutoModelForCausalLM.from_pretrained(folder).eval(), tokenizer("aidreams260k_llama")
    prompts = [own.encode(text).ids for text in ("I dreamed", "The light of the nodes was", "I")]
    options = Options(max_new_tokens=64, stop_tokens=(2,))
    found = list(stream(models.TorchSteps(model), prompts, options, Detokenizer(own), contexts=prompts))
    for i, prompt in enumerate(prompts):
        ids = torch.tensor([prompt])
        row = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=64, do_sample=False, pad_token_id=0
        )
        shown = [piece.text for piece in found if piece.prompt == i]
        (answer,) = [piece.answer for piece in found if piece.prompt == i and piece.answer]
        assert answer.tokens == models.written(row[0], len(prompt), (2,))
        assert own.decode(prompt) + "".join(shown) == own.decode(row[0].tolist())
        assert answer.text == "".join(shown)
        assert len([text for text in shown if text]) > len(shown) // 2


def test_a_stream_that_is_left_asks_the_model_no_more() -> None:
    steps = said("abababab")
    found = stream(steps, [[0]], Options(), Detokenizer(LETTERS))
    assert [next(found).text for _ in range(3)] == ["a", "b", "a"]
    assert steps.at == 2


def test_beams_are_not_streamed_and_stop_strings_need_texts() -> None:
    with pytest.raises(BundleError, match="`beams` is 2, and beam search has no pieces"):
        stream(said("a"), [[0]], Options(beams=2), Detokenizer(LETTERS))
    with pytest.raises(ValueError, match="stop strings need a detokenizer"):
        generate(said("a"), [[0]], Options(stop=("a",)))
