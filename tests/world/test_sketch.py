from __future__ import annotations

import random
import tracemalloc

import pytest

from graftc.compiler.world import sketch
from graftc.compiler.world.sketch import Sketch


def filled(rows: list[tuple[str, str]]) -> Sketch:
    found = Sketch()
    for place, (text, label) in enumerate(rows, 1):
        found.add(text, label, place)
    return found


def test_copies_and_contradictions_are_told_apart_with_their_places() -> None:
    found = filled([("a", "x"), ("b", "x"), ("a", "x"), ("b", "y"), ("a", "x"), ("c", "x"), ("b", "x")])
    assert found.repeated() == (3, ((1, 3), (2, 7)), True)
    assert found.contradicted() == (3, ((2, 4),), True)


def test_rows_of_a_split_that_stand_in_training_are_counted_each() -> None:
    train, test = filled([("a", "x"), ("b", "x")]), filled([("c", "x"), ("b", "x"), ("b", "y"), ("B", "x")])
    assert test.shared(train) == (2, ((2, 2),), True)
    assert train.shared(test) == (1, ((2, 2),), True)


def test_pairs_are_not_their_texts_joined() -> None:
    one, other = Sketch(), Sketch()
    one.add(("a", "b c"), "x", 1)
    other.add(("a b", "c"), "x", 1)
    assert other.shared(one).rows == 0


def test_texts_and_bytes_of_one_content_are_one_input() -> None:
    one, other = Sketch(), Sketch()
    one.add("é", "x", 1)
    other.add("é".encode(), "x", 1)
    assert other.shared(one).rows == 1


@pytest.mark.parametrize("kind", ["numbered", "random"])
def test_past_its_cap_it_keeps_a_sample_that_estimates_without_bias(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "CAP", 2_000)
    chance = random.Random(0)
    texts = [f"row {i}" if kind == "numbered" else f"{chance.random()}" for i in range(40_000)]
    train = filled([(text, "x") for text in texts] + [(text, "x") for text in texts[:8_000]])
    test = filled([(text, "x") for text in texts[20_000:30_000]] + [(f"other {i}", "x") for i in range(10_000)])
    small = filled([(text, "x") for text in texts[:1_000]])
    assert train.bits > test.bits > small.bits == 0
    assert len(train.first) <= 2_000
    for found, truth in ((train.repeated(), 8_000), (test.shared(train), 10_000), (small.shared(train), 1_000)):
        assert not found.is_exact
        deviation = (truth * 2**train.bits) ** 0.5  # of a sample of one in 2**bits
        assert abs(found.rows - truth) < 4 * deviation


def test_it_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "CAP", 1_000)
    peaks = []
    for rows in (20_000, 80_000):
        tracemalloc.start()
        found = Sketch()
        for i in range(rows):
            found.add(f"text {i}", "x", i)
            found.add(f"text {i}", "y", i)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
