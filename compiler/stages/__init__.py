"""Stages: units of execution, each of which writes one folder of the store."""
