"""Finds the answer to a question in a context, or says that it is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Layered
from ..contracts.reading import RowReader
from ..contracts.targets import Place, TargetStatistics
from ..diagnostics import At, Diagnostic, quote
from ..facts.rows import Unusable, cell, kind_of
from ..floors import Floor, Sample
from ..frozen import Frozen
from ..metrics import answers
from ._stack import Width, count

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layers.head import HeadModule

LONGEST = 30  # default of the most tokens of an answer
Found = list[tuple[int, str]]  # (first character, text) of each answer


class Options(Layered, Frozen):
    """Keys under `head` for question-answering."""

    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="on the feature, while training")
    hidden: tuple[Width, ...] = Field((), description="widths of layers before the last")
    max_answer: int = Field(LONGEST, ge=1, le=1000, description="tokens of the longest answer")


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[str, str]:
    """The question and the context of a row."""
    return row[columns["question"][0]], row[columns["context"][0]]


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with the question or the context; None for nothing."""
    return cell(row, columns["question"][0]) or cell(row, columns["context"][0])


def answers_of(row: Mapping[str, Any], columns: Mapping[str, Any]) -> Found | Unusable:
    """The answers of a row, empty where it has none; or why they are unusable.

    They are written as in SQuAD, {text: […], answer_start: […]}, or as a list of {text, answer_start}.
    """
    name, context = columns["answers"][0], row[columns["context"][0]]
    value = row.get(name)
    if isinstance(value, Mapping) and {"text", "answer_start"} <= value.keys():
        texts, starts = value["text"], value["answer_start"]
        if not all(isinstance(part, list | tuple) for part in (texts, starts)) or len(texts) != len(starts):
            return Unusable(name, "holds texts and starts that are no lists of one length")
        pairs = list(zip(starts, texts, strict=True))
    elif isinstance(value, list | tuple) and all(
        isinstance(v, Mapping) and {"text", "answer_start"} <= v.keys() for v in value
    ):
        pairs = [(answer["answer_start"], answer["text"]) for answer in value]
    else:
        reason = "is missing" if value is None else f"is {kind_of(value)}, not answers"
        return Unusable(name, reason, "answers are {text: […], answer_start: […]}, both empty where there is none")
    for i, (start, text) in enumerate(pairs, 1):
        if type(start) is not int or not isinstance(text, str) or not text.strip():
            return Unusable(
                name, "holds what is no answer", f"answer {i}: `text` is a text, `answer_start` a whole number"
            )
        if start < 0 or context[start : start + len(text)] != text:
            at = context.find(text)
            where = f"; it stands at {at}" if at >= 0 else "; it stands nowhere in the context"
            there = context[max(start, 0) : max(start, 0) + len(text)]
            detail = f"answer {i}, {quote(text)}, is said to be at {start}, where {quote(there)} stands{where}"
            return Unusable(name, "has an answer that is not where it is said to be", detail, "E0364")
    return pairs


class Tally(TargetStatistics):
    """Counts the rows of a split with and without an answer."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]], options: Any = None) -> None:
        self.columns = columns
        self.rows = self.answered = 0

    @property
    def strata(self) -> tuple[int, ...]:
        """The rows with an answer, and the rows without."""
        return tuple(rows for rows in (self.answered, self.rows - self.answered) if rows)

    def add(self, values: Mapping[str, Any], place: Place) -> Unusable | None:
        """Counts one row; returns why its answers are unusable, or None."""
        found = answers_of(values, self.columns)
        if isinstance(found, Unusable):
            return found
        self.rows += 1
        self.answered += bool(found)
        return None

    def record(self) -> dict[str, Any]:
        """The counts as data for a lock, which `recall` reads."""
        return {"rows": self.rows, "answered": self.answered}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: Place) -> Self:
        """The tally that gave `record`, as if the rows had been read.

        Raises ValueError, KeyError or TypeError for a record that no tally gives.
        """
        tally = cls(columns)
        tally.rows, tally.answered = record["rows"], record["answered"]
        if not 0 <= tally.answered <= tally.rows:
            raise ValueError(f"{tally.answered} of {tally.rows} rows")
        return tally


def problems(options: Options, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """The error for training rows without any answer."""
    if not tallies["train"].answered:
        notes = (f"none of {tallies['train'].rows:,} rows has one",)
        help = "an answer is a text of the context and its first character"
        yield Diagnostic("E0315", "no training row has an answer", At(("data", "train")), notes=notes, help=help)


def reads(options: Options, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for the record of preprocessing: pairs of texts, with the offsets of tokens."""
    return {"is_pair": True, "has_offsets": True}


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record of the head; without `null_threshold` every question gets an answer."""
    threshold = 0.0 if train.answered < train.rows else None
    return options.model_dump() | {"hidden": options.hidden, "null_threshold": threshold}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """The number of parameters."""
    return count(width, record["hidden"], 2)


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the graph by name."""
    return {name: {"dtype": "float32", "shape": ["batch", "sequence"]} for name in ("start_logits", "end_logits")}


def target(
    record: Mapping[str, Any],
    row: Mapping[str, Any],
    columns: Mapping[str, tuple[str, ...]],
    features: Sequence[Mapping[str, np.ndarray]],
) -> list[np.ndarray]:
    """The first and the last token of the answer in each window, int64 (2,).

    A window without the whole answer has the place that stands for no answer twice (Devlin et al., 2019).
    """
    import numpy as np

    from ...runtime.windows import located, nowhere

    true = reference(row, columns)["answers"]
    found = []
    for feature in features:
        place = located(feature, *true[0]) if true else None
        found.append(np.array(place or (nowhere(feature),) * 2, np.int64))
    return found


def reference(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """The context and the answers, for scores."""
    found = answers_of(row, columns)
    assert not isinstance(found, Unusable)
    return {"context": row[columns["context"][0]], "answers": [(start, text) for start, text in found]}


def stratum(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> bool:
    """The stratum of a row when rows are held out: whether it has an answer."""
    return bool(answers_of(row, columns))


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The untrained head: (batch, tokens, width) → start and end logits, each (batch, tokens)."""

    from ..layers.classifier import Classifier

    class Edges(Classifier):
        """A classifier of tokens with two outputs."""

        def forward(self, feature: torch.Tensor) -> dict[str, torch.Tensor]:
            """Logits of each token to be the first and the last of the answer."""
            logits = super().forward(feature)["logits"]
            return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}

    return Edges(width, tuple(record["hidden"]), 2, record["dropout"])


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """The mean of two cross entropies over tokens, for the start and the end of the answer."""
    import torch

    entropy = torch.nn.functional.cross_entropy
    return (entropy(outputs["start_logits"], targets[:, 0]) + entropy(outputs["end_logits"], targets[:, 1])) / 2


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """The floor that answers no question, where some have no answer."""
    if record["null_threshold"] is not None:
        yield Floor("no answer", _none, is_calibrated=False)


def _none(sample: Sample) -> dict[str, list[np.ndarray]]:
    """Logits (tokens,) of each window that are 0, but 1 at the place that stands for no answer."""
    import numpy as np

    from ...runtime.windows import nowhere

    scores = []
    for feature in sample.examples.features:
        scores.append(np.zeros(len(feature["input_ids"]), np.float32))
        scores[-1][nowhere(feature)] = 1.0
    return {"start_logits": scores, "end_logits": scores}


HEAD = Head(
    modality="text",
    needs="tokens",
    options=Options,
    metrics=answers.METRICS,
    targets=("answers",),
    reader=RowReader(roles=("question", "context"), raw=raw, refusal=refusal),
    reads=reads,
    is_windowed=True,  # long contexts are read in windows
    stratum=stratum,
    reference=reference,
    tally=Tally,
    problems=problems,
    lower=lower,
    targets_from=(),  # a row's target depends on no field of the record
    parameters=parameters,
    outputs=outputs,
    target=target,
    build=build,
    loss=loss,
    floors=floors,
)
