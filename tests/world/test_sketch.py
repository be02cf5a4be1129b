from __future__ import annotations

import random
import tracemalloc

import pytest

from graftc.compiler.diagnostics import pages
from graftc.compiler.facts import inputs_seen
from graftc.compiler.facts.inputs_seen import Sketch


def filled(rows: list[tuple[str, str]], *others: Sketch) -> Sketch:
    found = Sketch(others)
    for place, (text, label) in enumerate(rows, 1):
        found.add(text, label, place)
    return found


def test_copies_and_contradictions_are_told_apart_with_their_places() -> None:
    found = filled([("a", "x"), ("b", "x"), ("a", "x"), ("b", "y"), ("a", "x"), ("c", "x"), ("b", "x")])
    assert found.repeated() == (3, ((1, 3), (2, 7)), True)
    assert found.contradicted() == (3, ((2, 4),), True)


def test_rows_of_a_split_that_stand_in_training_are_counted_each() -> None:
    test, other = filled([("c", "x"), ("b", "x"), ("b", "y"), ("B", "x")]), filled([("a", "z")])
    train = filled([("a", "x"), ("b", "x"), ("a", "x")], other, test)
    assert test.shared(train) == (2, ((2, 2),), True)
    assert other.shared(train) == (1, ((1, 1),), True)


def test_pairs_are_not_their_texts_joined() -> None:
    test = Sketch()
    test.add(("a b", "c"), "x", 1)
    train = Sketch([test])
    train.add(("a", "b c"), "x", 1)
    assert test.shared(train).rows == 0


def test_texts_and_bytes_of_one_content_are_one_input() -> None:
    test = filled([("é", "x")])
    train = Sketch([test])
    train.add("é".encode(), "x", 1)
    assert test.shared(train).rows == 1


def test_a_single_leak_is_found_however_long_the_training_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_seen, "CAP", 500)
    texts = [f"row {i}" for i in range(20_000)]
    for leak in random.Random(0).sample(range(20_000), 20):
        test = filled([(texts[leak], "x"), ("unseen", "x")])
        train = filled([(text, "x") for text in texts], test)
        assert train.bits > 0
        assert test.shared(train) == (1, ((leak + 1, 1),), True)


@pytest.mark.parametrize("page", ["W0310", "W0311", "W0312"])
def test_it_is_exact_up_to_the_number_that_the_page_gives(page: str) -> None:
    found = Sketch()
    for i in range(inputs_seen.CAP):
        found.add(f"row {i}", "x", i)
    assert (found.bits, len(found.first)) == (0, inputs_seen.CAP)
    found.add("one more", "x", inputs_seen.CAP)
    assert found.bits == 1
    assert f"{inputs_seen.CAP:,} different inputs" in pages.page(page).replace("\n", " ")


@pytest.mark.parametrize("kind", ["numbered", "random"])
def test_past_its_cap_it_keeps_a_sample_that_estimates_without_bias(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_seen, "CAP", 2_000)
    chance = random.Random(0)
    texts = [f"row {i}" if kind == "numbered" else f"{chance.random()}" for i in range(40_000)]
    test = filled([(text, "x") for text in texts[20_000:30_000]] + [(f"other {i}", "x") for i in range(10_000)])
    train = filled([(text, "x") for text in texts] + [(text, "x") for text in texts[:8_000]], test)
    assert train.bits > 0
    assert len(train.first) <= 2_000
    assert len(test.first) <= 2_000
    for found, truth, bits in ((train.repeated(), 8_000, train.bits), (test.shared(train), 10_000, test.bits)):
        assert not found.is_exact
        deviation = (truth * 2**bits) ** 0.5  # of a sample of one in 2**bits
        assert abs(found.rows - truth) < 4 * deviation


def test_it_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_seen, "CAP", 1_000)
    peaks, test = [], filled([(f"text {i}", "x") for i in range(1_000)])
    for rows in (20_000, 80_000):
        tracemalloc.start()
        found = Sketch([test])
        for i in range(rows):
            found.add(f"text {i}", "x", i)
            found.add(f"text {i}", "y", i)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
