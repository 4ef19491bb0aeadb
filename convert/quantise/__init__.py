"""From Keras to TFLite with weights of 8 or 16 bits."""
