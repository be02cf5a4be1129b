"""Heads: one module for each task word of a spec."""
