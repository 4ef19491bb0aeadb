"""Training on a laptop: from a table of labelled clips to a `Model.h5` with its labels, vocabulary and front end."""
