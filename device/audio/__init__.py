"""From audio to utterances: microphone or audio file, resampling, endpointing."""
