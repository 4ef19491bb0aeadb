"""Decides who a request comes from: a browser that has logged in, a script with a token, or anyone."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from device.errors import WebError
from device.web.access.folder import Signature, signature
from device.web.access.login_limit import LoginLimit
from device.web.access.passwords import FILE as PASSWORD_FILE
from device.web.access.passwords import LONGEST, PasswordHash, read_password
from device.web.access.sessions import LIFETIME_S, Sessions, hashed
from device.web.access.tokens import FILE as TOKENS_FILE
from device.web.access.tokens import read_tokens

_LOG = logging.getLogger(__name__)
_BEARER = "bearer "


@dataclass(frozen=True)
class Visitor:
    """Who a request comes from."""

    session: str = ""
    """Name of the session; empty without a login."""
    token: str = ""
    """Name of the token; empty without one."""


class Access:
    """The password, the sessions and the tokens; changes of their files take effect with the next request.

    Args:
        folder: folder of the files.
        login_needed: whether a login is needed even if no password is set, which lets nobody in.
        secure: whether the page is served by https, so that cookies are never sent without it.
        limit: limit on attempts to log in.
    """

    def __init__(
        self, folder: Path, *, login_needed: bool, secure: bool = False, limit: LoginLimit | None = None
    ) -> None:
        self._folder = folder
        self._always = login_needed
        self._secure = secure
        self.limit = LoginLimit() if limit is None else limit
        self._signatures: tuple[Signature, Signature] | None = None
        self._password: PasswordHash | None = None
        self._tokens: dict[str, str] = {}
        self._sessions: Sessions | None = None
        self._damaged = False
        self._hashing = asyncio.Lock()
        self.cookie = "__Host-edge-mcnn-session" if secure else "edge-mcnn-session"
        """Name of the cookie with the session."""
        self.form_cookie = "__Host-edge-mcnn-form" if secure else "edge-mcnn-form"
        """Name of the cookie to which forms are bound without a session."""
        self._refresh()

    @property
    def login_needed(self) -> bool:
        """Whether a browser must log in."""
        return self._always or self._damaged or self._password is not None

    @property
    def has_password(self) -> bool:
        """Whether a password is set."""
        return self._password is not None

    @property
    def has_tokens(self) -> bool:
        """Whether there is a token."""
        return bool(self._tokens)

    @property
    def session_count(self) -> int:
        """Number of sessions."""
        return len(self._sessions) if self._sessions is not None else 0

    def visitor(self, request: web.BaseRequest) -> Visitor | None:
        """Who a request comes from; None if a login is needed."""
        self._refresh()
        authorization = request.headers.get("Authorization", "")
        if authorization[: len(_BEARER)].lower() == _BEARER:
            found = hashed(authorization[len(_BEARER) :].strip())
            name = self._tokens.get(found)  # a hash: how long the comparison takes reveals nothing about the token
            return None if name is None else Visitor(token=name)
        if not self.login_needed:
            return Visitor()
        session = self._sessions.find(request.cookies.get(self.cookie, "")) if self._sessions is not None else None
        return None if session is None else Visitor(session=session)

    async def log_in(self, password: str, response: web.StreamResponse) -> bool:
        """Start a new session if the password is right, and give its cookie to the browser."""
        self._refresh()
        stored = self._password
        if stored is None or len(password) > LONGEST:
            return False
        async with self._hashing:  # each needs 32 MB
            if not await asyncio.to_thread(stored.matches, password):
                return False
        if stored is not self._password or self._sessions is None:  # changed meanwhile
            return False
        self.set_cookie(response, self.cookie, self._sessions.create(), max_age=round(LIFETIME_S))
        await self._sessions.store()
        return True

    async def log_out(self, visitor: Visitor, response: web.StreamResponse) -> None:
        """End the session."""
        response.del_cookie(self.cookie, path="/", secure=self._secure, httponly=True, samesite="Strict")
        if self._sessions is not None and visitor.session:
            self._sessions.end(visitor.session)
            await self._sessions.store()

    def set_cookie(self, response: web.StreamResponse, name: str, value: str, *, max_age: int | None = None) -> None:
        """Give a cookie to the browser that no script can read and no other site can use."""
        response.set_cookie(
            name, value, max_age=max_age, path="/", secure=self._secure, httponly=True, samesite="Strict"
        )

    def _refresh(self) -> None:
        """Read the files again if they have changed; if they cannot be read, nobody is let in."""
        try:
            found = (signature(self._folder / PASSWORD_FILE), signature(self._folder / TOKENS_FILE))
            if found == self._signatures:
                return
            password, tokens = read_password(self._folder), read_tokens(self._folder)
        except WebError as error:
            if not self._damaged:
                _LOG.error("nobody can log in: %s", error)
            self._password, self._tokens, self._sessions = None, {}, None
            self._damaged, self._signatures = True, None
            return
        if password != self._password or self._sessions is None:
            self._sessions = Sessions(self._folder, password.fingerprint) if password is not None else None
        self._password, self._tokens, self._damaged, self._signatures = password, tokens, False, found
