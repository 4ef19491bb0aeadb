"""Training a network: batches, steps, epochs, checkpoints, workers, and the `Model.h5` at the end."""
