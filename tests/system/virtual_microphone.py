"""A USB microphone that is not there: a private PulseAudio's null sink, seen by PortAudio through ALSA as `usbmic`.

The test plays a file into the sink; a process started with `environment` hears it. A strict microphone takes its own
rate and at most its own number of channels, as the plain device of a USB microphone does.
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

# A library between PortAudio and ALSA that leaves a device of ours one rate and its own channels, and refuses it while
# it is held. PortAudio opens libasound privately, so the real functions are looked up in that very library.
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
    if (ours(name) && !access(FOLDER "/held", F_OK)) return -EBUSY;
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
    """What of the needed programs this machine lacks; empty if the microphone can be had."""
    missing = [program for program in _NEEDED if shutil.which(program) is None]
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        missing.append("libasound2-plugins")
    return missing


class VirtualMicrophone:
    """Context manager; `folder` must be empty or missing, and have a short path (it holds a socket).

    With `hum` there is something to hear all the time, at -60 dBFS, as in a real room; else zeros, unless it plays.
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
        """What a process needs to hear this microphone and no other."""
        wanted = {"ALSA_CONFIG_PATH": str(self._folder / "alsa.conf"), "PULSE_SERVER": f"unix:{self._socket}"}
        if self._strict:
            wanted["LD_PRELOAD"] = str(self._folder / "strict.so")
        return wanted

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
        self._list()
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
        self._server.send_signal(signal.SIGCONT)  # if it hangs
        self._server.wait(10)

    def play(self, path: Path) -> None:
        """Speak a WAV or FLAC file into the microphone; returns when it was heard."""
        subprocess.run(["paplay", "--device=speaker", path], env=self._private, check=True, timeout=120)

    def freeze(self) -> None:
        """From now on no sound comes, and no error either."""
        self._control("suspend-source", "mic", "1")

    def thaw(self) -> None:
        """Sound comes again, in the same stream."""
        self._control("suspend-source", "mic", "0")

    def mute(self) -> None:
        """From now on each sample is zero."""
        self._control("set-source-mute", "mic", "1")

    def unmute(self) -> None:
        """The end of that."""
        self._control("set-source-mute", "mic", "0")

    def hang(self) -> None:
        """From now on the sound system answers nobody, for ever."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def unplug(self) -> None:
        """The device goes away under whoever has it open, and from the list."""
        self._list()
        # Both: while the sink lives, the server would go on with its monitor.
        self._control("unload-module", "module-remap-source")
        self._control("unload-module", "module-null-sink")

    def plug(self, name: str = NAME, *, rate: int | None = None, beside: str | None = None) -> None:
        """A microphone is there (again); under another name, at another rate, or with another device listed first."""
        (self._folder / "rate").write_text(str(rate or self._rate))
        self._control(
            "load-module", "module-null-sink", "sink_name=speaker", "norewinds=1", "format=s16le",
            f"rate={rate or self._rate}", f"channels={self._channels}",
        )  # fmt: skip
        self._control(
            "load-module", "module-remap-source", "source_name=mic", "master=speaker.monitor", "remix=no",
            f"channels={self._channels}",
        )  # fmt: skip
        if self._hum:
            self._control("load-module", "module-sine", "sink=speaker", "frequency=100")
            self._control("set-sink-input-volume", self._told("list", "short", "sink-inputs").split()[0], "-60dB")
        self._list(*([beside] if beside else []), name, "default")

    def hold(self) -> None:
        """Another program has it, if it is strict: it is listed, and opening it fails."""
        (self._folder / "held").touch()

    def let_go(self) -> None:
        """The end of that."""
        (self._folder / "held").unlink()

    def _list(self, *names: str) -> None:
        """What ALSA tells of."""
        where = f'type pulse server "unix:{self._socket}"'
        pcms = [f'pcm.{name} {{ {where} device mic hint {{ show on description "{name}" }} }}' for name in names]
        # None, as on a machine without a sound card; PortAudio aborts where there is no device at all.
        text = "\n".join(pcms or ["pcm.default { type hw card 31 }"])
        fresh = self._folder / "alsa.conf.new"
        fresh.write_text(f"{text}\nctl.default {{ {where} }}\n")
        fresh.rename(self._folder / "alsa.conf")  # at once: another process may be reading it

    def _control(self, *command: str) -> None:
        subprocess.run(["pactl", *command], env=self._private, check=True, timeout=10, stdout=subprocess.DEVNULL)

    def _told(self, *command: str) -> str:
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
    """A microphone with a folder of its own: pytest's own paths are too long for a socket."""
    with (
        tempfile.TemporaryDirectory(prefix="mic") as folder,
        VirtualMicrophone(Path(folder), rate=rate, channels=channels, strict=strict, hum=hum) as microphone,
    ):
        yield microphone
