"""Runs a bundle with numpy, onnxruntime and a tokenizer; imports nothing of the compiler."""

import os

# read when onnxruntime is imported: without it, it writes a device id under the home folder and looks up a host
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
