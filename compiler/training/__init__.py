"""Training: batches, optimisation, memory, validation and checkpoints."""
