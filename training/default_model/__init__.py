"""Builds the default model, the one that ships: from text and audio corpora to one bundle and its model card."""
