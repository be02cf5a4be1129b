"""What a bundle may be given as one input and as many, and what the message says of anything else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from graftc.runtime.errors import BundleError
from graftc.runtime.model import Model

from ..builds import subjects
from ..heads import building

TEXTS = ["a warm and funny film", "a dull one"]
PAIRS = [("a film", "a warm film"), ("an order", "a late parcel")]


class Series:
    """As a Series of pandas whose index begins at 1: `series[0]` and an iteration by numbers fail."""

    def __init__(self, values: list[Any]) -> None:
        self.values = np.array(values, object)

    def __getitem__(self, key: int) -> Any:
        if not key:
            raise KeyError(key)
        return self.values[key - 1]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def tolist(self) -> list[Any]:
        return list(self.values)


class DataFrame:
    """As a data frame: going over it gives the names of columns."""

    columns = ("text", "label")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("texts")
    return Model(building.built(subjects.write(folder, subjects.features(folder))))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("pairs")
    rows = [{"text": a, "text_pair": b, "score": i % 3 / 2} for i in range(20) for a, b in PAIRS]
    building.write_rows(folder / "rows.jsonl", rows)
    head = {"type": "text-regression"}
    return Model(building.bundle(folder, "bert", head, {"train": "rows.jsonl"}, adapt={"method": "probe"}))


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("apart")
    rows = [{"text": a, "text_pair": b} for i in range(10) for a, b in PAIRS]
    building.write_rows(folder / "rows.jsonl", rows)
    head = {"type": "sentence-similarity"}
    return Model(building.bundle(folder, "bert", head, {"train": "rows.jsonl"}))


MANY = {
    "a tuple": tuple, "an array of texts": np.array, "an array of objects": lambda v: np.array(v, object),
    "a list of numpy's texts": lambda v: list(np.array(v)), "a Series": Series, "a column of pyarrow": pa.array,
    "chunks of pyarrow": lambda v: pa.chunked_array([v]), "a deque": deque,
}  # fmt: skip


@pytest.mark.parametrize("make", MANY.values(), ids=MANY)
def test_many_texts_are_many_however_they_come(texts: Model, make: Any) -> None:
    known = texts.predict(TEXTS)
    assert [answer.label for answer in known]
    assert texts.predict(make(TEXTS)) == known
    assert list(texts.stream(make(TEXTS))) == known
    assert texts.predict(make(TEXTS[:1])) == texts.predict(TEXTS[:1])


def test_one_text_is_one(texts: Model) -> None:
    (known,) = texts.predict(TEXTS[:1])
    assert texts.predict(TEXTS[0]) == texts.predict(np.str_(TEXTS[0])) == texts.predict(np.array(TEXTS[0])) == known
    assert texts.predict([]) == texts.predict(()) == texts.predict(np.array([], object)) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((text for text in TEXTS), "stream"),
        (iter(TEXTS), "stream"),
        (map(str, TEXTS), "stream"),
        (DataFrame(), 'frame["text"]'),
        ({"text": "a"}, "expected a text, not a dict"),
        ({"a", "b"}, "expected a text, not a set"),
        (b"a film", "expected a text, not a bytes"),
        (3, "expected a text, not an int"),
        (None, "expected a text, not None"),
        (["a film", None], "input 2"),
        (["a film", float("nan")], "expected a text, not a float"),
        (Series(["a film", float("nan")]), "expected a text, not a float"),
        (np.array([1, 2]), "expected a text, not an int64"),
        ([("a film", "another")], "expected a text, not a tuple of 2 str"),
        (("a film", 3), "expected a text, not an int"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_named(texts: Model, given: Any, said: str) -> None:
    with pytest.raises(BundleError) as caught:
        texts.predict(given)
    assert caught.value.code == "E0505"
    assert said in str(caught.value)


@pytest.mark.parametrize("given", ["a film", b"a film", {"text": "a film"}, DataFrame(), 3, None])
def test_a_stream_takes_many(texts: Model, given: Any) -> None:
    with pytest.raises(BundleError) as caught:
        next(texts.stream(given))
    assert caught.value.code == "E0505"
    assert list(texts.stream(text for text in TEXTS)) == texts.predict(TEXTS)


def test_pairs_are_one_input_as_a_tuple_and_many_in_what_holds_them(pairs: Model) -> None:
    known = pairs.predict(PAIRS)
    assert len(known) == 2
    assert pairs.predict(PAIRS[0]) == known[0]
    objects = np.empty(2, object)
    objects[:] = PAIRS
    for given in (
        tuple(PAIRS),
        np.array(PAIRS),
        list(np.array(PAIRS)),
        objects,
        Series(PAIRS),
        [list(p) for p in PAIRS],
    ):
        assert pairs.predict(given) == known, type(given)
    assert list(pairs.stream(np.array(PAIRS))) == known
    for given, came in ((["a", "b"], "not a str"), (("a", "b", "c"), "not a str"), (("a", 3), "not a str")):
        with pytest.raises(BundleError, match="expected a pair of texts"):
            pairs.predict(given)
        with pytest.raises(BundleError) as caught:
            pairs.predict(given)
        assert came in str(caught.value)


def test_texts_that_are_asked_each_for_itself_stay_one_input_as_a_tuple(apart: Model) -> None:
    assert isinstance(apart.predict(("a film", "a warm film")).score, float)
    vectors = apart.predict(["a film", "a warm film"])
    assert [len(vector.embedding) for vector in vectors] == [32, 32]
    assert (
        apart.predict(np.array(["a film", "a warm film"]))
        == apart.predict(Series(["a film", "a warm film"]))
        == vectors
    )
    assert [type(answer) for answer in apart.predict(PAIRS)] == [type(apart.predict(PAIRS[0]))] * 2
    assert apart.predict(tuple(PAIRS)) == apart.predict(np.array(PAIRS)) == apart.predict(PAIRS)


def test_an_array_of_numbers_is_a_picture_and_several_are_several(tmp_path: Path) -> None:
    model = Model(building.built(subjects.write(tmp_path, subjects.images(tmp_path, train={"max_steps": 2}))))
    batch = np.random.default_rng(0).integers(0, 255, (3, 40, 40, 3), dtype=np.uint8)
    known = model.predict([*batch])
    assert len(known) == 3
    assert model.predict(batch[0]) == known[0]
    assert model.predict(batch) == model.predict(tuple(batch)) == known
    assert model.predict(batch[0, :, :, 0]) == model.predict([batch[0, :, :, 0]])[0]
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    for path, pixels in zip(paths, batch, strict=False):
        Image.fromarray(pixels).save(path)
    assert model.predict(np.array(paths)) == model.predict(Series(paths)) == model.predict(paths) == known[:2]
    with pytest.raises(BundleError, match="stream"):
        model.predict(path for path in paths)
