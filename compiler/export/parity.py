"""Compares a network with its graphs, from raw inputs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...runtime.errors import BundleError
from ...runtime.graphs import in_turn
from ...runtime.rows import Values
from ...runtime.session import Session
from ..bundling.manifest import file_of
from ..diagnostics import refuse
from ..model.network import Network
from ..planning.export import GraphPlan
from ..planning.plan import Plan
from ..training.loaders import arrays, cut, ragged
from ..training.network_run import Call
from .calls import ask

SIZES = (1, 2, 5)  # rows in a batch, besides all rows in one


@dataclass(frozen=True)
class Parity:
    """The largest difference between network and graphs, and where it was seen.

    `failure` is what onnxruntime says of a graph that it can't run.
    """

    worst: float
    output: str
    case: str
    inputs: int
    failure: str = ""


def golden_inputs(plan: Plan) -> list[Any]:
    """Raw inputs of every kind that preprocessing must handle: empty, over-long, odd."""
    found: list[Any] = plan.reading.variant.samples(plan.seed, plan.reading.preprocessing)
    return found


def batches(plan: Plan, inputs: list[Any]) -> list[tuple[str, list[Any]]]:
    """Named batches of several sizes: single rows (no padding), few rows (little), all rows (much)."""
    cases = [(f"batches of {size}", inputs[at : at + size]) for size in SIZES for at in range(0, len(inputs), size)]
    return [*cases, (f"a batch of {len(inputs)}", inputs)]


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest |a−b| relative to max(1, largest |a|); infinite where shapes differ or a number is not finite."""
    if ours.shape != theirs.shape or not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        return float("inf")
    return float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(ours).max()))) if ours.size else 0.0


def outputs(network: Network, plan: Plan, processor: Any, inputs: list[Any]) -> dict[str, Values]:
    """The network's outputs for raw inputs, with ragged outputs cut to the length of each row."""
    return of_network(network, plan, processor, processor.rows(inputs).features)


def of_network(
    network: Network, plan: Plan, processor: Any, features: list[dict[str, np.ndarray]]
) -> dict[str, Values]:
    """The network's outputs for rows of arrays, with ragged outputs cut to the length of each row."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        found = network(**arrays(processor.collate(features), str(device)))
    return cut(found, features, ragged(plan.tasks))


def apart(ours: Mapping[str, Values], theirs: Mapping[str, Values]) -> tuple[float, str]:
    """The largest difference between two sets of outputs, and the name of that output."""
    found = {name: max(map(difference, ours[name], array), default=0.0) for name, array in theirs.items()}
    return max((worst, name) for name, worst in found.items())


def compare(network: Network, plan: Plan, processor: Any, folder: Path, inputs: list[Any]) -> Parity:
    """The largest difference between a network and its graphs over batches of several sizes and lengths.

    Outputs of one pass are compared row by row, each cut to its length; outputs of further calls as whole arrays.
    """
    sessions = {name: Session(folder / file_of(name, "fp32")) for name in plan.export.graphs}
    network.eval()
    worst = _Worst(plan, sessions, len(inputs))
    cases = batches(plan, inputs)
    for case, chosen in cases:
        features = processor.rows(chosen).features
        worst.see(case, partial(_of_rows, network, plan, processor, sessions, features))
    for case, chosen in (cases[0], cases[-1]):  # one input alone, and all together: decoders make many calls
        ask(network, plan, processor, chosen, partial(worst.see_call, case))
    return worst.parity


class _Worst:
    """The largest difference of those that it is shown, one after the other: calls are too large to be kept."""

    def __init__(self, plan: Plan, sessions: Mapping[str, Session], inputs: int) -> None:
        self.plan, self.sessions, self.inputs = plan, sessions, inputs
        self.parity = Parity(0.0, "", "", inputs)

    def see(self, case: str, look: Callable[[], tuple[float, str]]) -> None:
        """Takes in a comparison."""
        found = _seen(look, case, self.inputs)
        self.parity = self.parity if found.worst <= self.parity.worst else found

    def see_call(self, case: str, call: Call) -> None:
        """Takes in the comparison of a call."""
        self.see(case, partial(_of_call, self.sessions[call.graph], call, self.plan.export.graphs[call.graph]))


def on_rows(
    network: Network, plan: Plan, processor: Any, folder: Path, features: list[dict[str, np.ndarray]]
) -> Parity:
    """The same of rows of the data in one batch, which the preprocessing already met."""
    sessions = {name: Session(folder / file_of(name, "fp32")) for name in plan.export.passes}
    look = partial(_of_rows, network, plan, processor, sessions, features)
    return _seen(look, f"a batch of {len(features)} rows of the data", len(features))


def _seen(look: Callable[[], tuple[float, str]], case: str, inputs: int) -> Parity:
    """What a comparison finds; where the graph can't be run, nothing is farther from the network."""
    try:
        worst, name = look()
    except BundleError as error:
        return Parity(float("inf"), "", case, inputs, "; ".join(error.notes))
    return Parity(worst, name, case, inputs)


def _of_rows(
    network: Network,
    plan: Plan,
    processor: Any,
    sessions: Mapping[str, Session],
    features: list[dict[str, np.ndarray]],
) -> tuple[float, str]:
    ours = of_network(network, plan, processor, features)
    return apart(ours, of_graphs(sessions, plan, processor, features))


def _of_call(session: Session, call: Call, graph: GraphPlan) -> tuple[float, str]:
    theirs = session.run(call.given)
    most, name = apart(*(_real(found, call.given, graph) for found in (call.found, theirs)))
    return most, f"{call.graph}.{name}"


def _real(arrays: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray], graph: GraphPlan) -> dict[str, Values]:
    """Each array in a list, so that it is compared as a whole; padding is set to zero.

    Padding is where `attention_mask` is 0, in outputs that run along the same axis.
    """
    found: dict[str, Values] = {name: [array] for name, array in arrays.items()}
    for name, array in arrays.items() if "attention_mask" in graph.inputs else ():
        along, sides = graph.inputs["attention_mask"]["shape"][1], list(graph.outputs[name]["shape"])
        if along in sides:
            shape = [len(array), *(array.shape[i] if i == sides.index(along) else 1 for i in range(1, array.ndim))]
            found[name] = [np.where(given["attention_mask"].reshape(shape), array, 0)]  # it may hold anything
    return found


def of_graphs(
    sessions: Mapping[str, Session], plan: Plan, processor: Any, features: list[dict[str, np.ndarray]]
) -> dict[str, Values]:
    """Outputs of a single pass for rows of arrays, with ragged outputs cut to the length of each row."""
    told = {name: {"inputs": graph.inputs, "outputs": graph.outputs} for name, graph in plan.export.graphs.items()}
    found = in_turn(sessions, plan.export.passes, told, processor.collate(features))
    return cut({name: torch.from_numpy(values) for name, values in found.items()}, features, ragged(plan.tasks))


def gate(parity: Parity, plan: Plan, evidence: Path) -> None:
    """Raises Refused E0401 where the difference is larger than the plan allows."""
    if parity.worst <= plan.export.parity:
        return
    export = plan.export
    seen = f"output `{parity.output}`: largest relative difference {parity.worst:.1e}, allowed {export.parity:.1e}"
    if parity.failure:
        seen = f"it can't be run: {parity.failure}"
    where = f"checked on {parity.inputs} raw inputs; worst in {parity.case}"
    other = "transformers" if export.exporter == "tracing" else "tracing"
    tries = f"try `export.opset: {export.opset + 1}` or `export.exporter: {other}`"
    raise refuse(
        "E0401",
        "the exported graph disagrees with the trained model",
        f"{seen}\n{where}",
        f"kept for inspection: {evidence}",
        help=f"{tries}; if it still disagrees, report the file above",
    )
