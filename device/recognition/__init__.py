"""From an utterance to a prediction: Vosk for the words, a TFLite runtime for the emotion."""
