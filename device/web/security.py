"""What stands in front of every handler: headers, the host name, the origin, the login, and tokens for forms.

docs/security.md explains what each of them is against.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import secrets
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from device.errors import EdgeMcnnError, HistoryError, StatusError
from device.web.render import accepts_json, phrase, respond_error, respond_to_failure
from device.web.services import CSRF, VISITOR, Handler, services_of

BODY_BYTES = 64 * 1024
_BODY_LIMIT_S = 10.0
_LONGEST_TOKEN = 200
_MOST_FIELDS = 20
_LOG = logging.getLogger(__name__)
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_OF_ERRORS = ("Allow", "Retry-After", "WWW-Authenticate")
"""Headers of aiohttp's errors that their responses need."""
OPEN_ROUTES = frozenset({"login", "login-style"})
"""Names of the routes that can be used without a login; all others, and what is no route, cannot."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "edge-mcnn",
}
"""Headers of every response; a handler may set another Cache-Control."""


async def add_headers(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add the headers to a response, of whatever kind."""
    for name, value in HEADERS.items():
        if name != "Cache-Control" or name not in response.headers:
            response.headers[name] = value


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a response without details of the program."""
    try:
        return await handler(request)
    except Exception as error:  # noqa: BLE001  # every one becomes a response
        if request.writer.output_size == 0:
            return _response(request, error)
        if not isinstance(error, ConnectionError):  # of the client
            _LOG.warning("a response is incomplete: %s %s: %s", request.method, _path(request), error)
        if request.transport is not None:
            request.transport.abort()  # so that the client notices it
        raise ConnectionResetError from None


def _response(request: web.Request, error: Exception) -> web.StreamResponse:
    """The response to an error; what has no response is raised again."""
    if isinstance(error, web.HTTPException) and error.status >= 400:
        headers = {name: error.headers[name] for name in _OF_ERRORS if name in error.headers}
        return respond_error(request, error.status, _message(error), headers=headers)
    if isinstance(error, EdgeMcnnError):
        return respond_to_failure(request, error, 503 if isinstance(error, StatusError | HistoryError) else 400)
    if isinstance(error, web.HTTPException | ConnectionError):  # leads elsewhere; the client has gone
        raise error
    _LOG.error("a request failed: %s %s", request.method, _path(request), exc_info=error)
    return respond_error(request, 500, "something went wrong", "look into the log of edge-mcnn web")


def _path(request: web.Request) -> str:
    """The path for the log, as it was sent: decoded it could contain line ends, and with them lines of its own."""
    return request.rel_url.raw_path[:100]


def _message(error: web.HTTPException) -> str:
    """What is wrong: the words of the handler, else those of the standard."""
    own = error.text if error.text and error.text != f"{error.status}: {error.reason}" else ""
    return own or phrase(error.status)


@web.middleware
async def host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests for other host names: a page whose name is made to lead here may not read this one."""
    names = request.headers.getall("Host", [])
    if len(names) != 1 or not is_own_host(names[0], services_of(request).names):
        raise web.HTTPMisdirectedRequest(text="this host name is not one of edge-mcnn's; see names under [web]")
    return await handler(request)


def is_own_host(header: str, names: frozenset[str]) -> bool:
    """Whether a Host header has an address, or one of our names."""
    name = host_name(header)
    if name is None:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".") in names
    return True


def host_name(header: str) -> str | None:
    """The name or address in a Host header, in lower case, without the port; None if it is not one."""
    name, bracket, port = header.strip().lower().rpartition("]")
    if bracket:
        if not name.startswith("["):
            return None
        name = name[1:]
        colon = port[:1]
        port = port[1:]
        if ":" not in name:
            return None
    else:
        name, colon, port = header.strip().lower().partition(":")
    if colon not in ("", ":") or (colon and not (port.isascii() and port.isdigit() and len(port) <= 5)):
        return None
    return name or None


@web.middleware
async def origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page of another origin makes the owner's browser send, but for links that lead here."""
    sent_by = request.headers.getall("Origin", [])
    if any(not _is_same(each, request.headers["Host"]) for each in sent_by):
        raise web.HTTPForbidden(text="the request comes from another page")
    site = request.headers.get("Sec-Fetch-Site", "none")
    is_link = (
        request.method in ("GET", "HEAD")
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    )
    if site not in ("same-origin", "none") and not is_link:
        raise web.HTTPForbidden(text="the request comes from another page")
    return await handler(request)


def _is_same(sent_by: str, own: str) -> bool:
    """Whether an Origin header is the one of pages under a Host header, which may be behind a proxy with https."""
    try:
        parts = urlsplit(sent_by)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return False
    default = ":443" if parts.scheme == "https" else ":80"
    return parts.netloc.lower().removesuffix(default) == own.strip().lower().removesuffix(default)


@web.middleware
async def login(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let those in who have logged in; others get the same response for every path but the page to log in."""
    visitor = services_of(request).access.visitor(request)
    if visitor is not None:
        request[VISITOR] = visitor
    elif request.match_info.route.name not in OPEN_ROUTES:
        if request.method in ("GET", "HEAD") and not accepts_json(request) and "Authorization" not in request.headers:
            raise web.HTTPSeeOther("/login")
        raise web.HTTPUnauthorized(text="a login or a token is needed", headers={"WWW-Authenticate": "Bearer"})
    return await handler(request)


@web.middleware
async def csrf(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Require a token in every form that only a page of this server can have."""
    access = services_of(request).access
    visitor = request.get(VISITOR)
    if visitor is not None and visitor.token:  # no browser adds it on its own
        return await handler(request)
    with_session = visitor is not None and visitor.session
    secret = request.cookies.get(access.cookie if with_session else access.form_cookie, "")[:_LONGEST_TOKEN]
    new = "" if secret else secrets.token_urlsafe(32)
    request[CSRF] = _token(secret or new)
    if request.method in _UNSAFE:
        sent = (await form(request)).get("csrf", "")
        if not secret or not hmac.compare_digest(sent.encode("utf-8", "replace"), request[CSRF].encode()):
            raise web.HTTPForbidden(text="the form is too old or not from this page: go back, load the page again")
    response = await handler(request)
    if new and not response.prepared and response.content_type == "text/html":
        access.set_cookie(response, access.form_cookie, new)
    return response


def _token(secret: str) -> str:
    return hashlib.sha256(b"edge-mcnn form\0" + secret.encode("utf-8", "surrogatepass")).hexdigest()


async def form(request: web.Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        web.HTTPException: it is too large, takes too long, or is not a form.
    """
    if request.content_type not in ("application/x-www-form-urlencoded", "application/octet-stream"):
        raise web.HTTPUnsupportedMediaType(text="send a form: application/x-www-form-urlencoded")
    try:
        async with asyncio.timeout(_BODY_LIMIT_S):
            content = await request.read()
        return dict(parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the form took too long") from None
    except (ValueError, web.RequestPayloadError):
        raise web.HTTPBadRequest(text="the form is damaged") from None


MIDDLEWARES = (errors, host, origin, login, csrf)
"""In the order in which they see a request."""
