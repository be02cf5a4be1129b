"""Torch modules that heads, methods and families share."""
