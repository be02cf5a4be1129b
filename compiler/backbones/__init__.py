"""Backbone families: one module for each `model_type` of config.json."""
