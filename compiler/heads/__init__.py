"""Heads, one module per task word of the spec."""
