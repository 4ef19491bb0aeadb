"""The network's input: the spectrogram image of the audio and the ids of the words. Shared with `training`."""
