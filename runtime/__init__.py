"""Runs a bundle with numpy, onnxruntime and a tokenizer; imports nothing of the compiler."""

import os

# read once, when onnxruntime is imported: else it keeps a device id under the home folder and asks for a host of events
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
