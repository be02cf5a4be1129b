"""Checks: find every contradiction between a spec, its backbone and its data, and change nothing."""
