"""Locks: records of the data, files and versions that a spec was locked with, and checks for drift from them."""
