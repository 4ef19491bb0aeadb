"""A virtual USB microphone: the null sink of a private PulseAudio, which PortAudio lists through ALSA as `usbmic`.

The test plays a file into the sink; a process that was started with `environment` records it. A strict microphone
accepts only its own rate and number of channels, like the hardware device of a USB microphone.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_until

NAME = "usbmic"
_NEEDED = ("pulseaudio", "pactl", "paplay", "gcc")
_START_LIMIT_S = 20
_EIGHT = "front-left,front-right,rear-left,rear-right,front-center,lfe,side-left,side-right"
"""ALSA's order of eight channels: with another one PulseAudio mixes them where ALSA's plug-in records."""

# A library between PortAudio and ALSA that restricts our devices to one rate and their own channels, and refuses them
# while another program uses them. PortAudio loads libasound privately, so the real functions come from that library.
_STRICT_SOURCE = """
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
typedef int set_rate(void *, void *, unsigned *, int *, unsigned *, int *);
typedef int set_channels(void *, void *, unsigned *, unsigned *);
static void *real(const char *name) { return dlsym(dlopen("libasound.so.2", RTLD_LAZY), name); }
static int ours(const char *name) { return name && (strstr(name, "mic") || !strcmp(name, "default")); }
int snd_pcm_open(void **pcm, const char *name, int stream, int mode) {
    if (ours(name) && !access(FOLDER "/in_use", F_OK)) return -EBUSY;
    return ((int (*)(void **, const char *, int, int))real("snd_pcm_open"))(pcm, name, stream, mode);
}
int snd_pcm_hw_params_any(void *pcm, void *params) {
    int status = ((int (*)(void *, void *))real("snd_pcm_hw_params_any"))(pcm, params);
    const char *name = ((const char *(*)(void *))real("snd_pcm_name"))(pcm);
    FILE *file = fopen(FOLDER "/rate", "r");
    unsigned low_rate = 0, high_rate, fewest = 1, most = CHANNELS;
    int direction = 0, other_direction = 0;
    if (file) { if (fscanf(file, "%u", &low_rate) != 1) low_rate = 0; fclose(file); }
    if (status >= 0 && ours(name) && low_rate) {
        high_rate = low_rate;
        ((set_rate *)real("snd_pcm_hw_params_set_rate_minmax"))(
            pcm, params, &low_rate, &direction, &high_rate, &other_direction);
        fewest = CHANNELS;
        ((set_channels *)real("snd_pcm_hw_params_set_channels_minmax"))(pcm, params, &fewest, &most);
    }
    return status;
}
"""


def missing_programs() -> list[str]:
    """The required programs that are missing on this machine; empty if the virtual microphone can run."""
    missing = [program for program in _NEEDED if shutil.which(program) is None]
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        missing.append("libasound2-plugins")
    return missing


class VirtualMicrophone:
    """A virtual microphone, as a context manager.

    Args:
        folder: an empty or missing folder with a short path, because it contains a socket.
        rate: sampling rate, Hz.
        channels: number of channels.
        strict: whether only this rate and number of channels are accepted.
        hum: whether there is a hum at -60 dBFS all the time, as in a real room; without it, zeros while nothing plays.
    """

    def __init__(self, folder: Path, *, rate: int, channels: int, strict: bool, hum: bool = False) -> None:
        self._folder = folder
        self._rate, self._channels, self._strict = rate, channels, strict
        self._hum = hum
        self._socket = folder / "pulse.sock"
        self._server: subprocess.Popen[bytes] | None = None
        self._private = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "PULSE_SERVER": f"unix:{self._socket}",
        }

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which a process finds this microphone and no other."""
        variables = {"ALSA_CONFIG_PATH": str(self._folder / "alsa.conf"), "PULSE_SERVER": f"unix:{self._socket}"}
        if self._strict:
            variables["LD_PRELOAD"] = str(self._folder / "strict.so")
        return variables

    def __enter__(self) -> "VirtualMicrophone":
        self._folder.mkdir(exist_ok=True)
        if self._strict:
            source = self._folder / "strict.c"
            source.write_text(_STRICT_SOURCE)
            subprocess.run(
                ["gcc", "-shared", "-fPIC", f'-DFOLDER="{self._folder}"', f"-DCHANNELS={self._channels}", "-o",
                 self._folder / "strict.so", source, "-ldl"],
                check=True,
            )  # fmt: skip
        self._write_device_list()
        without_server = {name: value for name, value in self._private.items() if name != "PULSE_SERVER"}
        with (self._folder / "pulse.log").open("wb") as log:
            self._server = subprocess.Popen(
                ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--high-priority=no",
                 "--realtime=no", "--disable-shm=yes", "-L",
                 f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}"],
                env=without_server, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._wait_for_server()
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.terminate()
        self._server.send_signal(signal.SIGCONT)  # in case it was stopped by `hang`
        self._server.wait(10)

    def play(self, path: Path) -> None:
        """Play a WAV or FLAC file into the microphone; returns when it has been played.

        More than two channels are those of an array: they are not mixed as if they were loudspeakers around a listener.
        """
        unmixed = ["--no-remap", "--no-remix"] if self._channels > 2 else []
        subprocess.run(["paplay", "--device=speaker", *unmixed, path], env=self._private, check=True, timeout=120)

    def freeze(self) -> None:
        """Deliver no more audio, without an error."""
        self._control("suspend-source", "mic", "1")

    def thaw(self) -> None:
        """Deliver audio again, in the same stream."""
        self._control("suspend-source", "mic", "0")

    def mute(self) -> None:
        """Deliver only zeros."""
        self._control("set-source-mute", "mic", "1")

    def unmute(self) -> None:
        """Deliver audio again."""
        self._control("set-source-mute", "mic", "0")

    def recorders(self) -> int:
        """Number of streams that record from the microphone at the moment, of all processes."""
        # The microphone itself records the null sink, as a stream of the server.
        return self._query("list", "source-outputs").count('application.process.id = "')

    def hang(self) -> None:
        """Stop the sound system: it no longer responds to any process."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def unplug(self) -> None:
        """Remove the device, even while a process has it open, and from the list."""
        self._write_device_list()
        # Both modules: while the sink exists, the server would continue with its monitor.
        self._control("unload-module", "module-remap-source")
        self._control("unload-module", "module-null-sink")

    def plug(self, name: str = NAME, *, rate: int | None = None, beside: str | None = None) -> None:
        """Add the device (again).

        Args:
            name: its name in the list.
            rate: sampling rate, Hz, if it differs from the original one.
            beside: name of another device that is listed before it.
        """
        (self._folder / "rate").write_text(str(rate or self._rate))
        layout = [f"channel_map={_EIGHT}"] if self._channels == len(_EIGHT.split(",")) else []
        self._control(
            "load-module", "module-null-sink", "sink_name=speaker", "norewinds=1", "format=s16le",
            f"rate={rate or self._rate}", f"channels={self._channels}", *layout,
        )  # fmt: skip
        self._control(
            "load-module", "module-remap-source", "source_name=mic", "master=speaker.monitor", "remix=no",
            f"channels={self._channels}", *layout,
        )  # fmt: skip
        if self._hum:
            self._control("load-module", "module-sine", "sink=speaker", "frequency=100")
            self._control("set-sink-input-volume", self._query("list", "short", "sink-inputs").split()[0], "-60dB")
        self._write_device_list(*([beside] if beside else []), name, "default")

    def hold(self) -> None:
        """Let another program use a strict microphone: it is listed, but opening it fails."""
        (self._folder / "in_use").touch()

    def release(self) -> None:
        """Let the other program close the microphone."""
        (self._folder / "in_use").unlink()

    def _write_device_list(self, *names: str) -> None:
        """Write the configuration from which ALSA lists its devices."""
        server = f'type pulse server "unix:{self._socket}"'
        pcms = [f'pcm.{name} {{ {server} device mic hint {{ show on description "{name}" }} }}' for name in names]
        # An unusable device, as on a machine without a sound card: PortAudio aborts if there is no device at all.
        text = "\n".join(pcms or ["pcm.default { type hw card 31 }"])
        new = self._folder / "alsa.conf.new"
        new.write_text(f"{text}\nctl.default {{ {server} }}\n")
        new.rename(self._folder / "alsa.conf")  # atomic, because another process may be reading it

    def _control(self, *command: str) -> None:
        subprocess.run(["pactl", *command], env=self._private, check=True, timeout=10, stdout=subprocess.DEVNULL)

    def _query(self, *command: str) -> str:
        return subprocess.run(
            ["pactl", *command], env=self._private, check=True, timeout=10, capture_output=True, text=True
        ).stdout

    def _wait_for_server(self) -> None:
        def responds() -> bool:
            assert self._server is not None
            assert self._server.poll() is None, (self._folder / "pulse.log").read_text()
            done = subprocess.run(["pactl", "info"], env=self._private, capture_output=True, timeout=10, check=False)
            return done.returncode == 0

        wait_until(responds, limit_s=_START_LIMIT_S, message=lambda: (self._folder / "pulse.log").read_text())


@contextmanager
def plugged_in(*, rate: int, channels: int, strict: bool, hum: bool = False) -> Iterator[VirtualMicrophone]:
    """A virtual microphone in a temporary folder, because the paths of pytest are too long for a socket."""
    with (
        tempfile.TemporaryDirectory(prefix="mic") as folder,
        VirtualMicrophone(Path(folder), rate=rate, channels=channels, strict=strict, hum=hum) as microphone,
    ):
        yield microphone
