"""Trains a network by its plan and keeps the best epoch.

The loop is graftc's own, because everything random is derived from (seed, step): a checkpoint is tensors and counters,
and a resumed run equals an uninterrupted one to the bit. accelerate provides devices, mixed precision and gradient
scaling; torch's AdamW and transformers' schedules do the rest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import save_file

from ..diagnostics import refuse
from ..execution.preprocessing import preprocessor
from ..execution.progress import Progress
from ..execution.saves import Saves
from ..interrupts import held_back
from ..machine import return_memory
from ..model.assembly import assemble, learned, load_heads, load_learned, train_mode
from ..planning.plan import Phase
from ..planning.split import derived_seed
from ..store.store import write_array, write_atomically
from ..units import score
from .checkpoints import read_checkpoint, under, write_checkpoint
from .dropout import quickly_drawn
from .job import Job
from .loaders import Rows
from .memory import Parts
from .mixed_batches import RowSet, batches, whole_loss
from .optimisation import L2SP, clip, groups, norm_of, schedule, unfreeze
from .validation import direction, first, refuse_unlike, validated
from .with_loss import WithLoss
from .world import ALONE, World

COMPARED = 2  # the first batches, in which cached features are compared with the network
CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.json"  # written last, so its presence means that training has ended


def train(job: Job, progress: Progress, world: World = ALONE) -> None:
    """Runs a job to its end in this process, one of a world of processes; finished work of an earlier attempt is kept.

    The job's folder then has `learned.safetensors` (tensors of the best epoch), `losses.npy` (steps,), `norms.npy`
    (steps, 2: gradient norms of all tensors and of the heads) and `history.json`. Raises Refused E0407 for a loss that
    is not finite, E0418 where cached features differ from the network's, and MemoryError where memory ends with a
    single row.
    """
    if not job.plan.train.steps and not job.heads:
        if world.is_main:
            _nothing(job)
    elif not (job.out / HISTORY).is_file():
        training = Training(job, progress, world)
        training.resume()
        with _threads(job.plan):
            training.begin()
            training.epochs()
        training.finish()
    if world.is_main:
        for name in (CHECKPOINT, f"{CHECKPOINT}.partial"):
            (job.resume / name).unlink(missing_ok=True)


def _nothing(job: Job) -> None:
    """Writes the results of a training without steps."""
    save_file({}, job.out / "learned.safetensors")
    np.save(job.out / "losses.npy", np.zeros(0))
    np.save(job.out / "norms.npy", np.zeros((0, 2)))
    history = {"epochs": [], "best_epoch": 0, "steps": 0, "metric": job.plan.train.metric, "micro_batch": 0}
    (job.out / HISTORY).write_text(json.dumps(history))


@contextmanager
def _threads(plan: Phase) -> Iterator[None]:
    """Uses one thread where only a head runs, because threads would wait for each other longer than they compute."""
    before = torch.get_num_threads()
    if plan.train.fold == "feature":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Training:
    """One run: the network, its optimiser, and its state."""

    def __init__(self, job: Job, progress: Progress, world: World = ALONE) -> None:
        plan = job.plan
        # accelerate's state is global, and another build in this process may train in another precision
        AcceleratorState._reset_state(reset_partial_state=True)
        mixed = {"fp32": "no"}.get(plan.train.precision, plan.train.precision)
        self.accelerator = Accelerator(cpu=job.device == "cpu", mixed_precision=mixed)
        self.job, self.plan, self.progress, self.world = job, plan, progress, world
        self.network = assemble(plan, job.backbone).to(self.accelerator.device)
        if job.heads:
            load_heads(self.network, job.heads)
        self.module = world.wrap(WithLoss(self.network, world))
        processor, device = preprocessor(plan, job.backbone), str(self.accelerator.device)
        rows, self.validation = (
            {t.name: Rows(job, t, split, processor, device) for t in plan.tasks if t.split(split) and t.metric}
            for split in ("train", "validation")
        )
        self.sets = [RowSet([rows[name] for name in each.tasks if name in rows], each.rows) for each in plan.train.sets]
        self.optimizer = torch.optim.AdamW(
            groups(self.network, plan), fused=True
        )  # takes a fifth of the time of the loop over tensors
        self.factor = schedule(plan)
        self.pull = L2SP(self.network, plan) if plan.train.l2_sp else None
        self.scaler = self.accelerator.scaler
        self.parts = Parts(self.network, world)  # parts of a batch, where it is too large for the memory
        self.learns: list[torch.nn.Parameter] = []  # parameters that learn in this epoch
        self.step = 0
        self.losses: list[float] = []
        self.norms: list[list[float]] = []  # of each step, before clipping: [all parameters, heads]
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"epoch": 0, "value": math.nan}
        self.start: dict[str, Any] = {}  # scores of fitted heads before the first step
        self.cache: dict[str, torch.Tensor] = {}
        self.saves = Saves()
        for place, each in enumerate(self.sets):
            for taught, begins in each.inputs(islice(each.batches(plan, 0, place), COMPARED)):
                if taught.cache:
                    refuse_unlike(self.network, taught, [batch for batch in begins if len(batch)])
        for scored in self.validation.values():
            if scored.cache:
                refuse_unlike(self.network, scored, first(scored, plan.train.batch_size))
        return_memory()  # freed by the comparison, before the steps allocate

    def begin(self) -> None:
        """Scores fitted heads before the first step, as a candidate for the best epoch."""
        if self.job.scores_start and not self.step and not self.start:
            self.start = {"epoch": 0, "step": 0, **validated(self.network, self.validation.values(), self.plan)}
            self._keep_if_best(0, self.start.get(self.plan.train.metric))
            self.progress.say(f"  fitted head{self._scored(self.start)}")

    def epochs(self) -> None:
        """Runs all remaining steps, with validation after each epoch."""
        train = self.plan.train
        progress = self.progress.steps("train", train.steps, self.step)
        with quickly_drawn(), held_back() as was_pressed, progress as advance:

            def is_interrupted() -> bool:
                return bool(self.world.agree(was_pressed()))

            while self.step < train.steps and not self.world.agree(self._is_stopped()):
                epoch = self.step // train.steps_per_epoch
                end = min((epoch + 1) * train.steps_per_epoch, train.steps)
                ahead = islice(batches(self.sets, self.plan, epoch), self.step - epoch * train.steps_per_epoch, None)
                train_mode(self.network, self.plan)
                if train.gradual_unfreezing:
                    unfreeze(self.network, self.plan, epoch)
                # in the module's order, as in any script: another order rounds the gradients' norm differently
                self.learns = [p for p in self.network.parameters() if p.requires_grad]
                while self.step < end:
                    self._step(*next(ahead))
                    advance(1)
                    if (
                        self.step < end
                    ):  # the last step of an epoch is saved with its validation, so that none is skipped
                        self._save_if_due(is_interrupted())
                self._evaluate(epoch + 1)
                advance(0, self._note())
                if self.step < train.steps or is_interrupted():  # after the last step the results are written
                    self.save()
                if is_interrupted():
                    raise KeyboardInterrupt

    def _save_if_due(self, is_interrupted: bool) -> None:
        if is_interrupted or self.world.agree(self.saves.is_due()):
            self.save()
        if is_interrupted:
            raise KeyboardInterrupt

    def _step(self, rows: RowSet, chosen: Sequence[int]) -> None:
        factor = self.factor(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        augmented, dropped = (derived_seed(self.plan.seed, purpose, self.step) for purpose in ("augment", "dropout"))
        before = self.parts.count
        own = self.world.own(chosen)
        value = self.parts.fit(len(own), lambda parts: self._learn(rows, own, augmented, dropped, parts))
        value = self.world.mean(value)
        if self.parts.count > before:
            self.progress.say(f"  out of memory: {self.micro_batch()} rows at once, {len(chosen)} in each step")
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.pull:
            self.pull.add()
        of_heads = norm_of(self.network.heads.parameters())
        self.norms.append([clip(self.learns, self.plan.train.max_grad_norm), of_heads])
        self._update()
        self.optimizer.zero_grad(set_to_none=True)
        if not math.isfinite(value):
            raise refuse(
                "E0407",
                f"the loss is not finite at step {self.step + 1}",
                f"it was {self.losses[-1]:.4g} a step before" if self.losses else "it was so from the start",
                help="lower `train.learning_rate`, or use `train.precision: fp32`",
            )
        self.losses.append(value)
        self.step += 1

    def _learn(self, rows: RowSet, chosen: Sequence[int], augmented: int, dropped: int, parts: int) -> float:
        """Computes the gradients of one step from scratch; returns its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.accelerator.autocast():
            loss = self.module(rows.batch(chosen, augmented, dropped), parts)
        self.accelerator.backward(loss)
        return float(loss.detach())

    def micro_batch(self) -> int:
        """The number of rows that go through the network at once."""
        return -(-self.plan.train.batch_size // self.parts.count)

    def _update(self) -> None:
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _evaluate(self, epoch: int) -> None:
        since = self.history[-1]["step"] if self.history else 0
        entry: dict[str, Any] = {
            "epoch": epoch,
            "step": self.step,
            "train_loss": round(whole_loss(self.plan, epoch - 1, self.losses[since:]), 6),
        }
        entry |= validated(self.network, self.validation.values(), self.plan)
        self.history.append(entry)
        self._keep_if_best(epoch, entry.get(self.plan.train.metric))

    def _keep_if_best(self, epoch: int, value: float | None) -> None:
        """Keeps a copy of the weights if the score is better than all before, or if no epoch has a score."""
        sign, best = direction(self.plan), self.best["value"]
        if math.isnan(best) or (value is not None and sign * value > sign * best):
            self.best = {"epoch": epoch, "value": math.nan if value is None else value}
            self.cache = {name: tensor.detach().clone() for name, tensor in learned(self.network, self.plan).items()}

    def _note(self) -> str:
        last = self.history[-1]
        note = f"loss {last['train_loss']:.4f}{self._scored(last)}"
        self.progress.say(f"  epoch {last['epoch']}/{self.plan.train.epochs}: {note}")
        return note

    def _scored(self, entry: Mapping[str, Any]) -> str:
        metric = self.plan.train.metric
        return f", {metric} {score(entry[metric])}" if metric in entry else ""

    def _is_stopped(self) -> bool:
        """Whether early stopping applies; epochs without a score do not count."""
        patience, metric = self.plan.train.patience, self.plan.train.metric
        since = [entry for entry in self.history if entry["epoch"] > self.best["epoch"]]
        return patience is not None and sum(entry.get(metric) is not None for entry in since) >= patience

    def save(self) -> None:
        """Writes a checkpoint atomically: tensors and counters, without pickle."""
        tensors = {f"now.{n}": t.detach() for n, t in learned(self.network, self.plan).items()} | {
            f"best.{n}": t for n, t in self.cache.items()
        }
        for i, parameter in enumerate(self._parameters()):
            for name, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{i}.{name}"] = value
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        tensors["norms"] = torch.tensor(self.norms, dtype=torch.float64)
        state: dict[str, Any] = {
            "step": self.step,
            "history": self.history,
            "best": self.best["epoch"],
            "value": repr(self.best["value"]),
            "parts": self.parts.count,
            "start": self.start,
        }
        if self.scaler is not None:
            state["scaler"] = self.scaler.state_dict()
        with self.saves.timed():  # in every process, because all agree on when the next checkpoint is due
            if self.world.is_main:
                write_checkpoint(self.job.resume / CHECKPOINT, tensors, state)

    def resume(self) -> None:
        """Continues from the checkpoint of an earlier attempt, if there is a readable one."""
        path = self.job.resume / CHECKPOINT
        if not path.is_file():
            return
        found = read_checkpoint(path)
        if found is None:
            self.progress.say("  the checkpoint of an earlier attempt is damaged; starting again")
            if self.world.is_main:
                path.unlink()
            return
        self._restore(*found)
        self.progress.say(f"  going on from step {self.step} of {self.plan.train.steps}")

    def _restore(self, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        self.step, self.history, self.parts.count = state["step"], state["history"], state["parts"]
        self.best, self.start = {"epoch": state["best"], "value": float(state["value"])}, state["start"]
        self.losses, self.norms = tensors["losses"].tolist(), tensors["norms"].tolist()
        load_learned(self.network, self.plan, under(tensors, "now."))
        self.cache = {name: t.to(self.accelerator.device) for name, t in under(tensors, "best.").items()}
        for i, parameter in enumerate(self._parameters()):
            found = under(tensors, f"optimizer.{i}.")
            if found:
                self.optimizer.state[parameter] = {n: t.to(parameter.device) for n, t in found.items()}
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])

    def _fit(self) -> dict[str, Any]:
        """Strength, iterations and loss of each head's fit; empty in a stage of `pretrain`."""
        path = self.job.heads.with_name("fit.json") if self.job.heads else None
        return json.loads(path.read_bytes()) if path and path.is_file() else {}

    def finish(self) -> None:
        """Writes the results, each file atomically, the history last."""
        if not self.world.is_main:
            return
        kept = {n: t.cpu().contiguous() for n, t in self.cache.items()}
        history = {
            "epochs": self.history,
            "best_epoch": self.best["epoch"],
            "steps": self.step,
            "metric": self.plan.train.metric,
            "micro_batch": self.micro_batch(),
            **({"start": self.start, "fit": self._fit()} if self.start else {}),
        }
        write_atomically(self.job.out / "learned.safetensors", lambda path: save_file(kept, path))
        write_array(self.job.out / "losses.npy", np.array(self.losses))
        write_array(self.job.out / "norms.npy", np.array(self.norms, np.float64))
        write_atomically(self.job.out / HISTORY, lambda path: path.write_text(json.dumps(history)))
