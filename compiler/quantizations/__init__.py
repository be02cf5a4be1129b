"""Kinds of int8 quantization, one module per word of `export.quantization`."""
