"""Standard error comes back whatever happens while it is discarded."""

from __future__ import annotations

import os
import signal

import pytest

from graftc.compiler.inputs._panics import silenced


def test_an_interrupt_waits_until_standard_error_is_back(capfd: pytest.CaptureFixture[str]) -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), silenced():  # noqa: PT012 - what follows the signal is what is tested
        os.kill(os.getpid(), signal.SIGINT)
        os.write(2, b"a stack trace")
        reached = True
    assert reached
    os.write(2, b"interrupted")
    assert capfd.readouterr().err == "interrupted"
