"""Loads a backbone through transformers, and turns errors about its files into diagnostics."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..diagnostics import Refused, Span, refuse
from ..planning.plan import Phase
from .checkpoint_files import alone, refuse_others

DROPOUT = re.compile(r"(dropout|dropout_prob|pdrop)$")  # names of dropout rates in transformers' configurations
PLAINLY: dict[str, Any] = {
    **{"dtype": torch.float32, "use_safetensors": True, "local_files_only": True, "trust_remote_code": False},
}
MEMORY = ("can't allocate memory", " out of memory", "std::bad_alloc")


def load_backbone(plan: Phase, folder: Path) -> nn.Module:
    """The pretrained module in fp32 with all of its tensors, after one forward pass.

    Raises Refused E0388 where transformers can't load or run it, and E0406 where its checkpoint lacks tensors.
    """
    from transformers import AutoModel
    from transformers.utils import logging as their_logging

    family = plan.backbone.variant
    their_logging.set_verbosity_error()
    their_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with refusing(folder), alone(folder) as own:
        module, told = AutoModel.from_pretrained(
            str(own), config=_config(plan, own), **PLAINLY, output_loading_info=True, **family.load
        )
    lacked = sorted([*told["missing_keys"], *(str(key[0]) for key in told["mismatched_keys"])])
    missing = [name for name in lacked if not any(re.match(pattern, name) for pattern in family.omitted)]
    if missing:
        raise refuse("E0406", "the backbone's checkpoint lacks tensors that its module needs", ", ".join(missing[:5]))
    refuse_others(module, folder, family)
    with refusing(folder):
        found = family.ready(module)
    _try(found, plan, folder)
    return found


def _config(plan: Phase, folder: Path) -> Any:
    """The backbone's configuration with the plan's dropout."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    config.return_dict = True  # outputs are read by name
    if plan.backbone.dropout is not None:
        for name, value in config.to_dict().items():
            if DROPOUT.search(name) and isinstance(value, float):
                setattr(config, name, plan.backbone.dropout)
    return config


def _try(module: nn.Module, plan: Phase, folder: Path) -> None:
    """A first pass of one input: what can't run is known before anything is learned."""
    reading = plan.reading
    arrays = reading.variant.shortest(reading.preprocessing.plain())
    given = {name: torch.from_numpy(arrays[own]) for name, own in reading.arguments.items()}
    shapes = ", ".join(f"`{name}` {' x '.join(map(str, tensor.shape))}" for name, tensor in given.items())
    with refusing(folder, f"in a first pass of {shapes}", way="give larger inputs"), torch.no_grad():
        module.eval()(**given)


@contextmanager
def refusing(folder: Path, *notes: str, way: str = "") -> Iterator[None]:
    """Turns an error of transformers about the files of a folder into Refused E0388; lack of memory or disk stays.

    `notes` say when it was raised, and `way` is a further way out.
    """
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        is_machine = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
        if is_machine or any(word in str(error) for word in MEMORY):
            raise
        said = " ".join(str(error).split())[:400]
        raise refuse(
            "E0388",
            "transformers can't load the backbone, or can't run it",
            f"{type(error).__name__}: {said}",
            *notes,
            at=Span(str(folder / "config.json"), 0, 1, 0),
            help=f"see in config.json what the note speaks of, {f'{way}, ' if way else ''}or copy the backbone again",
        ) from None
