"""Shared parts of methods that add tensors at chosen modules, most of them through PEFT."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from ..contracts.method import Method
from ..contracts.reading import Record
from ..decision import Decided
from ..diagnostics import At, Diagnostic, listed, nearest, quote
from ..facts.backbone import BackboneFacts
from ..facts.header import Tensor
from ..frozen import MOST, Frozen
from . import Lowered, all_frozen

if TYPE_CHECKING:
    import torch

Targets = Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST)]


class Targeted(Frozen):
    """The key that names the modules to adapt."""

    target: Targets | str | None = Field(
        None, description="kinds (query, value, attention, mlp, all-linear …) or names of modules; default by family"
    )


Keys = TypeVar("Keys", bound=Targeted)
Default = tuple[str, ...] | None  # kinds of modules to adapt by default; None for the family's default


def problems(
    method: str, options: Targeted, backbone: BackboneFacts, frozen: frozenset[str], default: Default = None
) -> Iterable[Diagnostic]:
    """Errors for targets that match no module, or only frozen ones."""
    words = _words(options, backbone, default)
    for i, word in enumerate(words):
        if not _matches(word, backbone):
            yield _unmatched(word, _path(options, i), backbone)
    if not targets(options, backbone, frozen, default) and all(_matches(word, backbone) for word in words):
        yield all_frozen(f"module that `{method}` would adapt")


def _path(options: Targeted, i: int) -> tuple[str | int, ...]:
    if isinstance(options.target, tuple):
        return ("adapt", "target", i)
    return ("adapt", "target") if options.target is not None else ("adapt",)


def _unmatched(word: str, path: tuple[str | int, ...], backbone: BackboneFacts) -> Diagnostic:
    kinds, modules = tuple(backbone.family.kinds), _adaptable(backbone)
    example = next(name for kind in backbone.family.target for name in _matches(kind, backbone))
    note = f"kinds of this backbone: {listed(kinds)}; or names of modules, such as `{example}`"
    ends = {name.rpartition(".")[2] for name in modules} - {""}
    help = nearest(word, kinds) or nearest(word, ends) or nearest(word, modules)
    headline = f"target {quote(word)} matches no module of this backbone"
    return Diagnostic("E0308", headline, At(path, "nothing to adapt"), (), (note,), help)


def targets(
    options: Targeted, backbone: BackboneFacts, frozen: frozenset[str], default: Default = None
) -> tuple[str, ...]:
    """Names of the modules to adapt, sorted: those that match and are not frozen."""
    found = {name for word in _words(options, backbone, default) for name in _matches(word, backbone)}
    return tuple(sorted(name for name in found if f"{name}.weight" not in frozen))


def lower(
    options: Targeted,
    backbone: BackboneFacts,
    frozen: frozenset[str],
    added: Callable[[str, Any, BackboneFacts], Iterable[Tensor]],
) -> Lowered:
    """Adds tensors at each target that is not frozen; the options become the record."""
    chosen = targets(options, backbone, frozen)
    tensors = tuple(tensor for name in chosen for tensor in added(name, options, backbone))
    return Lowered(frozenset(), tensors, {**options.model_dump(exclude={"target"}), "target": chosen})


def decided(options: Targeted, backbone: BackboneFacts, default: Default = None) -> dict[str, Decided[Any]]:
    """The modules to adapt, where the options leave them open."""
    because = f"what the method adapts in a `{backbone.word}` backbone"
    return {"target": Decided(_words(options, backbone, default), because)} if options.target is None else {}


def _words(options: Targeted, backbone: BackboneFacts, default: Default) -> tuple[str, ...]:
    if options.target is None:
        return tuple(backbone.family.target) if default is None else default
    return (options.target,) if isinstance(options.target, str) else options.target


def _matches(word: str, backbone: BackboneFacts) -> list[str]:
    pattern = backbone.family.kinds.get(word)
    if pattern is not None:
        return [name for name in backbone.modules() if re.search(pattern, name)]
    return [name for name in _adaptable(backbone) if name == word or name.endswith(f".{word}")]


def _adaptable(backbone: BackboneFacts) -> list[str]:
    """Modules of a kind that the family names, without embeddings and the like."""
    kinds = tuple(backbone.family.kinds.values())
    return [name for name in backbone.modules() if any(re.search(kind, name) for kind in kinds)]


def is_kind(name: str, kind: str, backbone: BackboneFacts) -> bool:
    """Whether a module is of a kind of its family."""
    pattern = backbone.family.kinds.get(kind)
    return pattern is not None and re.search(pattern, name) is not None


def adapted(module: torch.nn.Module, configuration: type[Any], **arguments: Any) -> torch.nn.Module:
    """A backbone with PEFT's layers, by a PEFT configuration of these arguments."""
    from peft import get_peft_model

    with _quiet():
        found: torch.nn.Module = get_peft_model(module, configuration(**arguments))
    return found


def reload(module: torch.nn.Module, folder: Path) -> torch.nn.Module:
    """A backbone with the adapter that was saved in a folder."""
    from peft import PeftModel

    with _quiet():
        found: torch.nn.Module = PeftModel.from_pretrained(module, str(folder))
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences PEFT's warnings on fan_in_fan_out for Conv1D and on random matrices that are not saved."""
    with warnings.catch_warnings():
        for message in ("fan_in_fan_out is set to False", r"Specified to not (save|load) vera_A and vera_B"):
            warnings.filterwarnings("ignore", message=message)
        yield


def save(module: Any, folder: Path) -> None:
    """Writes a folder that PeftModel or AutoModel loads."""
    module.save_pretrained(folder)


def plain(name: str) -> str:
    """The planned name of a tensor of the adapted module.

    >>> plain("base_model.model.layer.0.query.lora_A.default.weight")
    'layer.0.query.lora_A.weight'
    >>> plain("base_model.model.layer.0.query.base_layer.bias")
    'layer.0.query.bias'
    """
    name = name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".default.", ".")
    return name.removesuffix(".default")


def merge(module: Any) -> torch.nn.Module:
    """The backbone with the updates merged into its weights."""
    merged: torch.nn.Module = module.merge_and_unload()
    return merged


def sides(shape: tuple[int, ...], name: str, backbone: BackboneFacts) -> Iterator[int]:
    """Outputs, inputs and kernel sizes of a module, in either layout of its weight."""
    transposed = backbone.family.transposed
    out, into, *kernel = shape if not (transposed and re.search(transposed, name)) else (*shape[1::-1], *shape[2:])
    yield from (out, into, *kernel)


def method(
    word: str,
    *,
    options: type[Keys],
    learning_rate: float = 1e-3,
    usual: tuple[float, float],
    needs: frozenset[str] = frozenset(),
    added: Callable[[str, Any, BackboneFacts], Iterable[Tensor]],
    apply: Callable[[torch.nn.Module, Record], torch.nn.Module],
    reload: Callable[[torch.nn.Module, Path], torch.nn.Module] = reload,
) -> Method[Keys]:
    """The record of a method of PEFT layers at chosen modules, which can be merged.

    `added` returns the tensors of one module, from (its name, options, backbone).
    """
    return Method(
        options=options,
        learning_rate=learning_rate,
        head_learning_rate=1e-3,
        usual=usual,
        needs=needs,
        merges=True,
        starts_untouched=True,
        problems=partial(problems, word),
        decided=decided,
        lower=partial(lower, added=added),
        apply=apply,
        plain=plain,
        merge=merge,
        save=save,
        reload=reload,
    )
