"""Measures of the answers, one module per kind of task."""
