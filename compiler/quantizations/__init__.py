"""Kinds of int8, one module per word of `export.quantization`."""
