import json
import subprocess
import sys
from pathlib import Path

import pytest

from device.errors import SpeechModelError
from device.recognition.vosk_library import VoskLibrary, VoskModel, VoskRecogniser

_NO_LIBRARY = """
class _Ffi:
    def dlopen(self, path):
        raise OSError(f"cannot load library '{path}': libatomic.so.1: cannot open shared object file")

ffi = _Ffi()
"""
_LOADED = """
import json, sys
from pathlib import Path
from device.recognition.transcriber import Transcriber

Transcriber(Path(sys.argv[1]), 0.7)
print(json.dumps(sorted(sys.modules)))
"""


def test_nothing_is_imported_that_only_downloads_need(speech_model: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _LOADED, speech_model], capture_output=True, text=True, check=True)
    assert not {"vosk", "requests", "tqdm", "srt"} & set(json.loads(done.stdout))


def test_a_missing_system_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vosk").mkdir()
    (tmp_path / "vosk" / "__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "vosk" / "vosk_cffi.py").write_text(_NO_LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "vosk", raising=False)
    with pytest.raises(SpeechModelError, match=r"Vosk cannot be used: .*libatomic") as error:
        VoskLibrary()
    assert error.value.fix == "run: sudo apt-get install libatomic1"


@pytest.mark.parametrize("present", [(), ("vosk/__init__.py",)])
def test_a_package_that_is_not_installed_or_not_complete(
    present: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in present:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [each for each in sys.meta_path if "editable" not in str(each)])
    monkeypatch.delitem(sys.modules, "vosk", raising=False)
    with pytest.raises(SpeechModelError, match="Vosk cannot be used") as error:
        VoskLibrary()
    assert error.value.fix == "run: pip install --force-reinstall vosk"


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    assert VoskModel.load(VoskLibrary(), tmp_path) is None


def test_a_recogniser_outlives_the_name_of_its_model(speech_model: Path) -> None:
    model = VoskModel.load(VoskLibrary(), speech_model)
    assert model is not None
    recogniser = VoskRecogniser(model, 16_000)
    del model
    assert not recogniser.accept(bytes(32_000))
    assert json.loads(recogniser.partial_result())["partial"] == ""
    assert json.loads(recogniser.final_result())["text"] == ""
