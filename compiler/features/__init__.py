"""Cached features: outputs of frozen layers, computed once and memory-mapped."""
