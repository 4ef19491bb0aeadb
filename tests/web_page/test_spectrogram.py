"""The image of the sound: the page draws what the network sees."""

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import MAGMA, decibels
from docs.palette_module import MODULE, palette_module
from tests.web_page.conftest import NewPage
from tests.web_page.rig import Rig
from tests.web_page.scripted_daemon import speech, tone
from tests.web_page.test_live import connected

pytestmark = pytest.mark.slow

PIXELS = """canvas => ({
    width: canvas.width, height: canvas.height,
    pixels: [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data],
})"""


def image(page: Page) -> NDArray[np.uint8]:
    """What the canvas shows, shape (height, width, 3)."""
    shown = page.locator("#sound").evaluate(PIXELS)
    return np.array(shown["pixels"], np.uint8).reshape(shown["height"], shown["width"], 4)[..., :3]


def test_the_palette_is_the_one_of_the_device(rig: Rig, new_page: NewPage) -> None:
    page = new_page(rig.url)
    colours = page.evaluate("import('/static/magma.js').then((module) => [...module.MAGMA])")
    assert np.array(colours).reshape(-1, 3).tolist() == MAGMA.tolist()
    assert MODULE.read_text("utf-8") == palette_module(), "run python docs/palette_module.py"


def expected(columns: list[list[float]]) -> NDArray[np.uint8]:
    """The colours by the rule of the network, shape (bands, columns, 3)."""
    front_end = FrontEnd()
    codes = np.clip(np.round(2 * (100 + np.array(columns, np.float32).T)), 0, 255)
    level = decibels(10 ** ((codes / 2 - 100) / 10).astype(np.float32), front_end)
    steps = np.minimum((level - level.min()) / (level.max() - level.min()) * 256, 255)
    # A step that lies on the boundary of two colours may be rounded to either.
    return np.asarray(MAGMA[(steps + 1e-3).astype(int)][::-1])


def test_the_image_grows_in_the_colours_of_the_network(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    columns = tone(120)
    rig.daemon.send(speech(0, columns[:50]), speech(50, columns[50:]))
    expect(page.locator("#sound")).to_have_attribute("width", "120")
    difference = np.abs(image(page).astype(int) - expected(columns).astype(int))
    assert difference.max() <= 12
    assert (difference == 0).mean() > 0.99
    rig.daemon.send(speech(0, columns[:10]))  # a new utterance
    expect(page.locator("#sound")).to_have_attribute("width", "94")
    assert (image(page)[:, 10:] == MAGMA[0]).all()


def test_a_page_that_is_opened_in_the_middle_of_an_utterance(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(speech(110, tone(20)))
    expect(page.locator("#sound")).to_have_attribute("width", "130")
    shown = image(page)
    assert (shown[:, :110] == MAGMA[0]).all()
    assert (shown[:, 110:] == expected(tone(20))).mean() > 0.99


def test_a_quiet_utterance_after_a_loud_one_has_its_own_scale(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    quiet = [[level - 25 for level in column] for column in tone(100)]
    rig.daemon.send(speech(0, tone(100)), speech(0, quiet))
    expect(page.locator("#sound")).to_have_attribute("width", "100")
    assert (image(page).reshape(-1, 3) == MAGMA[255]).all(axis=1).any(), "the loudest cell is the brightest"
