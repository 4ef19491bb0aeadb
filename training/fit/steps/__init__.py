"""One step of a training: Adam on a batch, with dropout that does not depend on the number of machines."""
