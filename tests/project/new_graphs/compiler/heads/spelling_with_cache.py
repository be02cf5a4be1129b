"""Answers a text with a short word, each letter by looking back at the states before: a cache that grows with the word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.head import TARGET, Graph, Head
from ..facts.backbone import BackboneFacts
from ..metrics import letters
from . import _letters
from ._letters import Words, loss, lower, outputs, target

if TYPE_CHECKING:
    from ..layers.head import HeadModule

HEADS = 2


class Options(_letters.Options):
    """Keys under `head` for spelling-with-cache."""


def settle(record: Mapping[str, Any], backbone: BackboneFacts, preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the size of what is kept of a state."""
    return {**record, "heads": HEADS, "size": backbone.width // HEADS}


def graphs(record: Mapping[str, Any], given: Graph) -> dict[str, Graph]:
    """The graph of the text, and a step, which takes what those before kept and gives it with its own."""

    def array(*sides: int | str) -> dict[str, Any]:
        return {"dtype": "float32", "shape": ["batch", *sides]}

    heads, size = record["heads"], record["size"]
    taken = {"state": array("width"), "past": array(heads, "past", size)}
    gives = {
        "logits": array(len(record["letters"]) + 1), "next": array("width"), "present": array(heads, "present", size)
    }  # fmt: skip
    return {"model": given, "step": Graph(inputs=taken, outputs=gives)}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """Layers from a state to a state, to what is kept of it and to what it asks, and one to letters."""
    return 3 * width * (width + 1) + (width + 1) * (len(record["letters"]) + 1)


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head: (batch, width) → letters, by as many steps as a word may have."""
    import torch

    from ..layers.head import HeadModule

    heads, size = record["heads"], record["size"]

    class Step(torch.nn.Module):
        """(batch, width) and (batch, heads, steps, size) → logits, the next state, and (batch, heads, steps + 1, size)."""

        def __init__(self) -> None:
            super().__init__()
            self.cell, self.kept, self.asked = (torch.nn.Linear(width, width) for _ in range(3))
            self.out = torch.nn.Linear(width, len(record["letters"]) + 1)

        def forward(self, state: torch.Tensor, past: torch.Tensor) -> dict[str, torch.Tensor]:
            present = torch.cat([past, self.kept(state).view(-1, heads, 1, size)], 2)
            shares = torch.softmax(self.asked(state).view(-1, heads, 1, size) @ present.transpose(2, 3), -1)
            seen = (shares @ present).reshape(-1, width)
            return {"logits": self.out(state), "next": torch.tanh(self.cell(state) + seen), "present": present}

    class Speller(HeadModule):
        """A step, again and again."""

        def __init__(self) -> None:
            super().__init__()
            self.step = Step()

        def graphs(self, backbone: Any) -> dict[str, torch.nn.Module]:
            return {"step": self.step}

        def forward(self, feature: torch.Tensor) -> dict[str, torch.Tensor]:
            found, state, past = [], feature, feature.new_zeros(len(feature), heads, 0, size)
            for _ in range(record["longest"]):
                outputs = self.step(state, past)
                found.append(outputs["logits"])
                state, past = outputs["next"], outputs["present"]
            return {"logits": torch.stack(found, 1), "state": feature}

    return Speller()


HEAD = Head(
    modality="text",
    needs="pooled",
    options=Options,
    metrics=letters.METRICS,
    targets=("word",),
    tally=Words,
    lower=lower,
    settle=settle,
    parameters=parameters,
    outputs=outputs,
    graphs=graphs,
    target=target,
    ragged_targets=(TARGET,),
    build=build,
    loss=loss,
)
