"""Verifies that a converted network predicts what the Keras network predicts."""
