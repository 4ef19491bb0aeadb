"""The process into which `edge-mcnn web` turns: without the command line's packages it needs a fifth less memory.

    python -m edge_mcnn.watch.web_server VERBOSE CONFIG ADDRESS PORT

where an empty argument stands for no value. `edge-mcnn web` has checked them.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from device.errors import EdgeMcnnError
from edge_mcnn.output import log_to_stderr, out


def main(verbose: str, config: str, address: str, port: str) -> None:
    """Serve the page until SIGTERM or Ctrl-C; an error that the user can fix is printed, with exit status 1."""
    # aiohttp reads the authorities that this system trusts, for a client that is not used here: 2 MB.
    os.environ["SSL_CERT_FILE"] = os.devnull
    from device.settings.toml import read_settings
    from device.web.serve import serve

    log_to_stderr(verbose=bool(verbose))
    try:
        file = Path(config) if config else None
        settings = read_settings(file, os.environ)
        served = replace(
            settings.web, address=address or settings.web.address, port=int(port) if port else settings.web.port
        )
        serve(replace(settings, web=served), out.announce, settings_file=file)
    except EdgeMcnnError as error:
        out.error(error)
        sys.exit(1)
    except KeyboardInterrupt:  # before the server handles it
        sys.exit(130)


if __name__ == "__main__":
    main(*sys.argv[1:])
