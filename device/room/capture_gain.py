"""The capture gain of a sound card, read and set with `amixer` from alsa-utils.

Nothing here ends a measurement: without `amixer`, or with a microphone that is no ALSA card, there is a reason instead
of a gain. `amixer` runs with the locale C, in which alsa-utils are not translated.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from device.system.display import on_one_line, shell_quoted

_LIMIT_S = 10
_CARD = re.compile(r"\(hw:(\d+),\d+\)")
"""How PortAudio ends the name of an ALSA device: the numbers of its card and of the device on it."""
_NAME = re.compile(r"^Simple mixer control '(.*)',(\d+)$", re.MULTILINE)
_VALUE = re.compile(r"(\d+) \[(\d+)%\](?: \[(-?[\d.]+)dB\])?")
_FIRST_NAMES = ("Mic", "Capture")
_AUTOMATIC = re.compile(r"auto(matic)? gain|\bAGC\b", re.IGNORECASE)
_UNKNOWN_SCALE_PERCENT = 20
"""Change of a control that does not report dB, percent of its range."""
_INSTALL = "run: sudo apt-get install alsa-utils"
_BY_HAND = "set the gain by hand: alsamixer, F4"


@dataclass(frozen=True)
class CaptureControl:
    """A capture control of a card, as its mixer reports it."""

    card: str
    """Number of the card, which may change at a restart."""
    name: str
    """Name of the control, such as `Mic`."""
    index: int
    """Number among the controls with this name."""
    percent: int
    """Present gain, percent of the range; that of the first channel."""
    db: float | None
    """Present gain in dB; None if the control does not report it."""
    muted: bool
    """Whether its capture switch is off."""
    boost: bool = False
    """Whether it is an amplifier before the capture control, which adds more noise."""

    @property
    def description(self) -> str:
        """Name and gain in words."""
        gain = f"{self.percent} %" if self.db is None else f"{self.percent} % ({self.db:g} dB)"
        return f"{self.name!r} of card {self.card} is at {gain}{', switched off' if self.muted else ''}"

    def _command(self, *value: str) -> tuple[str, ...]:
        return ("amixer", "-c", self.card, "--", "sset", f"{self.name},{self.index}", *value)


@dataclass(frozen=True)
class GainChange:
    """A command that changes a gain."""

    description: str
    """The change in words, such as `set 'Mic' of card 1 from 14.9 to 20.0 dB`."""
    arguments: tuple[str, ...]
    """Program and arguments."""

    @property
    def command(self) -> str:
        """The command as a user types it."""
        return " ".join(map(shell_quoted, self.arguments))


@dataclass(frozen=True)
class Mixer:
    """The mixer of the card of a microphone."""

    controls: Sequence[CaptureControl] = ()
    """Capture controls, the most useful one first; empty if there are none, or if they cannot be read."""
    automatic: GainChange | None = None
    """Turns off an automatic gain control that is on; None if there is none."""
    problem: str = ""
    """Why the gain is not known; empty if it is."""
    fix: str = ""
    """What the user can do about the problem."""

    def change(self, db: float) -> GainChange | None:
        """Return the change that brings the gain up or down by a number of dB, or switches a muted control on.

        None if no control has room in that direction.
        """
        muted = next((each for each in self.controls if each.muted), None)
        if muted is not None:
            return GainChange(f"switch on {muted.name!r} of card {muted.card}", muted._command("cap"))
        if not db:
            return None
        for each in self.controls:
            if (db > 0 and each.percent < 100) or (db < 0 and each.percent > 0):
                return _changed(each, db)
        return None


def read_mixer(microphone: str) -> Mixer:
    """Read the capture controls of the card of a microphone.

    Args:
        microphone: name of the microphone, as PortAudio lists it.
    """
    card = _CARD.search(microphone)
    if card is None:
        return Mixer(
            problem=f"{microphone!r} is no ALSA card, so its gain is not known",
            fix="set it in the sound server, or run alsamixer: F6 selects the card, F4 its capture controls",
        )
    output, problem, fix = _run("amixer", "-c", card[1], "scontents")
    if problem:
        return Mixer(problem=problem, fix=fix)
    controls = sorted(_capture_controls(output, card[1]), key=_order)
    if not controls:
        return Mixer(
            automatic=_automatic(output, card[1]),
            problem=f"card {card[1]} has no capture control",
            fix="change the distance to the microphone instead, or its own switch if it has one",
        )
    return Mixer(controls, _automatic(output, card[1]))


def apply_change(change: GainChange) -> tuple[str, str]:
    """Run the command of a change.

    Returns:
        Why it failed and the fix; both empty if it succeeded.
    """
    _, problem, fix = _run(*change.arguments)
    return problem, fix


def _changed(control: CaptureControl, db: float) -> GainChange:
    where = f"{control.name!r} of card {control.card}"
    if control.db is None:
        percent = min(max(control.percent + (_UNKNOWN_SCALE_PERCENT if db > 0 else -_UNKNOWN_SCALE_PERCENT), 0), 100)
        description = f"set {where} from {control.percent} % to {percent} %"
        return GainChange(description, control._command("capture", f"{percent}%"))
    target = control.db + db
    description = f"set {where} from {control.db:g} dB to {target:.1f} dB, or as near as it gets"
    return GainChange(description, control._command("capture", f"{target:.1f}dB"))


def _order(control: CaptureControl) -> tuple[bool, int]:
    preferred = _FIRST_NAMES.index(control.name) if control.name in _FIRST_NAMES else len(_FIRST_NAMES)
    return control.boost, preferred


def _capture_controls(output: str, card: str) -> Iterator[CaptureControl]:
    for name, index, properties in _controls(output):
        capabilities = properties.get("Capabilities", "").split()
        captures = any(each.startswith("cvolume") for each in capabilities)
        boost = any(each in ("volume", "volume-joined") for each in capabilities) and "Capture channels" in properties
        state = _first_channel(properties)
        value = _VALUE.search(state)
        if (captures or boost) and value is not None:
            muted = any(each.startswith("cswitch") for each in capabilities) and state.endswith("[off]")
            db = None if value[3] is None else float(value[3])
            yield CaptureControl(card, name, index, int(value[2]), db, muted, boost and not captures)


def _first_channel(properties: dict[str, str]) -> str:
    """Return the state of the first capture channel, such as `27 [77%] [17.00dB] [on]`; empty if there is none."""
    channels = properties.get("Capture channels", "").split(" - ")
    state = properties.get(channels[0], "")
    before, capture, after = state.partition("Capture ")
    return after if capture else before


def _automatic(output: str, card: str) -> GainChange | None:
    for name, index, properties in _controls(output):
        if _AUTOMATIC.search(name) and any(value.endswith("[on]") for value in properties.values()):
            command = ("amixer", "-c", card, "--", "sset", f"{name},{index}", "off")
            return GainChange(f"turn off {name!r} of card {card}", command)
    return None


def _controls(output: str) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Yield name, number and properties of each control in the output of `amixer scontents`."""
    found = list(_NAME.finditer(output))
    for place, name in enumerate(found):
        end = found[place + 1].start() if place + 1 < len(found) else len(output)
        lines = (line.partition(":") for line in output[name.end() : end].splitlines())
        yield name[1], int(name[2]), {key.strip(): value.strip() for key, colon, value in lines if colon}


def _run(*command: str) -> tuple[str, str, str]:
    """Run a program; returns its output, why it failed, and the fix."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=_LIMIT_S,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError:
        return "", f"{command[0]} is not installed, so the gain is not known", _INSTALL
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{command[0]} cannot be run ({on_one_line(error)})", _BY_HAND
    if done.returncode:
        reason = on_one_line(done.stderr) or f"exit status {done.returncode}"
        return "", f"{' '.join(command[:3])}: {reason}", _BY_HAND
    return done.stdout, "", ""
