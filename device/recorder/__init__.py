"""A guided session with the microphone; what recording saves: a clip for each prompt, and the table of the clips."""
