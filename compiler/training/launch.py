"""Runs a job from its file in its own process: `python -m graftc.compiler.training.launch job.json`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..execution.progress import Progress
from ..execution.reproducible import settled
from ..interrupts import listen
from ..machine import share_cores
from .job import Job


def main(arguments: Sequence[str]) -> int:
    """Runs the job in a file; returns the exit status."""
    if len(arguments) != 1:
        print("usage: python -m graftc.compiler.training.launch JOB", file=sys.stderr)
        return 2
    try:
        job = Job.read(Path(arguments[0]))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    listen()
    share_cores()  # before torch is loaded
    from .loop import train

    with settled(job.plan.seed, job.threads, has_torch=True):
        train(job, Progress())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
