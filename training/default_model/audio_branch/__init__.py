"""The audio branch of the default model: RAVDESS, augmented spectrogram images, and the training on them."""
