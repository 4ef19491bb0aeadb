"""The pages that people read, and the forms that change something."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from aiohttp import web

from device.errors import ProfileError
from device.settings.check import allowed_values
from device.settings.schema import sections
from device.settings.toml_values import toml_value
from device.system.display import counted, displayable
from device.web import past
from device.web.render import accepts_json, render, respond_error, respond_json
from device.web.security import form
from device.web.services import VISITOR, services_of, visitor_of

_LOG = logging.getLogger(__name__)
PAGES = {"/": "live", "/history": "history", "/health": "health", "/settings": "settings"}
"""Pages by their path, in the order of the menu."""
_SECRET = {("publish", "command")}
"""Settings whose value may contain a password, as an argument of a program."""


async def live(request: web.Request) -> web.Response:
    """The device now, and today."""
    return render(request, "live.html", **await past.today(request))


async def history(request: web.Request) -> web.Response:
    """Predictions of the past, with a filter."""
    stores_words = services_of(request).settings.history.words
    context = {**await past.overview(request), **await past.selected(request), "stores_words": stores_words}
    return render(request, "history.html", **context)


async def health(request: web.Request) -> web.Response:
    """Whether the device works."""
    daemon = services_of(request).daemon
    report = await daemon.status()
    context = await past.health(request)
    return render(request, "health.html", report=report, checked=daemon.last_check, busy=daemon.is_checking, **context)


async def settings(request: web.Request) -> web.Response:
    """Every setting with its value and meaning."""
    services = services_of(request)
    file = displayable(services.settings_file) if services.settings_file is not None else ""
    return render(request, "settings.html", sections=list(_sections(services.settings)), file=file)


def _sections(values: Any) -> list[Mapping[str, Any]]:
    return [
        {
            "name": name,
            "about": (kind.__doc__ or "").partition(": ")[2],
            "settings": [_setting(name, kind(), getattr(values, name), each) for each in fields(kind)],
        }
        for name, kind in sections().items()
    ]


def _setting(section: str, defaults: Any, values: Any, setting: Any) -> Mapping[str, Any]:
    value, default = getattr(values, setting.name), getattr(defaults, setting.name)
    shown = toml_value(value)
    if value and (section, setting.name) in _SECRET:
        shown = f"{value[0]} with {counted(len(value) - 1, 'argument')}, which may be secret"
    return {
        "name": setting.name,
        "value": shown,
        "default": toml_value(default),
        "changed": value != default,
        "allowed": allowed_values(setting),
        "unit": setting.metadata.get("unit", ""),
        "about": setting.metadata["about"],
    }


async def mute(request: web.Request) -> web.StreamResponse:
    """Mute or unmute the device."""
    muted = {"on": True, "off": False}.get((await form(request)).get("muted", ""))
    if muted is None:
        return respond_error(request, 400, "muted is missing", "send muted=on or muted=off")
    message = await services_of(request).daemon.mute(muted)
    return await _done(request, {"muted": muted, "message": message})


async def correct(request: web.Request) -> web.StreamResponse:
    """Name the right class of the latest prediction; `number` and `daemon` in the form prevent that of a later one."""
    label = await _label(request)
    fields, live = await form(request), services_of(request).live

    def require_latest() -> None:
        latest = live.latest[-1] if live.latest else {}
        named = fields.get("number")
        if named and (named, fields.get("daemon")) != (str(latest.get("number")), latest.get("daemon")):
            raise ProfileError(
                "there is a later prediction, so this one cannot be corrected any more",
                fix="correct the latest one, if it is wrong, too",
            )

    await services_of(request).daemon.correct(label, require_latest)
    return await _done(request, {"label": label})


async def light(request: web.Request) -> web.StreamResponse:
    """Show the light of a class for a while."""
    label = await _label(request)
    await services_of(request).daemon.light(label)
    return await _done(request, {"light": label})


async def check(request: web.Request) -> web.StreamResponse:
    """Check every part of the device; the response comes when the check has ended."""
    checked = await services_of(request).daemon.check()
    if accepts_json(request):
        return respond_json({**asdict(checked), "summary": checked.summary})
    raise web.HTTPSeeOther("/health#check")


async def _label(request: web.Request) -> str:
    """The class in a form.

    Raises:
        ProfileError: the model has no such class.
    """
    label = (await form(request)).get("label", "")
    labels = services_of(request).live.labels
    if label not in labels:
        raise ProfileError("the model has no such class", fix=f"send label= with one of {', '.join(labels) or 'none'}")
    return label


async def login_page(request: web.Request) -> web.StreamResponse:
    """The form to log in."""
    access = services_of(request).access
    if not access.login_needed or VISITOR in request:
        raise web.HTTPSeeOther("/")
    return render(request, "login.html", message="", no_password=not access.has_password)


async def log_in(request: web.Request) -> web.StreamResponse:
    """Check a password, and start a session."""
    access = services_of(request).access
    if not access.login_needed:
        raise web.HTTPSeeOther("/")
    if wait_s := access.limit.wait_s(request.remote or ""):
        headers = {"Retry-After": str(int(wait_s) + 1)}
        return respond_error(request, 429, "too many attempts to log in", f"wait {int(wait_s) + 1} s", headers)
    done = web.Response(status=303, headers={"Location": "/"})
    if await access.log_in((await form(request)).get("password", ""), done):
        return done
    _LOG.warning("a wrong password from %s", request.remote)
    if accepts_json(request):
        return respond_error(request, 401, "the password is wrong")
    return render(
        request, "login.html", status=401, message="The password is wrong.", no_password=not access.has_password
    )


async def log_out(request: web.Request) -> web.StreamResponse:
    """End the session, and close the pages that were opened with it."""
    services, visitor = services_of(request), visitor_of(request)
    response = web.Response(status=303, headers={"Location": "/login"})
    await services.access.log_out(visitor, response)
    if visitor.session:
        services.hub.disconnect(visitor.session)
    return response


async def _done(request: web.Request, result: Mapping[str, Any]) -> web.StreamResponse:
    """The response after a change: JSON for scripts, else the page on which the form was."""
    if accepts_json(request):
        return respond_json(result)
    back = (await form(request)).get("back", "/")
    raise web.HTTPSeeOther(back if back in PAGES else "/")
