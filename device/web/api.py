"""What the modules of the page and scripts read: JSON, and the stream of events."""

import socket

from aiohttp import web

from device.web import past
from device.web.connections import Connection
from device.web.render import respond_error, respond_json
from device.web.services import services_of, visitor_of
from device.web.stream import MOST_CLIENTS, Client, encoded, send

_SEND_BUFFER = 64 * 1024
_RETRY_MS = 2000


async def status(request: web.Request) -> web.Response:
    """The device now, and the state of the history."""
    services = services_of(request)
    live = services.live.as_dict()
    return respond_json({**live, "labels": services.live.labels, "history": services.history.as_dict()})


async def history(request: web.Request) -> web.Response:
    """Predictions of the past, with the filter of the page."""
    return respond_json(await past.selected(request))


async def day(request: web.Request) -> web.Response:
    """The numbers and the latest predictions of a day."""
    return respond_json(await past.of_day(request))


async def heat_map(request: web.Request) -> web.Response:
    """Predictions by weekday and hour."""
    return respond_json(await past.overview(request))


async def events(request: web.Request) -> web.StreamResponse:
    """The stream of events: first what brings a page up to date, then each event as it happens."""
    services, visitor = services_of(request), visitor_of(request)
    if services.hub.is_full:
        return respond_error(
            request, 503, f"{MOST_CLIENTS} pages are open already", "close one of them", {"Retry-After": "10"}
        )
    transport = request.transport
    if transport is None:
        raise ConnectionResetError
    client = Client(visitor.session, transport.abort)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    response.force_close()  # the end of the stream is the end of the connection
    if isinstance(request.protocol, Connection):
        request.protocol.call_when_lost(client.disconnect)
    with services.hub.joined(client):
        connection = transport.get_extra_info("socket")
        if connection is not None:  # what the kernel would hold for a page that does not read
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        await response.prepare(request)
        picture = b"".join(map(encoded, services.live.picture()))
        await send(response, b"retry: %d\n\n" % _RETRY_MS + picture)
        while (messages := await client.next()) is not None:
            if services.access.visitor(request) != visitor:  # logged out, or another password
                break
            await send(response, messages)
    return response
