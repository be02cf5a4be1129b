"""SetFit on a few rows, run by a Python that has it and needs nothing of graftc: few_rows.py calls it.

    PYTHON benchmarks/setfit_peer.py REQUEST.json ANSWER.json

The request has backbone (a folder), train and test (lists of {text, label}), iterations, batch_size, seed and threads.
The answer has predicted (a label for each test row) and the seconds of training, by the wall and of the processor,
from the loaded model to the fitted head; loading and predicting are not counted.
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


def main(request: Path, answer: Path) -> None:
    """Trains as a user of SetFit would, with its defaults but for what the request names."""
    asked = json.loads(request.read_bytes())
    answer.write_text(json.dumps(train(asked)))


def train(asked: dict[str, Any]) -> dict[str, Any]:
    """Predictions and seconds of one training."""
    import setfit
    import torch
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    torch.set_num_threads(asked["threads"])
    model = SetFitModel.from_pretrained(asked["backbone"], device="cpu", local_files_only=True)
    model.model_body.max_seq_length = asked["max_length"]
    rows = Dataset.from_list([{"text": row["text"], "label": row["label"]} for row in asked["train"]])
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_iterations=asked["iterations"], num_epochs=1, batch_size=asked["batch_size"],
            seed=asked["seed"], show_progress_bar=False, report_to="none", save_strategy="no",
        )  # fmt: skip
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        start, spent = time.perf_counter(), time.process_time()
        trainer.train()
        seconds, busy = time.perf_counter() - start, time.process_time() - spent
    predicted = model.predict([row["text"] for row in asked["test"]], as_numpy=True)
    return {
        "predicted": [str(label) for label in predicted.tolist()],
        "seconds": round(seconds, 2), "processor_seconds": round(busy, 2), "version": setfit.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
