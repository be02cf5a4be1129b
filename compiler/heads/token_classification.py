"""Finds entities in a text: from words and their tags, or from a text and the spans in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .. import variants
from ..decided import Decided
from ..diagnostics import At, Diagnostic, clean, quote
from ..diagnostics import Row as Place
from ..floors import Floor, Sample
from ..frozen import Frozen
from ..world.rows import Unusable, cell, kind_of
from ._classification import disagreements, label_word, order, read_counts, written_counts
from ._stack import Width, count
from ._tags import OUTSIDE, Broken, read

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ...runtime.spans import Span

MODALITY = "text"
NEEDS = "tokens"
ROLES = ("tokens", "text")
OPTIONAL = ROLES
JOINED = ("text",)
IN_FILES = False
TARGETS = ("tags", "spans")
READ_WITH = {"tags": ("tokens",), "spans": ("text",)}  # the roles that go with each of them
TARGETS_FROM = ("labels",)  # the fields of the record that a row's targets depend on
METRICS = "entities"
ALONG = True  # a target for each token
IGNORED = -100  # the target of a token that begins no word


class Options(Frozen):
    """Keys under `head` for token-classification."""

    labels: tuple[str | int | bool, ...] | None = Field(
        None,
        min_length=1,
        description="types of entities in order, without marks; default the sorted types of the data",
    )
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="on the feature, while training")
    hidden: tuple[Width, ...] = Field((), description="widths of layers before the last")


def files(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """Files that a row refers to and that count as data: none."""
    return ()


def raw(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> str:
    """The text of a row: its words with a space between."""
    if "tokens" in columns:
        return " ".join(row[columns["tokens"][0]])
    return " ".join(str(row[name]) for name in columns["text"])


def refusal(row: Mapping[str, Any], columns: Mapping[str, Any], folder: Path) -> Unusable | None:
    """What is wrong with the words or the text of a row, or None."""
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


def spans_of(row: Mapping[str, Any], columns: Mapping[str, Any]) -> tuple[list[Span], frozenset[str]] | Unusable:
    """The spans of a row in characters of its text, and the schemes that its tags may follow; or what is wrong."""
    if "spans" in columns:
        found = _written(row.get(columns["spans"][0]), columns["spans"][0], raw(row, columns, Path()))
        return found if isinstance(found, Unusable) else (found, frozenset())
    name, words = columns["tags"][0], row[columns["tokens"][0]]
    tags = row.get(name)
    if not isinstance(tags, list | tuple):
        reason = "is missing" if tags is None else f"is {kind_of(tags)}, not a list of tags"
        return Unusable(name, reason)
    for i, tag in enumerate(tags, 1):
        if not isinstance(tag, str):
            return Unusable(
                name, f"holds {kind_of(tag)}, not a tag", f"tag {i} is {clean(tag)}; tags are words such as `B-person`"
            )
    if len(tags) != len(words):
        detail = f"{len(words)} in {quote(columns['tokens'][0])}, {len(tags)} in {quote(name)}"
        return Unusable(name, "has another number of tags than there are words", detail, "E0360")
    try:
        entities, schemes = read(tags)
    except Broken as broken:
        return Unusable(name, "is no sequence of tags", str(broken), "E0361")
    edges = [0]
    for word in words:
        edges.append(edges[-1] + len(word) + 1)
    return [(edges[first], edges[end] - 1, label) for first, end, label in entities], schemes


def _written(value: Any, name: str, text: str) -> list[Span] | Unusable:
    if not isinstance(value, list | tuple):
        return Unusable(name, "is missing" if value is None else f"is {kind_of(value)}, not a list of spans")
    found: list[Span] = []
    for i, span in enumerate(value, 1):
        if not isinstance(span, Mapping) or not {"start", "end", "label"} <= span.keys():
            return Unusable(name, "holds what is no span", f"span {i} is not {{start, end, label}}")
        start, end, label = span["start"], span["end"], label_word(span["label"])
        if type(start) is not int or type(end) is not int or not label:
            return Unusable(
                name, "holds what is no span", f"span {i}: `start` and `end` are whole numbers, `label` is a word"
            )
        if not 0 <= start < end <= len(text) or not text[start:end].strip():
            detail = (
                f"span {i} is {start} to {end}, the text has {len(text)} characters; `end` is the one after the last"
            )
            return Unusable(name, "has a span that marks nothing of the text", detail, "E0362")
        marked = text[start:end]  # white space at either end belongs to no word
        found.append((start + len(marked) - len(marked.lstrip()), start + len(marked.rstrip()), label))
    found.sort()
    for (start, end, label), (other, last, second) in pairwise(found):
        if other < end:
            detail = f"{quote(label)} is {start} to {end}, {quote(second)} {other} to {last}"
            return Unusable(name, "has spans that overlap", detail, "E0363")
    return found


class Tally:
    """Counts the entities of a split by type while its rows are read."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]]) -> None:
        self.columns = columns
        self.role = "spans" if "spans" in columns else "tags"
        self.column = columns[self.role][0]
        self.counts: Counter[str] = Counter()
        self.first: dict[str, tuple[str, int]] = {}
        self.only: dict[str, tuple[str, int]] = {}  # a scheme → the first row that no other allows
        self.rows = self.found = 0

    @property
    def strata(self) -> tuple[int, ...]:
        """Rows with entities, and rows without: of each a share is held out."""
        return tuple(rows for rows in (self.found, self.rows - self.found) if rows)

    def add(self, values: Mapping[str, Any], place: tuple[str, int]) -> Unusable | None:
        """Counts one row; returns what is wrong when its tags or spans are unusable."""
        read = spans_of(values, self.columns)
        if isinstance(read, Unusable):
            return read
        spans, schemes = read
        if len(schemes) == 1:
            self.only.setdefault(next(iter(schemes)), place)
        for _, _, label in spans:
            self.counts[label] += 1
            self.first.setdefault(label, place)
        self.rows += 1
        self.found += bool(spans)
        return None

    def record(self) -> dict[str, Any]:
        """What a lock keeps of the count, for `recall`."""
        counts = written_counts(self.counts)
        return {"rows": self.rows, "found": self.found, "schemes": tuple(sorted(self.only)), "counts": counts}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: tuple[str, int]) -> Tally:
        """The count that `record` gave, as if the rows had been read; every first row is then at `place`.

        Raises ValueError, KeyError, TypeError or AttributeError for a record that no count gives.
        """
        tally = cls(columns)
        tally.counts = Counter(read_counts(record["counts"]))
        tally.first = dict.fromkeys(tally.counts, place)
        tally.only = dict.fromkeys(record["schemes"], place)
        tally.rows, tally.found = record["rows"], record["found"]
        if not 0 <= tally.found <= tally.rows:
            raise ValueError(f"{tally.found} of {tally.rows} rows")
        return tally


def labels_of(options: Options, train: Tally) -> tuple[str, ...]:
    """The types of entities: as written, else the sorted types of the training rows."""
    return tuple(map(label_word, options.labels)) if options.labels else order(train.counts)


def decided(options: Options, train: Tally) -> dict[str, Decided[Any]]:
    """What the options leave open."""
    if options.labels:
        return {}
    labels = order(train.counts)
    return {"labels": Decided(labels, f"the sorted types of entities of the training data, {len(labels)} of them")}


def problems(options: Options, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """Everything wrong between the labels written and the entities found."""
    labels, train = labels_of(options, tallies["train"]), tallies["train"]
    schemes: dict[str, tuple[str, int]] = {}
    for tally in tallies.values():
        schemes = tally.only | schemes
    if len(schemes) > 1:
        (_, one), (_, other) = sorted(schemes.items())
        notes = (
            f"{clean(one[0])}:{one[1]} follows IOB2 and not BILOU, {clean(other[0])}:{other[1]} BILOU and not IOB2",
        )
        help = "write all tags in one scheme"
        yield Diagnostic(
            "E0361", f"{quote(train.column)} mixes schemes of tags", Place(*other), (Place(*one),), notes, help
        )
    yield from disagreements(labels, bool(options.labels), tallies)
    if not train.counts:
        help = "entities are spans, or tags such as `B-person`"
        notes = (f"{quote(train.column)} marks nothing in {train.rows:,} rows",)
        yield Diagnostic("E0315", "no training row has an entity", At(("data", "train")), notes=notes, help=help)


def metrics(columns: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Metrics that a spec may name under `train.metric`, the default first."""
    names: tuple[str, ...] = variants.load("metrics", METRICS).names(False)
    return names


def reads(options: Options, input: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """What is added to the record of preprocessing: where each token stands, and words as data with words has them."""
    return {"is_pair": False, "has_offsets": True, **({"is_joined": True} if "tokens" in columns else {})}


def lower(options: Options, train: Tally) -> dict[str, Any]:
    """The head's record, whose labels are IOB2 tags: pure data that training and bundle share."""
    tags = (OUTSIDE, *(f"{mark}-{label}" for label in labels_of(options, train) for mark in "BI"))
    return {"labels": tags, "dropout": options.dropout, "hidden": options.hidden}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """How many numbers the head learns."""
    return count(width, record["hidden"], len(record["labels"]))


def outputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Output arrays of the graph, by name."""
    return {"logits": {"dtype": "float32", "shape": ["batch", "sequence", len(record["labels"])]}}


def target(
    record: Mapping[str, Any],
    row: Mapping[str, Any],
    columns: Mapping[str, tuple[str, ...]],
    features: Sequence[Mapping[str, np.ndarray]],
) -> list[np.ndarray]:
    """The tag of each word at its first token, int64 of shape (tokens,); -100 at all others.

    Where the tokenizer divides a word of the data that is in no entity, its first part alone has a tag, as scripts that
    train on words have it.
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
    """Which of the tokenizer's words, at `places` of the joined text, are the first of a word of the data."""
    import numpy as np

    owners = np.searchsorted(np.cumsum([len(word) + 1 for word in words]), places[:, 0], side="right")
    return np.diff(owners, prepend=-1) > 0


def reference(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> list[Span]:
    """The spans that scores are computed from."""
    found = spans_of(row, columns)
    assert not isinstance(found, Unusable)
    return found[0]


def stratum(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> bool:
    """What rows are held out by: whether they have an entity."""
    return bool(reference(row, columns))


def build(record: Mapping[str, Any], width: int) -> torch.nn.Module:
    """The head: (batch, tokens, width) → (batch, tokens, tags), untrained."""
    from ..layers.classifier import Classifier

    return Classifier(width, tuple(record["hidden"]), len(record["labels"]), record["dropout"])


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy over the words of a batch."""
    from ..layers.losses import cross_entropy_along

    return cross_entropy_along(outputs["logits"], targets, IGNORED)


def floors(record: Mapping[str, Any], train: Sample) -> Iterator[Floor]:
    """What costs nothing: the commonest tag of all words, and the commonest of each word in the training rows."""
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
    """The first token of each word of a row, and the numbers of all its tokens."""
    from ...runtime.spans import placed

    for first, end in pairwise([*placed(feature)[0].tolist(), len(feature["words"])]):
        own = feature["words"][first:end] == feature["words"][first]
        yield first, feature["input_ids"][first:end][own].tobytes()


def _tagged(sample: Sample, shares: np.ndarray, known: Mapping[bytes, int]) -> list[np.ndarray]:
    """Logits (tokens, tags) of each row: the shares of all tags, and above them the tag that a word is known for."""
    import numpy as np

    found = []
    for feature in sample.examples.features:
        logits = np.tile(shares, (len(feature["input_ids"]), 1))
        for first, word in _words(feature):
            if word in known:
                logits[first, known[word]] = shares.max() + 1.0
        found.append(logits)
    return found
