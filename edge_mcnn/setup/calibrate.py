"""`edge-mcnn calibrate`. From Python: `device.room`."""

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from device.errors import AudioError, SettingsError
from device.system.display import counted, displayable, shell_quoted
from edge_mcnn.guided_session import MicrophoneFault, has_keyboard
from edge_mcnn.options import Config, Json, Microphone, limit_arithmetic_threads, load_settings
from edge_mcnn.output import out

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from device.doctor.findings import Finding
    from device.recorder.ui import RecorderDisplay
    from device.room.capture_gain import GainChange, Mixer
    from device.room.measurement import Measurement
    from device.room.phases import Phases
    from device.room.proposal import GateProposal
    from device.settings.schema import Settings

_MOST_CHANGES = 3
"""Number of times that --yes changes the gain at most: a control in steps may miss the target by one of them."""
_VARIABLE = "EDGE_MCNN_ENDPOINT_GATE_DBFS"
_NO_FILE = "edge-mcnn settings --show > my.toml, then: edge-mcnn calibrate --apply --config my.toml"


def calibrate_command(
    microphone: Microphone = None,
    seconds: Annotated[float, typer.Option(min=2, max=60, help="Length of each of the two parts, in seconds.")] = 10,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Write the proposed gate into the settings file: that of --config, or that of the service if it is "
            "installed. Comments and order stay.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Change the gain without a question, for scripts, and measure again.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Measure the room and your voice, and set the level of the microphone.

    First be quiet for ten seconds, then speak for ten at your usual distance. The report shows how loud the room and
    your voice are, and whether samples are clipped, the mains hum, or a channel of the microphone is dead or in
    opposite phase. It proposes a value for gate_dbfs, the level below which nothing counts as speech, and, where the
    sound card has a capture gain, a better gain, which is changed only after you confirm it.

    It may run while the service or your own `listen` runs: that one does not listen meanwhile. The audio stays in
    memory and is never stored. Without --config, and with the service installed, the settings are those of the service.

    Exit status: 0 if speech was detected, 1 if not, or if the microphone cannot be opened.

    For example:

        edge-mcnn calibrate
        edge-mcnn calibrate --apply --config my.toml
        sudo .venv/bin/edge-mcnn calibrate --apply      # for the service
        edge-mcnn calibrate --json --seconds 5
    """
    limit_arithmetic_threads()
    from device.audio.silero_vad import Silero
    from device.daemon.control import held_microphone
    from device.recorder.ui import RecorderDisplay
    from device.room.measurement import measure
    from device.settings.edit import require_editable
    from device.system.streams.stderr import silence_c_libraries

    path = config or _service_settings()
    if apply and path is None:
        raise SettingsError("--apply needs a settings file to write into", fix=_NO_FILE)
    if apply and path is not None:
        require_editable(path)
    settings = load_settings(path, microphone=microphone)
    detector = Silero()
    if not logging.getLogger().isEnabledFor(logging.INFO):
        silence_c_libraries()
    console = out.progress_console() if json else out.console(highlight=False)
    fault, changes = None, 0
    with held_microphone(out.announce):
        while True:
            with RecorderDisplay(console) as display:
                phases, fault = _record(settings, seconds, display)
            if fault is not None:
                break
            measurement = measure(phases.room, phases.speech, detector, settings.endpoint.speech_probability)
            report = _Report(settings, path if not apply else None, phases, measurement, applying=apply)
            if not json:
                report.show(console)
            change = report.change
            if change is None or changes == _MOST_CHANGES or not _is_accepted(change, yes=yes, json=json):
                break
            if not _change_gain(change):
                break
            changes += 1
    if fault is not None:
        fault.exit()
    applied = apply and path is not None and report.gate is not None
    if applied and path is not None and report.gate is not None:
        _apply(path, report.gate, quiet=json)
    if json:
        out.json({**report.as_json(), "applied": str(path) if applied else None})
    report.require_speech()


def _service_settings() -> Path | None:
    """Return the settings file of the service, if that is installed."""
    from device.service.install import CONFIG
    from device.service.systemctl import UNIT_FILE

    return CONFIG if UNIT_FILE.exists() and CONFIG.exists() else None


def _record(
    settings: "Settings", seconds: float, display: "RecorderDisplay"
) -> tuple["Phases", MicrophoneFault | None]:
    """Record both parts; the second value is why there is no recording, None if there is one.

    Raises:
        KeyboardInterrupt: a signal ended it.
    """
    from device.recorder.recorder import Recorder
    from device.room.phases import Phases

    phases = Phases(seconds, display)
    recorder = Recorder(settings, phases, display, on_block=phases.receive)
    try:
        recorder.run()
    except AudioError as error:
        return phases, MicrophoneFault(error, recorder.stuck)
    if phases.stopped:
        raise KeyboardInterrupt
    if phases.lost:
        lost = AudioError(
            "the microphone was lost while it was measured",
            fix="plug it in again, and run again: edge-mcnn calibrate",
        )
        return phases, MicrophoneFault(lost, recorder.stuck)
    return phases, None


def _is_accepted(change: "GainChange", *, yes: bool, json: bool) -> bool:
    if yes:
        return True
    return not json and has_keyboard() and out.confirm(f"{_sentence(change.description)}, and measure again?")


def _change_gain(change: "GainChange") -> bool:
    from device.room.capture_gain import apply_change

    out.announce(f"{change.description}: {change.command}")
    problem, fix = apply_change(change)
    if problem:
        out.announce(f"{problem}; {fix}")
    return not problem


def _apply(path: Path, gate: "GateProposal", *, quiet: bool) -> None:
    from device.settings.edit import set_value

    value = gate.proposed_dbfs
    set_value(path, "endpoint", "gate_dbfs", value)
    lines = [f"wrote gate_dbfs = {value:g} to {displayable(path)}"]
    if _VARIABLE in os.environ:
        lines.append(f"{_VARIABLE} in the environment overrides it: remove that variable")
    if path == _service_settings():
        lines.append("the service uses it after: sudo systemctl restart edge-mcnn")
    else:
        lines.append(f"use it: edge-mcnn listen --config {shell_quoted(path)}")
    for line in lines:
        if quiet:
            out.announce(line)
        else:
            out.line(line)


class _Report:
    """What a measurement shows, for people and programs.

    Args:
        settings: settings of the daemon.
        path: settings file that the gate can be written into; None if there is none, or if it will be written.
        phases: what was recorded.
        measurement: what was measured.
        applying: whether the gate will be written.
    """

    def __init__(
        self, settings: "Settings", path: Path | None, phases: "Phases", measurement: "Measurement", *, applying: bool
    ) -> None:
        from device.room.advice import findings
        from device.room.capture_gain import read_mixer
        from device.room.proposal import gain_change_db, propose_gate

        self._microphone = (
            f"{phases.microphone}, {phases.room.rate} Hz, {counted(len(measurement.channels), 'channel')}"
        )
        self._name = phases.microphone
        self._measurement = measurement
        self._mixer: Mixer = read_mixer(phases.microphone)
        self.gate = propose_gate(measurement, settings.endpoint.gate_dbfs)
        """Proposed gate; None without speech."""
        self.change = self._mixer.change(gain_change_db(measurement))
        """Change of the capture gain that the measurement calls for; None if there is none."""
        where = "" if applying else _where(path)
        self._findings: Sequence[Finding] = list(findings(measurement, settings.endpoint.gate_dbfs, self._mixer, where))

    def show(self, console: "Console") -> None:
        """Print the numbers, the levels on one axis, and what is good and bad about them."""
        from device.doctor.findings import Verdict
        from device.outputs.terminal.text import symbols_for
        from device.room.level_axis import level_axis
        from edge_mcnn.setup.doctor import finding_text

        console.print(self._table())
        console.print()
        gates = []
        if self.gate is not None:
            gates = [("gate", self.gate.present_dbfs)]
            if self.gate.proposed_dbfs != self.gate.present_dbfs:
                gates.append(("better gate", self.gate.proposed_dbfs))
        for line in level_axis(self._measurement, gates, console.width, symbols_for(console)):
            console.print(line, no_wrap=True, overflow="crop")
        console.print()
        for finding in self._findings:
            if finding.verdict != Verdict.FAIL:  # that one is the error at the end
                console.print(finding_text(finding, console))

    def as_json(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        return {
            "microphone": self._name,
            **asdict(self._measurement),
            "signal_to_noise_db": self._measurement.signal_to_noise_db,
            "gate": None if self.gate is None else {**asdict(self.gate), "fits": self.gate.fits},
            "gain": {
                "controls": [asdict(each) for each in self._mixer.controls],
                "change": None if self.change is None else asdict(self.change) | {"command": self.change.command},
                "problem": self._mixer.problem or None,
            },
            "findings": [asdict(each) for each in self._findings],
            "usable": self._measurement.speech is not None,
        }

    def require_speech(self) -> None:
        """Check that speech was detected.

        Raises:
            AudioError: it was not, so nothing is known about the voice.
        """
        from device.doctor.findings import Verdict

        for finding in self._findings:
            if finding.verdict == Verdict.FAIL:
                raise AudioError(finding.message, fix=finding.fix)

    def _table(self) -> "Table":
        from rich.table import Table

        measured = self._measurement
        room, speech, hum = measured.room, measured.speech, measured.hum
        offset = max((channel.offset for channel in measured.channels), key=abs)
        rows = {
            "microphone": displayable(self._microphone),
            "noise floor": f"{room.floor_dbfs:.0f} dBFS, in loud moments {room.loud_dbfs:.0f}",
            "speech": "none detected"
            if speech is None
            else f"{speech.level_dbfs:.0f} dBFS, quiet parts {speech.quiet_dbfs:.0f}, {speech.seconds:.1f} s of it",
            "above the room": "-" if speech is None else f"{measured.signal_to_noise_db:.0f} dB",
            "clipped": f"{100 * measured.clipped:.2g} % of the samples",
            "loudest sample": f"{measured.peak_dbfs:.0f} dBFS",
            "offset": f"{100 * offset:.2g} % of full scale",
            "hum": "none" if hum is None else f"{hum.mains_hz} Hz mains, {hum.level_dbfs:.0f} dBFS",
            "gain": "; ".join(each.description for each in self._mixer.controls) or self._mixer.problem,
        }
        table = Table.grid(padding=(0, 2))
        for name, value in rows.items():
            table.add_row(name, displayable(value))
        return table


def _where(path: Path | None) -> str:
    """Return where the gate is written by hand, and by --apply."""
    if path is None:
        return f"in a settings file: {_NO_FILE}"
    if path == _service_settings():
        command = "sudo .venv/bin/edge-mcnn calibrate --apply"
    else:
        command = f"edge-mcnn calibrate --apply --config {shell_quoted(path)}"
    return f"in {displayable(path)}, or run: {command}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
