"""Training: epochs, checkpoints, workers, and the `Model.h5` at the end."""
