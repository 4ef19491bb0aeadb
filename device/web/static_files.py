"""The stylesheets, modules and images of the page: read once, so that no request names a file of the disk."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from device.web.services import Handler

FOLDER = Path(__file__).with_name("static")
LOGIN_STYLE = "login.css"
"""The only file that is served without a login."""
_TYPES = {
    ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png",
    ".json": "application/json", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2",
}  # fmt: skip


@dataclass(frozen=True)
class StaticFile:
    """A file as it is sent."""

    content: bytes
    content_type: str
    etag: str


def read_static_files(folder: Path = FOLDER) -> dict[str, StaticFile]:
    """The files of a folder that a browser needs, by name."""
    return {
        path.name: StaticFile(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:32])
        for path in sorted(folder.iterdir())
        if path.suffix in _TYPES and path.is_file()
        for content in [path.read_bytes()]
    }


def static_handler(files: dict[str, StaticFile]) -> Handler:
    """The handler of `/static/NAME`."""

    async def static(request: web.Request) -> web.Response:
        file = files.get(request.match_info.get("name", LOGIN_STYLE))
        if file is None:
            raise web.HTTPNotFound
        response = web.Response(headers={"Cache-Control": "no-cache"})
        response.etag = file.etag
        if any(tag.value in (file.etag, "*") for tag in request.if_none_match or ()):
            response.set_status(304)
        else:
            response.body = file.content
            response.content_type = file.content_type
            if file.content_type.startswith("text/"):
                response.charset = "utf-8"
        return response

    return static
