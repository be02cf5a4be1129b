"""What heads that choose among labels share: options, reading targets, the record, loss and checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from .. import variants
from ..decided import Decided
from ..diagnostics import At, Diagnostic, Row, clean, nearest, quote
from ..frozen import Frozen
from ..world.rows import Unusable, kind_of
from ._joined import Joined, apart, joined
from ._stack import Width, count

if TYPE_CHECKING:
    import numpy as np
    import torch

TARGETS = ("label", "labels")
TARGETS_FROM = ("labels", "is_multi")  # the fields of the record that a row's target depends on
METRICS = "classification"
SHOWN = 3  # labels named per kind of mistake
COMPARED = 10_000  # pairs of labels, when one is sought that was meant
MOST = 1 << 16  # different labels: what has more is no label
Weight = Annotated[float, Field(gt=0.0, le=1e6)]


class Loss(Frozen):
    """How answers are scored while training."""

    class_weights: Literal["balanced"] | dict[str, Weight] | None = Field(
        None, description="`balanced`, or label: weight"
    )
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0, description="share of the target spread over all labels")
    focal: float = Field(
        0.0,
        ge=0.0,
        le=10.0,
        description="focusing on what is hard: an answer given a share p of certainty counts (1 − p)^focal",
    )


class Options(Frozen):
    """Keys under `head` of every head that chooses among labels."""

    labels: tuple[str | int | bool, ...] | None = Field(
        None, min_length=1, description="label order; default the sorted labels of the training data"
    )
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="on the feature, while training")
    hidden: tuple[Width, ...] = Field((), description="widths of layers before the last")
    loss: Loss = Field(default=Loss(), description="how answers are scored while training")


class Tally:
    """Counts the labels of a split while its rows are read; past MOST different ones it counts no new ones."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]]) -> None:
        self.is_multi = "labels" in columns
        self.role = "labels" if self.is_multi else "label"
        self.column = columns[self.role][0]
        self.counts: dict[str, int] = {}
        self.first: dict[str, tuple[str, int]] = {}
        self.rows = 0

    @property
    def strata(self) -> tuple[int, ...]:
        """Rows of each stratum of which a share is held out: of each label, or of all where rows have several."""
        return (self.rows,) if self.is_multi else tuple(self.counts.values())

    def add(self, values: Mapping[str, Any], place: tuple[str, int]) -> Unusable | None:
        """Counts one row; returns what is wrong when its target is unusable."""
        value = values.get(self.column)
        if type(value) is str and not self.is_multi and value in self.counts:  # nearly every row
            self.counts[value] += 1
            self.rows += 1
            return None
        labels = read_labels(value, self.is_multi)
        if isinstance(labels, str):
            several = f"for any number of labels in a row: `labels: {clean(self.column)}` under `data.columns`"
            help = several if isinstance(value, list) and not self.is_multi else ""
            detail = "" if value in (None, "") else f"it is {clean(value)}"
            return Unusable(self.column, labels, detail, help=help)
        for label in labels:
            if label in self.counts:
                self.counts[label] += 1
            elif len(self.counts) <= MOST:
                self.counts[label], self.first[label] = 1, place
        self.rows += 1
        return None

    def joined(self) -> Joined | None:
        """A label that is made of others, where rows may have several."""
        return joined(self.counts) if self.is_multi else None

    def record(self) -> dict[str, Any]:
        """What a lock keeps of the count, for `recall`."""
        return {"rows": self.rows, "counts": written_counts(self.counts)}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: tuple[str, int]) -> Tally:
        """The count that `record` gave, as if the rows had been read; every label's first row is then at `place`.

        Raises ValueError, KeyError, TypeError or AttributeError for a record that no count gives.
        """
        tally = cls(columns)
        tally.counts = read_counts(record["counts"])
        tally.first = dict.fromkeys(tally.counts, place)
        tally.rows = record["rows"]
        if sum(tally.strata) != tally.rows:
            raise ValueError(f"{tally.rows} rows")
        return tally


def written_counts(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Counts of labels as a lock keeps them, in the order of the labels."""
    return tuple(f"{counts[label]} {label}" for label in order(counts))


def read_counts(entries: Iterable[str]) -> dict[str, int]:
    """What `written_counts` wrote; raises ValueError or AttributeError for anything else."""
    return {label: int(number) for number, _, label in (entry.partition(" ") for entry in entries)}


def read_labels(value: Any, is_multi: bool) -> tuple[str, ...] | str:
    """The labels of one row, or the reason why there are none.

    >>> read_labels(1, False), read_labels(["a", "b"], True), read_labels("a|b", True)
    (('1',), ('a', 'b'), ('a', 'b'))
    """
    if type(value) is str and value and not is_multi:  # nearly every row
        return (value,)
    if is_multi and isinstance(value, str):
        value = [part.strip() for part in value.split("|") if part.strip()]
    if value is None and is_multi:
        return ()
    values = value if is_multi else [value]
    if not isinstance(values, list | tuple):
        return f"is {kind_of(value)}, not a list of labels"
    words = tuple(label_word(item) for item in values)
    if "" in words:
        wrong = values[words.index("")]
        return "is missing" if wrong is None or wrong == "" else f"holds {kind_of(wrong)}, not a label"
    return tuple(dict.fromkeys(words))


def label_word(value: Any) -> str:
    """A label's name in plan and bundle; empty for what can't be one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else ""


def order(labels: Iterable[str]) -> tuple[str, ...]:
    """Sorted labels: whole numbers by value, then words.

    >>> order(["10", "9", "a"])
    ('9', '10', 'a')
    """
    return tuple(
        sorted(
            labels,
            key=lambda label: (
                (0, int(label), "") if label.isdecimal() and label.isascii() and len(label) < 19 else (1, 0, label)
            ),
        )
    )


def labels_of(options: Options, train: Tally) -> tuple[str, ...]:
    """The label map: as written, else the sorted labels of the training rows."""
    if options.labels:
        return tuple(label_word(label) for label in options.labels)
    return tuple(decided(options, train)["labels"].value)


def decided(options: Options, train: Tally) -> dict[str, Decided[Any]]:
    """What the options leave open."""
    if options.labels:
        return {}
    labels = order(train.counts)
    return {"labels": Decided(labels, f"the sorted labels of the training data, {len(labels)} of them")}


def problems(options: Options, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """Everything wrong between the labels written and the labels found."""
    train = tallies["train"]
    labels = labels_of(options, train)
    yield from disagreements(labels, bool(options.labels), tallies)
    if len(labels) < 2:
        words = "no row names another label than" if train.is_multi else "every row says"
        note = f"{words} {quote(labels[0])}" if labels else "no row has a label"
        headline, help = "the training rows have one class only", "a classifier needs rows of at least two classes"
        yield Diagnostic("E0315", headline, At(("data", "train")), notes=(note,), help=help)
    if isinstance(options.loss.class_weights, dict):
        yield from _weighted(options.loss.class_weights, labels)


def disagreements(labels: tuple[str, ...], is_written: bool, tallies: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Labels of the map that no training row has, and labels of rows that are not in the map."""
    misspelt: set[str] = set()
    if is_written:
        yield from _written(labels, tallies["train"])
        misspelt = _misspelt(labels, tallies["train"])
    for name, tally in tallies.items():
        yield from _strangers(name, tally, labels, is_written, misspelt)


def _written(labels: tuple[str, ...], train: Tally) -> Iterator[Diagnostic]:
    """Labels of `head.labels` that are empty, repeated, or of no training row."""
    first: dict[str, int] = {}
    wrong: list[Diagnostic] = []
    for i, label in enumerate(labels):
        at = At(("head", "labels", i))
        if not label:
            wrong.append(Diagnostic("E0314", "a label is empty", at))
        elif label in first:
            also = (At(("head", "labels", first[label]), "first here"),)
            wrong.append(
                Diagnostic("E0314", f"label {quote(label)} is listed twice", at, also, help="keep one of the two")
            )
        elif label not in train.counts:
            help = nearest(label, train.counts) if len(wrong) < SHOWN else ""
            also = (At(("data", "train"), "the training rows"),)
            wrong.append(Diagnostic("E0314", f"no training row has the label {quote(label)}", at, also, help=help))
        first.setdefault(label, i)
    yield from wrong


def _misspelt(labels: tuple[str, ...], train: Tally) -> set[str]:
    """Labels of the rows that a written one without rows was meant to be: one mistake, told where it is written."""
    strangers = sorted(train.counts.keys() - set(labels))
    lost = [label for label in labels if label not in train.counts]
    if len(lost) * len(strangers) > COMPARED:
        return set()
    return {near[0] for label in lost if (near := get_close_matches(label, strangers, n=1))}


def _strangers(
    name: str, tally: Tally, labels: tuple[str, ...], is_written: bool, misspelt: set[str]
) -> Iterator[Diagnostic]:
    """One diagnostic for all labels of a split that are not in the label map, at the first of their rows."""
    known = {*labels, *misspelt}
    strangers = [label for label in tally.counts if label not in known]
    if not strangers:
        return
    label, where = strangers[0], "`head.labels`" if is_written else "the training rows"
    rows = sum(tally.counts[label] for label in strangers)
    counts = ", ".join(f"{quote(label)} {tally.counts[label]}" for label in strangers[:SHOWN])
    more = f", … {len(strangers) - SHOWN} more" if len(strangers) > SHOWN else ""
    notes = (f"unknown labels of the {name} data, with their rows: {counts}{more}",) if rows > 1 else ()
    headline = f"label {quote(label)} of the {name} data is not in {where}"
    if len(strangers) > 1:
        headline = f"{len(strangers):,} labels of the {name} data are not in {where}"
    several = apart(label, labels) if getattr(tally, "is_multi", False) else ()
    help = f"put `|` between them: {quote('|'.join(several))}" if several else nearest(label, labels)
    also = (At(("data", name)), *((At(("head", "labels")),) if is_written else ()))
    way = f"add it to {where}" if is_written else "add such rows to the training data"
    yield Diagnostic("E0314", headline, Row(*tally.first[label]), also, notes, help or f"{way}, or take its rows out")


def _weighted(weights: Mapping[str, float], labels: tuple[str, ...]) -> Iterator[Diagnostic]:
    known = set(labels)
    for label in weights:
        if label not in known:
            at = At(("head", "loss", "class_weights", label), on_key=True)
            yield Diagnostic("E0314", f"{quote(label)} is not a label", at, help=nearest(label, labels))


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The head's record: pure data that training and bundle share."""
    labels = labels_of(options, train)
    return {
        "labels": labels, "is_multi": train.is_multi, "dropout": options.dropout, "hidden": options.hidden,
        "label_smoothing": options.loss.label_smoothing, "focal": options.loss.focal, "class_weights": _weights(options, labels, train),
        "thresholds": (0.5,) * len(labels) if train.is_multi else None,
    }  # fmt: skip


def _weights(options: Options, labels: tuple[str, ...], train: Tally) -> tuple[float, ...] | None:
    written = options.loss.class_weights
    if written is None:
        return None
    if isinstance(written, dict):
        return tuple(written.get(label, 1.0) for label in labels)
    if train.is_multi:  # of the positive answers: negatives per positive
        # a label on every row keeps a weight above zero, or it would never learn
        return tuple(max(train.rows - train.counts[label], 1) / train.counts[label] for label in labels)
    # the `balanced` heuristic of scikit-learn: rows / (classes · rows of the class)
    return tuple(train.rows / (len(labels) * train.counts[label]) for label in labels)


def metrics(columns: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric` for such columns, the default first."""
    names: tuple[str, ...] = variants.load("metrics", METRICS).names("labels" in columns)
    return names


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[np.ndarray]:
    """The target of a row's one input: int64 of shape () for one label, float32 of shape (labels,) for several."""
    import numpy as np

    column = columns["labels" if record["is_multi"] else "label"][0]
    words = read_labels(row[column], record["is_multi"])
    index = {label: i for i, label in enumerate(record["labels"])}
    if not record["is_multi"]:
        return [np.array(index[words[0]], np.int64)]
    hot = np.zeros(len(index), np.float32)
    hot[[index[word] for word in words]] = 1.0
    return [hot]


def stratum(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> str:
    """What rows are held out by: their label, where they have one each."""
    return "" if "labels" in columns else read_labels(row[columns["label"][0]], False)[0]


def build(record: Mapping[str, Any], width: int) -> torch.nn.Module:
    """The head: (batch, width) → (batch, labels), untrained."""
    from ..layers.classifier import Classifier

    return Classifier(width, tuple(record["hidden"]), len(record["labels"]), record["dropout"])


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean loss of a batch: cross entropy over labels, or binary cross entropy per label; focal where the spec says so."""
    import torch

    from ..layers.losses import binary_cross_entropy, cross_entropy

    weights = None if record["class_weights"] is None else torch.tensor(record["class_weights"], device=targets.device)
    score = binary_cross_entropy if record["is_multi"] else cross_entropy
    return score(outputs["logits"], targets, weights, record["label_smoothing"], record["focal"])


def parameters(record: Mapping[str, Any], width: int) -> int:
    """How many numbers the head learns."""
    return count(width, record["hidden"], len(record["labels"]))


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Output arrays of the graph, by name."""
    return {"logits": {"dtype": "float32", "shape": ["batch", len(record["labels"])]}}
