"""The networks, by name, and the branches of the network `evidence`."""
