"""Follows docs/install-on-a-pi.md in arm64 roots of Debian, and compares the answers there with those of this machine.

    sudo make check-arm64 [ROOTS=FOLDER] [SPEECH_MODEL=FOLDER]      # or: python -m tests.arm64 --help

Each line of the page is typed as it stands. Then the recorded clips are classified on the processor of each board, and
what else can be tried without pins and a sound card is. Prints each step with its time, which is that of an emulator.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from device.bundle import DEFAULT_BUNDLE
from tests.arm64.page import Step, steps
from tests.arm64.root import CPUS, SYSTEMS, USER, EndedError, MissingError, Root, Shell
from tests.system.virtual_microphone import NAME, VirtualMicrophone

_REPOSITORY = Path(__file__).parents[2]
_CLIPS = "tests/fixtures/speech/*.flac"
_CLASSIFY = f"edge-mcnn classify --json {_CLIPS}"
_ADDRESS = "/srv/edge-mcnn.bundle"
_LIMIT_S = 3600
_TOLERANCE = 0.01
_IMPORT_ALL = (
    "import device, importlib, pkgutil; "
    "[importlib.import_module(each.name) for each in pkgutil.walk_packages(device.__path__, 'device.') "
    "if not each.name.endswith('__main__')]"
)
_MOCK = "GPIOZERO_PIN_FACTORY=mock EDGE_MCNN_LIGHTS_KIND=gpio"
_MORE = [
    Step("edge-mcnn --help", told="doctor"),
    Step("edge-mcnn settings --show", told="[endpoint]"),
    Step(f"{_MOCK} edge-mcnn lights test", told="GPIO17"),
    Step("EDGE_MCNN_LIGHTS_KIND=gpio edge-mcnn doctor", 1, "there is no /dev/gpiochip*"),
    Step(f'python -W error -c "{_IMPORT_ALL}"'),
    Step("pip install --quiet --editable '.[litert,mqtt]'"),
    Step("pip check", told="No broken requirements"),
    Step("du -sm .venv ~/.cache/edge-mcnn ~/.cache/pip"),
]
_LISTENING = [
    Step("sudo apt-get install -qq --yes --no-install-recommends libasound2-plugins"),
    Step("cd edge-mcnn && . .venv/bin/activate && edge-mcnn microphones", told=NAME),
    # What is heard first may be the end of a sentence that began before.
    Step(
        f"timeout 900 edge-mcnn listen --microphone {NAME} --lights none --json | "
        """grep --max-count 1 '"label": "positive"'"""
    ),
]
_ENVIRONMENT = {"QEMU_CPU": CPUS["Pi 4"]}
Answers = dict[str, tuple[str, str, dict[str, float]]]
"""Label, words and probabilities by clip."""


class Report:
    """The steps of one root, each told when it ends."""

    def __init__(self, system: str) -> None:
        self.rows: list[str] = []
        self.failed: list[str] = []
        self._system = system

    def add(self, step: str, seconds: float, fault: str = "") -> None:
        """A step has come to its end."""
        self.rows.append(f"{self._system:9} {'FAILED' if fault else 'ok':6} {seconds:6.1f} s  {step}")
        print(self.rows[-1], fault, sep="\n" if fault else "", file=sys.stderr, flush=True)
        if fault:
            self.failed.append(f"{self._system}: {step}")


def answers(output: str) -> Answers:
    """What `classify --json` printed."""
    tables = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {Path(table["file"]).stem: (table["label"], table["text"], table["probabilities"]) for table in tables}


def answers_here() -> Answers:
    """Of this machine."""
    clips = sorted(_REPOSITORY.glob(_CLIPS))
    command = [sys.executable, "-m", "edge_mcnn", "classify", "--json", *map(str, clips)]
    return answers(subprocess.run(command, cwd=_REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout)


def difference(here: Answers, there: Answers) -> float:
    """The largest of any probability.

    Raises:
        ValueError: another label, other words, or another number of answers.
    """
    if [(name, *each[:2]) for name, each in here.items()] != [(name, *each[:2]) for name, each in there.items()]:
        raise ValueError(f"here {here}\nthere {there}")
    return max(
        abs(probability - there[name][2][label])
        for name, (_, _, probabilities) in here.items()
        for label, probability in probabilities.items()
    )


def follow(shell: Shell, lines: list[Step], report: Report) -> None:
    """Type lines, one after the other; a line that fails does not keep the next ones from being tried."""
    for step in lines:
        done = shell.run(step.command, _LIMIT_S)
        wrong = done.status != step.status or step.told not in done.output or "Traceback" in done.output
        wanted = f"wanted status {step.status} and {step.told!r}; status {done.status} of:\n{done.output}"
        report.add(step.command, done.seconds, wanted if wrong else "")


def compare(shell: Shell, here: Answers, report: Report) -> None:
    """Classify the clips on the processor of each board."""
    for board, cpu in CPUS.items():
        done = shell.run(f"QEMU_CPU={cpu} {_CLASSIFY}", _LIMIT_S)
        try:
            furthest = difference(here, answers(done.output))
        except (ValueError, KeyError) as error:
            report.add(f"answers on {board}", done.seconds, f"{error}\n{done.output}")
            continue
        fault = "" if furthest <= _TOLERANCE else f"further than {_TOLERANCE}"
        report.add(f"answers on {board}: probabilities within {furthest:.4f}", done.seconds, fault)


def listen(root: Root, report: Report) -> None:
    """Speak into a microphone of this machine that is seen inside, until there is an answer."""
    with (
        tempfile.TemporaryDirectory(prefix="mic") as name,
        VirtualMicrophone(Path(name) / "m", rate=48_000, channels=1, strict=False, hum=True) as microphone,
        Shell(root, {**_ENVIRONMENT, **microphone.environment}, [Path(name)]) as shell,
    ):
        Path(name).chmod(0o755)
        answered = threading.Event()

        def speak() -> None:
            while not answered.is_set():
                microphone.play(_REPOSITORY / "tests/fixtures/speech/espeak-thank-you.flac")

        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            follow(shell, _LISTENING, report)
        finally:
            answered.set()
            speaker.join()


def from_the_laptop(folder: Path) -> dict[Path, str]:
    """What a reader copies to the Pi, of what is committed here, and where it goes."""
    clone, bundle = folder / "clone", folder / "bundle"
    subprocess.run(["git", "clone", "--quiet", "--single-branch", _REPOSITORY, clone], check=True)
    subprocess.run(["git", "-C", clone, "bundle", "create", "--quiet", bundle, "--branches", "HEAD"], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, clone], check=True)
    [wheel] = folder.glob("*.whl")
    home = f"/home/{USER}"
    return {bundle: _ADDRESS, wheel: f"{home}/{wheel.name}", DEFAULT_BUNDLE: f"{home}/Model.tflite"}


def check(root: Root, here: Answers, speech_model: Path | None, report: Report) -> None:
    """Do it all in one root."""
    with tempfile.TemporaryDirectory() as folder:
        for path, inside in from_the_laptop(Path(folder)).items():
            root.put(path, inside)
    installing, removing = steps(_ADDRESS)
    if speech_model is not None:
        before = next(number for number, step in enumerate(installing) if step.command == "make listen")
        fetch = Step(f".venv/bin/edge-mcnn fetch-speech-model --from '{speech_model}'")
        installing[before:before] = [Step("make setup"), fetch]
    with Shell(root, _ENVIRONMENT, [speech_model] if speech_model else []) as shell:
        follow(shell, [Step("rm -rf edge-mcnn lamp"), *installing], report)  # of a run that did not end
        follow(shell, [Step("cd ~/edge-mcnn")], report)
        compare(shell, here, report)
        follow(shell, _MORE, report)
        listen(root, report)
        follow(shell, removing, report)


def _main() -> None:
    asked = argparse.ArgumentParser(prog="python -m tests.arm64", description=__doc__)
    kept = Path.home() / ".cache" / "edge-mcnn-arm64"
    asked.add_argument("--roots", type=Path, default=kept, help="folder that keeps them (default: %(default)s)")
    asked.add_argument("--speech-model", type=Path, help="Vosk's folder, where a Pi could not fetch it")
    asked.add_argument("systems", nargs="*", default=SYSTEMS, metavar="SYSTEM", help=f"of {', '.join(SYSTEMS)}")
    options = asked.parse_args()
    if unknown := set(options.systems) - set(SYSTEMS):
        asked.error(f"no such system: {', '.join(unknown)}")
    if options.speech_model and not options.speech_model.is_dir():
        asked.error(f"{options.speech_model} is no folder")
    here = answers_here()
    reports = []
    for system in options.systems:
        reports.append(Report(system))
        start = time.monotonic()
        root = Root(options.roots.absolute() / system, system)
        print(f"{system}: in {root.folder}, which takes some minutes where it is not there yet", file=sys.stderr)
        root.make()
        reports[-1].add("make the root", time.monotonic() - start)
        try:
            check(root, here, options.speech_model and options.speech_model.resolve(), reports[-1])
        except EndedError as error:
            reports[-1].add("all that follows", 0.0, str(error))
    print(*(row for report in reports for row in report.rows), sep="\n")
    print(f"The roots are kept for the next time; to remove them: sudo rm -rf '{options.roots.absolute()}'")
    if failed := [step for report in reports for step in report.failed]:
        sys.exit(f"failed: {'; '.join(failed)}")


if __name__ == "__main__":
    try:
        _main()
    except (MissingError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
