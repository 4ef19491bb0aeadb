"""What the network sees: the mel picture of the sound and the ids of the words. Shared with `training`."""
