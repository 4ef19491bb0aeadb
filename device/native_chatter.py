"""Keeps from terminal and journal what C libraries write to descriptor 2 past Python, and offer no switch for."""

import faulthandler
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing reaches descriptor 2 within the context, of Python's own lines neither."""
    before = os.dup(2)
    _silence()
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def hush() -> None:
    """From here on only Python's own lines reach standard error, and its last words if a library crashes.

    PortAudio writes several lines whenever a microphone goes away, from a thread of its own.
    """
    sys.stderr.flush()
    kept = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
            handler.setStream(kept)
    sys.stderr = kept
    faulthandler.enable(kept)
    _silence()


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
