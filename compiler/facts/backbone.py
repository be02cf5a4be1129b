"""Facts of a backbone, without loading it: config.json, tensors, capabilities."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import variants
from ..boundary import OPEN, Boundary, outside
from ..contracts.backbone import Family, Level
from ..contracts.head import Head
from ..contracts.source import Source
from ..diagnostics import At, Diagnostic, Refused, Status, listed, nearest, quote, refuse
from ..files import whole
from ..homes import default_root
from ..sources import SENTENCES, Located, Missing, split
from ..store.hashes import canonical, digest, file_sha256
from .agreement import Checkpoint, disagreements
from .configuration import rules
from .header import Fetch, Header, Tensor, is_header, read_header
from .rows import kind_of
from .sentence_transformers import Sentences, read_sentences

AT = At(("backbone", "from"))
# files of a backbone that preprocessing, decoding and checkpoints use, besides config and weights
PREPROCESSING = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json"),
    *("chat_template.jinja", "generation_config.json"),
)
CONFIG = 16 << 20  # the most bytes of a config.json
# files that results of stages may depend on
ASSETS = (*PREPROCESSING, *SENTENCES)
# all files of a backbone but its weights
BESIDE_WEIGHTS = ("config.json", "model.safetensors.index.json", "processor_config.json", *ASSETS)
# further names in a folder that are read, besides files that end as in READ
OTHERS = ("config.json", "README.md", "manifest.json", "1_Pooling", "adapters")
READ = (".json", ".safetensors")
CHECKPOINT = "checkpoint"  # the folder of the backbone in a bundle
# capabilities; a family has at most one of them
LANGUAGE_MODELS = ("masked-language-model", "causal-language-model", "sequence-to-sequence")


@dataclass(frozen=True)
class LanguageModelFacts:
    """A backbone's language-model head: its tensors, without tied ones."""

    kind: str  # one of LANGUAGE_MODELS
    tensors: tuple[Tensor, ...]
    vocabulary: int  # number of words in the vocabulary
    is_there: bool  # whether the checkpoint holds the head


@dataclass(frozen=True)
class BackboneFacts:
    """A backbone as its config.json and safetensors headers describe it."""

    located: Located
    word: str
    family: Family
    config: Mapping[str, Any]
    config_sha256: str
    header: Header
    tensors: tuple[Tensor, ...]
    sentences: Sentences | None = None  # for a sentence-transformers folder
    found: tuple[Diagnostic, ...] = ()  # warnings

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the loaded module's tensors: parameters and buffers."""
        return tuple(tensor.name for tensor in self.tensors)

    @cached_property
    def width(self) -> int:
        """The size of one state."""
        return self.family.width(self.config)

    @cached_property
    def longest(self) -> int | None:
        """The largest number of positions; None for no limit."""
        return self.family.longest(self.config)

    @cached_property
    def biases(self) -> tuple[str, ...]:
        """Names of the tensors that are biases."""
        return tuple(name for name in self.names if name.endswith(".bias") or name == "bias")

    @cached_property
    def norms(self) -> tuple[str, ...]:
        """Names of the tensors of normalisation layers."""
        return tuple(name for name in self.names if re.search(self.family.norms, name))

    @cached_property
    def provides(self) -> frozenset[str]:
        """The capabilities that heads and methods may ask for."""
        kinds = [self.family.kinds[word] for word in self.family.target]
        adapted = [t for name, t in self.modules().items() if any(re.search(kind, name) for kind in kinds)]
        is_linear = all(len(tensor.shape) == 2 for tensor in adapted)
        seen = {
            "biases": bool(self.biases),
            "linear-layers": is_linear,
            "sublayers": {"attention-output", "mlp-output"} <= self.family.kinds.keys(),
            "plain-weights": is_linear and not self.family.transposed,
        }
        return self.family.capabilities | {capability for capability, is_there in seen.items() if is_there}

    @property
    def maps(self) -> tuple[Level, ...]:
        """The levels of its feature maps, from the finest to the coarsest; empty without that capability."""
        return self.family.maps.levels(self.config) if self.family.maps else ()

    def lacks(self, head: Head[Any, Any]) -> bool:
        """Whether it lacks the capability that a head needs; states of tokens can be pooled."""
        return head.needs not in self.provides | ({"pooled"} if "tokens" in self.provides else frozenset())

    def takes(self, head: Head[Any, Any]) -> bool:
        """Whether its inputs are what a head reads: of several modalities together, the first."""
        first = head.modalities[0]
        return (variants.input(first).feeds or first) == self.family.modality

    @cached_property
    def language_model(self) -> LanguageModelFacts | None:
        """The language-model head of its family; None for a family without one."""
        model = self.family.language_model
        words = next((t.shape for t in self.tensors if t.name == self.family.words), None)
        if model is None or words is None:
            return None
        kind = next(kind for kind in LANGUAGE_MODELS if kind in self.provides)
        sizes = {"width": self.width, "vocabulary": words[0], "embedding": words[1]}
        stored = {renamed(tensor.name, self.family): tensor.shape for tensor in self.header.tensors}
        is_tied = self.config.get("tie_word_embeddings", model.is_tied)
        if model.is_tied_unless_stored:
            is_tied = not any(name in stored for name in model.tied)
        tied = model.tied if is_tied else ()
        shapes = {name: shape for name, shape in model.tensors(self.config).items() if name not in tied}
        own = tuple(
            Tensor(name=name, shape=tuple(sizes[side] for side in shapes[name]), dtype="F32") for name in sorted(shapes)
        )
        return LanguageModelFacts(kind, own, words[0], all(stored.get(t.name) == t.shape for t in own))

    def room(self, method: str | None, options: Any) -> int | None:
        """The most tokens of an input: positions without those of a method's virtual tokens; None for no limit."""
        if self.longest is None or method is None or options is None:
            return self.longest
        return max(self.longest - variants.method(method).positions(options), 1)

    def is_buffer(self, name: str) -> bool:
        """Whether a tensor is a buffer, not a parameter."""
        return any(re.search(pattern, name) for pattern in self.family.buffers)

    def depth(self, stack: str) -> int | None:
        """The number of members of a stack such as `layers`; None for a part that is no stack."""
        pattern = self.family.parts.get(stack)
        if pattern is None or re.compile(pattern).groups == 0:
            return None
        found = {int(hit.group(1)) for hit in (re.match(pattern, name) for name in self.names) if hit}
        return max(found) + 1 if found else None

    def modules(self) -> dict[str, Tensor]:
        """Modules that own a matrix or a kernel, by name, with that weight."""
        return {
            t.name.removesuffix(".weight"): t
            for t in self.tensors
            if t.name.endswith(".weight") and len(t.shape) in (2, 4)
        }


def locate(reference: str, base: Path, weights: bool, boundary: Boundary = OPEN) -> tuple[Located, Fetch | None]:
    """The folder of `backbone.from`, and a function that fetches headers of weights that are not fetched.

    Raises Refused E0301, E0320 where the machine is at fault, or E0353 where the folder or a file read from it lies
    outside of `boundary`. Installed packages and snapshots of a Hub are always inside.
    """
    word, rest = split(reference)
    if word not in variants.words("sources") or (word == "folder" and rest != reference):
        raise refuse(
            "E0301",
            f"{quote(reference)} names no source",
            "a source is ./folder, package:name/path, hub:org/name@revision or bundle:PATH",
            at=AT,
            help=nearest(word, variants.words("sources")),
        )
    source = variants.source(word)
    if source.is_path:
        _refuse_outside(reference, base / rest, source, boundary)
    located: Located = _found(reference, lambda: source.locate(rest, base, weights))
    if (remote := source.header) is None or weights:
        return located, None
    return located, lambda name: _found(reference, lambda: _fetched(remote, located.pinned, name))


def _refuse_outside(reference: str, folder: Path, source: Source, boundary: Boundary) -> None:
    """Raises Refused E0353 where a folder, or a file that would be read from it, leads out of a boundary."""
    if not boundary.is_closed:
        return
    if boundary.is_outside(folder):
        raise Refused((outside(quote(reference), AT, boundary),))
    looks: list[Callable[[], Path | None]] = [
        lambda: _leading_out(folder, boundary),
        lambda: _leading_out(folder / CHECKPOINT, boundary),
        lambda: next(filter(boundary.is_outside, source.held(folder)), None),
    ]
    for look in looks:  # one after the other, so that a folder outside is not even listed
        if found := look():
            headline = f"{quote(os.path.relpath(found, folder))} of the backbone {quote(reference)}"
            raise Refused((outside(headline, AT, boundary),))


def _leading_out(folder: Path, boundary: Boundary) -> Path | None:
    """The folder, or the first file read from it, that leads out of a boundary; None for neither."""
    if boundary.is_outside(folder):
        return folder
    named = (name for name in os.listdir(folder) if name.endswith(READ)) if folder.is_dir() else ()
    places = (folder / name for name in sorted({*ASSETS, *OTHERS, *named}))
    return next(filter(boundary.is_outside, places), None)


def _found(reference: str, look: Callable[[], Any]) -> Any:
    """The result of a source, with its refusals turned into diagnostics."""
    try:
        return look()
    except Missing as missing:
        status = Status.MACHINE if missing.is_machine else Status.WRONG
        raise refuse(
            "E0320" if missing.is_machine else "E0301",
            f"the backbone {quote(reference)} is not available",
            missing.reason,
            at=AT,
            help=missing.help,
            status=status,
        ) from None


def _fetched(remote: Callable[[str, str], Mapping[str, Any]], pinned: str, name: str) -> Mapping[str, Any]:
    """A remote header, cached in the store, because headers at a commit never change."""
    from ..store.ownership import read_own
    from ..store.store import Store, write_atomically  # the store knows of arrays, and numpy takes its time

    store, note = Store(default_root()), f"{digest([pinned, name])}.json"
    try:
        known = json.loads(read_own(store.root / "headers" / note, store.users) or b"")
    except (ValueError, RecursionError):
        known = None
    if is_header(known):
        return dict(known)
    found: Mapping[str, Any] = remote(pinned, name)
    write_atomically(store.folder("headers") / note, lambda path: path.write_text(canonical(found)) and None)
    return found


def gather_backbone(
    reference: str, base: Path, weights: bool = False, boundary: Boundary = OPEN, memory: Path | None = None
) -> BackboneFacts:
    """Reads config.json and the headers of a backbone; with `weights`, fetches all of its files.

    With `weights`, they are also compared with the hashes that the source knows; `memory` caches hashes. Raises Refused
    with E0353 where the backbone lies outside of `boundary`, E0301, E0303, E0304, E0305, E0320, E0580, or all of E0382,
    E0383 and E0384 at once.
    """
    located, fetch = locate(reference, base, weights, boundary)
    source = variants.source(split(reference)[0])
    if weights:
        _found(reference, lambda: source.check(located, memory))
    raw = _config_bytes(located.folder)
    config = _config(raw)
    model_type = config["model_type"]
    word = str(model_type).replace("_", "-")
    if word not in variants.words("backbones"):
        raise refuse(
            "E0305",
            f"the family {quote(model_type)} is not known",
            f"families: {listed(variants.words('backbones'), 40)}",
            at=AT,
            help=nearest(word, variants.words("backbones")),
        )
    family = variants.family(word)
    header = read_header(located.folder, fetch)
    tensors = _loaded(header, family)
    found = disagreements(Checkpoint(located.folder, word, family, config, header, tensors))
    if any(each.is_error for each in found):
        raise Refused(found)
    named = rules(word).named(config)
    said = read_sentences(located.folder) if family.modality == "text" else None
    facts = BackboneFacts(located, word, family, named, hashlib.sha256(raw).hexdigest(), header, tensors, said, found)
    _check(facts)
    return facts


def backbone_files(backbone: BackboneFacts, memory: Path | None) -> dict[str, str]:
    """The SHA-256 of every file of a backbone that graftc reads and that is on this machine, by name."""
    folder = backbone.located.folder
    names = sorted({*BESIDE_WEIGHTS, *backbone.header.files})
    return {name: file_sha256(folder / name, memory) for name in names if (folder / name).is_file()}


def _config(raw: bytes) -> dict[str, Any]:
    """A config.json that names its family; raises Refused E0305 for any other."""
    help = "get the file anew from where the backbone came from, or let `save_pretrained` write it"
    try:
        config = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else "it can't be read as JSON"
        raise refuse("E0305", "the backbone's config.json is not JSON", reason.lower(), at=AT, help=help) from None
    if not isinstance(config, dict):
        raise refuse("E0305", f"the backbone's config.json holds {kind_of(config)}, not an object", at=AT, help=help)
    if "model_type" not in config:
        raise refuse("E0305", "the backbone's config.json names no model_type", at=AT, help=help)
    return config


def _check(facts: BackboneFacts) -> None:
    """Raises Refused E0305 for a config.json without a usable width or length."""
    try:
        is_sized = facts.width > 0 and (facts.longest is None or facts.longest > 0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
        is_sized = False
    if not is_sized:
        raise refuse("E0305", "the sizes in the backbone's config.json can't be read", at=AT)


def _config_bytes(folder: Path) -> bytes:
    try:
        return whole(folder / "config.json", CONFIG)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise refuse("E0305", "the backbone's config.json can't be read", str(error.strerror), at=AT) from None
        raise refuse(
            "E0301",
            "the backbone has no config.json",
            f"looked in {folder.name}/",
            at=AT,
            help="point `backbone.from` at the folder that save_pretrained wrote",
        ) from None


def _loaded(header: Header, family: Family) -> tuple[Tensor, ...]:
    """The header's tensors by their names in the loaded module, without those that are not loaded."""
    found = []
    for tensor in header.tensors:
        name = renamed(tensor.name.removeprefix(family.prefix), family)
        if not any(re.match(pattern, name) for pattern in family.omitted):
            found.append(Tensor(name=name, shape=tensor.shape, dtype=tensor.dtype))
    return tuple(sorted(found, key=lambda tensor: tensor.name))


def renamed(name: str, family: Family) -> str:
    """A stored tensor's name as current transformers spells it."""
    for pattern, replacement in family.renamed.items():
        name = re.sub(pattern, replacement, name)
    return name
