"""Metrics of a model's answers, one module per kind of task."""
