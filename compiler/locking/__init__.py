"""Locks: what a spec met in the world when it was locked, and where that is no longer so."""
