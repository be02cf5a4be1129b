"""The peer: transformers' Trainer (and peft) with a plan's settings, and the arithmetic that no trainer can avoid."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from training import Anonymous  # type: ignore[import-not-found]

from graftc.compiler.execution.preprocessing import preprocessor
from graftc.compiler.facts.backbone import gather_backbone
from graftc.compiler.stages.prepare import raw_rows
from graftc.compiler.training.dropout import quickly_drawn


class Pooled(nn.Module):
    """A backbone from transformers, mean pooling (or the pictures' own) and a linear layer, as scripts have it."""

    def __init__(self, backbone: nn.Module, width: int, labels: int, is_multi: bool, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.backbone, self.out, self.is_multi = backbone, nn.Linear(width, labels), is_multi
        nn.init.normal_(self.out.weight, std=0.02)  # as transformers begins its heads, and ours are
        nn.init.zeros_(self.out.bias)

    def train(self, mode: bool = True) -> Pooled:
        """Training mode; batch norms that nothing learns in keep the statistics that they came with, as ours do."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
                module.eval()
        return self

    def forward(self, labels: torch.Tensor | None = None, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss and logits, as Trainer wants them."""
        found = self.backbone(**arrays)
        if "attention_mask" in arrays:
            mask = arrays["attention_mask"].unsqueeze(-1).to(found.last_hidden_state.dtype)
            feature = (found.last_hidden_state * mask).sum(1) / mask.sum(1)
        else:
            feature = found.pooler_output.flatten(1)
        logits = self.out(self.dropout(feature))
        if labels is None:
            return {"logits": logits}
        loss = nn.functional.binary_cross_entropy_with_logits if self.is_multi else nn.functional.cross_entropy
        return {"loss": loss(logits, labels), "logits": logits}


def warm(plan: Any, place: Path) -> None:
    """Imports what everybody needs and runs the network once, so that nobody's clock counts that."""
    from transformers import Trainer  # noqa: F401

    model, rows, collate = network(plan, place), examples(plan, place, "train"), collator(plan, place)
    model(**collate(rows[:8]))


def network(plan: Any, place: Path) -> Pooled:
    """The untrained network of a plan, made with transformers and peft alone."""
    from transformers import AutoModel

    (task,) = plan.tasks
    folder = gather_backbone(plan.backbone.source, place).located.folder
    options = {"add_pooling_layer": False} if plan.backbone.family == "bert" else {}
    backbone = AutoModel.from_pretrained(folder, dtype=torch.float32, **options)
    if plan.method.method == "lora":
        from peft import LoraConfig, get_peft_model

        record = plan.method.record
        config = LoraConfig(r=record["rank"], lora_alpha=record["alpha"], target_modules=list(record["target"]))
        backbone = get_peft_model(backbone, config)
    else:
        learns = {t.name for t in plan.backbone.tensors if t.state == "trained"}
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(name in learns)
    record = task.head.record
    return Pooled(backbone, plan.backbone.width, len(record["labels"]), bool(record["is_multi"]), record["dropout"])


def examples(plan: Any, place: Path, split: str) -> list[dict[str, Any]]:
    """Rows of a split as a data set has them whose texts are tokenised and whose pictures are read."""
    (task,) = plan.tasks
    folder = gather_backbone(plan.backbone.source, place).located.folder
    head, processor = task.head.variant, preprocessor(plan, folder)
    read = list(raw_rows(plan, task, next(s for s in task.data.splits if s.name == split), place))
    features = processor.rows([each.input for each in read]).features
    found = []
    for row, each in zip(features, read, strict=True):
        found.append({**row, "labels": head.target(task.head.record, each.values, task.data.columns, [row])[0]})
    return found


def collator(plan: Any, place: Path) -> Any:
    """Pads a batch to its longest row and makes tensors of it."""
    (task,) = plan.tasks
    processor = preprocessor(plan, gather_backbone(plan.backbone.source, place).located.folder)

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = processor.collate(rows)
        found = {name: torch.from_numpy(batch[name]) for name in task.data.inputs}
        return found | {"labels": torch.from_numpy(np.stack([row["labels"] for row in rows]))}

    return collate


def train(plan: Any, place: Path, batch: int, sampling: str) -> dict[str, Any]:
    """Trainer's wall clock, peak memory and accuracy on the test rows."""
    from transformers import Trainer, TrainingArguments

    torch.manual_seed(plan.seed)
    model, rows, collate = network(plan, place), examples(plan, place, "train"), collator(plan, place)
    arguments = TrainingArguments(
        output_dir=str(place / "trainer"), num_train_epochs=plan.train.epochs, per_device_train_batch_size=batch,
        learning_rate=plan.train.learning_rate, lr_scheduler_type=plan.train.schedule, warmup_steps=plan.train.warmup_steps,
        weight_decay=plan.train.weight_decay, train_sampling_strategy=sampling, save_strategy="no", report_to=[],
        disable_tqdm=True, remove_unused_columns=False, use_cpu=not torch.cuda.is_available(), logging_strategy="no", seed=plan.seed,
    )  # fmt: skip
    trainer = Trainer(
        model,
        arguments,
        data_collator=collate,
        train_dataset=_Lengths(rows),
        optimizers=(_optimizer(model, plan), None),
    )  # type: ignore[arg-type]
    watch = Anonymous()
    watch.start()
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 2), "memory_mb": watch.end(), "accuracy": score(plan, place, model, batch)}


def _optimizer(model: Pooled, plan: Any) -> torch.optim.Optimizer:
    """AdamW with the head's own rate, which Trainer has no word for."""
    parts = [(model.backbone, plan.train.learning_rate), (model.out, plan.train.head_learning_rate)]
    groups = [{"params": [p for p in part.parameters() if p.requires_grad], "lr": rate} for part, rate in parts]
    learns = [group for group in groups if group["params"]]
    return torch.optim.AdamW(learns, weight_decay=plan.train.weight_decay, fused=True)  # as Trainer's own


class _Lengths(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Rows as Trainer reads them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


def score(plan: Any, place: Path, model: Pooled, batch: int) -> float:
    """What the test rows score."""
    rows, collate = examples(plan, place, "test"), collator(plan, place)
    model.eval()
    found = []
    with torch.inference_mode():
        for at in range(0, len(rows), batch):
            arrays = collate(rows[at : at + batch])
            del arrays["labels"]
            found.append(model(**arrays)["logits"].numpy())
    return scored(np.concatenate(found), np.stack([row["labels"] for row in rows]), model.is_multi)


def scored(logits: np.ndarray, labels: np.ndarray, is_multi: bool) -> float:
    """Accuracy; where a row may have several labels, the share of rows whose likeliest one is among its own.

    Labels above one half would say nothing of the first epochs, when there are none.
    """
    chosen = logits.argmax(1)
    right = labels[np.arange(len(labels)), chosen] > 0.5 if is_multi else chosen == labels
    return round(float(right.mean()), 4)


def floor(plan: Any, place: Path, batch: int) -> dict[str, Any]:
    """Seconds of the arithmetic: frozen layers forward once over rows in order of length, the rest in every epoch."""
    model, rows, collate = network(plan, place), examples(plan, place, "train"), collator(plan, place)
    order = sorted(range(len(rows)), key=lambda i: len(next(iter(rows[i].values()))))
    batches = [collate([rows[i] for i in order[at : at + batch]]) for at in range(0, len(order), batch)]
    chosen = batches[:: max(1, len(batches) // 24)]
    learns = any(p.requires_grad for p in model.backbone.parameters())
    forward = _timed(chosen, lambda arrays: _forward(model, arrays))
    with quickly_drawn():  # as ours does; torch's own drawing can be avoided
        whole = _timed(chosen, lambda arrays: model(**arrays)["loss"].backward()) if learns else 0.0
    share = len(batches) / len(chosen)
    depth = _frozen_share(plan)
    # of a pass through everything: the frozen share once, the rest and all of the backward pass in every epoch
    once = share * forward * depth
    each = plan.train.epochs * (share * whole - once) if learns else 0.0
    return {"seconds": round(once + each, 2), "once": round(once, 2), "each": round(each, 2)}


def _forward(model: Pooled, arrays: dict[str, torch.Tensor]) -> None:
    with torch.inference_mode():
        model(**arrays)


def _timed(batches: list[Any], act: Any) -> float:
    act(dict(batches[0]))
    start = time.perf_counter()
    for arrays in batches:
        act(dict(arrays))
    return time.perf_counter() - start


def _frozen_share(plan: Any) -> float:
    """The share of the layers that nothing learns in, from the bottom."""
    import re

    layers: dict[int, bool] = {}
    for tensor in plan.backbone.tensors:
        if hit := re.search(r"\.(\d+)\.", tensor.name):
            layers[int(hit[1])] = layers.get(int(hit[1]), True) and tensor.state == "frozen"
    frozen = next((i for i in sorted(layers) if not layers[i]), len(layers))
    return frozen / len(layers) if layers and not plan.backbone.is_frozen else 1.0
