"""Reads the files of a corpus: audio, images and CSV tables, and finds the files that IDs name."""
