import pytest

from tests.device.outputs.predictions import Announcements


@pytest.fixture
def announced() -> Announcements:
    return Announcements()
