"""The store: finished stages by key, with their ownership, integrity and garbage collection."""
