"""What every test may rely on: an interrupt interrupts, however the run was started."""

from __future__ import annotations

import signal
import threading

# a run started in the background inherits SIGINT ignored, and hands that on to what it starts
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
