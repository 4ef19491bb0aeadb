"""Converts a Keras model to a TFLite bundle, on a laptop."""
