"""Adaptation methods, one module per word of `adapt.method`."""
