"""Finds everything wrong, or worth a look, between a spec and the world; changes nothing."""
