"""The publisher of the speech model, on the loopback interface."""

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
    """A server that serves the complete model until a test changes that."""

    def __init__(self) -> None:
        self.serve(zipped())
        self.delay_s = 0.0
        """Seconds before each response."""
        self.hits = 0
        self._resumed = threading.Event()
        self._resumed.set()
        self.url = ""

    def model(self, mirror: tuple[str, ...] = TINY.mirror) -> PinnedModel:
        return replace(TINY, official=self.url, mirror=mirror)

    def serve(self, body: bytes, *, status: int = 200, length: int | Literal["right"] | None = "right") -> None:
        self._body, self._status = body, status
        self._length = len(body) if length == "right" else length

    def stall(self, after: int) -> None:
        """Serve the first `after` bytes of the model, then nothing until `resume`; the connection stays open."""
        self.serve(zipped()[:after], length=len(zipped()))
        self._resumed.clear()

    def resume(self) -> None:
        self._resumed.set()

    def respond(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.hits += 1
        time.sleep(self.delay_s)
        request.send_response(self._status)
        if self._length is not None:
            request.send_header("Content-Length", str(self._length))
        request.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that has read enough disconnects
            request.wfile.write(self._body)
            request.wfile.flush()
        self._resumed.wait()


@contextlib.contextmanager
def publishing() -> Iterator[Official]:
    """Run the publisher's server within the context."""
    official = Official()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            official.respond(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        official.url = f"http://127.0.0.1:{server.server_port}/tiny.zip"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield official
        finally:
            official.resume()
            server.shutdown()
            thread.join()
