"""Preprocessing, one module per modality: from what users pass to arrays."""
