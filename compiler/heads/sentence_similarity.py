"""Embeds texts as vectors that are close for similar texts.

It learns from pairs with scores, from pairs that belong together, or from triplets (Reimers and Gurevych, 2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Pooled
from ..contracts.reading import RowReader
from ..diagnostics import At, Diagnostic
from ..facts.rows import Unusable
from ..floors import Floor, Sample, cosine
from ..frozen import Frozen
from ..inputs.text import unusable
from ..metrics import embeddings
from ._scores import Range, Tally, all_equal, backwards, numbers, outside, scaled
from ._stack import Width

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layers.head import HeadModule

ROLES = ("text", "text_pair", "text_negative")


class Options(Pooled, Frozen):
    """Keys under `head` for sentence-similarity."""

    dimensions: Width | None = Field(
        None, description="numbers of a vector, by a learned projection; default the backbone's width, without one"
    )
    scale: float = Field(
        20.0, gt=0.0, le=1000.0, description="of pairs without scores: what cosines are multiplied by before softmax"
    )
    score_range: Range | None = Field(
        None, description="the lowest and the highest score of the data, which become 0 and 1"
    )
    pooling: Literal["mean", "cls", "max", "last"] | None = Field(
        None, description="how token states become one feature; default the folder's own, else mean for encoders"
    )


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The input of one row: two texts, or three."""
    return tuple(" ".join(str(row[name]) for name in columns[role]) for role in ROLES if role in columns)


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with the first cell that is not a text; None for nothing."""
    return unusable(row, columns, ROLES)


def reads(options: Frozen, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for the record of preprocessing: each text of a row is an input of its own."""
    return {"is_pair": False, "is_apart": True}


def problems(options: Options, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """Errors for scores that are all equal or out of range, and for scores of triplets."""
    train = tallies["train"]
    yield from backwards(options.score_range)
    if not train.columns:
        return
    if "text_negative" in train.roles:
        at, help = (
            At(("data", "columns")),
            "a triplet says by itself which of two texts is nearer: leave out one of them",
        )
        yield Diagnostic("E0312", "`score` and `text_negative` are both given", at, help=help)
    yield from all_equal(train)
    low, high = options.score_range or (-1.0, 1.0)
    help = "write the ends of your scores under `head`: `score_range: [lowest, highest]`"
    yield from outside(tallies, low, high, help)


def least_rows(columns: Mapping[str, tuple[str, ...]]) -> int:
    """The fewest rows of a batch: two where negatives come from other rows, else one."""
    return 1 if "score" in columns or "text_negative" in columns else 2


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record of the head; `texts` is the number of texts in a row."""
    return {
        "texts": sum(role in train.roles for role in ROLES),
        "is_scored": bool(train.columns),
        "scale": options.scale,
        "score_range": options.score_range,
        "dimensions": options.dimensions,
    }


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[np.ndarray]:
    """For each text of a row its score, float32 (), or an identifier that equal texts share, int64 ()."""
    import numpy as np

    if record["is_scored"]:
        score = scaled(numbers(row, columns["score"])[0], record["score_range"])
        return [np.asarray(score)] * len(features)
    return numbered(raw(row, columns, Path()))


def numbered(texts: Iterable[str]) -> list[np.ndarray]:
    """An identifier for each text, int64 (), the same for equal texts."""
    import numpy as np

    digests = (int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1 for text in texts)
    return [np.array(digest, np.int64) for digest in digests]


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head: (batch, width) → unit vectors (batch, dimensions), with a projection if asked for."""
    from ..layers.embedder import Embedder

    return Embedder(width, record["dimensions"])


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean loss of a batch; its rows are the texts of inputs, those of one input together.

    With scores, the squared error of the cosine (CosineSimilarityLoss of sentence-transformers). Without scores, the
    cross entropy of finding a text's partner among all second and third texts of the batch (Henderson et al., 2017;
    MultipleNegativesRankingLoss); candidates that equal another partner of the same text are left out.
    """
    import torch

    count = record["texts"]
    vectors = outputs["sentence_embedding"].unflatten(0, (-1, count))
    if record["is_scored"]:
        cosines = (vectors[:, 0] * vectors[:, 1]).sum(-1)
        return torch.nn.functional.mse_loss(cosines, targets[::count])
    texts = targets.unflatten(0, (-1, count))
    others, known = vectors[:, 1:].transpose(0, 1).flatten(0, 1), texts[:, 1:].T.flatten()
    right = torch.arange(len(vectors), device=vectors.device)
    same = texts[:, :1] == texts[:, 0]  # rows with the same first text
    partners = (same[:, :, None] & (known[None, None] == texts[None, :, 1:2])).any(1)
    partners[right, right] = False
    logits = (vectors[:, 0] @ others.T * record["scale"]).masked_fill(partners, float("-inf"))
    return torch.nn.functional.cross_entropy(logits, right)


def parameters(record: Mapping[str, Any], width: int) -> int:
    """The number of parameters, those of the projection."""
    return width * (record["dimensions"] or 0)


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the graph by name."""
    return {"sentence_embedding": {"dtype": "float32", "shape": ["batch", record["dimensions"] or "width"]}}


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """Floors: vectors of TF-IDF, and of the untouched backbone."""
    yield Floor(cosine.TFIDF, lambda sample: {"sentence_embedding": cosine.weighed(train, sample).toarray()})
    yield Floor(cosine.UNTOUCHED, _untouched)


def _untouched(sample: Sample) -> dict[str, np.ndarray] | None:
    return None if sample.vectors is None else {"sentence_embedding": cosine.unit(sample.vectors)}


HEAD = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=embeddings.METRICS,
    targets=("score",),
    reader=RowReader(roles=ROLES, optional=("text_negative", "score"), joined=ROLES, raw=raw, refusal=refusal),
    reads=reads,
    least_rows=least_rows,
    tally=Tally,
    problems=problems,
    lower=lower,
    targets_from=("is_scored", "score_range"),
    parameters=parameters,
    outputs=outputs,
    target=target,
    build=build,
    loss=loss,
    in_batch_negatives=True,
    is_vector=True,
    floors=floors,
    floor_features="apart",
)
