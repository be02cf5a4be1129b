"""What each finding says is what its page shows; the numbers are made for it, the words are the rules' own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graftc.compiler.cli.build import _warning
from graftc.compiler.diagnostics import pages
from graftc.compiler.health import Finding
from graftc.compiler.health.rules import below, findings
from graftc.compiler.health.seen import Answers, Training
from graftc.compiler.language.source import read
from graftc.compiler.language.text import Source
from graftc.compiler.renderers._terminal import Terminal
from graftc.compiler.renderers.text import text

from ..front.test_explain import BLOCK, Page
from ..front.test_golden import GOLDEN, compare

BARE = Source("spec.yaml", Path(), "", {}, {}, {})
ANSWERS = Answers("", "accuracy", 120)


def training(means: list[float], values: list[float] | None = None, **more: object) -> Training:
    """A training of so many epochs as there are mean losses, ten steps each; its norms are near one."""
    epochs = [
        {"epoch": i, "step": 10 * i, "train_loss": loss, **({"accuracy": values[i - 1]} if values else {})}
        for i, loss in enumerate(means, 1)
    ]
    steps = np.repeat(means, 10)
    sound = Training(
        losses=steps, norms=np.tile([0.848, 0.5], (len(steps), 1)), rates=np.ones(len(steps)), epochs=epochs, best_epoch=len(epochs),
        metric="accuracy", direction=1, validation_rows=120, max_grad_norm=1.0, untrained=1.099,
    )  # fmt: skip
    return replace(sound, **more)


SOUND = training([0.9, 0.2, 0.15], [0.8, 0.9, 0.91])
GAP = [{"epoch": 1, "step": 10, "train_loss": 0.02, "validation_loss": 0.95}]
DEEP = np.tile([0.2, 0.2], (30, 1))
LOW = Answers("", "f1_macro", 120, 0.4102, "words", 0.9043, -0.4941, 0.0431, True)
SAID = {
    "W0435": (training([1.09, 1.0, 1.0]), LOW),
    "W0436": (training([1.106, 1.1, 1.102]), ANSWERS),
    "W0437": (training([1.1, 0.834]), ANSWERS),
    "W0438": (training([1.001, 0.2], [0.7, 0.9083]), ANSWERS),
    "W0439": (training([0.4, 0.2, 0.2], [0.875, 0.8, 0.7667], best_epoch=1), ANSWERS),
    "W0440": (training([1.099] * 3, norms=DEEP), ANSWERS),
    "W0441": (replace(SOUND, max_grad_norm=0.001), ANSWERS),
    "W0442": (replace(SOUND, epochs=GAP, best_epoch=1), ANSWERS),
    "W0443": (SOUND, replace(ANSWERS, unused={"rare": 15}, commonest=("music", 0.4, 0.3))),
    "W0444": (training([38.8, 9.0, 2.0], untrained=1.099, losses=np.r_[np.full(5, 1.1), np.full(20, 38.8), np.ones(5)]), ANSWERS),
    "W0445": (training([1.1, 1.09, 1.09]), replace(ANSWERS, tells=1.0, learned=1.0)),
    "W0447": (training([0.6, 0.4], [0.7, 0.8], best_epoch=0, is_fitted=True, before={"accuracy": 0.925}), ANSWERS),
    "W0446": (SOUND, replace(ANSWERS, unused={"money": 12}, commonest=("music", 1.0, 0.833))),
}  # fmt: skip


@pytest.mark.parametrize("code", SAID)
def test_a_page_shows_what_is_said(code: str) -> None:
    (found,) = findings(SAID[code][0], [SAID[code][1]])
    assert found.code == code
    said = text([_warning(found, BARE)], terminal=Terminal(110)) + "\n"
    compare(f"health_{code}", said)
    (block,) = BLOCK.finditer(Page.of(code).parts["When"])
    assert block["text"].partition("\n")[2].rstrip() == said.rstrip()


def test_every_page_of_health_has_its_case() -> None:
    assert {code for code in pages.codes() if "W0435" <= code <= "W0449"} == set(SAID)
    assert {path.stem.removeprefix("health_") for path in GOLDEN.glob("health_*.txt")} == set(SAID)


def test_what_is_sound_says_nothing() -> None:
    assert findings(SOUND, [ANSWERS]) == []


NONE = training([1.0], losses=np.zeros(0), norms=np.zeros((0, 2)), rates=np.zeros(0), epochs=[], best_epoch=0)
BEFORE = {"epoch": 0, "step": 0, "accuracy": 0.9}
FORGETTING = training([0.9, 0.3, 0.05], [0.8, 0.6, 0.6], best_epoch=0, is_fitted=True, before=BEFORE)
STAYING = training([0.9, 0.9, 0.9], [0.9, 0.9, 0.9], best_epoch=0, is_fitted=True, before=BEFORE, has_backbone=False)
FITS = "set `head.start: fitted`"
HELPS = {
    "moves too little": (training([1.09, 1.0, 1.0]), "train.learning_rate", "raise the rate"),
    "hidden layers": (training([1.09, 1.0, 1.0], can_fit=()), "train.learning_rate", "raise the rate: the loss moves"),
    "fitted": (
        training([1.0] * 3, is_fitted=True, can_fit=()),
        "train.learning_rate",
        "raise the rate: the loss moves",
    ),
    "no step": (NONE, "train.epochs", "let it learn: `train.epochs` of 1 or more, and a method"),
    "worse than the fitted head": (FORGETTING, "train.epochs", "fewer epochs or on more rows, or let less learn"),
    "a probe by heart": (replace(FORGETTING, has_backbone=False), "train.epochs", "on more rows: training rows are"),
    "nothing over the fitted head": (STAYING, "adapt.method", "such as `adapt.method: lora`: no epoch was better"),
    "others hardly": (training([0.9, 0.3, 0.28], [0.8, 0.8, 0.8]), "adapt.method", "training rows are learned, others"),
}


@pytest.mark.parametrize("cause", HELPS)
def test_a_model_below_its_floor_is_told_what_its_losses_show(cause: str) -> None:
    seen, key, help = HELPS[cause]
    found = below(LOW, seen)
    assert (found.key, help in found.help) == (key, True), found.help
    assert (FITS in found.help) == (cause == "moves too little")
    assert ("rate" in found.help) == (key == "train.learning_rate")


def test_what_never_left_its_start_is_not_told_to_fit_what_cannot_be() -> None:
    assert FITS not in findings(training([1.1] * 3, can_fit=()), [])[0].help


def test_every_answer_alike_is_told_of_a_fitted_head_alone() -> None:
    (found,) = findings(NONE, [replace(ANSWERS, unused={"money": 12}, commonest=("music", 1.0, 0.833))])
    assert found.code == "W0446"
    assert "rate" not in found.help


def test_a_little_less_than_the_fitted_head_is_chance() -> None:
    seen, _ = SAID["W0447"]
    for values in ([0.89, 0.8], [0.7, 0.93]):
        epochs = training([0.6, 0.4], values).epochs
        best = 0 if values[1] < 0.925 else 2
        assert "W0447" not in [found.code for found in findings(replace(seen, epochs=epochs, best_epoch=best), [])]


def test_a_fitted_head_never_leaves_its_first_loss() -> None:
    """It begins where others end; without the word for it the same losses would be a finding."""
    flat = training([1.1, 1.1, 1.1])
    assert [found.code for found in findings(flat, [])] == ["W0436"]
    assert findings(replace(flat, is_fitted=True), []) == []


def test_a_finding_stands_at_the_key_to_change(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("graftc: 1\ntrain:\n  learning_rate: 1e-9\n")
    (found,) = findings(SAID["W0436"][0], [])
    assert re.search(r"spec.yaml:3:\d+", printed(found, path))
    path.write_text("graftc: 1\ntrain:\n  epochs: 1\n")
    assert "spec.yaml" not in printed(found, path)


def printed(found: Finding, path: Path) -> str:
    """A finding as `build` prints it of a spec."""
    source = read(path)
    return text([_warning(found, source)], source, Terminal(110))
