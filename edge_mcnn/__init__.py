"""The command line, `edge-mcnn`: one module per command."""
