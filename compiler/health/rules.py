"""Rules about a finished training: each gives a finding, or nothing, from the training's signs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import Finding
from .seen import Answers, Training
from .signs import (
    GROWN,
    HALF,
    VANISHED,
    clips,
    fades,
    falls,
    forgets,
    gap_of,
    gaps,
    is_first,
    is_last,
    peak,
    rises,
    spoils,
    stays,
)

FEW = 8  # rows of a label from which on it is no chance that it is never answered
SAME = 0.995  # share of the answers
OTHER = "a method that changes the backbone, such as `adapt.method: lora`"
TOLD = 0.97  # share of a constant answer's loss: inputs that tell anything of the answers leave less


def findings(training: Training, answers: Sequence[Answers]) -> list[Finding]:
    """All findings, without those that follow from another one."""
    untold = [_untold(each) for each in answers if _is_untold(each)]
    named = {finding.head for finding in untold}
    known = [each for each in answers if each.head not in named]
    found = [*untold, *(below(each, training) for each in known if each.is_below)]
    if not len(training.losses):  # a fit alone trained the heads
        return [*found, *(finding for each in known for finding in _of_labels(each, training))]
    causes = list(_causes(training, bool(untold)))
    if not causes:  # answers of a network that learned nothing mean nothing
        found += [finding for each in known for finding in _of_labels(each, training)]
    clipped = [_clipped(training)] if clips(training) else []
    return [*found, *causes, *clipped, *([] if causes or untold else _of_epochs(training))]


def _causes(training: Training, is_untold: bool) -> Iterator[Finding]:
    """Why nothing was learned; where inputs tell nothing, a constant loss is no fault of the training."""
    if rises(training):
        yield _risen(training)
    elif fades(training):
        yield _faded(training)
    elif stays(training) and not is_untold:
        yield _flat(training)


def _of_labels(answers: Answers, training: Training) -> Iterator[Finding]:
    if answers.commonest and answers.commonest[1] >= SAME:
        yield _same(answers, training)
    elif answers.unused:
        yield _unused(answers, training)


def _of_epochs(training: Training) -> Iterator[Finding]:
    if spoils(training):
        yield _spoilt(training)
    elif falls(training):
        yield _steep(training)
    elif is_last(training):
        yield _last(training)
    if is_first(training):
        yield _first(training)
    if gaps(training):
        yield _gap(training)


def _is_untold(answers: Answers) -> bool:
    """Whether neither the model nor any floor knows more than which answers are frequent."""
    is_chance = answers.lead < 0.5 / max(1, answers.rows) ** 0.5  # the largest standard error of a mean of scores
    return is_chance and all(each is not None and each >= TOLD for each in (answers.tells, answers.learned))


def below(answers: Answers, training: Training) -> Finding:
    """The finding for a model below its best floor, with the likely reason."""
    key, help = _way_up(answers, training)
    name = f"{answers.head}.{answers.metric}".lstrip(".")
    scores = f"{answers.model:.4f}, and {answers.value:.4f} of `{answers.floor}`, which trains no network"
    note = (
        f"{name} on {answers.rows:,} validation rows: {scores}; "
        f"the standard error of the difference is {answers.error:.4f}"
    )
    return Finding("W0435", "the model scores below a floor", key, (note,), help, answers.head)


def _way_up(answers: Answers, training: Training) -> tuple[str, str]:
    """(key to change, advice) for a model below its floor, from its losses."""
    if not len(training.losses):
        return "train.epochs", f"let it learn: `train.epochs` of 1 or more, and {OTHER}"
    if rises(training):
        return "train.learning_rate", "lower the rate: the loss rose on the way"
    if gaps(training) or is_first(training) or forgets(training):
        less = ", or let less learn: `adapt.method: lora`, `backbone.freeze`" if training.has_backbone else ""
        return "train.epochs", f"train for fewer epochs or on more rows{less}: training rows are learned by heart"
    if training.is_fitted and not training.best_epoch:
        key, another = ("train.learning_rate", "another rate") if training.has_backbone else ("adapt.method", OTHER)
        return key, f"try {another}: no epoch was better than the fitted head"
    if falls(training):
        return "train.epochs", "train longer: the loss was still falling when training ended"
    if training.start is not None and training.end <= HALF * training.start:
        return "adapt.method", "train on more rows, or try another method: training rows are learned, others hardly"
    fit = ", or set `head.start: fitted`" if answers.head in training.can_fit else ""
    return "train.learning_rate", f"raise the rate{fit}: the loss moves too little"


def _flat(training: Training) -> Finding:
    note = f"it is {training.end:.4g} at the end; the best constant answer loses {training.start:.4g}"
    fit = ", or set `head.start: fitted`" if training.can_fit else ""
    help = f"raise `train.learning_rate`, by ten times for a start{fit}"
    where = "left its start" if training.begun <= GROWN * training.end else "fell below that of a constant answer"
    return Finding("W0436", f"the loss never {where}", "train.learning_rate", (note,), help)


def _steep(training: Training) -> Finding:
    epochs = len(training.epochs)
    note = f"training ended after {epochs} epoch{'s' if epochs != 1 else ''} with a loss of {training.end:.4g}"
    best = ("the last epoch was the best",) if epochs > 1 and training.best_epoch == epochs else ()
    help = "train longer, with `train.epochs` twice as many, or at a higher `train.learning_rate`"
    return Finding("W0437", "the loss was still falling when training ended", "train.epochs", (note, *best), help)


def _last(training: Training) -> Finding:
    *_, before, last = training.values()
    note = f"{training.metric} was {before:.4f} one epoch before and {last:.4f} in the last"
    help = "train longer: `train.epochs`, with `train.early_stopping` to end where nothing is gained"
    return Finding("W0438", "the best epoch is the last one, by far", "train.epochs", (note,), help)


def _first(training: Training) -> Finding:
    values = training.values()
    note = f"{training.metric} was {values[0]:.4f} after the first epoch and {values[-1]:.4f} after the last"
    help = "lower `train.learning_rate`, or train for one epoch: what came after the first was thrown away"
    return Finding("W0439", "the best epoch is the first one", "train.learning_rate", (note,), help)


def _spoilt(training: Training) -> Finding:
    first, *later = [value for value in training.values() if value is not None]
    note = (
        f"{training.metric} was {training.before[training.metric]:.4f} before the first step "
        f"and {first:.4f} after the first epoch"
    )
    best = max((first, *later), key=lambda value: training.direction * value)
    note += f", {best:.4f} after the best" if later else ""
    less = ", or let less learn: `backbone.freeze`" if training.has_backbone else ""
    help = f"lower `train.learning_rate`, by ten times for a start{less}"
    return Finding("W0447", "training made the fitted head worse", "train.learning_rate", (note,), help)


def _faded(training: Training) -> Finding:
    import numpy as np

    whole = float(np.median(training.norms[:, 0]))
    is_whole = whole < VANISHED * training.end
    note = (
        f"its norm is {whole:.1e} in half of the steps, beside a loss of {training.end:.4g}"
        if is_whole
        else f"in half of the steps the backbone gets less than {VANISHED:g} of the head's gradient, and hardly learns"
    )
    key = "adapt.method" if is_whole else "head.hidden"
    help = (
        "see what learns in `graftc plan`, and try another `adapt.method`"
        if is_whole
        else "use fewer layers in `head.hidden`, or none"
    )
    return Finding("W0440", "the gradient vanishes", key, (note,), help)


def _clipped(training: Training) -> Finding:
    import numpy as np

    middle = float(np.median(training.norms[:, 0]))
    note = f"half of the norms are {middle:.3g} or more, and gradients are cut to {training.max_grad_norm:g}"
    help = "raise `train.max_grad_norm`; 1.0 is the default"
    return Finding("W0441", "every gradient is clipped", "train.max_grad_norm", (note,), help)


def _gap(training: Training) -> Finding:
    gap = gap_of(training)
    constant = f"the best constant answer loses {training.start:.4g}"
    note = f"validation rows lose {gap:.4g} more in the epoch that is kept; {constant}"
    help = "train for fewer epochs or on more rows, or let less learn: `adapt.method: lora`, `backbone.freeze`"
    return Finding("W0442", "training rows are learned by heart", "train.epochs", (note,), help)


def _unused(answers: Answers, training: Training) -> Finding:
    named = ", ".join(f"`{label}` ({rows} rows)" for label, rows in list(answers.unused.items())[:5])
    more = f", … {len(answers.unused) - 5} more" if len(answers.unused) > 5 else ""
    note = f"of {answers.rows:,} validation rows none gets {named}{more}"
    longer = "train longer" if len(training.losses) else "let it learn with `train.epochs`"
    help = f"weigh rare labels with `head.loss: {{class_weights: balanced}}`, {longer}, or gather more rows of them"
    return Finding("W0443", "some labels are never the answer", "head.loss", (note,), help, answers.head)


def _risen(training: Training) -> Finding:
    note = f"it was up to {peak(training):.4g} on average; the best constant answer loses {training.start:.4g}"
    help = "lower `train.learning_rate`, by ten times for a start"
    return Finding("W0444", "the loss rose above its start", "train.learning_rate", (note,), help)


def _untold(answers: Answers) -> Finding:
    note = f"on {answers.rows:,} validation rows neither the model nor a linear model beats the best constant answer"
    help = "check that `data.columns` names the right columns and that labels belong to their rows; then the rate"
    return Finding("W0445", "inputs tell nothing of the answers", "data.columns", (note,), help, answers.head)


def _same(answers: Answers, training: Training) -> Finding:
    assert answers.commonest is not None
    label, share, truth = answers.commonest
    note = f"`{label}` is {share:.0%} of the answers, and right for {truth:.0%} of {answers.rows:,} validation rows"
    other = "change `train.learning_rate`" if len(training.losses) else "let it learn with `train.epochs`"
    help = f"weigh labels with `head.loss: {{class_weights: balanced}}`, or {other}"
    return Finding("W0446", "every answer is the same", "head.loss", (note,), help, answers.head)
