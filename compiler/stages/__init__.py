"""Units of execution; each writes one folder of the store."""
