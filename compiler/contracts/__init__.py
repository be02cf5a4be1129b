"""Contracts: the typed record of each kind of variant, one module for each kind."""
