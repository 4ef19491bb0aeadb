"""Transcripts of a corpus: made by Vosk, compared with the text, or with simulated word errors."""
