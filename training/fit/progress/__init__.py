"""Shows the course of a training: a table on the console, and the event log that TensorBoard reads."""
