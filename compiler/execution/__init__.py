"""Executes a plan: stages, their keys, the store, and delivery of the bundle."""
