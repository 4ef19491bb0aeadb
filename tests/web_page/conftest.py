"""A browser for each module, and pages in it; every fault that the browser reports fails the test."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.waiting import LIMIT_S
from tests.web_page.rig import Rig, running
from tests.web_page.scripted_daemon import ScriptedDaemon

NewPage = Callable[..., Page]
CHROMIUM = "/usr/bin/chromium"
"""The browser; Debian's package has the name `chromium`."""
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no {CHROMIUM}; see `make test`")
    expect.set_options(timeout=1000 * LIMIT_S)  # the server may connect to a daemon only every 5 s
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A daemon and a server without a history."""
    with ScriptedDaemon(tmp_path / "events.sock") as daemon, running(tmp_path, daemon) as rig:
        yield rig


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """Opens a page in a context of its own; its arguments are those of `Browser.new_context`.

    A test that ends the server itself closes the context first: Chromium may request the icon of a page as its last
    file, long after the page is shown, and reports each request without an answer as a fault.

    With `faults_fail=False` errors on the console are not failures: a browser reports each lost connection there.
    """
    contexts, faults = [], []

    def opened(url: str, *, faults_fail: bool = True, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "UTC", **options})
        context.set_default_timeout(1000 * LIMIT_S)
        contexts.append(context)
        page = context.new_page()
        if faults_fail:
            page.on("console", lambda message: faults.extend(_fault(message)))
        page.on("pageerror", lambda error: faults.append(f"uncaught: {error}"))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def _fault(message: ConsoleMessage) -> list[str]:
    return [f"{message.type}: {message.text} {message.location.get('url')}"] if message.type == "error" else []


def now() -> datetime:
    return datetime.now().astimezone().replace(microsecond=0)
