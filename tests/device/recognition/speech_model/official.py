"""The publisher of the speech model, on loopback."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from device.recognition.speech_model.manifest import PinnedModel
from tests.device.recognition.tiny_model import TINY, zipped


class Official:
    """It serves the whole model, unless it is told otherwise."""

    def __init__(self) -> None:
        self.serves(zipped())
        self.delay_s = 0.0
        """Before each answer."""
        self.hits = 0
        self._goes_on = threading.Event()
        self._goes_on.set()
        self.url = ""

    def model(self, mirror: tuple[str, ...] = TINY.mirror) -> PinnedModel:
        return replace(TINY, official=self.url, mirror=mirror)

    def serves(self, body: bytes, *, status: int = 200, length: int | Literal["right"] | None = "right") -> None:
        self._body, self._status = body, status
        self._length = len(body) if length == "right" else length

    def stalls(self, after: int) -> None:
        """Serve so many bytes of the model, then nothing until told to go on, for as long as the client stays."""
        self.serves(zipped()[:after], length=len(zipped()))
        self._goes_on.clear()

    def goes_on(self) -> None:
        self._goes_on.set()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.hits += 1
        time.sleep(self.delay_s)
        request.send_response(self._status)
        if self._length is not None:
            request.send_header("Content-Length", str(self._length))
        request.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that has seen enough hangs up
            request.wfile.write(self._body)
            request.wfile.flush()
        self._goes_on.wait()


@contextlib.contextmanager
def publishing() -> Iterator[Official]:
    """The publisher, until the context is left."""
    official = Official()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            official.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        official.url = f"http://127.0.0.1:{server.server_port}/tiny.zip"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield official
        finally:
            official.goes_on()
            server.shutdown()
            thread.join()
