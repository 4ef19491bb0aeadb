"""Laptop side: from a table of labelled clips to a `Model.h5` that carries its labels, vocabulary and front end."""
