"""The recipe of the network that ships with edge-mcnn, from the corpora to its weights."""
