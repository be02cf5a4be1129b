"""What a language model learns of rows: `head.loss`, and a record for each of its objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from ..contracts.head import REFERENCE, mean_of_losses
from ..contracts.targets import Place
from ..diagnostics import At, Diagnostic, Row
from ..facts.rows import Unusable
from ..frozen import Frozen
from ..renderers import counted
from . import _completions, _vocabulary
from ._vocabulary import IGNORED

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..layers.preferences import Answered

CHOSEN, REJECTED = "chosen", "rejected"  # roles of the two answers of a pair
# targets of a row of a pair: the tokens of the answer, all tokens, and whether it is the preferred answer
ANSWER, WHOLE, PREFERRED = "answer", "whole", "preferred"
BETA = 0.1  # where a spec names none


class Loss(Frozen):
    """The section `head.loss` of a language model."""

    objective: Literal["next-token", "dpo", "orpo"] = Field(
        "next-token", description="next-token; of pairs of answers dpo or orpo"
    )
    beta: float | None = Field(
        None,
        gt=0.0,
        le=10.0,
        description="of dpo: how close to the reference; of orpo: the penalty's weight; default 0.1",
    )
    on: Literal["completion", "all"] = Field(
        "completion", description="tokens that are learned: the completion, or the prompt too"
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Objective:
    """What the head asks of an objective; `record` is the head's."""

    loss: Callable[[Mapping[str, Any], Mapping[str, torch.Tensor], Any], torch.Tensor]
    """(record, outputs, targets) → mean loss of a batch, as `Head.loss`"""
    of_pairs: bool = False  # whether a row has two answers, the preferred first
    rewards: Callable[[Mapping[str, Any], Answered, Mapping[str, torch.Tensor]], torch.Tensor] | None = None
    """(record, how likely answers are, their targets) → how much better each row is than before: (rows,)"""
    condensed: Callable[[Mapping[str, Any], Mapping[str, Any]], float] = mean_of_losses
    """(record, outputs as `condense` leaves them) → the mean loss of a split"""
    has_reference: bool = False  # whether it compares answers with what the untouched backbone says of them
    learns_prompts: bool = True  # whether `on: all` makes a difference


def wanted(targets: Any) -> torch.Tensor:
    """The tokens whose logits the loss reads, bool (rows, tokens): those that have a target."""
    own = targets.get(WHOLE, targets[ANSWER]) if isinstance(targets, dict) else targets
    found: torch.Tensor = own != IGNORED
    return found


def _likely(outputs: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, Answered]:
    """The log-probability of every target (rows, tokens), and how likely answers are."""
    from ..layers.preferences import answered, likelihoods

    likely = likelihoods(outputs["logits"], targets.get(WHOLE, targets[ANSWER]), IGNORED)
    return likely, answered(likely, targets[ANSWER], IGNORED)


def _next_token(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: Any) -> torch.Tensor:
    """Mean cross entropy over the tokens that have a target."""
    logits, wanted = outputs["logits"], targets != IGNORED
    logits = logits if logits.ndim == 2 else logits[wanted]
    return _vocabulary.loss(record, {"logits": logits[None]}, targets[wanted][None])


def _dpo_rewards(record: Mapping[str, Any], found: Answered, targets: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """β times the log-ratio of network and reference."""
    rewards: torch.Tensor = record["beta"] * (found.sums - targets[REFERENCE])
    return rewards


def _dpo(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: Any) -> torch.Tensor:
    from ..layers.preferences import dpo

    _, found = _likely(outputs, targets)
    return dpo(_dpo_rewards(record, found, targets))


def _dpo_condensed(record: Mapping[str, Any], outputs: Mapping[str, Any]) -> float:
    import torch

    from ..layers.preferences import dpo

    return float(dpo(torch.from_numpy(outputs["rewards"])))


def _orpo_rewards(record: Mapping[str, Any], found: Answered, targets: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """β times the mean log-probability of a token."""
    rewards: torch.Tensor = record["beta"] * found.means
    return rewards


def _orpo(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: Any) -> torch.Tensor:
    """The cross entropy of the preferred answers, and β times L_OR."""
    from ..layers.preferences import answered, log_odds_ratio

    likely, found = _likely(outputs, targets)
    learned = answered(likely, targets.get(WHOLE, targets[ANSWER]), IGNORED).preferred
    return -learned.sums.sum() / learned.tokens.sum() + record["beta"] * log_odds_ratio(found.means)


def _orpo_condensed(record: Mapping[str, Any], outputs: Mapping[str, Any]) -> float:
    import torch

    from ..layers.preferences import log_odds_ratio

    means = torch.from_numpy(outputs["rewards"]) / record["beta"]
    return mean_of_losses(record, outputs) + record["beta"] * float(log_odds_ratio(means))


OBJECTIVES: Mapping[str, Objective] = {
    "next-token": Objective(loss=_next_token),
    "dpo": Objective(
        loss=_dpo,
        of_pairs=True,
        rewards=_dpo_rewards,
        condensed=_dpo_condensed,
        has_reference=True,
        learns_prompts=False,
    ),
    "orpo": Objective(loss=_orpo, of_pairs=True, rewards=_orpo_rewards, condensed=_orpo_condensed),
}


def lower(options: Loss) -> dict[str, Any]:
    """The part of the head's record on its loss."""
    weight = {"beta": options.beta or BETA} if OBJECTIVES[options.objective].of_pairs else {}
    return {"objective": options.objective, "on": options.on, **weight}


def of(record: Mapping[str, Any]) -> Objective:
    """The objective that a head's record names."""
    return OBJECTIVES[record["objective"]]


def loss(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: Any) -> torch.Tensor:
    """The mean loss of a batch; rows of a pair follow each other, the preferred answer first."""
    return of(record).loss(record, outputs, targets)


def score(record: Mapping[str, Any], outputs: Mapping[str, torch.Tensor], targets: Any) -> torch.Tensor:
    """The log-probability of each row's answer: (rows,)."""
    return _likely(outputs, targets)[1].sums


def target(
    record: Mapping[str, Any], row: Mapping[str, Any], columns: Mapping[str, Any], features: Sequence[Any]
) -> list[Any]:
    """The token after each of a row's, int64 (tokens,), where it is learned; of pairs by name.

    A pair has two rows: the preferred answer, and the rejected one.
    """
    import numpy as np

    is_all = record["on"] == "all"
    if CHOSEN not in columns:
        return [_after(each, is_all) for each in features]
    return [
        {
            ANSWER: _after(each, False),
            PREFERRED: np.array(place % 2 == 0),
            **({WHOLE: _after(each, True)} if is_all else {}),
        }
        for place, each in enumerate(features)
    ]


def _after(row: Mapping[str, np.ndarray], is_all: bool) -> np.ndarray:
    import numpy as np

    after, is_learned = row["input_ids"][1:], row["learned"][1:].astype(bool)
    found: np.ndarray = np.append(np.where(is_learned | is_all, after, IGNORED), IGNORED).astype(np.int64)
    return found


def condense(record: Mapping[str, Any], outputs: Mapping[str, Any], targets: Sequence[Any]) -> Mapping[str, Any]:
    """Of logits (tokens, vocabulary) of each row the part that scores need.

    `losses` and `hits` are those of the tokens that are learned, of pairs of the preferred answers. `rewards` (rows,)
    of pairs tell how much better an answer is than before.
    """
    if not of(record).of_pairs:
        return _vocabulary.condense(record, outputs, targets)
    answers = _vocabulary.condense(record, outputs, [each[ANSWER] for each in targets])
    is_whole = WHOLE in targets[0]
    learned = _vocabulary.condense(record, outputs, [each[WHOLE] for each in targets]) if is_whole else answers
    kept = {
        name: [row if each[PREFERRED] else row[:0] for row, each in zip(rows, targets, strict=True)]
        for name, rows in learned.items()
    }
    return {**kept, "rewards": _rewards(record, answers["losses"], targets)}


def _rewards(record: Mapping[str, Any], losses: Sequence[np.ndarray], targets: Sequence[Any]) -> np.ndarray:
    import torch

    from ..layers.preferences import Answered

    rewards = of(record).rewards
    assert rewards is not None
    sums = torch.tensor([-own.sum(dtype=float) for own in losses], dtype=torch.float64)
    said = {REFERENCE: torch.tensor([float(each[REFERENCE]) for each in targets])} if REFERENCE in targets[0] else {}
    found: np.ndarray = rewards(record, Answered(sums, torch.tensor([len(own) for own in losses])), said).numpy()
    return found


class Tally(_completions.Tally):
    """Counts rows, and pairs whose two answers are equal."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]], options: Any = None) -> None:
        super().__init__(columns, options)
        self.equal, self.first = 0, ("", 0)  # pairs, and the place of the first

    @property
    def has_pairs(self) -> bool:
        """Whether rows have two answers."""
        return CHOSEN in self.roles

    def add(self, values: Mapping[str, Any], place: Place) -> Unusable | None:
        """Counts one row, in which nothing can be unusable."""
        if self.has_pairs and values.get(self.roles[CHOSEN][0]) == values.get(self.roles[REJECTED][0]):
            self.first = self.first if self.equal else place
            self.equal += 1
        return super().add(values, place)

    def record(self) -> dict[str, Any]:
        """The counts as data for a lock, which `recall` reads."""
        return {**super().record(), **({"equal": self.equal} if self.has_pairs else {})}

    @classmethod
    def recall(cls, columns: Mapping[str, tuple[str, ...]], record: Mapping[str, Any], place: Place) -> Self:
        """The tally that gave `record`, as if the rows had been read.

        Raises ValueError, KeyError or TypeError for a record that no rows give.
        """
        tally = super().recall(columns, record, place)
        tally.equal, tally.first = int(record["equal"]) if tally.has_pairs else 0, place
        if not 0 <= tally.equal <= tally.rows:
            raise ValueError(f"{tally.equal} of {tally.rows} pairs are equal")
        return tally


def problems(loss: Loss, tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """Findings between `head.loss` and the rows."""
    objective, train = OBJECTIVES[loss.objective], tallies["train"]
    at = At(("head", "loss", "objective") if "objective" in loss.model_fields_set else ("head", "type"))
    if objective.of_pairs and not train.has_pairs:
        headline = f"`{loss.objective}` learns from pairs of answers, and the rows have none"
        help = f"name the columns of both: `columns: {{chosen: …, rejected: …}}`, or write {_words(False)}"
        yield Diagnostic("E0572", headline, at, help=help)
    elif train.has_pairs and not objective.of_pairs:
        also = (At(("data", "columns", CHOSEN), f"`{CHOSEN}` and `{REJECTED}`", on_key=True),)
        headline = f"`{loss.objective}` learns from one answer, and the rows have a preferred and a rejected one"
        help = f"write {_words(True)} under `head`, or name a column of one answer under `data.columns`"
        yield Diagnostic("E0572", headline, at, also, help=help)
    else:
        yield from _useless(loss, objective)
        yield from _equal(tallies)


def _words(of_pairs: bool) -> str:
    """The objectives of a kind, as a spec writes them."""
    words = [word for word, each in OBJECTIVES.items() if each.of_pairs == of_pairs]
    return " or ".join(f"`loss: {{objective: {word}}}`" for word in words)


def _useless(loss: Loss, objective: Objective) -> Iterator[Diagnostic]:
    """Errors for keys that the objective does not read."""
    also = (At(("head", "loss", "objective")),)
    if loss.beta is not None and not objective.of_pairs:
        headline, at = f"`{loss.objective}` has no `beta`", At(("head", "loss", "beta"))
        yield Diagnostic("E0209", headline, at, also, help=f"remove `beta`, or write {_words(True)}")
    if loss.on == "all" and not objective.learns_prompts:
        headline = f"`{loss.objective}` can't learn the prompt, which both answers share"
        yield Diagnostic("E0209", headline, At(("head", "loss", "on")), also, help="remove `on`")


def _equal(tallies: Mapping[str, Tally]) -> Iterator[Diagnostic]:
    """Warnings for pairs of equal answers, one for each split, at the first of them."""
    for name, tally in tallies.items():
        if tally.equal:
            share = f"{counted(tally.equal, 'row')} of {tally.rows:,} of the {name} data"
            headline = f"`{CHOSEN}` and `{REJECTED}` are equal in {share}"
            help = "nothing is preferred there, so nothing is learned: take such rows out"
            yield Diagnostic("W0375", headline, Row(*tally.first), help=help)
