"""A USB microphone that is not there: a private PulseAudio's null sink, seen by PortAudio through ALSA as `usbmic`.

The test plays a file into the sink; a process started with `environment` hears it. A strict microphone takes its own
rate and at most its own number of channels, as the plain device of a USB microphone does.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

NAME = "usbmic"
_NEEDED = ("pulseaudio", "pactl", "paplay", "gcc")
_START_LIMIT_S = 20

# A library between PortAudio and ALSA that leaves a device of ours one rate and its own channels. PortAudio opens
# libasound privately, so the real functions are looked up in that very library.
_STRICT_SOURCE = """
#include <dlfcn.h>
#include <string.h>
typedef int set_rate(void *, void *, unsigned *, int *, unsigned *, int *);
typedef int set_channels(void *, void *, unsigned *, unsigned *);
int snd_pcm_hw_params_any(void *pcm, void *params) {
    void *alsa = dlopen("libasound.so.2", RTLD_LAZY);
    int status = ((int (*)(void *, void *))dlsym(alsa, "snd_pcm_hw_params_any"))(pcm, params);
    const char *name = ((const char *(*)(void *))dlsym(alsa, "snd_pcm_name"))(pcm);
    if (status >= 0 && name && (!strcmp(name, "usbmic") || !strcmp(name, "default"))) {
        unsigned low_rate = RATE, high_rate = RATE, fewest = 1, most = CHANNELS;
        int direction = 0, other_direction = 0;
        ((set_rate *)dlsym(alsa, "snd_pcm_hw_params_set_rate_minmax"))(
            pcm, params, &low_rate, &direction, &high_rate, &other_direction);
        fewest = CHANNELS;
        ((set_channels *)dlsym(alsa, "snd_pcm_hw_params_set_channels_minmax"))(pcm, params, &fewest, &most);
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
    """Context manager; `folder` must be empty and have a short path (it holds a socket)."""

    def __init__(self, folder: Path, *, rate: int, channels: int, strict: bool) -> None:
        self._folder = folder
        self._rate, self._channels, self._strict = rate, channels, strict
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
        if self._strict:
            source = self._folder / "strict.c"
            source.write_text(_STRICT_SOURCE)
            subprocess.run(
                ["gcc", "-shared", "-fPIC", f"-DRATE={self._rate}", f"-DCHANNELS={self._channels}", "-o",
                 self._folder / "strict.so", source, "-ldl"],
                check=True,
            )  # fmt: skip
        pcm = f'{{ type pulse server "unix:{self._socket}" device mic hint {{ show on description "%s" }} }}\n'
        (self._folder / "alsa.conf").write_text(
            "".join(f"pcm.{name} {pcm % name}" for name in (NAME, "default"))
            + f'ctl.default {{ type pulse server "unix:{self._socket}" }}\n'
        )
        without_server = {name: value for name, value in self._private.items() if name != "PULSE_SERVER"}
        with (self._folder / "pulse.log").open("wb") as log:
            self._server = subprocess.Popen(
                ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--high-priority=no",
                 "--realtime=no", "--disable-shm=yes", "-L",
                 f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}"],
                env=without_server, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._wait_for_server()
        self._control(
            "load-module", "module-null-sink", "sink_name=speaker", "norewinds=1", "format=s16le",
            f"rate={self._rate}", f"channels={self._channels}",
        )  # fmt: skip
        self._control(
            "load-module", "module-remap-source", "source_name=mic", "master=speaker.monitor", "remix=no",
            f"channels={self._channels}",
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.terminate()
        self._server.wait(10)

    def play(self, path: Path) -> None:
        """Speak a WAV or FLAC file into the microphone; returns when it was heard."""
        subprocess.run(["paplay", "--device=speaker", path], env=self._private, check=True, timeout=120)

    def freeze(self) -> None:
        """From now on no sound comes, and no error either."""
        self._control("suspend-source", "mic", "1")

    def unplug(self) -> None:
        """The device goes away under whoever has it open."""
        # Both: while the sink lives, the server would go on with its monitor.
        self._control("unload-module", "module-remap-source")
        self._control("unload-module", "module-null-sink")

    def _control(self, *command: str) -> None:
        subprocess.run(["pactl", *command], env=self._private, check=True, timeout=10, stdout=subprocess.DEVNULL)

    def _wait_for_server(self) -> None:
        limit = time.monotonic() + _START_LIMIT_S
        while subprocess.run(
            ["pactl", "info"], env=self._private, capture_output=True, timeout=10, check=False
        ).returncode:
            assert self._server is not None
            if self._server.poll() is not None or time.monotonic() > limit:
                raise RuntimeError((self._folder / "pulse.log").read_text())
            time.sleep(0.05)
