"""What people see of an answer: LEDs, lights in the terminal, JSON lines."""
