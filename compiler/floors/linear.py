"""Floors by linear models of scikit-learn on words, mean colours or features, with limits on their work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import Floor, Sample

if TYPE_CHECKING:
    import numpy as np

Seen = Callable[[Sample], Any]  # sample → matrix (rows, columns), sparse or dense
See = Callable[[Sample], Seen | None]  # training rows → Seen, or None where there are no features
Answer = Callable[[Any], "np.ndarray"]  # matrix → logits (rows, outputs)

WORDS = 10_000  # the most frequent words; twice as many were no better on banking77, and four times as slow
ENTRIES = 4_000_000  # the most rows × outputs of a fit: banking77's 9,000 rows of 77 labels take 0.7 s
ITERATIONS, TOLERANCE = 60, 1e-3  # of L-BFGS; 1e-4 takes twice as long for half a point of accuracy
GRID = 4  # fields along each side of a picture
ABSENT = -30.0  # logit of a label without rows, whose probability rounds to zero
RARE = 1000  # from this many rows on, a word must occur in two rows


def words(train: Sample) -> Seen | None:
    """TF-IDF of words with sublinear counts, over all texts of an input; None where there are no words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    seen = TfidfVectorizer(
        sublinear_tf=True, max_features=WORDS, min_df=2 if len(train) > RARE else 1, token_pattern=r"(?u)\b\w+\b"
    )
    try:
        seen.fit(joined(train))
    except ValueError:  # no text has a word
        return None
    return lambda sample: seen.transform(joined(sample))


def joined(sample: Sample) -> list[str]:
    """The texts of each input joined to one."""
    return [" ".join(texts) for texts in sample.texts]


def colours(train: Sample) -> Seen | None:
    """The mean colours of the fields of a grid over each picture, standardised by training rows: (rows, 3 · GRID²)."""
    return _scaled(train, _grid)


def _grid(sample: Sample) -> np.ndarray:
    import numpy as np

    found = []
    for row in sample.examples.features:
        bands = np.array_split(row["pixels"], GRID)
        fields = [field for band in bands for field in np.array_split(band, GRID, axis=1)]
        found.append(np.concatenate([field.reshape(-1, field.shape[-1]).mean(0) for field in fields]))
    return np.array(found)


def features(train: Sample) -> Seen | None:
    """The untouched backbone's features, standardised by training rows; None where there are none."""
    return None if train.vectors is None else _scaled(train, lambda sample: sample.vectors)


def _scaled(train: Sample, of: Callable[[Sample], Any]) -> Seen:
    import numpy as np

    known = np.asarray(of(train), np.float64)
    mean, deviation = known.mean(0), known.std(0)
    deviation[deviation < 1e-6] = 1.0  # constant columns carry no information
    return lambda sample: (np.asarray(of(sample), np.float64) - mean) / deviation


def floors(
    train: Sample, targets: np.ndarray, fit: Callable[[Any, np.ndarray], Answer], ways: Mapping[str, See]
) -> Iterator[Floor]:
    """A linear model on each kind of features; `targets` are (rows,) or (rows, outputs), `fit` makes the model."""
    for name, see in ways.items():
        seen = see(train)
        if seen is not None:
            with _quiet():
                model = fit(seen(train), targets)
            yield Floor(name, _asked(seen, model))


def _asked(seen: Seen, model: Answer) -> Callable[[Sample], dict[str, np.ndarray]]:
    import numpy as np

    return lambda sample: {"logits": np.asarray(model(seen(sample)), np.float32)}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences scikit-learn's warnings on fits that reach the limit of iterations."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def thinned(rows: int, outputs: int) -> np.ndarray:
    """Indices of evenly spaced rows, as many as the work limit allows for these outputs."""
    import numpy as np

    most = max(1, min(rows, ENTRIES // max(1, outputs)))
    return np.unique(np.linspace(0, rows - 1, most).astype(np.int64))


def one_of(count: int, strength: float) -> Callable[[Any, np.ndarray], Answer]:
    """A fit of multinomial logistic regression over `count` labels; `strength` is scikit-learn's C."""

    def fit(rows: Any, targets: np.ndarray) -> Answer:
        import numpy as np

        chosen = thinned(rows.shape[0], count)
        rows, targets = rows[chosen], targets[chosen]
        known = np.unique(targets)
        model = _logistic(strength).fit(rows, targets) if len(known) > 1 else None

        def answer(asked: Any) -> np.ndarray:
            logits = np.full((asked.shape[0], count), ABSENT)
            found = model.decision_function(asked) if model else np.zeros((asked.shape[0], 1))
            logits[:, known] = np.stack([-found / 2, found / 2], 1) if found.ndim == 1 else found
            return logits

        return answer

    return fit


def any_of(strength: float) -> Callable[[Any, np.ndarray], Answer]:
    """A fit of one logistic regression for each column of targets (rows, labels) of 0 and 1."""

    def fit(rows: Any, targets: np.ndarray) -> Answer:
        import numpy as np

        chosen = thinned(rows.shape[0], targets.shape[1])
        rows, targets = rows[chosen], targets[chosen]
        models = [_logistic(strength).fit(rows, t) if 0 < t.sum() < len(t) else float(t[0]) for t in targets.T]

        def answer(asked: Any) -> np.ndarray:
            every = np.ones(asked.shape[0])
            logits = [
                every * (-ABSENT if m else ABSENT) if isinstance(m, float) else m.decision_function(asked)
                for m in models
            ]
            return np.stack(logits, 1)

        return answer

    return fit


def _logistic(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=ITERATIONS, tol=TOLERANCE)


def numbers(strength: float) -> Callable[[Any, np.ndarray], Answer]:
    """A fit of ridge regression on targets (rows, numbers); `strength` is scikit-learn's alpha."""

    def fit(rows: Any, targets: np.ndarray) -> Answer:
        from sklearn.linear_model import Ridge

        chosen = thinned(rows.shape[0], targets.shape[1])
        model = Ridge(alpha=strength, solver="sparse_cg", max_iter=ITERATIONS, tol=TOLERANCE)
        model.fit(rows[chosen], targets[chosen].astype(float))
        return lambda asked: model.predict(asked).reshape(asked.shape[0], -1)

    return fit
