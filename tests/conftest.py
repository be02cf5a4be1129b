"""What every test may rely on: an interrupt interrupts, however the run was started, and threads wait without spinning."""

from __future__ import annotations

import signal
import threading

from graftc.compiler.machine import share_cores

# a run started in the background inherits SIGINT ignored, and hands that on to what it starts
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# as a build does, and before any test loads torch: beside another busy process, a step of a tiny network spins for most
# of half a second, and takes milliseconds without
share_cores()
