"""From an utterance to words (Vosk) and to probabilities (the network in a TFLite runtime)."""
