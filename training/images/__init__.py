"""Spectrogram images of recordings, and the caches of images and features."""
