"""The command line `edge-mcnn`: one module per command. It imports the other packages; none of them imports it."""
