"""Loads a bundle and answers inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BundleError
from .given import many, stream_of
from .graphs import Graphs
from .manifest import MODEL, modalities, read_manifest, require
from .precisions import heads_in
from .rows import Outputs, Rows, Values, by_length, gathered, own_part
from .variants import decoder, lacking, preprocessing

if TYPE_CHECKING:
    from .buffers import Buffers

BATCH = 32  # rows per run of the graph, at most
IN_FLIGHT = 2  # batches at once: while one is put together or waits for its slowest thread, the other runs
Condense = Callable[[Outputs, np.ndarray], Outputs]  # (outputs of a batch, its rows) → what is kept of them
CHUNK = 1024  # inputs that a stream reads ahead, at most


class Model:
    """A loaded bundle; calls may come from several threads.

    `folder` is the bundle, `precision` one of its precisions (default the first), `threads` the threads of one run
    (default one for each core). Raises BundleError for a folder that is no bundle.
    """

    def __init__(self, folder: str | Path, precision: str | None = None, threads: int | None = None) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        precisions = self.manifest["precisions"]
        self.precision = precision or precisions[0]
        if self.precision not in precisions:
            raise BundleError("E0505", f"the bundle has no precision `{precision}`", f"it has {', '.join(precisions)}")
        self.heads, record = heads_in(self.manifest, self.precision), self.manifest["preprocessing"]
        self.decoders = {name: decoder(head["type"]) for name, head in self.heads.items()}
        for name, each in self.decoders.items():
            require(self.folder, {"heads": self.heads}, each.head, ("heads", name))
        self.inputs = preprocessing(record["modality"])
        require(self.folder, self.manifest, self.inputs.record, ("preprocessing",))
        self.graphs = Graphs(
            self.folder, self.manifest["graphs"], self.manifest.get("passes", [MODEL]), self.precision, threads
        )
        try:
            self.preprocessor = self.inputs.preprocessor(record, self.folder)
        except Exception as error:  # the tokenizers library raises plain Exception
            raise BundleError(
                "E0503", "the bundle's preprocessing can't be set up", str(error)[:300], help="build or copy it again"
            ) from None

    @property
    def labels(self) -> Any:
        """The labels in the order of the graph's outputs, empty for a task without labels.

        By head, where heads have names.
        """
        found = {name: tuple(head.get("labels", ())) for name, head in self.heads.items()}
        return found.get("", found)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that make up one input; with several, an input is a mapping by their words."""
        return modalities(self.manifest["preprocessing"]["modality"])

    def predict(self, inputs: Any, head: str | None = None, **options: Any) -> Any:
        """The answer to one input, or a list of answers to a list, an array or a Series of inputs.

        Where heads have names, an answer is a dict by head, or the answer of `head` alone; the graph runs once for all
        heads. Raises BundleError E0505 for an input of the wrong kind, and for an unknown head or option.
        """
        if head is not None and (head not in self.heads or not head):
            known = ", ".join(filter(None, self.heads)) or "one without a name"
            raise BundleError("E0505", f"the bundle has no head `{head}`", f"its heads: {known}")
        names = [*self.heads] if head is None else [head]
        options = {option: value for option, value in options.items() if value is not None}
        self._refuse_options(names, options)
        several = many(inputs, self.preprocessor.is_one)
        rows = self.rows([inputs] if several is None else several)
        passes: dict[Rows, Outputs] = {}  # outputs of the graph `model`, which runs once for all heads
        decoded = {name: self._answers(name, rows, options, passes) if rows.inputs else [] for name in names}
        if (alone := "" if head is None else head) in decoded:
            answers = decoded[alone]
        else:
            answers = [dict(zip(decoded, each, strict=True)) for each in zip(*decoded.values(), strict=True)]
        return answers[0] if several is None else answers

    def stream(self, inputs: Iterable[Any], head: str | None = None, **options: Any) -> Iterator[Any]:
        """Answers to any number of inputs, in order; memory holds at most 1,024 inputs.

        Of one input to a head that writes, pieces of its text as they come.

        The first answer comes after 32 inputs; each further chunk is twice as large. Raises what `predict` raises; the
        index of a wrong input counts from the start of the stream.
        """
        names = [*self.heads] if head is None else [head]
        pieces = self.decoders[names[0]].pieces if len(names) == 1 and names[0] in self.decoders else None
        if pieces and (isinstance(inputs, str) or self.preprocessor.is_one(inputs)):
            asked = {option: value for option, value in options.items() if value is not None}
            self._refuse_options(names, asked)
            yield from pieces(HeadRun(self, names[0], {}), self.heads[names[0]], self.rows([inputs]), **asked)
            return
        source, done, ahead = stream_of(inputs), 0, BATCH
        while chunk := list(islice(source, min(ahead, CHUNK))):
            try:
                answers = self.predict(chunk, head, **options)
            except BundleError as error:
                if error.index is None:
                    raise
                index = done + error.index
                raise BundleError(error.code, f"input {index + 1} can't be used", *error.notes, index=index) from None
            yield from answers
            done, ahead = done + len(chunk), 2 * ahead

    def streams(self, head: str | None = None, **options: Any) -> bool:
        """Whether `stream` gives one input's answer in pieces, with these options."""
        names = [*self.heads] if head is None else [head]
        if len(names) != 1 or names[0] not in self.decoders:
            return False
        own = self.decoders[names[0]]
        return own.pieces is not None and own.streams(self.heads[names[0]], options)

    def _answers(self, name: str, rows: Rows, options: Mapping[str, Any], passes: dict[Rows, Outputs]) -> list[Any]:
        decoder = self.decoders[name]
        taken = {key: value for key, value in options.items() if key in decoder.options}
        return decoder.answer(HeadRun(self, name, passes), self.heads[name], rows, **taken)

    def _refuse_options(self, names: Sequence[str], options: Mapping[str, Any]) -> None:
        known = {option for name in names for option in self.decoders[name].options}
        if strange := sorted(options.keys() - known):
            note = f"its options: {', '.join(sorted(known)) or 'none'}"
            raise BundleError("E0505", f"this task takes no option `{strange[0]}`", note)
        for name in names:
            own = self.decoders[name]
            own.check(self.heads[name], {key: value for key, value in options.items() if key in own.options})

    def rows(self, inputs: Sequence[Any]) -> Rows:
        """The rows of a list of inputs; raises BundleError E0505 for an input of the wrong kind."""
        try:
            found: Rows = self.preprocessor.rows(inputs)
            return found
        except ValueError:
            for i, value in enumerate(inputs):
                try:
                    self.preprocessor.rows([value])
                except ValueError as error:
                    raise BundleError("E0505", f"input {i + 1} can't be used", str(error), index=i) from None
            raise
        except ModuleNotFoundError as error:
            raise lacking(error) from None

    def outputs(self, inputs: Sequence[Any], batch: int = BATCH) -> dict[str, Values]:
        """Outputs of the graph `model` for a list of inputs, in order."""
        return self.run(self.rows(inputs), batch)

    def run(self, rows: Rows, batch: int = BATCH, condense: Condense | None = None) -> dict[str, Values]:
        """Outputs of the graph for rows, in their order; those that go along a text are cut to its length.

        `condense` makes of each batch's outputs what is kept of them, where all would be too many.
        """
        features = rows.features
        # rows of similar length share a batch, to save padding
        lengths = np.array([len(next(iter(row.values()))) for row in features], np.int64)
        batches = by_length(lengths, batch, self.preprocessor.budget)
        found = self._run_all(batches, features, condense)
        return gathered(found, np.concatenate(batches)) if batches else {}

    def _run_all(
        self, batches: list[np.ndarray], features: list[dict[str, np.ndarray]], condense: Condense | None
    ) -> list[Outputs]:
        def one(chosen: np.ndarray) -> Outputs:
            found = self._batch([features[i] for i in chosen])
            return condense(found, chosen) if condense else found

        if len(batches) < 2:
            return [one(chosen) for chosen in batches]
        from concurrent.futures import ThreadPoolExecutor  # costs a first answer 10 ms

        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            return list(pool.map(one, batches))

    def evidence(self, rows: Rows) -> dict[str, Values]:
        """What golden samples hold of the outputs for rows: all, or where these are too many what the decoders keep.

        The latter are of one row at a time, but in fp32: dynamic scales depend on the batch.
        """
        decoders = [(f"{name}." if name else "", each.condense) for name, each in self.decoders.items()]
        if not any(condense for _, condense in decoders):
            return self.run(rows)

        def condense(outputs: Outputs, chosen: np.ndarray) -> Outputs:
            found: dict[str, Values] = {}
            for prefix, own in decoders:
                mine = _of_head(prefix, outputs)
                kept = own(mine, [rows.features[i] for i in chosen]) if own else mine
                found |= {f"{prefix}{name}": values for name, values in kept.items()}
            return found

        return self.run(rows, BATCH if self.precision == "fp32" else 1, condense)

    def _batch(self, features: list[dict[str, np.ndarray]]) -> dict[str, Values]:
        found = self.graphs.single_pass(self.preprocessor.collate(features), len(features))
        ragged = self.graphs.model.ragged
        return {
            name: [own_part(row, given, ragged[name]) for row, given in zip(array, features, strict=True)]
            if name in ragged
            else array
            for name, array in found.items()
        }

    def from_words(self, words: Sequence[str]) -> list[Any]:
        """Inputs from the words of a command line; raises BundleError E0505 where they are no inputs."""
        try:
            return self.inputs.from_words(words, self.manifest["preprocessing"])
        except ValueError as error:
            raise BundleError("E0505", "the words are not inputs", str(error)) from None


class HeadRun:
    """The graphs of a loaded bundle for one of its heads (`heads.Run`).

    `passes` holds outputs of the graph `model` by rows, shared by all heads of one call.
    """

    def __init__(self, model: Model, head: str, passes: dict[Rows, Outputs]) -> None:
        self.model, self.prefix, self.passes = model, f"{head}." if head else "", passes

    def once(self, rows: Rows) -> Outputs:
        """Outputs of the graph `model` for rows, by the head's own names."""
        if rows not in self.passes:
            outputs = self.model.run(rows)
            _refuse_holes(outputs)
            self.passes[rows] = outputs
        return _of_head(self.prefix, self.passes[rows])

    def __call__(self, graph: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of any graph of the head for given arrays."""
        found = self.model.graphs.run(self.name(graph), arrays)
        return _of_head(self.prefix, found) if graph == MODEL else found

    def buffers(self, rows: int, room: int) -> Buffers:
        """A cache in arrays that the graph `model` extends in place."""
        return self.model.graphs.buffers(rows, room)

    def name(self, graph: str) -> str:
        """The name of a graph of the head among those of all heads, which share `model`."""
        return graph if graph == MODEL else f"{self.prefix}{graph}"


def _of_head(prefix: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of one head, by its own names."""
    return {name.removeprefix(prefix): values for name, values in outputs.items() if name.startswith(prefix)}


def _refuse_holes(outputs: Outputs) -> None:
    for name, values in outputs.items():
        if not all(np.isfinite(row).all() for row in (values if isinstance(values, list) else [values])):
            raise BundleError(
                "E0503", f"`{name}` of the graph holds values that are not finite", help="`graftc verify` the bundle"
            )


def load(folder: str | Path, precision: str | None = None, threads: int | None = None) -> Model:
    """Opens a bundle with the installed runtime; the bundle's own code does not run."""
    return Model(folder, precision, threads)
