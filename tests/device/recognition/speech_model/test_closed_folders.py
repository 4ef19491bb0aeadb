"""Speech models in folders that this user may not enter: the folder is named, and nothing is fetched."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from device.doctor.models import check_speech_model
from device.errors import SpeechModelError
from device.recognition.speech_model.fetch import find_speech_model
from device.settings.schema import TranscriberSettings
from tests.ordinary_user import ordinary_user as ordinary_user
from tests.ordinary_user import tmp_path as tmp_path

pytestmark = pytest.mark.usefixtures("ordinary_user")


@pytest.fixture
def closed(tmp_path: Path, ordinary_user: None) -> Iterator[Path]:
    folder = tmp_path / "closed"
    (folder / "model").mkdir(parents=True)
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


def test_a_model_named_by_the_settings(closed: Path) -> None:
    with pytest.raises(SpeechModelError, match=f"may not enter the folder {closed}"):
        find_speech_model(closed / "model", announce=pytest.fail)
    with pytest.raises(SpeechModelError, match=f"may not enter the folder {closed}"):
        list(check_speech_model(TranscriberSettings(speech_model=str(closed / "model"))))


def test_a_model_in_the_cache(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpeechModelError, match=f"may not enter the folder {closed}"):
        find_speech_model(destination=closed / "model", announce=pytest.fail)
    monkeypatch.setattr("device.doctor.models.speech_model_path", lambda: closed / "model")
    with pytest.raises(SpeechModelError, match=f"may not enter the folder {closed}"):
        list(check_speech_model(TranscriberSettings()))


def test_a_model_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SpeechModelError, match="no such file or folder"):
        find_speech_model(tmp_path / "none", announce=pytest.fail)
