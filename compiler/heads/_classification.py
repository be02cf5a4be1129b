"""Shared parts of heads that choose among labels: options, targets, record, loss and checks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field

from ..contracts.head import Head
from ..contracts.options import Labelled, Startable
from ..contracts.targets import LabelCounts, RowLabels
from ..decision import Decided
from ..diagnostics import At, Diagnostic, Row, nearest, quote
from ..facts.spelling import otherwise
from ..floors import Floor, Sample
from ..frozen import Frozen
from ..metrics import classification
from ._joined import apart
from ._labels import Tally, index_of, names, order, read_flags, read_labels
from ._shares import build, convex, loss, outputs, parameters
from ._stack import STARTS, Start, Width

if TYPE_CHECKING:
    import numpy as np

SHOWN = 3  # the most labels in a message
COMPARED = 10_000  # the most pairs of labels compared to find a misspelling
Weight = Annotated[float, Field(gt=0.0, le=1e6)]


class Loss(Frozen):
    """Keys under `head.loss`: how answers are scored in training."""

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


class Options(Startable, Labelled, Frozen):
    """Keys under `head` of every head that chooses among labels."""

    labels: tuple[str | int | bool, ...] | None = Field(
        None, min_length=1, description="label order; default the sorted labels of the training data"
    )
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="on the feature, while training")
    hidden: tuple[Width, ...] = Field((), description="widths of layers before the last")
    loss: Loss = Field(default=Loss(), description="how answers are scored while training")
    start: Start = Field(None, description=STARTS)


Keys = TypeVar("Keys", bound=Options)


def labels_of(options: Options, train: Tally) -> tuple[str, ...]:
    """The label map: the written labels, else the sorted labels of the training rows."""
    return names(options.labels) or tuple(decided(options, train)["labels"].value)


def decided(options: Options, train: Tally) -> dict[str, Decided[Any]]:
    """The label map, where the options leave it open."""
    if options.labels:
        return {}
    if train.is_wide:
        return {"labels": Decided(train.columns, f"the columns of `labels`, {len(train.columns)} of them")}
    labels = order(train.counts)
    return {"labels": Decided(labels, f"the sorted labels of the training data, {len(labels)} of them")}


def problems(options: Options, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """All findings between the written labels and the labels of rows."""
    train = tallies["train"]
    labels = labels_of(options, train)
    yield from disagreements(labels, bool(options.labels), tallies)
    yield from _places(options, train)
    if len(labels) < 2:
        words = "no row names another label than" if train.is_multi else "every row says"
        note = f"{words} {quote(labels[0])}" if labels else "no row has a label"
        headline, help = "the training rows have one class only", "a classifier needs rows of at least two classes"
        yield Diagnostic("E0315", headline, At(("data", "train")), notes=(note,), help=help)
    if isinstance(options.loss.class_weights, dict):
        yield from _weighted(options.loss.class_weights, labels)


def _places(options: Options, train: Tally) -> Iterator[Diagnostic]:
    """Errors for label columns that no row has, and for lists that may be flags or labels."""
    for i, column in enumerate(train.columns if train.is_wide and not options.labels else ()):
        if column not in train.counts:
            at = At(("data", "columns", "labels", i), "is 0 in every training row")
            help = "leave the column out, or give it rows"
            yield Diagnostic("E0314", f"no training row has the label {quote(column)}", at, help=help)
    if train.is_hot and not options.labels:
        at, help = At(("data", "columns", "labels")), "write `head.labels: [a, b]`, or the names into the rows"
        notes = ("they may be two places, or labels that are called so",)
        headline = f"all lists of {quote(train.column)} are two of 0 and 1"
        yield Diagnostic("E0396", headline, at, notes=notes, help=help)


def disagreements(
    labels: tuple[str, ...], is_written: bool, tallies: Mapping[str, LabelCounts], places: Sequence[int] = ()
) -> Iterator[Diagnostic]:
    """Errors for labels of the map without training rows, and for labels of rows outside of the map.

    `places` are the places of labels in `head.labels`, where they differ from those in the map.
    """
    misspelt: set[str] = set()
    if is_written:
        yield from _written(labels, tallies["train"], places or range(len(labels)))
        misspelt = _misspelt(labels, tallies["train"])
    for name, tally in tallies.items():
        yield from _strangers(name, tally, labels, is_written, misspelt)


def _written(labels: tuple[str, ...], train: LabelCounts, places: Sequence[int]) -> Iterator[Diagnostic]:
    """Errors for labels of `head.labels` that are empty, repeated, or without a training row."""
    first: dict[str, int] = {}
    wrong: list[Diagnostic] = []
    for i, label in enumerate(labels):
        at = At(("head", "labels", places[i]))
        if not label:
            wrong.append(Diagnostic("E0314", "a label is empty", at))
        elif label in first:
            also = (At(("head", "labels", first[label]), "first here"),)
            wrong.append(
                Diagnostic("E0314", f"label {quote(label)} is listed twice", at, also, help="keep one of the two")
            )
        elif label not in train.counts:
            help = _meant(label, train.counts, "the training rows write") if len(wrong) < SHOWN else ""
            also = (At(("data", "train"), "the training rows"),)
            wrong.append(Diagnostic("E0314", f"no training row has the label {quote(label)}", at, also, help=help))
        first.setdefault(label, i)
    yield from wrong


def _misspelt(labels: tuple[str, ...], train: LabelCounts) -> set[str]:
    """Labels of rows that are probably meant by a written label without rows; reported there, once."""
    strangers = sorted(train.counts.keys() - set(labels))
    lost = [label for label in labels if label not in train.counts]
    if len(lost) * len(strangers) > COMPARED:
        return set()
    alike = {other for label in lost if (other := otherwise(label, strangers))}
    return alike | {near[0] for label in lost if (near := get_close_matches(label, strangers, n=1))}


def _meant(label: str, known: Collection[str], who: str) -> str:
    """The advice for an unknown label: another spelling of it, or a similar label."""
    if other := otherwise(label, known):
        return f"{who} it {quote(other)}: write it one way in both"
    # labels with blanks at the ends are not meant
    return nearest(label, [other for other in known if other == other.strip()])


def _strangers(
    name: str, tally: LabelCounts, labels: tuple[str, ...], is_written: bool, misspelt: set[str]
) -> Iterator[Diagnostic]:
    """One error for all labels of a split that are not in the label map, at their first row."""
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
    several = apart(label, labels) if isinstance(tally, RowLabels) and tally.is_multi else ()
    help = (
        f"put `|` between them: {quote('|'.join(several))}"
        if several
        else _meant(label, labels, f"{where} write{'s' * is_written}")
    )
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
    """The record of the head: pure data that training and bundle share."""
    labels = labels_of(options, train)
    return {
        "labels": labels,
        "is_multi": train.is_multi,
        "dropout": options.dropout,
        "hidden": options.hidden,
        "label_smoothing": options.loss.label_smoothing,
        "focal": options.loss.focal,
        "class_weights": _weights(options, labels, train),
        "thresholds": (0.5,) * len(labels) if train.is_multi else None,
    }


def _weights(options: Options, labels: tuple[str, ...], train: Tally) -> tuple[float, ...] | None:
    written = options.loss.class_weights
    if written is None:
        return None
    if isinstance(written, dict):
        return tuple(written.get(label, 1.0) for label in labels)
    if train.is_multi:  # weight of a label's positives: negatives for each positive
        # a label on every row keeps a weight above zero, so that it learns
        return tuple(max(train.rows - train.counts[label], 1) / train.counts[label] for label in labels)
    # the `balanced` heuristic of scikit-learn: rows / (classes · rows of the class)
    return tuple(train.rows / (len(labels) * train.counts[label]) for label in labels)


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], features: list[Any]
) -> list[np.ndarray]:
    """The target of a row's only input: int64 () for one label, float32 (labels,) for several."""
    import numpy as np

    index = index_of(tuple(record["labels"]))
    words = _words(record, row, columns)
    if not record["is_multi"]:
        return [np.array(index[words[0]], np.int64)]
    hot = np.zeros(len(index), np.float32)
    hot[[index[word] for word in words]] = 1.0
    return [hot]


def _words(record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> Any:
    """The labels of a row that `Tally` accepted."""
    if not record["is_multi"]:
        return read_labels(row[columns["label"][0]], columns["label"][0], False)
    wide = columns["labels"]
    return read_flags(row, wide) if len(wide) > 1 else read_labels(row[wide[0]], wide[0], True, record["labels"])


def stratum(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> str:
    """The stratum of a row when rows are held out: its label, if it has exactly one."""
    return "" if "labels" in columns else _words({"is_multi": False}, row, columns)[0]


def head(
    *,
    modality: str,
    options: type[Keys],
    floors: Callable[[Mapping[str, Any], Sample], Iterator[Floor]],
    floor_features: Literal["", "cached", "apart"] = "",
) -> Head[Keys, Tally]:
    """The record of a head that chooses one label by probability, or several, each by a threshold."""
    return Head(
        modality=modality,
        needs="pooled",
        options=options,
        metrics=classification.METRICS,
        targets=("label", "labels"),
        several=("labels",),  # each of several columns is a label
        stratum=stratum,
        tally=Tally,
        problems=problems,
        decided=decided,
        lower=lower,
        targets_from=("labels", "is_multi"),
        parameters=parameters,
        outputs=outputs,
        target=target,
        build=build,
        loss=loss,
        convex=convex,
        gives_shares=True,
        floors=floors,
        floor_features=floor_features,
    )
