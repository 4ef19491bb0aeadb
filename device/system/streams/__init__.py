"""Standard output, standard error and the terminal: what may write to them, and when."""
