"""Floors by cosines of texts: of TF-IDF vectors, and of the untouched backbone's features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import Sample

if TYPE_CHECKING:
    import numpy as np

NUMBERS = 1 << 25  # the most numbers of all vectors, 134 MB, because metrics need dense vectors
FEWEST, MOST = 9, 13  # range of the width of a vector, as powers of two
Near = Callable[[Sample], "np.ndarray | None"]  # sample of pairs → cosines (pairs, 1)
TFIDF, UNTOUCHED = "TF-IDF cosine", "untouched cosine"


def weighed(train: Sample, asked: Sample) -> Any:
    """TF-IDF of each text of `asked`, hashed into sparse unit vectors (texts, 2^n), with the IDF of training texts.

    Hashing changes inner products only a little (Weinberger et al. 2009, arXiv:0902.2206) and needs no vocabulary.
    """
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    every = [text for texts in asked.texts for text in texts]
    power = max(FEWEST, min(MOST, (NUMBERS // max(1, len(every))).bit_length() - 1))
    hashed = HashingVectorizer(n_features=1 << power, norm=None, token_pattern=r"(?u)\b\w+\b")
    weights = TfidfTransformer(sublinear_tf=False)
    weights.fit(hashed.transform([text for texts in train.texts for text in texts]))
    return weights.transform(hashed.transform(every))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (texts, width) scaled to length one; zero vectors stay zero."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: np.ndarray = np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
    return found


def of_pairs(vectors: Any) -> np.ndarray:
    """The cosines (pairs, 1) of unit vectors (2 · pairs, width), in which the two of a pair follow each other."""
    import numpy as np

    first, second = vectors[0::2], vectors[1::2]
    product = first.multiply(second) if hasattr(first, "multiply") else first * second
    found: np.ndarray = np.asarray(product.sum(1), np.float32).reshape(-1, 1)
    return found


def pairs(train: Sample) -> Iterator[tuple[str, Near]]:
    """Each cosine by name, as a function of a sample of pairs."""
    yield TFIDF, lambda sample: of_pairs(weighed(train, sample))
    yield UNTOUCHED, lambda sample: None if sample.vectors is None else of_pairs(unit(sample.vectors))
