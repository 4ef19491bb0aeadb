"""The live display of `edge-mcnn listen` in a terminal."""
