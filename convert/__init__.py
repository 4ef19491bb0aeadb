"""Laptop side: from a Keras model to a TFLite bundle."""
