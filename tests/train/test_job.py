"""A training is a file: run in a process of its own, or as one rank of several, it gives what it gives here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from graftc.compiler.execution.progress import Progress
from graftc.compiler.training.job import Job
from graftc.compiler.training.loop import Training, train
from graftc.compiler.training.mixed_batches import batches
from graftc.compiler.training.world import World

from .. import loaded
from ..backbones import tiny
from . import running

DATA = {
    "train": "train.jsonl",
    "validation": {"fraction": 0.25},
    "columns": {"text": "body", "label": "queue"},
    "max_length": 24,
}
RESULTS = ("history.json", "learned.safetensors", "losses.npy", "norms.npy")


def spec(folder: Path, **sections: Any) -> Path:
    """Forty tickets for a tiny BERT, of which all learns."""
    folder.mkdir(exist_ok=True)
    tiny.save("bert", folder / "backbone")
    rows = (running.TICKETS / "train.jsonl").read_text().splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join(rows[:40]))
    whole: dict[str, Any] = {
        "backbone": {"from": "./backbone"},
        "head": {"type": "text-classification"},
        "data": DATA,
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3},
    }
    return running.write_spec(folder, **{**whole, **sections})


def moved(job: Job, out: Path, **changed: Any) -> Job:
    """The job, with another folder for its results."""
    out.mkdir()
    return job.model_copy(update={"out": out, "resume": out, **changed})


@pytest.mark.parametrize(
    "sections",
    [
        {"head": {"type": "text-classification", "start": "random"}},
        {"backbone": {"from": "./backbone", "freeze": ["embeddings", "layers[0:1]"]}},  # states are kept, a head fitted
        {"adapt": {"method": "probe"}, "head": {"type": "text-classification", "start": "random"}},  # features are kept
    ],
    ids=["full", "frozen", "probe"],
)
def test_a_job_gives_the_same_bytes_in_a_process_of_its_own(sections: dict[str, Any], tmp_path: Path) -> None:
    _, _, run = running.training(spec(tmp_path / "spec", **sections), tmp_path / "store")
    run.finish()
    file = tmp_path / "job.json"
    moved(run.job, tmp_path / "alone").write(file)
    job = Job.read(file)
    assert job == run.job.model_copy(update={"out": tmp_path / "alone", "resume": tmp_path / "alone"})
    done = loaded.run("-m", "graftc.compiler.training.launch", file)
    assert done.returncode == 0, done.stderr
    again = moved(run.job, tmp_path / "here")
    train(again, Progress(is_quiet=True))
    assert sorted(path.name for path in job.out.iterdir()) == sorted(RESULTS)
    for name in RESULTS:
        assert (job.out / name).read_bytes() == (again.out / name).read_bytes(), name
    assert np.array_equal(np.load(job.out / "losses.npy"), run.losses)
    assert len(run.losses) > 2


def test_a_job_goes_on_from_the_checkpoint_of_another_folder(tmp_path: Path) -> None:
    _, _, whole = running.training(spec(tmp_path / "spec"), tmp_path / "store")
    half = Training(moved(whole.job, tmp_path / "half"), whole.progress)
    half.plan = half.plan.model_copy(update={"train": half.plan.train.model_copy(update={"steps": whole.step // 2})})
    half.epochs()
    half.save()
    rest = Training(moved(whole.job, tmp_path / "rest", resume=half.job.out), whole.progress)
    rest.resume()
    assert 0 < rest.step < whole.step
    rest.epochs()
    rest.finish()
    assert np.array_equal(np.load(tmp_path / "rest" / "losses.npy"), whole.losses)


@pytest.mark.parametrize("text", ["", "{}", '{"plan": 1}'])
def test_what_is_no_job_is_refused_in_words(text: str, tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(text)
    done = loaded.run("-m", "graftc.compiler.training.launch", file)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {file} is no job: ")
    assert "Traceback" not in done.stderr


class Second(World):
    """A process beside the main one, whose rows are every other one."""

    def agree(self, value: int) -> int:
        return 0

    def own(self, rows: Any) -> Any:
        return rows[self.rank :: self.size]


def test_only_the_main_process_writes(tmp_path: Path) -> None:
    _, _, run = running.training(spec(tmp_path / "spec"), tmp_path / "store")
    out = tmp_path / "second"
    train(moved(run.job, out), Progress(is_quiet=True), Second(1, 2))
    assert list(out.iterdir()) == []


def test_all_cut_their_batches_where_the_memory_of_one_ends(tmp_path: Path) -> None:
    asked: list[int] = []

    class Short(World):
        def agree(self, value: int) -> int:
            asked.append(value)
            return 1 if len(asked) == 2 else value  # after whether to stop early comes the outcome of the first attempt

    _, _, run = running.training(spec(tmp_path / "spec"), tmp_path / "store")
    cut = Training(moved(run.job, tmp_path / "cut"), Progress(is_quiet=True), Short())
    cut.epochs()
    assert (run.parts.count, cut.parts.count) == (1, 2)


# two processes as the world will have them: torch's own, on a CPU
RANKS = """
import sys
from pathlib import Path
import torch
import torch.distributed as processes
from torch.distributed.nn.functional import all_gather
from torch.nn.parallel import DistributedDataParallel
from graftc.compiler.execution.progress import Progress
from graftc.compiler.execution.reproducible import settled
from graftc.compiler.training.job import Job
from graftc.compiler.training.loop import train
from graftc.compiler.training.world import World

class Ranks(World):
    def agree(self, value):
        held = torch.tensor(int(value))
        processes.all_reduce(held, processes.ReduceOp.MAX)
        return int(held)

    def own(self, rows):
        each = len(rows) // self.size
        return rows[self.rank * each :][:each]

    def gather(self, tensor):
        return torch.cat(all_gather(tensor))

    def wrap(self, module):
        return DistributedDataParallel(module, find_unused_parameters=True)

    def mean(self, value):
        held = torch.tensor(value, dtype=torch.float64)
        processes.all_reduce(held)
        return float(held) / self.size

job, rank = Job.read(Path(sys.argv[1])), int(sys.argv[2])
processes.init_process_group("gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=2)
with settled(job.plan.seed, 1, True):
    train(job, Progress(is_quiet=True), Ranks(rank, 2))
processes.destroy_process_group()
"""
PAIRS = {"columns": {"text": "body", "text_pair": "queue"}, "max_length": 24}


@pytest.mark.parametrize(
    "sections",
    [
        {"head": {"type": "text-classification", "dropout": 0.0, "start": "random"}},
        {"head": {"type": "sentence-similarity"}, "data": {"train": "train.jsonl", **PAIRS}},
    ],
    ids=["rows", "in-batch negatives"],
)
def test_two_processes_that_share_each_batch_learn_what_one_learns(sections: dict[str, Any], tmp_path: Path) -> None:
    """The world's methods are all that several processes need: a mean of gradients, gathered rows, one that writes."""
    whole = {
        "backbone": {"from": "./backbone", "dropout": 0.0},
        "data": {name: value for name, value in DATA.items() if name != "validation"},
    }
    _, _, run = running.training(spec(tmp_path / "spec", **{**whole, **sections}), tmp_path / "store")
    assert {len(chosen) for _, chosen in batches(run.sets, run.plan, 0)} == {8}, "that two can share"
    run.finish()
    moved(run.job, tmp_path / "ranks").write(tmp_path / "job.json")
    settings = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    words = ("-c", RANKS, tmp_path / "job.json")
    both = [loaded.start(*words, rank, tmp_path / "meet", env=settings) for rank in (0, 1)]
    ended = [each.wait() for each in both]
    assert [each.returncode for each in ended] == [0, 0], [each.stderr for each in ended]
    np.testing.assert_allclose(np.load(tmp_path / "ranks" / "losses.npy"), run.losses, rtol=1e-4)
    np.testing.assert_allclose(np.load(tmp_path / "ranks" / "norms.npy"), run.norms, rtol=1e-3)
    ours, theirs = (load_file(folder / "learned.safetensors") for folder in (run.job.out, tmp_path / "ranks"))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        if name.endswith("key.bias"):  # attention's softmax takes no notice of it: its gradient is rounding alone
            continue
        torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=2e-4, msg=name)
