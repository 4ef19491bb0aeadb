"""Trained networks that a training starts from: a `Model.h5`, or a bundle of the network `evidence`."""
