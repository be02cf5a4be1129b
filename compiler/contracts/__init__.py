"""Contracts: what a variant of each kind says of itself, as a typed record; one module a kind."""
