"""Reads, checks, plans, executes, exports and packs a spec; holds the command line."""

import os

# as in the runtime, which not every part of the compiler imports before onnxruntime
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
