"""Builds in processes that are killed, interrupted, starved or let loose together, and what a later build makes of it.

A script of its own: it loads the libraries once and forks a process per build, before there are threads to lose.

    python forked.py FOLDER [--only text|features|fitted|images] [--all]     prints the outcomes as JSON

Kills are made where the disk differs from all points before, as far as a build that goes on can tell, at one in
three of the points around each checkpoint, and at a few more; `--all` makes every one (a quarter of an hour).

Of the builds after a kill, the first in each stage goes on to the end alone. The others make the killed stage, and
find those after it in the store, as if another build had made them meanwhile. What each of them leaves there is held
against the store of an undisturbed build.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.builds import subjects
from tests.builds.calls import Calls, Point

STAGES = ("start", "prepare", "rehearse", "features", "fit", "floor", "train", "evaluate", "health", "export", "quantize", "checkpoint", "verify", "pack", "deliver")  # fmt: skip
RESUMING = "train"
GROWING = ("train", "features")  # stages whose staging folder a build goes on in
ROWS = 4  # of a batch of features
MORE = 5  # points besides those where the disk differs
FEW = 3  # points of the pictures
OLDER = ("description=An earlier bundle.",)
OTHER = ("train.learning_rate=0.005",)
DELIVERING = re.compile(r"\.bundle\..*\.graftc")  # the folder in which a bundle is made, beside its place
DEEPEST = {"locks": -1, "staging": 2, "delivering": 2}  # levels of these that count
LIMITS = {"prepare": 500, "rehearse": 60_000, "train": 10_000, "checkpoint": 2_000, "deliver": 60_000}  # bytes
PRESSED = ((6, 1), (8, 1), (6, 2))  # in the middle of an epoch, in its last step, and impatiently
STEP = 6  # the second step of the second epoch
Found = tuple[Point, str, str]  # a point, what is called there, a hash of the disk


def nothing() -> None:
    """Leaves a build as it is."""


@dataclass
class Build:
    """A forked build: how it ended (a signal is a negative status) and what it said."""

    child: int
    pipe: int
    status: int = 0
    said: str = ""

    def wait(self) -> Build:
        """Itself, once its process has ended."""
        with os.fdopen(self.pipe, "rb") as pipe:
            self.said = pipe.read().decode(errors="replace")
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        return self


@dataclass
class Outcome:
    """What came of a build that was disturbed, and of the one after it."""

    scenario: str
    point: str
    disturbed: int
    disturbed_said: str
    status: int
    said: str
    differs: list[str]
    beside: list[str]
    before: list[str]  # unfinished stages in the store, before the second build and after it
    staging: list[str]
    seconds: float
    stage: str = ""


class Subject:
    """One spec, its places, and the bundle of an undisturbed build with checkpoints as rare as users have them."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.folder, self.work, self.complete = folder, folder / "work", folder / "complete"
        self.store, self.output = self.work / "store", self.work / "out" / "bundle"
        self.spec = subjects.write(folder / "source", getattr(subjects, kind)(folder / "source"))
        built = self.build(folder / "reference" / "store", folder / "reference" / "bundle", before=rarely).wait()
        if built.status:
            raise SystemExit(built.said)
        self.expected = contents(folder / "reference" / "bundle")
        self.outputs = outputs(folder / "reference" / "store")
        for name in (folder / "modules").read_text().splitlines():
            with suppress(Exception):  # the next builds find loaded what this one had to load
                import_module(name)
        gc.freeze()  # what the collector leaves alone need not be copied for a child

    def build(
        self,
        store: Path | None = None,
        output: Path | None = None,
        sets: tuple[str, ...] = (),
        before: Callable[[], Any] = nothing,
    ) -> Build:
        """Forks a process that builds as the command line does; `before` runs in it first."""
        sys.stdout.flush()
        reading, writing = os.pipe()
        child = os.fork()
        if child:
            os.close(writing)
            return Build(child, reading)
        status = 70
        try:
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            status = self._run(store or self.store, output or self.output, sets, before)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _run(self, store: Path, output: Path, sets: tuple[str, ...], before: Callable[[], Any]) -> int:
        from graftc.compiler.cli import main
        from graftc.compiler.execution import saves
        from graftc.compiler.stages import features as features_stage

        saves.EVERY = saves.SHARE = 0.0  # a checkpoint after every step
        features_stage.BATCH = ROWS
        before()
        words = [word for one in sets for word in ("--set", one)]
        try:
            main(["build", str(self.spec), "-o", str(output), "--store", str(store), *words])
        except SystemExit as left:
            return int(left.code or 0)
        finally:
            if not (self.folder / "modules").exists():
                (self.folder / "modules").write_text("\n".join(sys.modules))
        return 0

    def points(self, is_wanted: Callable[[Point, str], bool] = lambda point, shown: True) -> list[Found]:
        """The points that are wanted of a build from where the disk is now, in order."""
        found = self.folder / "points"
        with found.open("w") as file:

            def reached(point: Point, shown: str) -> None:
                if is_wanted(point, shown):
                    file.write(json.dumps([point, shown, self.state()]) + "\n")
                    file.flush()

            built = self.build(before=Calls(self.store, self.output, reached=reached).install).wait()
        if built.status:
            raise SystemExit(built.said)
        return [((p[0], p[1], p[2]), shown, state) for p, shown, state in map(json.loads, found.open())]

    def state(self) -> str:
        """A hash of what a build that goes on can tell apart.

        Left out: locks, folders with nothing in them, and the inside of what it throws away before anything else.
        """
        whole = hashlib.sha256()
        for folder, folders, files in os.walk(self.work):
            above = folder[len(str(self.work)) :].split(os.sep)[2:]
            for name in sorted(files):
                if len(above) < deepest([*above, name]):
                    whole.update(f"{named([*above, name])}\0".encode() + Path(folder, name).read_bytes())
            for name in sorted(folders):
                if len(above) + 1 == deepest([*above, name]):
                    whole.update(f"{named([*above, name])}\0".encode())
            folders[:] = [name for name in sorted(folders) if len(above) + 1 < deepest([*above, name])]
        return whole.hexdigest()

    def stand_before(self, stage: str, with_older: bool = False) -> None:
        """Puts the disk where a build stands that has finished every stage before this one."""
        shutil.rmtree(self.work, ignore_errors=True)
        if stage in STAGES[:2]:
            return
        for folder in (*(self.complete / "stages").iterdir(), *(self.complete / "records").iterdir()):
            if kind(folder.name) in STAGES[: STAGES.index(stage)]:
                shutil.copytree(folder, self.store / folder.relative_to(self.complete))
        for name in ("locks", "staging"):
            (self.store / name).mkdir()
        if with_older:
            shutil.copytree(self.folder / "older", self.output)

    def then(
        self,
        scenario: str,
        point: str,
        disturbed: Callable[[], Build],
        between: Callable[[], Any] = nothing,
        last: Callable[[], Any] = nothing,
    ) -> Outcome:
        """Lets a build be disturbed, another one finish, in which `last` runs first, and compares."""
        start = time.monotonic()
        first = disturbed()
        between()
        before = names(self.store / "staging")
        done = self.build(before=last).wait()
        found = contents(self.output) if self.output.is_dir() else {}
        differs = sorted(n for n in self.expected.keys() | found.keys() if self.expected.get(n) != found.get(n))
        differs += self.other_outputs()
        beside = [name for name in names(self.output.parent) if name != self.output.name]
        return Outcome(
            scenario, point, first.status, first.said, done.status, done.said, differs, beside, before,
            names(self.store / "staging"), round(time.monotonic() - start, 2),
        )  # fmt: skip

    def killed(self, scenario: str, point: Point, shown: str, is_alone: bool, with_older: bool = False) -> Outcome:
        """Kills a build at a point; with `is_alone`, the next one makes the stages after that as well."""
        self.stand_before(point[0], with_older)
        calls = Calls(self.store, self.output, point, signal.SIGKILL)
        last = nothing if is_alone else lambda: self.find_later_than(point[0])
        outcome = self.then(scenario, f"{point[2]} {shown}", lambda: self.build(before=calls.install).wait(), last=last)
        return replace(outcome, stage=point[0])

    def kills(self, points: list[Found]) -> list[Outcome]:
        """Kills a build at each of some points."""
        first = {point[0]: point for point, _, _ in reversed(points)}
        return [self.killed("kill", point, shown, point == first[point[0]]) for point, shown, _ in points]

    def find_later_than(self, stage: str) -> None:
        """Lets a build of this process find every stage after `stage` in the store when its turn comes."""
        from graftc.compiler.execution import executor

        run = executor._run_stage

        def found(each: Any, known: Any, *more: Any) -> None:
            if STAGES.index(kind(each.name)) > STAGES.index(stage):
                self._put(f"records/{each.name}/{known[each.name]}.json")
                self._put(f"stages/{each.name}/{known[each.name]}")
            run(each, known, *more)

        executor._run_stage = found

    def _put(self, name: str) -> None:
        """Copies what an undisturbed build left in the store, unless it is there."""
        target = self.store / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            copy = shutil.copytree if (self.complete / name).is_dir() else shutil.copy2
            copy(self.complete / name, target)

    def other_outputs(self) -> list[str]:
        """Files of stages and of their records that an undisturbed build leaves otherwise in the store."""
        found = outputs(self.store)
        return sorted(name for name, text in self.outputs.items() if found.get(name) != text)


def named(parts: list[str]) -> list[str]:
    """The names on the way to a file or folder, below the store or beside the bundle; of a delivery always the same."""
    return ["delivering" if DELIVERING.fullmatch(part) else part for part in parts]


def deepest(parts: list[str]) -> int:
    """The deepest level of these that counts."""
    first, second = [*named(parts[:2]), "", ""][:2]
    return 99 if first == "staging" and second.startswith(GROWING) else DEEPEST.get(first, 99)


def kind(stage: str) -> str:
    """The word for a stage of a name; some run once for each split."""
    return stage.split("-")[0]


def names(folder: Path) -> list[str]:
    """What lies in a folder, sorted; nothing where there is none."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its relative path."""
    files: Iterator[Path] = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def outputs(store: Path) -> dict[str, bytes]:
    """Every file that stages made, and their records, by its path in a store."""
    return {f"{name}/{file}": text for name in ("records", "stages") for file, text in contents(store / name).items()}


def chosen(points: list[Found], more: int) -> list[Found]:
    """The first point of each state of the disk, one of each checkpoint's three, and some of the others."""
    seen: set[str] = set()
    first: list[Found] = []
    others: list[Found] = []
    saves = 0
    for found in points:
        (_, _, when), shown, state = found
        is_new = state not in seen
        seen.add(state)
        if "checkpoint.safetensors" in shown and shown.split()[0] in ("save", "replace"):
            saves += (shown.split()[0], when) == ("save", "half")
            variant = {("save", "half"): 0, ("save", "after"): 1, ("replace", "after"): 2}.get((shown.split()[0], when))
            is_new = variant is not None and saves % 3 == variant
        (first if is_new else others).append(found)
    drawn = random.Random(0).sample(others, min(more, len(others)))
    return sorted(first + drawn, key=lambda f: (STAGES.index(f[0][0]), f[0][1]))


def states(points: list[Found]) -> int:
    """How many states of the disk a build can be killed in."""
    return len({state for _, _, state in points})


def is_checkpoint(found: Found) -> bool:
    """Whether a point lies around the writing of a checkpoint: within it, after it, or after it took its place."""
    (_, _, when), shown, _ = found
    does = shown.split()[0]
    return "checkpoint.safetensors" in shown and (does, when) in (
        ("save", "half"),
        ("save", "after"),
        ("replace", "after"),
    )


def text(subject: Subject, is_all: bool) -> dict[str, Any]:
    """Kills in every stage and in a delivery over an older bundle; then what else may happen to a build."""
    points = subject.points()
    if subject.build(output=subject.folder / "older", sets=OLDER).wait().status:
        raise SystemExit("the older bundle failed")
    subject.store.rename(subject.complete)
    subject.stand_before("deliver", with_older=True)
    over = subject.points(lambda point, shown: is_all or point[0] == "deliver")
    picked = points if is_all else chosen(points, MORE)
    outcomes = subject.kills(picked)
    for point, shown, _ in over if is_all else chosen(over, 2):
        outcomes.append(subject.killed("kill over an older bundle", point, shown, is_alone=True, with_older=True))
    saved = [point for point, shown, _ in points if shown == "replace checkpoint.safetensors" and point[2] == "after"]
    outcomes += [damaged(subject, saved[STEP]), other(subject, saved[STEP]), together(subject)]
    outcomes += [interrupted(subject, step, times) for step, times in PRESSED]
    outcomes += [starved(subject, stage, limit) for stage, limit in LIMITS.items()]
    counted = Counter(point[0] for point, _, _ in points)
    covered = {"points": len(points), "states": states(points), "killed_states": states(picked)}
    covered["checkpoints"] = sum(is_checkpoint(found) and found[0][2] == "half" for found in points)
    return {"stages": counted, "covered": covered, "outcomes": outcomes}


def features(subject: Subject, is_all: bool) -> dict[str, Any]:
    """Kills while features are computed and where they are whole: in one of three states that this leaves on the disk."""
    points = subject.points(lambda point, shown: point[0] == "features")
    subject.store.rename(subject.complete)
    picked = points if is_all else chosen(points, 0)[::3]
    return {"states": states(points), "outcomes": subject.kills(picked)}


def fitted(subject: Subject, is_all: bool) -> dict[str, Any]:
    """Kills while a head is fitted, in every state that this leaves on the disk, and in some while its features are computed."""
    points = subject.points(lambda point, shown: point[0] in ("features", "fit"))
    subject.store.rename(subject.complete)
    caching, fitting = ([found for found in points if found[0][0] == stage] for stage in ("features", "fit"))
    picked = [*caching, *fitting] if is_all else [*chosen(caching, 0)[::5], *chosen(fitting, 0)]
    return {"features": states(caching), "fit": states(fitting), "outcomes": subject.kills(picked)}


def images(subject: Subject, is_all: bool) -> dict[str, Any]:
    """Kills while batch norms gather statistics of augmented pictures."""
    points = subject.points(lambda point, shown: is_all or "checkpoint.safetensors" in shown)
    subject.store.rename(subject.complete)
    picked = points
    if not is_all:
        picked = chosen(points, 0)
        picked = [picked[(i + 1) * len(picked) // (FEW + 1)] for i in range(FEW)]
    return {"outcomes": subject.kills(picked)}


def interrupted(subject: Subject, step: int, times: int) -> Outcome:
    """Ctrl-C in the middle of a step, with no checkpoint since the last epoch."""
    import torch

    def before() -> None:
        rarely()
        update, steps = torch.optim.AdamW.step, iter(range(1, 100))

        def pressed(*args: Any, **more: Any) -> Any:
            for _ in range(times if next(steps) == step else 0):
                os.kill(os.getpid(), signal.SIGINT)
            return update(*args, **more)

        torch.optim.AdamW.step = pressed

    subject.stand_before(RESUMING)
    return subject.then("interrupt", f"step {step}, {times}", lambda: subject.build(before=before).wait())


def damaged(subject: Subject, point: Point) -> Outcome:
    """A checkpoint that lost its second half."""

    def between() -> None:
        (path,) = (subject.store / "staging").glob(f"{RESUMING}-*/checkpoint.safetensors")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    subject.stand_before(RESUMING)
    calls = Calls(subject.store, subject.output, point, signal.SIGKILL)
    return subject.then("damage", "checkpoint", lambda: subject.build(before=calls.install).wait(), between)


def other(subject: Subject, point: Point) -> Outcome:
    """What a killed build of another learning rate left behind."""
    subject.stand_before(RESUMING)
    calls = Calls(subject.store, subject.output, point, signal.SIGKILL)
    return subject.then("other", "learning rate", lambda: subject.build(sets=OTHER, before=calls.install).wait())


def together(subject: Subject) -> Outcome:
    """Three builds over one store at a time, two of them into one folder."""
    subject.stand_before("start")

    def both() -> Build:
        beside = subject.folder / "beside" / "bundle"
        builds = [subject.build(), subject.build(output=beside), subject.build()]
        ended = [build.wait() for build in builds]
        same = contents(beside) == subject.expected
        return Build(0, 0, max(abs(b.status) for b in ended) or int(not same), "\n\n".join(b.said for b in ended))

    return subject.then("together", "three builds", both)


def starved(subject: Subject, stage: str, limit: int) -> Outcome:
    """Files that can't grow beyond a limit, as on a full disk."""
    subject.stand_before(stage)

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subject.then("full disk", stage, lambda: subject.build(before=before).wait())


def rarely() -> None:
    """Checkpoints as users have them: none in the middle of so short an epoch."""
    from graftc.compiler.execution import saves

    saves.EVERY, saves.SHARE = 60.0, 20.0


KINDS = {"text": text, "features": features, "fitted": fitted, "images": images}


def load() -> None:
    """Loads what every build needs, on one core with one thread."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import torch

    torch.set_num_threads(1)
    for name in STAGES[1:-1]:
        import_module(f"graftc.compiler.stages.{name}")
    import_module("graftc.compiler.cli.build")


def main() -> None:
    """Runs the subjects."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    load()
    kinds = [given.only] if given.only else KINDS
    found = {kind: KINDS[kind](Subject(kind, given.folder.resolve() / kind), given.all) for kind in kinds}
    print(json.dumps(found, default=asdict))


if __name__ == "__main__":
    main()
