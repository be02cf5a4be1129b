"""Backbone families, one module per `model_type` of config.json."""
