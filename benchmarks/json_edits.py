"""Edits plans and manifests by chance and tells what was taken that should not be.

    python benchmarks/json_edits.py [--edits 500] [--seed 0] [--each]

A plan is checked up to the start of its first stage: it may only be taken where its own spec gives just that plan. A
manifest is given to `verify`, to `predict` with one input, and to `verify --key`; every second one is sealed anew, as
somebody writes it who knows how. Prints counts by kind, the keys of what was taken, and the slowest. Exit status 1
where an edit ends in a traceback, takes more than 20 seconds a verb, or is taken against the promise.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from graftc.compiler.api import build
from graftc.compiler.api import plan as planned
from graftc.compiler.cli import main as command
from tests.backbones import tiny
from tests.front.cli import Answer
from tests.fuzz import json_edits

SPEC = """graftc: 1
name: edits
backbone: {from: ./backbone}
adapt: {method: lora}
head: {type: text-classification}
data: {train: train.jsonl, validation: {fraction: 0.25}, columns: {text: body, label: queue}, max_length: 16}
train: {max_steps: 4, batch_size: 8}
"""
QUESTION = "a parcel that never came"


def graftc(*words: Any) -> Answer:
    """Runs a verb in this process, silently."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            command([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
    return Answer(status, out.getvalue(), err.getvalue())


def main() -> int:
    """Tries all edits and prints what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edits", type=int, default=500, help="of plans, and of manifests")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", action="store_true", help="print every edit")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["GRAFTC_STORE"] = str(folder / "store")
        bundle = prepared(folder)
        whole = json.loads(planned(folder / "spec.yaml").text())
        seen = [*json_edits.plans(whole, asked.edits, asked.seed, folder, graftc)]
        seen += json_edits.manifests(bundle, QUESTION, asked.edits, asked.seed, folder, graftc)
    if asked.each:
        for tried in seen:
            print(f"{tried.kind:<12} {tried.statuses} {tried.seconds:5.2f} s  {', '.join(tried.edit.keys)!a}")
    for kind in ("plan", "manifest", "sealed anew"):
        own = [tried for tried in seen if tried.kind == kind]
        came = Counter(" ".join(map(str, tried.statuses)) for tried in own)
        print(f"{kind:<12} {len(own)}: by status {dict(came)}, slowest {max(t.seconds for t in own):.1f} s")
    taken = Counter(
        key for tried in seen if tried.kind == "sealed anew" and not tried.statuses[0] for key in tried.edit.keys
    )
    print(f"keys that may be edited without a new seal: {', '.join(json_edits.DESCRIPTIVE) or 'none'}")
    print(f"keys edited in manifests that were sealed anew, and taken without --key: {sorted(taken)!a}")
    wrong = [tried for tried in seen if tried.is_wrong]
    for tried in wrong:
        print(f"WRONG {tried.kind} {tried.statuses} {tried.seconds:.1f} s: {tried.edit.keys!a}")
    return int(bool(wrong))


def prepared(folder: Path) -> Path:
    """A spec with its world, built once."""
    tiny.save("bert", folder / "backbone", num_hidden_layers=1)
    queues = ("billing", "bug", "delivery")
    rows = [{"body": f"a text about {queues[i % 3]} number {i}", "queue": queues[i % 3]} for i in range(48)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "spec.yaml").write_text(SPEC)
    return build(folder / "spec.yaml", folder / "bundle", folder / "store").folder


if __name__ == "__main__":
    sys.exit(main())
