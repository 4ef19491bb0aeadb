"""Spectrogram images of recordings, the caches of images and features, and the examples made of them."""
