"""Finds entities in a text, learned from words with tags or from spans in a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from ..contracts.head import TARGET, Head
from ..contracts.options import Labelled, Layered
from ..contracts.reading import RowReader
from ..contracts.targets import LabelCounts, Place
from ..decision import Decided
from ..diagnostics import At, Diagnostic, Row, clean, quote
from ..facts.rows import Unusable, cell, kind_of
from ..floors import Floor, Sample
from ..frozen import Frozen
from ..metrics import entities
from ._classification import disagreements
from ._entities import NAMED, are_numbers, raw, spans_of, spelt
from ._labels import names, order, read_counts, written_counts
from ._stack import Width, count
from ._tags import OUTSIDE, types

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ...runtime.spans import Span
    from ..layers.head import HeadModule

IGNORED = -100  # the target of tokens that begin no word


class Options(Layered, Labelled, Frozen):
    """Keys under `head` for token-classification."""

    labels: tuple[str | int | bool, ...] | None = Field(
        None,
        min_length=1,
        description="types of entities in order, default the sorted types of the data; "
        "or the tags that numbers stand for",
    )
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="on the feature, while training")
    hidden: tuple[Width, ...] = Field((), description="widths of layers before the last")


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with the words or the text of a row; None for nothing."""
    if "tokens" not in columns:
        return next((wrong for name in columns["text"] if (wrong := cell(row, name))), None)
    name = columns["tokens"][0]
    words = row.get(name)
    if words is None or words == []:
        return Unusable(name, "is missing" if words is None else "is an empty list")
    if not isinstance(words, list | tuple):
        return Unusable(name, f"is {kind_of(words)}, not a list of words", f"it is {clean(words)}")
    for i, word in enumerate(words, 1):
        if not isinstance(word, str) or not word.strip():
            kind = kind_of(word) if not isinstance(word, str) else "an empty text"
            return Unusable(name, f"holds {kind}, not a word", f"word {i} is {clean(word)}")
    return None


class Tally(LabelCounts):
    """Counts the entities of a split by type."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]], options: Any = None) -> None:
        self.columns = columns
        self.role = "spans" if "spans" in columns else "tags"
        self.column = columns[self.role][0]
        self.counts: Counter[str] = Counter()
        self.first: dict[str, Place] = {}
        self.only: dict[str, Place] = {}  # scheme → the first row that only this scheme allows
        self.options, self.is_numbered = options, False
        self.rows = self.found = 0

    @property
    def strata(self) -> tuple[int, ...]:
        """The rows with entities, and the rows without."""
        return tuple(rows for rows in (self.found, self.rows - self.found) if rows)

    def add(self, values: Mapping[str, Any], place: Place) -> Unusable | None:
        """Counts one row; returns why its tags or spans are unusable, or None."""
        row = spelt(self.options, values, self.columns)
        read = spans_of(row, self.columns)
        if isinstance(read, Unusable):
            return self._numbered(read)
        spans, schemes = read
        if len(schemes) == 1:
            (scheme,) = schemes
            if self.only and scheme not in self.only:
                return self._other(scheme)
            self.only.setdefault(scheme, place)
        self.is_numbered = self.is_numbered or are_numbers(values.get(self.column))
        for _, _, label in spans:
            self.counts[label] += 1
            self.first.setdefault(label, place)
        self.rows += 1
        self.found += bool(spans)
        return None

    def _numbered(self, wrong: Unusable) -> Unusable:
        """What is wrong with numbers of tags that `head.labels` has no name for."""
        named = names(self.options.labels if isinstance(self.options, Labelled) else None)
        if wrong.help != NAMED or not types(named):
            return wrong
        return replace(wrong, help=f"`head.labels` names the numbers 0 to {len(named) - 1}: mend the row, or name more")

    def _other(self, scheme: str) -> Unusable:
        ((first, (file, row)),) = self.only.items()
        detail = f"they follow {scheme}, and those of {clean(file)}:{row} {first}"
        return Unusable(self.column, "follows another scheme of tags than the rows before", detail, "E0361")

    def record(self) -> dict[str, Any]:
        """The counts as data for a lock, which `recall` reads."""
        schemes, counts = tuple(sorted(self.only)), written_counts(self.counts)
        numbered = {"numbered": True} if self.is_numbered else {}
        return {"rows": self.rows, "found": self.found, "schemes": schemes, "counts": counts, **numbered}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: Place) -> Self:
        """The tally that gave `record`, as if the rows had been read; every first row is then at `place`.

        Raises ValueError, KeyError, TypeError or AttributeError for a record that no tally gives.
        """
        tally = cls(columns)
        tally.counts = Counter(read_counts(record["counts"]))
        tally.first = dict.fromkeys(tally.counts, place)
        tally.only = dict.fromkeys(record["schemes"], place)
        tally.is_numbered = bool(dict(record).get("numbered"))
        tally.rows, tally.found = record["rows"], record["found"]
        if not 0 <= tally.found <= tally.rows:
            raise ValueError(f"{tally.found} of {tally.rows} rows")
        return tally


def labels_of(options: Options, train: Tally) -> tuple[str, ...]:
    """The types of entities: as written, directly or in names of tags, else the sorted types of the training rows."""
    written = names(options.labels)
    return types(written) or written or order(train.counts)


def decided(options: Options, train: Tally) -> dict[str, Decided[Any]]:
    """The types of entities, where the options leave them open."""
    if options.labels:
        return {}
    labels = order(train.counts)
    return {"labels": Decided(labels, f"the sorted types of entities of the training data, {len(labels)} of them")}


def problems(options: Options, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """All findings between the written labels and the entities of rows."""
    labels, train = labels_of(options, tallies["train"]), tallies["train"]
    schemes: dict[str, Place] = {}
    for tally in tallies.values():
        schemes = tally.only | schemes
    if len(schemes) > 1:
        (first, one), (second, other), *_ = sorted(schemes.items())
        notes = (f"{clean(one[0])}:{one[1]} follows {first}, {clean(other[0])}:{other[1]} {second}",)
        help, headline = "write all tags in one scheme", f"{quote(train.column)} mixes schemes of tags"
        yield Diagnostic("E0361", headline, Row(*other), (Row(*one),), notes, help)
    yield from disagreements(labels, bool(options.labels), tallies, _places(options, labels))
    if not train.counts:
        help = "entities are spans, or tags such as `B-person`"
        notes = (f"{quote(train.column)} marks nothing in {train.rows:,} rows",)
        yield Diagnostic("E0315", "no training row has an entity", At(("data", "train")), notes=notes, help=help)


def _places(options: Options, labels: tuple[str, ...]) -> list[int]:
    """The places in `head.labels` of the types, which may be written as names of tags."""
    written = names(options.labels)
    if not types(written):
        return list(range(len(labels)))
    return [next(i for i, name in enumerate(written) if name[2:] == label) for label in labels]


def reads(options: Options, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for the record of preprocessing: offsets of tokens, and joined words where rows have words."""
    return {"is_pair": False, "has_offsets": True, **({"is_joined": True} if "tokens" in columns else {})}


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The record of the head, whose labels are IOB2 tags.

    `scheme` says that the data's tags are IOB1; `names` are the tags that the data's numbers stand for.
    """
    tags = (OUTSIDE, *(f"{mark}-{label}" for label in labels_of(options, train) for mark in "BI"))
    scheme = {"scheme": "IOB1"} if "IOB1" in train.only else {}
    numbers = {"names": names(options.labels)} if train.is_numbered else {}
    return {"labels": tags, "dropout": options.dropout, "hidden": options.hidden, **scheme, **numbers}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """The number of parameters."""
    return count(width, record["hidden"], len(record["labels"]))


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the graph by name."""
    return {"logits": {"dtype": "float32", "shape": ["batch", "sequence", len(record["labels"])]}}


def target(
    record: Mapping[str, Any],
    row: Mapping[str, Any],
    columns: Mapping[str, tuple[str, ...]],
    features: Sequence[Mapping[str, np.ndarray]],
) -> list[np.ndarray]:
    """The tag of each word at its first token, -100 at all other tokens: int64 (tokens,).

    The tokenizer may split a word of the data. Outside of entities, only the first part has a tag then, as in
    transformers' scripts that train on words.
    """
    import numpy as np

    from ...runtime.spans import placed, tags

    firsts, places = placed(features[0])
    found = np.full(len(features[0]["input_ids"]), IGNORED, np.int64)
    index = {tag: i for i, tag in enumerate(record["labels"])}
    numbers = np.array([index[tag] for tag in tags(places, reference(row, columns))], np.int64)
    begins = _begins(places, row[columns["tokens"][0]]) if "tokens" in columns else np.True_
    found[firsts] = np.where(begins | (numbers != index[OUTSIDE]), numbers, IGNORED)
    return [found]


def _begins(places: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """Which of the tokenizer's words, at `places` in the joined text, begin a word of the data."""
    import numpy as np

    owners = np.searchsorted(np.cumsum([len(word) + 1 for word in words]), places[:, 0], side="right")
    return np.diff(owners, prepend=-1) > 0


def reference(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> list[Span]:
    """The spans, for scores."""
    found = spans_of(row, columns)
    assert not isinstance(found, Unusable)
    return found[0]


def stratum(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> bool:
    """The stratum of a row when rows are held out: whether it has an entity."""
    return bool(reference(row, columns))


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The untrained head: (batch, tokens, width) → (batch, tokens, tags)."""
    from ..layers.classifier import Classifier

    return Classifier(width, tuple(record["hidden"]), len(record["labels"]), record["dropout"])


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy over the words of a batch."""
    from ..layers.losses import cross_entropy_along

    return cross_entropy_along(outputs["logits"], targets, IGNORED)


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """Floors: the most frequent tag, and the most frequent tag of each word in the training rows."""
    import numpy as np

    counts: dict[bytes, Counter[int]] = {}
    whole: Counter[int] = Counter()
    for feature, target in zip(train.examples.features, train.examples.targets, strict=True):
        for first, word in _words(feature):
            if (tag := int(target[first])) != IGNORED:
                counts.setdefault(word, Counter())[tag] += 1
                whole[tag] += 1
    shares = np.log(np.array([whole[tag] + 1.0 for tag in range(len(record["labels"]))])).astype(np.float32)
    known = {word: min(own, key=lambda tag: (-own[tag], tag)) for word, own in counts.items()}
    yield Floor("most frequent", lambda sample: {"logits": _tagged(sample, shares, {})}, is_constant=True)
    yield Floor("commonest tag of a word", lambda sample: {"logits": _tagged(sample, shares, known)})


def _words(feature: Mapping[str, np.ndarray]) -> Iterator[tuple[int, bytes]]:
    """For each word of a row its first token, and the ids of all its tokens as bytes."""
    from ...runtime.spans import placed

    for first, end in pairwise([*placed(feature)[0].tolist(), len(feature["words"])]):
        own = feature["words"][first:end] == feature["words"][first]
        yield first, feature["input_ids"][first:end][own].tobytes()


def _tagged(sample: Sample, shares: np.ndarray, known: Mapping[bytes, int]) -> list[np.ndarray]:
    """Logits (tokens, tags) of each row: log frequencies of all tags, and above them the known tag of a word."""
    import numpy as np

    found = []
    for feature in sample.examples.features:
        logits = np.tile(shares, (len(feature["input_ids"]), 1))
        for first, word in _words(feature):
            if word in known:
                logits[first, known[word]] = shares.max() + 1.0
        found.append(logits)
    return found


HEAD = Head(
    modality="text",
    needs="tokens",
    options=Options,
    metrics=entities.METRICS,
    targets=("tags", "spans"),
    read_with={"tags": ("tokens",), "spans": ("text",)},
    reader=RowReader(roles=("tokens", "text"), optional=("tokens", "text"), joined=("text",), raw=raw, refusal=refusal),
    spelt=spelt,
    reads=reads,
    stratum=stratum,
    reference=reference,
    tally=Tally,
    problems=problems,
    decided=decided,
    lower=lower,
    targets_from=("labels", "names"),
    parameters=parameters,
    outputs=outputs,
    target=target,
    ragged_targets=(TARGET,),
    build=build,
    loss=loss,
    floors=floors,
)
