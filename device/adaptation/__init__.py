"""Adapts the predictions of the network to a voice, from examples that its owner named or corrected."""
