"""What a model file may lack and the user supplies: labels, vocabulary, front end."""
