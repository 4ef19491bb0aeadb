"""The cost of listening in machine instructions, which other load on the machine does not change."""
