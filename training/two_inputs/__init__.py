"""Batches with two inputs, an image and a row of numbers, for training any Keras network that has both."""
