"""The daemon with the microphone, models and outputs of a test: order, signals, and what it reports when."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock, call

import numpy as np
import pytest

from device.audio.liveness import State
from device.daemon.controls import Controls
from device.daemon.daemon import Daemon
from device.daemon.systemd import Systemd
from device.errors import ProfileError, StatusError
from device.events import UtteranceFeatures
from device.outputs.fan_out import Outputs
from device.settings.schema import Settings
from tests.device.outputs.mqtt.broker import Broker, Subscriber, needs_mosquitto
from tests.device.outputs.mqtt.recorded_commands import Publisher
from tests.device.outputs.predictions import prediction
from tests.waiting import LIMIT_S, wait_for_content, wait_until, wait_until_gone

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("daemon_process.py")


class Process:
    """`daemon_process.py`, and its notifications for systemd."""

    def __init__(self, address: Path, problem: str, watchdog_s: float, settings: dict[str, str]) -> None:
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(address))
        self.manager.settimeout(LIMIT_S)
        environment = {
            **os.environ, "NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": str(round(watchdog_s * 1e6)), **settings,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, problem], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip

    def wait_for(self, notification: str) -> None:
        while notification not in self.manager.recv(1000).decode():
            pass

    def notifications_within(self, seconds: float) -> list[str]:
        """The notifications that arrive in that time."""
        end, notifications = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            self.manager.settimeout(left)
            try:
                notifications.append(self.manager.recv(1000).decode())
            except TimeoutError:
                break
        self.manager.settimeout(LIMIT_S)
        return notifications

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal; return the exit status, standard output and standard error."""
        start = time.monotonic()
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=LIMIT_S)
        assert time.monotonic() - start < 2
        return self.process.returncode, output, errors

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:  # open after a test that failed: its warning would fail another one
                stream.close()
        self.manager.close()


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Starter"]:
    starter = Starter(Path(os.path.relpath(tmp_path_factory.mktemp("d"), Path.cwd())))
    yield starter
    for each in starter.started:
        each.close()


class Starter:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Process] = []

    def __call__(self, problem: str, watchdog_s: float = 60, settings: dict[str, str] | None = None) -> Process:
        self.started.append(Process(self._folder / str(len(self.started)), problem, watchdog_s, settings or {}))
        return self.started[-1]


def test_it_is_ready_when_audio_arrives_and_passes_predictions_on_in_order(start: Starter) -> None:
    process = start("nothing")
    notifications = [process.manager.recv(1000).decode()]
    while "predictions: 3" not in notifications[-1]:
        notifications.append(process.manager.recv(1000).decode())
    assert notifications[0] == "READY=1"
    assert notifications[1] == "STATUS=listening to fake at 16000 Hz"
    assert notifications[-2].endswith("; predictions: 2, latest: b")
    assert notifications[-1].endswith("; predictions: 3, latest: low confidence")
    status, output, errors = process.end()
    assert status == 0
    assert output.splitlines() == ["light a", "line a", "light b", "line b", "light c", "line c", "off"]
    assert errors == "listening to fake at 16000 Hz; speak, or end with Ctrl-C\n"


def test_when_the_reader_of_its_lines_has_gone_the_microphone_is_closed_before_it_ends(start: Starter) -> None:
    process = start("reader gone").process
    output, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, output.splitlines()) == (0, ["light a", "line a", "closed", "off", "broken pipe"]), (
        errors
    )
    assert errors == "listening to fake at 16000 Hz; speak, or end with Ctrl-C\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("problem", ["loading hangs", "opening hangs", "classifying hangs", "the light hangs"])
def test_it_ends_properly_although_a_call_never_returns(start: Starter, problem: str, number: int) -> None:
    process = start(problem)
    assert process.process.stdout is not None
    while problem not in (line := process.process.stdout.readline()):
        assert line, "it has ended"
    status, output, _ = process.end(number)
    assert status == 0
    assert "off" in output


def test_the_watchdog_is_notified_unless_a_call_hangs(start: Starter) -> None:
    assert start("nothing", watchdog_s=1).notifications_within(3).count("WATCHDOG=1") >= 4
    process = start("classifying hangs", watchdog_s=1)
    process.wait_for("READY=1")
    process.notifications_within(1.5)
    assert "WATCHDOG=1" not in process.notifications_within(2)


def test_the_watchdog_is_not_notified_while_loading_hangs(start: Starter) -> None:
    process = start("loading hangs", watchdog_s=1)
    assert process.process.stdout is not None
    assert "loading hangs" in process.process.stdout.readline()
    process.notifications_within(1.5)
    assert process.notifications_within(2) == []


def test_a_sound_system_that_hangs_ends_the_process(start: Starter) -> None:
    process = start("closing hangs")
    _, errors = process.process.communicate(timeout=LIMIT_S)
    assert process.process.returncode == 1
    assert errors.splitlines()[-1] == "edge-mcnn: closing the microphone hangs for 1 s"


def test_an_error_while_loading_is_raised(start: Starter) -> None:
    _, errors = start("no model").process.communicate(timeout=LIMIT_S)
    assert errors == "edge-mcnn: there is no such model; convert one\n"


def test_a_machine_that_is_too_slow_is_reported(start: Starter) -> None:
    process = start("drops")
    process.wait_for("1000 blocks of audio dropped, this machine is too slow")
    _, _, errors = process.end()
    assert "1000 blocks of audio were dropped so far: this machine is too slow" in errors


@needs_mosquitto
def test_predictions_go_to_a_program_and_a_broker(start: Starter, tmp_path: Path) -> None:
    append = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    with Broker(tmp_path) as broker, Subscriber(broker.port) as subscriber:
        process = start("nothing", settings={
            "EDGE_MCNN_PUBLISH_COMMAND": json.dumps([sys.executable, "-c", append, str(tmp_path / "out")]),
            "EDGE_MCNN_MQTT_HOST": "127.0.0.1", "EDGE_MCNN_MQTT_PORT": str(broker.port),
            "EDGE_MCNN_MQTT_DEVICE": "lamp",
        })  # fmt: skip
        published = [json.loads(subscriber.next("edge-mcnn/lamp/prediction").payload) for _ in range(3)]
        process.wait_for("predictions: 3")
        status, output, errors = process.end()
        availability = [subscriber.next("edge-mcnn/lamp/availability").payload for _ in range(2)]
        assert availability == ["online", "offline"]
    other_lines = [line for line in errors.splitlines() if "mqtt" not in line]
    assert (status, other_lines) == (0, ["listening to fake at 16000 Hz; speak, or end with Ctrl-C"])
    assert output.splitlines() == ["light a", "line a", "light b", "line b", "light c", "line c", "off"]
    assert [table["label"] for table in published] == ["a", "b", "c"]
    assert [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()] == published
    assert "secret" not in json.dumps(published)


@needs_mosquitto
def test_a_broker_reports_and_commands_the_daemon(start: Starter, tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Subscriber(broker.port) as subscriber, Publisher(broker.port) as publish:
        process = start("nothing", settings={
            "EDGE_MCNN_MQTT_HOST": "127.0.0.1", "EDGE_MCNN_MQTT_PORT": str(broker.port),
            "EDGE_MCNN_MQTT_DEVICE": "lamp", "EDGE_MCNN_MQTT_LEVEL": "true",
        })  # fmt: skip
        process.wait_for("predictions: 3")
        assert subscriber.next("edge-mcnn/lamp/level").payload == "-20.8"  # 20 log10(3000 / 32768)
        diagnostics = json.loads(subscriber.next("edge-mcnn/lamp/diagnostics").payload)
        assert (diagnostics["blocks_dropped"], diagnostics["model"]) == (0, "sentiment")
        assert 10 < diagnostics["memory_mb"] < 1000
        states: list[str] = []
        for payload in ("ON", "OFF"):
            publish("edge-mcnn/lamp/mute/set", payload)
            while not states or states[-1] != payload:
                states.append(subscriber.next("edge-mcnn/lamp/mute").payload)
        assert states == ["OFF", "ON", "OFF"]
        process.wait_for("listening to fake")
        status, _, errors = process.end()
    assert status == 0
    assert "muted: the microphone is closed" in errors


def test_a_program_and_a_broker_that_hang_delay_nothing(start: Starter, tmp_path: Path) -> None:
    hang = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start("nothing", settings={
            "EDGE_MCNN_PUBLISH_COMMAND": json.dumps([sys.executable, "-c", hang, str(tmp_path / "pid")]),
            "EDGE_MCNN_PUBLISH_COMMAND_LIMIT_S": "600",
            "EDGE_MCNN_MQTT_HOST": "127.0.0.1", "EDGE_MCNN_MQTT_PORT": str(silent.getsockname()[1]),
        })  # fmt: skip
        connection, _ = silent.accept()
        with connection:
            process.wait_for("predictions: 3")
            program = int(wait_for_content(tmp_path / "pid"))
            status, output, errors = process.end()  # within two seconds
    assert status == 0
    assert output.splitlines()[-1] == "off"
    assert "publish.command: predictions not delivered before the end: 2" in errors
    assert "mqtt: predictions not delivered before the end: 3" in errors
    wait_until_gone(program)


def test_a_reader_that_closes_its_pipe_ends_the_process_without_a_message(start: Starter) -> None:
    process = start("real lines").process
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        assert json.loads(process.stdout.readline())["label"] == "a"
        process.stdout.close()
        errors = process.stderr.read()
    assert process.wait(LIMIT_S) == 0
    assert errors == "listening to fake at 16000 Hz; speak, or end with Ctrl-C\n"


def test_a_reader_that_never_reads_delays_neither_predictions_nor_the_end(start: Starter) -> None:
    process = start("real lines")
    process.wait_for("; predictions: 20")  # six of which fill the pipe
    begun = time.monotonic()
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(LIMIT_S) == 0
    assert time.monotonic() - begun < 2
    _, errors = process.process.communicate()
    assert "standard output: predictions not delivered before the end: " in errors


def test_an_output_that_fails_is_left_out_and_the_others_go_on(start: Starter) -> None:
    process = start("an output fails")
    process.wait_for("predictions: 3")
    status, output, errors = process.end()
    assert status == 0
    assert output.splitlines() == ["light a", "line a", "light b", "line b", "light c", "off"]
    assert errors.count("lines: failed and is left out from now on (ZeroDivisionError: no)") == 1


def test_a_light_that_fails_ends_the_process_with_an_error_so_that_the_service_starts_again(start: Starter) -> None:
    process = start("the light fails").process
    output, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert output.splitlines() == ["light a", "line a", "light b", "off"]
    message = "edge-mcnn: lights: failed (ZeroDivisionError: no)"
    assert errors.splitlines()[-1].startswith(message)
    assert errors.count("failed") == 1


def test_an_output_that_hangs_while_it_closes_does_not_delay_the_end(start: Starter) -> None:
    process = start("closing an output hangs")
    process.wait_for("predictions: 3")
    status, output, _ = process.end()  # within two seconds
    assert status == 0
    assert "off" in output


def test_the_status_of_the_service_quotes_names_and_reasons_unchanged() -> None:
    systemd = Mock(watchdog_s=None)
    daemon = Daemon(
        Settings(), load=Mock(), outputs=Outputs(), announce=Mock(), patient=True, systemd=systemd, status_socket=None
    )
    daemon._liveness.opened("USB; mono", 16_000)
    daemon._liveness.block(constant=False)
    assert systemd.status.call_args.args == ("listening to USB; mono at 16000 Hz",)
    daemon._on_prediction(prediction("very_happy"))
    assert systemd.status.call_args.args[0].endswith("; predictions: 1, latest: very_happy")
    daemon._liveness.refused("'USB' matches more than one microphone; use more of the name")
    assert systemd.status.call_args.args[0].startswith(
        "microphone lost, waiting for it: 'USB' matches more than one microphone; use more of the name; predictions: "
    )


@pytest.mark.parametrize(("open_ahead", "muted"), [(True, False), (True, True), (False, False)])
def test_the_microphone_is_opened_while_the_models_are_loaded(open_ahead: bool, muted: bool) -> None:
    opened, closed = threading.Event(), threading.Event()
    is_opened = open_ahead and not muted

    def open_microphone(_name: str) -> Mock:
        opened.set()
        return Mock(close=closed.set)

    def load() -> Mock:
        raise ModelsError("both" if opened.wait(LIMIT_S if is_opened else 0) else "the models alone")

    class ModelsError(Exception):
        pass

    controls = Controls()
    if muted:
        controls.mute(True)
    daemon = Daemon(
        Settings(), load=load, outputs=Outputs(), announce=Mock(), patient=True, open_ahead=open_ahead,
        systemd=Mock(watchdog_s=None), status_socket=None, controls=controls, open_microphone=open_microphone,
    )  # fmt: skip
    with pytest.raises(ModelsError, match="both" if is_opened else "the models alone"):
        daemon.run()
    assert closed.is_set() == is_opened


class EndError(Exception):
    """Ends a daemon of these tests."""


def loading_daemon(load: Callable[[], Mock], open_microphone: Callable[[str], Mock]) -> Daemon:
    return Daemon(
        Settings(), load=load, outputs=Outputs(), announce=Mock(), patient=False, open_ahead=True,
        systemd=Mock(watchdog_s=None), status_socket=None, open_microphone=open_microphone,
    )  # fmt: skip


def test_a_device_that_is_muted_while_the_models_are_loaded_opens_no_microphone_again() -> None:
    closing, may_close = threading.Event(), threading.Event()
    opened: list[str] = []
    events: list[str] = []

    def close() -> None:
        closing.set()
        assert may_close.wait(LIMIT_S)
        events.append("closed")

    def mute() -> None:
        events.append(daemon.set_muted(True))

    def open_microphone(name: str) -> Mock:
        opened.append(name)
        return Mock(close=close)

    def load() -> Mock:
        wait_until(lambda: daemon._opening._microphone is not None)
        muting.start()
        assert closing.wait(LIMIT_S)
        return Mock()

    def end() -> None:
        try:
            wait_until(lambda: daemon._liveness.now.state == State.MUTED)
        finally:
            may_close.set()
            muting.join(LIMIT_S)
            daemon.stop(EndError())

    daemon = loading_daemon(load, open_microphone)
    muting = threading.Thread(target=mute, daemon=True)
    ending = threading.Thread(target=end, daemon=True)
    ending.start()
    with pytest.raises(EndError):
        daemon.run()
    ending.join(LIMIT_S)
    assert opened == [""]
    assert events[0] == "closed"
    assert events[1].startswith("muted"), "the answer comes when that is done"


def test_another_process_gets_a_microphone_that_is_being_opened_once_it_is_closed() -> None:
    opening, may_open = threading.Event(), threading.Event()
    events: list[str] = []

    def open_microphone(_name: str) -> Mock:
        opening.set()
        assert may_open.wait(LIMIT_S)
        return Mock(close=lambda: events.append("closed"))

    def hold() -> None:
        with daemon.hold(4711):
            events.append("held")

    def load() -> Mock:
        assert opening.wait(LIMIT_S)
        holding.start()
        wait_until(lambda: daemon._controls.muting is not None)
        may_open.set()
        holding.join(LIMIT_S)
        raise EndError

    daemon = loading_daemon(load, open_microphone)
    holding = threading.Thread(target=hold, daemon=True)
    with pytest.raises(EndError):
        daemon.run()
    assert events == ["closed", "held"]


def listening_daemon(outputs: Outputs, controls: Controls) -> Daemon:
    daemon = Daemon(
        Settings(), load=Mock(), outputs=outputs, announce=Mock(), patient=True, systemd=Mock(watchdog_s=None),
        status_socket=None, controls=controls,
    )  # fmt: skip
    daemon._liveness.opened("USB", 16_000)
    daemon._liveness.block(constant=False)
    return daemon


def test_a_correction_changes_the_light_in_the_listening_thread_while_there_is_a_microphone() -> None:
    light, monitor, controls = Mock(), Mock(), Controls()
    daemon = listening_daemon(Outputs(light, [monitor]), controls)
    with pytest.raises(ProfileError, match="nothing was predicted yet"):
        controls.correct("negative")
    classifier = Mock(path=Path("profile.json"))
    controls.loaded(classifier, {})
    features = UtteranceFeatures(np.zeros(1), np.zeros(1))
    daemon._on_prediction(replace(prediction("positive"), features=features))
    controls.correct("negative")
    classifier.correct.assert_called_once_with(features, "negative")
    light.corrected.assert_not_called()
    daemon._tick()
    daemon._tick()
    light.corrected.assert_called_once_with("negative")
    controls.correct("neutral")
    daemon._liveness.ended()
    daemon._tick()
    assert light.corrected.call_count == 1, "the lights show that the microphone is lost"
    assert monitor.corrected.call_args_list == [
        call("negative", lights_stay=False, later=0), call("neutral", lights_stay=True, later=0),
    ], "it is learnt, so it is published"  # fmt: skip


def test_a_correction_that_is_learnt_after_another_prediction_is_published_for_its_own() -> None:
    light, monitor, controls = Mock(), Mock(), Controls()
    daemon = listening_daemon(Outputs(light, [monitor]), controls)
    features = UtteranceFeatures(np.zeros(1), np.zeros(1))

    def learn(_features: UtteranceFeatures, _label: str) -> None:
        daemon._on_prediction(replace(prediction("positive"), features=features))

    controls.loaded(Mock(path=Path("profile.json"), correct=learn), {})
    daemon._on_prediction(replace(prediction("positive"), features=features))
    controls.correct("negative")
    controls.correct("neutral")
    daemon._tick()
    light.corrected.assert_not_called()
    assert monitor.corrected.call_args_list == [
        call("negative", lights_stay=True, later=2), call("neutral", lights_stay=True, later=1),
    ]  # fmt: skip


def test_outputs_learn_that_the_device_is_muted_while_another_process_uses_the_microphone() -> None:
    controls, muted = Controls(), []
    monitor = Mock(microphone=lambda _liveness: muted.append(controls.muted))
    daemon = Daemon(
        Settings(), load=Mock(), outputs=Outputs(None, [monitor]), announce=Mock(), patient=True,
        systemd=Mock(watchdog_s=None), status_socket=None, controls=controls,
    )  # fmt: skip
    controls.attach(lambda muting: daemon._liveness.unmuted() if muting is None else daemon._liveness.muted(muting))
    with controls.hold(4711):
        controls.mute(True)
        controls.mute(False)
    assert muted == [False, True, False, False]


def test_unmuted_before_the_microphone_is_closed_nobody_waits_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.daemon.daemon._MUTE_LIMIT_S", 10 * LIMIT_S)
    controls = Controls()
    daemon = listening_daemon(Outputs(), controls)
    daemon._models = Mock()
    controls.attach(daemon._mute)
    muting = threading.Thread(target=daemon.set_muted, args=(True,), daemon=True)
    muting.start()
    wait_until(lambda: daemon._state_changed._waiters)  # type: ignore[attr-defined]  # of the condition
    controls.mute(False)
    muting.join(LIMIT_S)
    assert not muting.is_alive()


def test_a_light_is_shown_in_the_listening_thread_while_there_is_a_microphone() -> None:
    light = Mock()
    daemon = Daemon(
        Settings(), load=Mock(), outputs=Outputs(light), announce=Mock(), patient=True, systemd=Mock(watchdog_s=None),
        status_socket=None,
    )  # fmt: skip
    with pytest.raises(StatusError, match="the models are being loaded"):
        daemon.show("negative")
    daemon._models = Mock()
    daemon._models.classifier.labels = ("negative", "neutral")
    with pytest.raises(StatusError, match="angry\\\\x1b is not a class of the model") as unknown:
        daemon.show("angry\x1b")
    assert unknown.value.fix == "use one of negative, neutral"
    with pytest.raises(StatusError, match=r"the lights show the state of the microphone \(lost\)"):
        daemon.show("negative")
    daemon._liveness.opened("USB", 16_000)
    daemon._liveness.block(constant=False)
    daemon.show("negative")
    light.show.assert_not_called()
    daemon._tick()
    daemon._tick()
    light.show.assert_called_once_with("negative")
    light.corrected.assert_not_called()


def test_fewer_blocks_are_delivered_together_while_a_monitor_shows_the_level() -> None:
    monitor = Mock(watching=True, batch_size=2)
    daemon = Daemon(
        Settings(), load=Mock(), outputs=Outputs(None, [monitor]), announce=Mock(), patient=True, systemd=Systemd(),
        status_socket=None,
    )  # fmt: skip
    assert daemon._batch_size() == 1, "the models are being loaded"
    daemon._pipeline = Mock(batch_size=4)
    assert daemon._batch_size() == 2
    monitor.watching = False
    assert daemon._batch_size() == 4, "in a quiet room several are delivered at a time, which costs less"
    monitor.watching, daemon._pipeline = True, Mock(batch_size=1)
    assert daemon._batch_size() == 1, "someone speaks"
