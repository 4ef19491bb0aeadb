"""The daemon: microphone to utterances to a mel picture and words to a prediction to a glowing LED."""
