"""How good a model is: predictions, scores, reports."""
