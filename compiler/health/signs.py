"""Signs in the losses and norms of a training: one function for each, with the reason of its limit.

The limits were set on tiny encoders and on the example specs, so that no sound training in the tests reaches one.
VANISHED and FAR were not checked on larger backbones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .seen import FEWEST, Training

if TYPE_CHECKING:
    import numpy as np


FLAT = 0.98  # share of a constant answer's loss: a training that learns anything gets below
ROSE = 2.0  # times the start: sound losses fluctuate, but a mean over many steps does not double
GROWN = 1.5  # times the first steps: a random head may begin above the start and then falls
SMOOTH = 5  # the fewest steps of a mean loss
STEEP = 0.15  # share of the loss that another third of the training would remove
LEARNED = 0.25  # share of the start: below it, half the loss changes few answers
RECENT = 0.2  # share of the rates' sum before the end from which the fall of a validation loss is measured
SMALL = 0.05  # share of the start: smaller falls are ignored
VANISHED = 1e-3  # share of the loss, or of the heads' gradient: sound backbones get a hundredth or more
CLIPPED = 0.95  # share of the steps
FAR = 30.0  # times the limit: AdamW cancels a constant factor, so gradients a few times above the limit do no harm
HALF = 0.5  # share of the start: a training loss below it has learned its rows
GAP = 0.5  # share of the start: difference of validation and training loss


def stays(training: Training) -> bool:
    """Whether the loss stayed at a constant answer's; fitted heads begin where others end, so they don't count."""
    return not training.is_fitted and training.start is not None and training.end >= FLAT * training.start


def rises(training: Training) -> bool:
    """Whether a smoothed loss rose far above the start and above the first steps."""
    width = max(SMOOTH, len(training.losses) // 20)
    if not training.has_one_set or len(training.losses) < 2 * width or training.start is None:
        return False
    return peak(training) > max(ROSE * training.start, GROWN * training.begun)


def peak(training: Training) -> float:
    """The largest smoothed loss of a training."""
    import numpy as np

    width = max(SMOOTH, len(training.losses) // 20)
    means = np.convolve(training.losses, np.ones(width) / width, "valid")
    return float(means[len(means) // 20 :].max())


def falls(training: Training) -> bool:
    """Whether another third of the training would reduce training and validation loss a lot.

    A schedule that ends at zero flattens every loss at its end. So time is measured by the sum of the rates, in which a
    loss falls as evenly as at a constant rate.
    """
    import numpy as np

    start, losses = training.start, training.losses
    if start is None or not training.has_one_set or len(losses) < FEWEST:
        return False
    time = np.cumsum(training.rates) / max(float(training.rates.sum()), 1e-12)
    middle, last = losses[(time > 1 / 3) & (time <= 2 / 3)], losses[time > 2 / 3]
    if len(middle) < 2 or len(last) < 2 or last.mean() < LEARNED * start:
        return False
    fall = middle.mean() - last.mean()
    noise = (middle.var() / len(middle) + last.var() / len(last)) ** 0.5
    if fall < max(STEEP * last.mean(), SMALL * start, 3 * noise):
        return False
    return _validation_falls(training, time)


def _validation_falls(training: Training, time: np.ndarray) -> bool:
    """Whether the validation loss falls as steeply from about a third before the end; True where it is unknown.

    The last epoch alone would be too short: at rates near zero, a loss also falls because steps lose their noise.
    """
    known = [epoch for epoch in training.epochs if "validation_loss" in epoch]
    since = [(1 - float(time[epoch["step"] - 1]), epoch["validation_loss"]) for epoch in known[:-1]]
    since = [(share, loss) for share, loss in since if share >= RECENT]
    if not since:
        return True
    (share, before), last = min(since), known[-1]["validation_loss"]
    return bool((before - last) / (3 * share) >= STEEP * last)


def is_first(training: Training) -> bool:
    """Whether the first of several epochs is the best, and the last is worse by more than chance."""
    values = training.values()
    first, last = (values[0], values[-1]) if values else (None, None)
    if len(values) < 3 or training.best_epoch != 1 or first is None or last is None:
        return False
    return training.direction * (first - last) >= training.margin(first)


def spoils(training: Training) -> bool:
    """Whether every epoch is worse than the heads that were fitted before it, the first one by more than chance."""
    before, values = training.before.get(training.metric), training.values()
    if before is None or not values or values[0] is None or training.best_epoch:
        return False
    return bool(training.direction * (before - values[0]) > training.margin(before))


def is_last(training: Training) -> bool:
    """Whether the last of several epochs is the best by more than chance."""
    values = training.values()
    if len(values) < 2 or training.best_epoch != len(values) or None in values[-2:]:
        return False
    before = [training.direction * value for value in values[:-1] if value is not None]
    last = training.direction * float(values[-1] or 0.0)
    return last - max(before) >= training.margin(float(values[-1] or 0.0))


def fades(training: Training) -> bool:
    """Whether all parameters, or the backbone, get almost no gradient while there is much to learn."""
    import numpy as np

    if training.start is None or training.end < LEARNED * training.start or not len(training.norms):
        return False
    whole, heads = np.median(training.norms, axis=0)
    return bool(
        whole < VANISHED * training.end or (training.has_backbone and _share(training) < VANISHED and heads > 0)
    )


def _share(training: Training) -> float:
    """The median over steps of the backbone's gradient norm relative to the heads'."""
    import numpy as np

    whole, heads = training.norms.T
    beneath = np.sqrt(np.maximum(whole**2 - heads**2, 0.0))
    return float(np.median(beneath / np.maximum(heads, 1e-30)))


def clips(training: Training) -> bool:
    """Whether nearly every step is clipped to a small part of its gradient."""
    import numpy as np

    whole, limit = training.norms[:, 0], training.max_grad_norm
    return bool(len(whole) and (whole > limit).mean() >= CLIPPED and np.median(whole) >= FAR * limit)


def gaps(training: Training) -> bool:
    """Whether validation loss exceeds training loss in the kept epoch by half of a constant answer's loss."""
    gap, start = gap_of(training), training.start
    return gap is not None and start is not None and gap >= GAP * start


def forgets(training: Training) -> bool:
    """Whether the last epoch has a small training loss but is worse on validation rows than an earlier one.

    The kept epoch may be an earlier one, with a small gap of its own.
    """
    if len(training.epochs) < 2 or training.start is None or training.end > HALF * training.start:
        return False
    last = training.epochs[-1]
    losses = [epoch["validation_loss"] for epoch in training.epochs if "validation_loss" in epoch]
    if losses and losses[-1] - last["train_loss"] >= GAP * training.start:
        return True
    known = [training.direction * value for value in training.scores() if value is not None]
    return bool(known) and max(known) - known[-1] >= training.margin(known[-1])


def gap_of(training: Training) -> float | None:
    """The difference of validation and training loss in the kept epoch; None without validation."""
    kept = next((epoch for epoch in training.epochs if epoch["epoch"] == training.best_epoch), {})
    return kept["validation_loss"] - kept["train_loss"] if "validation_loss" in kept else None
