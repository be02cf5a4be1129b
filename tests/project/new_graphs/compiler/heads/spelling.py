"""Answers a text with a short word, letter by letter: a graph for each step beside that of the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..contracts.head import TARGET, Graph, Head
from ..metrics import letters
from . import _letters
from ._letters import Words, loss, lower, outputs, target

if TYPE_CHECKING:
    from ..layers.head import HeadModule


class Options(_letters.Options):
    """Keys under `head` for spelling."""


def graphs(record: Mapping[str, Any], given: Graph) -> dict[str, Graph]:
    """The graph of the text, and a step: from a state the next letter and the next state."""
    state = {"dtype": "float32", "shape": ["batch", "width"]}
    logits = {"dtype": "float32", "shape": ["batch", len(record["letters"]) + 1]}
    return {"model": given, "step": Graph(inputs={"state": state}, outputs={"logits": logits, "next": state})}


def parameters(record: Mapping[str, Any], width: int) -> int:
    """A layer from state to state, and one from a state to letters."""
    return width * (width + 1) + (width + 1) * (len(record["letters"]) + 1)


def build(record: Mapping[str, Any], width: int) -> HeadModule:
    """The head: (batch, width) → letters, by as many steps as a word may have."""
    import torch

    from ..layers.head import HeadModule

    class Step(torch.nn.Module):
        """(batch, width) → logits of a letter, and the next state."""

        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.Linear(width, width)
            self.out = torch.nn.Linear(width, len(record["letters"]) + 1)

        def forward(self, state: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.out(state), "next": torch.tanh(self.cell(state))}

    class Speller(HeadModule):
        """A step, again and again."""

        def __init__(self) -> None:
            super().__init__()
            self.step = Step()

        def graphs(self, backbone: Any) -> dict[str, torch.nn.Module]:
            return {"step": self.step}

        def forward(self, feature: torch.Tensor) -> dict[str, torch.Tensor]:
            found, state = [], feature
            for _ in range(record["longest"]):
                outputs = self.step(state)
                found.append(outputs["logits"])
                state = outputs["next"]
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
    parameters=parameters,
    outputs=outputs,
    graphs=graphs,
    target=target,
    ragged_targets=(TARGET,),
    build=build,
    loss=loss,
)
