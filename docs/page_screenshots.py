"""Draws `docs/page-phone.png` and `docs/page-desktop.png`, the page of `edge-mcnn web`; `docs/screenshots.py` runs it.

The real server shows a scripted day: a daemon that is imitated by its events, and a synthetic history. Debian's
chromium draws the page at a fixed time of day, at which a prediction has just been made.
"""

import io
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from device.events import SAMPLE_RATE
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power
from tests.conftest import CLIPS
from tests.web_page.conftest import CHROMIUM
from tests.web_page.rig import running
from tests.web_page.sample_history import fill
from tests.web_page.scripted_daemon import Event, ScriptedDaemon, health, hello, prediction, speech, state

_CLIP = "espeak-thank-you"
_WORDS = "oh that is wonderful thank you so much i love it"
_LEVEL_DBFS = -21.0
_DAYS = 40
FRONT_END = FrontEnd()
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
DESKTOP = {"viewport": {"width": 1280, "height": 1400}, "color_scheme": "light"}
_COLOURS = 256
"""Colours of an image: fewer make smaller files, and bands in the glow of the lamp."""


def draw(folder: Path) -> None:
    """Draw both images into a folder."""
    # Today's charts show the hours until now, and now is the evening of the day on which they are drawn.
    now = datetime.now().astimezone().replace(hour=20, minute=14, second=9, microsecond=0)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        scratch = Path(name)
        history = scratch / "history" / "history.sqlite3"
        today = fill(history, now, _DAYS)
        mel: dict[str, Any] = {"mel_bands": FRONT_END.n_mels, "column_s": FRONT_END.hop_length / SAMPLE_RATE}
        greeting = [hello(hold_s=600, **mel), state(), {"event": "mute", "muted": False}, health(), _thanks(today, now)]
        with (
            ScriptedDaemon(scratch / "events.sock", greeting) as daemon,
            running(scratch, daemon, history=history) as rig,
        ):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for file, options in (("page-phone.png", PHONE), ("page-desktop.png", DESKTOP)):
                shot = _page(browser, rig.url, daemon, options).screenshot(type="png")
                with Image.open(io.BytesIO(shot)) as image:
                    colours = image.convert("RGB").quantize(_COLOURS, kmeans=4, dither=Image.Dither.NONE)
                colours.save(folder / file, optimize=True)
            browser.close()


def _page(browser: Browser, url: str, daemon: ScriptedDaemon, options: dict[str, Any]) -> Page:
    page = browser.new_context(locale="en-GB", reduced_motion="reduce", **options).new_page()
    page.goto(url)
    page.wait_for_selector("[data-device=present]")
    daemon.send(_sound(), {"event": "words", "text": _WORDS}, {"event": "level", "dbfs": _LEVEL_DBFS})
    page.wait_for_selector(f"#level[aria-valuetext='{_LEVEL_DBFS:.0f} dBFS']")
    return page


def _thanks(today: list[Event], now: datetime) -> Event:
    """The latest prediction, of which words and audio differ."""
    return prediction(
        today[-1]["number"] + 1, "positive", now, 0.86, text=_WORDS, light="positive",
        audio_only={"label": "neutral", "probabilities": {"negative": 0.16, "neutral": 0.52, "positive": 0.32}},
        text_only={"label": "positive", "probabilities": {"negative": 0.03, "neutral": 0.06, "positive": 0.91}},
    )  # fmt: skip


def _sound() -> Event:
    """The image of a recorded clip."""
    samples, rate = soundfile.read(CLIPS / f"{_CLIP}.flac", dtype="float32")
    power = mel_power(soxr.resample(samples, rate, SAMPLE_RATE), FRONT_END)
    return speech(0, (10 * np.log10(np.maximum(power, 1e-10))).T.tolist())
