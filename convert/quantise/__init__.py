"""Converts Keras networks to TFLite, with weights of 32, 16 or 8 bits."""
