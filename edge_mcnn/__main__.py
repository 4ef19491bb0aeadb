"""`python -m edge_mcnn` is `edge-mcnn`."""

from edge_mcnn.main import main

if __name__ == "__main__":
    main()
