"""Reading Keras models: files, configuration, allowed layers, weights."""
