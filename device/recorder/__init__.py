"""A guided recording session: a clip for each prompt, and the clip table that training reads."""
