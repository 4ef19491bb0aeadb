"""From an utterance to an answer: Vosk for the words, a TFLite interpreter for the emotion."""
