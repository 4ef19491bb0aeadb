"""From sound to utterances: microphone or recording, resampling, end-pointing."""
