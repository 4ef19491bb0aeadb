"""A data set of the user's own recordings: a clip for each prompt, and the table that training reads."""
