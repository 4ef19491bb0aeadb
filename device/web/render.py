"""Makes the responses of the server: pages from templates, JSON, and errors in both forms."""

import functools
import time
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from device.errors import EdgeMcnnError
from device.system.display import as_json
from device.web.look import views
from device.web.look.appearance import Look
from device.web.services import CSRF, VISITOR, services_of

TEMPLATES = Path(__file__).with_name("templates")
API = "/api/"


@functools.cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,  # an event of another version may lack a key
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters["percent"] = percent
    templates.filters["upper_first"] = views.upper_first
    templates.globals["views"] = views
    return templates


def percent(value: object) -> str:
    """A probability for people, such as `87 %`; empty for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return f"{value:.0%}".replace("%", " %") if is_number else ""


def render(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """A page from a template, with what all templates need.

    Args:
        request: the request for it.
        template: name of the file, such as `live.html`.
        status: HTTP status.
        context: what this template needs.
    """
    services = services_of(request)
    admitted = VISITOR in request
    base = {
        "csrf": request.get(CSRF, ""),
        "page": template.removesuffix(".html"),
        # What is known about the device is for those who may open the page.
        "live": services.live.as_dict() if admitted else None,
        "labels": services.live.labels if admitted else [],
        "now": time.time(),  # the clock of a browser may differ
        "look": Look(services.live.labels if admitted else (), services.settings.lights.colours),
        "user": services.access.login_needed and admitted,
        "version": version("edge-mcnn") if admitted else "",
    }
    text = _templates().get_template(template).render({**base, **context})
    # JSON can contain halves of surrogate pairs, which UTF-8 cannot represent.
    return web.Response(body=text.encode("utf-8", "replace"), content_type="text/html", charset="utf-8", status=status)


def respond_json(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A value as JSON."""
    return web.Response(
        text=as_json(value, ascii_only=True), content_type="application/json", status=status, headers=headers
    )


def accepts_json(request: web.BaseRequest) -> bool:
    """Whether the client is a script: it requests a path of the API, or JSON and not for HTML."""
    accepted = request.headers.get("Accept", "")
    return request.path.startswith(API) or ("application/json" in accepted and "text/html" not in accepted)


def respond_error(
    request: web.Request, status: int, message: str, fix: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    """What is wrong and the fix, as JSON for scripts and as a page for people."""
    if accepts_json(request):
        return respond_json({"error": message, "fix": fix}, status=status, headers=headers)
    response = render(request, "error.html", status=status, code=status, message=message, fix=fix)
    response.headers.update(headers or {})
    return response


def respond_to_failure(request: web.Request, error: EdgeMcnnError, status: int) -> web.Response:
    """The message and the fix of an error."""
    return respond_error(request, status, error.message, error.fix)


def phrase(status: int) -> str:
    """The standard words for a status, such as `not found`."""
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "error"
