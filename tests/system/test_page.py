"""The page in a browser, of a real `edge-mcnn web` beside a real `edge-mcnn listen` with a virtual microphone."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from device.daemon import self_check
from device.front_end.spectrogram import MAGMA
from tests.conftest import CLIPS
from tests.edge_mcnn.watch.test_web import free_port, get, is_open, web
from tests.system.listen_process import ListenProcess
from tests.system.virtual_microphone import NAME, VirtualMicrophone, missing_programs, plugged_in
from tests.waiting import LIMIT_S, wait_until, wait_until_gone
from tests.web_page.conftest import NewPage, browser, new_page
from tests.web_page.test_spectrogram import image

CLEAR = CLIPS / "espeak-ruined.flac"
__all__ = ["browser", "new_page"]
LAST_WORDS = "leave me alone"
WAIT_MS = 1000 * LIMIT_S
CHECK_WAIT_MS = 1000 * (self_check.LIMIT_S + LIMIT_S)
"""Everything else on this machine goes before a check."""

pytestmark = [
    pytest.mark.usefixtures("speech_model"),
    pytest.mark.skipif(
        bool(missing_programs()),
        reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`",
    ),
]
NOTE_LIGHT = """new MutationObserver(() => {
    const bulb = document.getElementById("bulb");
    if (bulb.classList.contains("lit")) document.documentElement.dataset.litAt ??= Date.now();
}).observe(document.getElementById("bulb"), { attributes: true })"""


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with plugged_in(rate=16_000, channels=1, strict=False) as microphone:
        yield microphone


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="run") as runtime:  # the paths of pytest are too long for a socket
        yield {
            "XDG_RUNTIME_DIR": runtime, "XDG_STATE_HOME": str(tmp_path), "EDGE_MCNN_EVENTS_WORDS": "true",
            "EDGE_MCNN_HISTORY_KEEP_DAYS": "30", "EDGE_MCNN_HISTORY_WORDS": "true",
        }  # fmt: skip


def test_a_sentence_is_shown_and_remembered_and_mute_closes_the_microphone(
    microphone: VirtualMicrophone, variables: dict[str, str], new_page: NewPage
) -> None:
    with ListenProcess(microphone, "--lights", "none", settings=variables) as listening, web(variables) as (_, port):
        listening.wait_for("listening")
        page = new_page(f"http://127.0.0.1:{port}/")
        expect(page.locator("#state-title")).to_have_text("Listening", timeout=WAIT_MS)
        page.evaluate(NOTE_LIGHT)
        microphone.play(CLEAR)
        predicted = listening.next_prediction()
        expect(page.locator("#verdict")).to_have_text(predicted["label"], timeout=WAIT_MS)
        expect(page.locator("#words")).to_have_text(re.compile(LAST_WORDS))
        lit_at = int(wait_until(lambda: page.locator("html").get_attribute("data-lit-at")) or 0) / 1000
        assert lit_at - datetime.fromisoformat(predicted["time"]).timestamp() < 1
        assert len(np.unique(image(page).reshape(-1, 3), axis=0)) > 50, "the image of the sound"
        assert set(map(tuple, image(page).reshape(-1, 3).tolist())) <= set(map(tuple, MAGMA.tolist()))
        expect(page.locator("#today .predictions > li")).to_contain_text(LAST_WORDS)
        _mute(page, microphone)
        assert listening.end(signal.SIGTERM) < LIMIT_S
        expect(page.locator("#absent")).to_be_visible(timeout=WAIT_MS)
        page.get_by_role("link", name="History").click()
        expect(page.locator("html")).to_have_class("live")  # every module is loaded
        expect(page.locator(".predictions > li")).to_contain_text(LAST_WORDS)
        page.context.close()


def test_the_check_finds_what_the_doctor_finds(
    microphone: VirtualMicrophone, variables: dict[str, str], new_page: NewPage
) -> None:
    options = ("--lights", "none", "--microphone", NAME)
    with ListenProcess(microphone, *options, settings=variables) as listening, web(variables) as (_, port):
        listening.wait_for("listening")
        page = new_page(f"http://127.0.0.1:{port}/health")
        expect(page.locator("html")).to_have_attribute("data-device", "present", timeout=WAIT_MS)
        page.get_by_role("button", name="Check now").click()
        expect(page.locator(".findings")).to_be_visible(timeout=CHECK_WAIT_MS)
        topics = page.locator(".findings h3").all_text_contents()
        doctor = subprocess.run(
            [sys.executable, "-m", "edge_mcnn", "doctor", "--json"], capture_output=True, text=True, check=False,
            env={**os.environ, **microphone.environment, **variables},
        )  # fmt: skip
        assert sorted(topics) == sorted(each["topic"] for each in json.loads(doctor.stdout))
        rows = {name: " ".join(page.locator(".findings > li", has_text=name).all_text_contents()) for name in topics}
        assert "lights.kind is none" in rows["lights"], "the options of `listen` hold for the check"
        assert f"{NAME}, " in rows["microphone"]
        process = listening.process.pid
        assert f"not measured: the daemon, process {process}, uses the microphone, and receives audio" in rows["level"]
        assert f"process {process} listens to {NAME}" in rows["service"]
        assert "WARN" not in rows["memory"]
        page.context.close()
        microphone.play(CLEAR)
        assert listening.next_prediction()["label"] == "negative"
        assert listening.end(signal.SIGTERM) < LIMIT_S


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_device_ends_its_check(
    microphone: VirtualMicrophone, variables: dict[str, str], number: signal.Signals
) -> None:
    control = Path(variables["XDG_RUNTIME_DIR"], "edge-mcnn", "control.sock")
    with (
        ListenProcess(microphone, "--lights", "none", settings=variables) as listening,
        socket.socket(socket.AF_UNIX) as client,
    ):
        listening.wait_for("listening")
        client.connect(str(control))
        client.sendall(b'{"check": true}\n')
        check = wait_until(lambda: _check_of(listening.process.pid), message="no check was started")
        started = time.monotonic()
        listening.process.send_signal(number)
        listening.process.wait(LIMIT_S)
        assert time.monotonic() - started < 5
        wait_until_gone(check)


def _check_of(process: int) -> int:
    """The check that a process runs; 0 if there is none."""
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(OSError):  # it has just ended
                if b"doctor" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
    return 0


def _mute(page: Page, microphone: VirtualMicrophone) -> None:
    """Mute on the page, and check that the microphone is closed, and opened again."""
    button = page.get_by_role("button", name="Mute the microphone")
    button.click()
    wait_until(lambda: microphone.recorders() == 0, message="the microphone is still open")
    expect(button).to_have_attribute("aria-pressed", "true", timeout=WAIT_MS)
    expect(page.locator("#state-title")).to_have_text("Muted", timeout=WAIT_MS)
    button.click()
    wait_until(lambda: microphone.recorders() == 1, message="the microphone is not opened again")
    expect(button).to_have_attribute("aria-pressed", "false", timeout=WAIT_MS)
    expect(page.locator("#state-title")).to_have_text("Listening", timeout=WAIT_MS)
    expect(page.locator("#result")).to_contain_text("Listening to ", timeout=WAIT_MS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_listen_serves_the_page_and_takes_it_along(
    microphone: VirtualMicrophone, variables: dict[str, str], number: signal.Signals
) -> None:
    port = free_port()
    settings = {**variables, "EDGE_MCNN_WEB_PORT": str(port)}
    with ListenProcess(microphone, "--lights", "none", "--web", settings=settings) as listening:
        listening.wait_for_all(f"the page is at http://127.0.0.1:{port}/", "listening to")
        assert get(port)[0] == 200
        listening.process.send_signal(number)
        listening.process.wait(LIMIT_S)
        wait_until(lambda: not is_open(port), message="the page is still served")


def test_a_page_that_cannot_be_served_keeps_nobody_from_listening(
    microphone: VirtualMicrophone, variables: dict[str, str]
) -> None:
    settings = {**variables, "EDGE_MCNN_WEB_ADDRESS": "192.0.2.1"}
    with ListenProcess(microphone, "--lights", "none", "--web", settings=settings) as listening:
        listening.wait_for_all("192.0.2.1", "listening to")
        microphone.play(CLEAR)
        assert listening.next_prediction()["label"] == "negative"
