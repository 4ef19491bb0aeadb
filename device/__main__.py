"""`python -m device` is `edge-mcnn`."""

from device.cli import main

if __name__ == "__main__":
    main()
