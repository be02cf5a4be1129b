"""Trains a language model with TRL, run by a Python that has it and needs nothing of graftc: language_models.py calls it.

    PYTHON benchmarks/trl_peer.py REQUEST.json ANSWER.json

The request has kind (sft, packed, dpo, orpo), backbone (a folder), rows (texts in the order in which they are learned),
batch_size, steps, rate, beta, warmup and threads. The answer has the loss of each step, the tokens that went through
the network but for padding, and the seconds of the processor in training; loading and preparing rows are not counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")


def main(request: Path, answer: Path) -> None:
    """Trains what the request asks for."""
    answer.write_text(json.dumps(train(json.loads(request.read_bytes()))))


def train(asked: dict[str, Any]) -> dict[str, Any]:
    """Losses and seconds of one training."""
    import torch
    import transformers
    import trl
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(asked["threads"])
    model = AutoModelForCausalLM.from_pretrained(asked["backbone"], dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(asked["backbone"])
    losses: list[float] = []
    with TemporaryDirectory() as folder:
        kind, arguments = of_kind(asked, folder)
        trainer = kind(
            model=model, args=arguments, train_dataset=Dataset.from_list(asked["rows"]), processing_class=tokenizer
        )
        trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(trainer.train_dataset)
        compute = trainer.compute_loss

        def recorded(*args: Any, **more: Any) -> Any:
            found = compute(*args, **more)
            losses.append(float((found[0] if isinstance(found, tuple) else found).detach()))
            return found

        trainer.compute_loss = recorded
        start = time.process_time()
        trainer.train()
        seconds = time.process_time() - start
    return {"losses": losses, "seconds": round(seconds, 2), "version": trl.__version__}


def of_kind(asked: dict[str, Any], folder: str) -> tuple[Any, Any]:
    """The trainer of a kind, and its arguments."""
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    every: dict[str, Any] = {
        "output_dir": folder, "per_device_train_batch_size": asked["batch_size"], "max_steps": asked["steps"],
        "learning_rate": asked["rate"], "weight_decay": 0.01, "lr_scheduler_type": "linear", "max_grad_norm": 1.0,
        "warmup_steps": asked["warmup"], "bf16": False, "gradient_checkpointing": False, "report_to": "none",
        "save_strategy": "no", "disable_tqdm": True, "logging_strategy": "no", "use_cpu": True, "max_length": None,
        "optim": "adamw_torch_fused", "seed": 0,
    }  # fmt: skip
    if asked["kind"] in ("sft", "packed"):
        packed = {"padding_free": asked["kind"] == "packed"}  # what packing uses, without drawing other batches
        return SFTTrainer, SFTConfig(**every, **packed, completion_only_loss=True)
    if asked["kind"] == "dpo":
        return DPOTrainer, DPOConfig(**every, beta=asked["beta"], precompute_ref_log_probs=asked["precomputes"])
    return ORPOTrainer, ORPOConfig(**{**every, "max_length": 512}, beta=asked["beta"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
