"""The store: finished stages by key, whose they are, whether they are whole, and their collection."""
