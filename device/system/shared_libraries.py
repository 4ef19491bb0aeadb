"""Shared libraries of the system that Python packages need and do not contain."""

import re


def how_to_install(error: BaseException) -> str:
    """The fix for an import that failed because of a missing shared library; empty if it failed for another reason.

    Debian names the package of a library after the library: libatomic.so.1 is in libatomic1.
    """
    found = re.search(r"\b(lib[\w+.-]*)\.so\.(\d+)[\d.]*: cannot open shared object file", str(error))
    if found is None:
        return ""
    name, number = found.groups()
    separator = "-" if name[-1].isdigit() else ""
    return f"run: sudo apt-get install {name.lower().replace('_', '-')}{separator}{number}"
