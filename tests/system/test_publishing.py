"""The prediction for a sentence in a virtual microphone reaches a program and a broker."""

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import CLIPS
from tests.device.outputs.mqtt.broker import MOSQUITTO, Broker, Subscriber
from tests.system.listen_process import ListenProcess
from tests.system.virtual_microphone import missing_programs, plugged_in

MISSING = missing_programs() + (["mosquitto"] if MOSQUITTO is None else [])
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} missing; see `make test`")


def test_a_spoken_sentence_is_published(speech_model: Path, tmp_path: Path) -> None:
    assert speech_model.exists()
    append = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    with (
        plugged_in(rate=16_000, channels=1, strict=False) as microphone,
        Broker(tmp_path) as broker,
        Subscriber(broker.port) as subscriber,
    ):
        settings = tmp_path / "config.toml"
        command = json.dumps([sys.executable, "-c", append, str(tmp_path / "out")])
        settings.write_text(
            f"[publish]\ncommand = {command}\nwords = true\n"
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\ndevice = "Wohnzimmer"\n'
        )
        with ListenProcess(microphone, "--lights", "none", "--config", str(settings)) as listening:
            listening.wait_for("listening to")
            microphone.play(CLIPS / "espeak-ruined.flac")
            printed = listening.next_prediction()
            published = json.loads(subscriber.next("edge-mcnn/Wohnzimmer/prediction").payload)
            listening.end(signal.SIGTERM)
        availability = [subscriber.next("edge-mcnn/Wohnzimmer/availability").payload for _ in range(2)]
        assert availability == ["online", "offline"]
    assert printed["text"].endswith("leave me alone")
    assert json.loads((tmp_path / "out").read_text()) == printed
    assert published == {name: value for name, value in printed.items() if name != "text"}
