"""Libraries of the system that a Python package needs and does not bring along."""

import re


def how_to_get(error: BaseException) -> str:
    """What to do about an import that failed because such a library is missing; empty if it failed otherwise.

    Debian names the package of a library after the library: libatomic.so.1 is in libatomic1.
    """
    found = re.search(r"\b(lib[\w+.-]*)\.so\.(\d+)[\d.]*: cannot open shared object file", str(error))
    if found is None:
        return ""
    name, number = found.groups()
    separator = "-" if name[-1].isdigit() else ""
    return f"run: sudo apt-get install {name.lower().replace('_', '-')}{separator}{number}"
