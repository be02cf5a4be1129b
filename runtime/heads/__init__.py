"""Decoders, one module per task: from output arrays to answers."""
