"""Runs a bundle with numpy, onnxruntime and a tokenizer; imports nothing of the compiler."""
