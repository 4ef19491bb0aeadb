"""The companions of a network that users can supply: labels, vocabulary, front end."""
