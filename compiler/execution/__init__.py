"""Runs a plan: stages, their keys, their store, the bundle in its place."""
