"""Reads, checks, plans, executes, exports and packs a spec; holds the command line."""
