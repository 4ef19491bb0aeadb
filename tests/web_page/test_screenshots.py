"""The images of the page in `docs/`: the script draws them, and they are small enough for a README."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs import page_screenshots

pytestmark = pytest.mark.slow
DOCS = Path(page_screenshots.__file__).parent


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    page_screenshots.draw(folder)
    return folder


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "drawn now"])
@pytest.mark.parametrize(("name", "width"), [("page-phone.png", 390), ("page-desktop.png", 1280)])
def test_the_lamp_is_lit_and_the_file_is_small(drawn: Path, name: str, width: int, stored: bool) -> None:
    path = (DOCS if stored else drawn) / name
    assert path.stat().st_size < 150_000
    with Image.open(path) as image:
        assert image.width == width
        red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")), 2, 0)
    lit = (green > 200) & (red < 150) & (blue < 160)
    assert np.count_nonzero(lit) > 10_000, "the green light of the latest prediction"
