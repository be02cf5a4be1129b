"""Torch modules that stand alone: what heads, methods and families put into a network."""
