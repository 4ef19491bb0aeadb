"""Run `edge-mcnn` as `python -m edge_mcnn`."""

from edge_mcnn.main import main

if __name__ == "__main__":
    main()
