"""Follows docs/install-on-a-pi.md in arm64 roots of Debian, and compares the predictions with those of this machine.

    sudo make check-arm64 [ROOTS=FOLDER] [SPEECH_MODEL=FOLDER]      # or: python -m tests.arm64 --help

Runs each command of the page literally. Then classifies the recorded clips on the emulated processor of each board, and
tests everything else that needs neither pins nor a sound card. Prints each step with its duration in the emulator.
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
from tests.arm64.root import CPUS, SYSTEMS, USER, Root, Shell, ShellEndedError, UnavailableError
from tests.step_report import Report
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
_FURTHER_STEPS = [
    Step("edge-mcnn --help", output="doctor"),
    Step("edge-mcnn settings --show", output="[endpoint]"),
    Step(f"{_MOCK} edge-mcnn lights test", output="GPIO17"),
    Step("EDGE_MCNN_LIGHTS_KIND=gpio edge-mcnn doctor", 1, "there is no /dev/gpiochip*"),
    Step(f'python -W error -c "{_IMPORT_ALL}"'),
    Step(
        "mkdir -p voice/negative voice/positive && "
        "cp tests/fixtures/speech/espeak-ruined.flac voice/negative && "
        "cp tests/fixtures/speech/espeak-thank-you.flac voice/positive"
    ),
    Step("edge-mcnn learn voice --output voice/profile.json", output="voice/profile.json"),
    Step("edge-mcnn learn --status --json --output voice/profile.json", output='"examples"'),
    Step(f"edge-mcnn classify --profile voice/profile.json --json {_CLIPS}", output='"adapted"'),
    Step("pip install --quiet --editable '.[litert,mqtt]'"),
    Step("pip check", output="No broken requirements"),
    Step("du -sm .venv ~/.cache/edge-mcnn ~/.cache/pip"),
]
_LISTENING_STEPS = [
    Step("sudo apt-get install -qq --yes --no-install-recommends libasound2-plugins"),
    Step("cd edge-mcnn && . .venv/bin/activate && edge-mcnn microphones", output=NAME),
    # The first prediction may be for the end of a sentence that had begun before.
    Step(
        f"timeout 900 edge-mcnn listen --microphone {NAME} --lights none --json | "
        """grep --max-count 1 '"label": "positive"'"""
    ),
    # Every take is used, because nobody types.
    Step(
        f"timeout 900 edge-mcnn learn --clips 1 --microphone {NAME} --output voice/session.json < /dev/null",
        output="voice/session.json",
    ),
]
_ENVIRONMENT = {"QEMU_CPU": CPUS["Pi 4"]}
Predictions = dict[str, tuple[str, str, dict[str, float]]]
"""Label, text and probabilities by the name of the clip."""


def parse_predictions(output: str) -> Predictions:
    """Parse the output of `classify --json`; other lines are ignored."""
    tables = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {Path(table["file"]).stem: (table["label"], table["text"], table["probabilities"]) for table in tables}


def predictions_here() -> Predictions:
    """Classify the clips on this machine."""
    clips = sorted(_REPOSITORY.glob(_CLIPS))
    command = [sys.executable, "-m", "edge_mcnn", "classify", "--json", *map(str, clips)]
    return parse_predictions(
        subprocess.run(command, cwd=_REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout
    )


def max_difference(here: Predictions, there: Predictions) -> float:
    """The largest difference of a probability.

    Raises:
        ValueError: a label, a text, or the number of predictions differs.
    """
    if [(name, *each[:2]) for name, each in here.items()] != [(name, *each[:2]) for name, each in there.items()]:
        raise ValueError(f"here {here}\nthere {there}")
    return max(
        abs(probability - there[name][2][label])
        for name, (_, _, probabilities) in here.items()
        for label, probability in probabilities.items()
    )


def follow(shell: Shell, steps: list[Step], report: Report) -> None:
    """Run the commands one after the other; a failed command does not stop the next ones."""
    for step in steps:
        done = shell.run(step.command, _LIMIT_S)
        failed = done.status != step.status or step.output not in done.output or "Traceback" in done.output
        failure = f"expected status {step.status} and {step.output!r}; got status {done.status} and:\n{done.output}"
        report.add(step.command, done.seconds, failure if failed else "")


def compare(shell: Shell, here: Predictions, report: Report) -> None:
    """Classify the clips on the emulated processor of each board."""
    for board, cpu in CPUS.items():
        done = shell.run(f"QEMU_CPU={cpu} {_CLASSIFY}", _LIMIT_S)
        try:
            difference = max_difference(here, parse_predictions(done.output))
        except (ValueError, KeyError) as error:
            report.add(f"predictions on {board}", done.seconds, f"{error}\n{done.output}")
            continue
        failure = "" if difference <= _TOLERANCE else f"more than {_TOLERANCE}"
        report.add(f"predictions on {board}: probabilities within {difference:.4f}", done.seconds, failure)


def listen(root: Root, report: Report) -> None:
    """Play speech into a virtual microphone of this machine, visible in the root, until there is a prediction."""
    with (
        tempfile.TemporaryDirectory(prefix="mic") as name,
        VirtualMicrophone(Path(name) / "m", rate=48_000, channels=1, strict=False, hum=True) as microphone,
        Shell(root, {**_ENVIRONMENT, **microphone.environment}, [Path(name)]) as shell,
    ):
        Path(name).chmod(0o755)
        finished = threading.Event()

        def speak() -> None:
            while not finished.is_set():
                microphone.play(_REPOSITORY / "tests/fixtures/speech/espeak-thank-you.flac")

        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            follow(shell, _LISTENING_STEPS, report)
        finally:
            finished.set()
            speaker.join()


def files_from_the_laptop(folder: Path) -> dict[Path, str]:
    """Build the files that a reader copies from a laptop to the Pi, from the last commit.

    Returns:
        The path in the root by the path here.
    """
    clone, bundle = folder / "clone", folder / "bundle"
    subprocess.run(["git", "clone", "--quiet", "--single-branch", _REPOSITORY, clone], check=True)
    subprocess.run(["git", "-C", clone, "bundle", "create", "--quiet", bundle, "--branches", "HEAD"], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, clone], check=True)
    [wheel] = folder.glob("*.whl")
    home = f"/home/{USER}"
    return {bundle: _ADDRESS, wheel: f"{home}/{wheel.name}", DEFAULT_BUNDLE: f"{home}/Model.tflite"}


def check(root: Root, here: Predictions, speech_model: Path | None, report: Report) -> None:
    """Run all steps in one root."""
    with tempfile.TemporaryDirectory() as folder:
        for path, inside in files_from_the_laptop(Path(folder)).items():
            root.put(path, inside)
    installation, removal = steps(_ADDRESS)
    if speech_model is not None:
        before = next(number for number, step in enumerate(installation) if step.command == "make listen")
        fetch = Step(f".venv/bin/edge-mcnn fetch-speech-model --from '{speech_model}'")
        installation[before:before] = [Step("make setup"), fetch]
    with Shell(root, _ENVIRONMENT, [speech_model] if speech_model else []) as shell:
        follow(shell, [Step("rm -rf edge-mcnn lamp"), *installation], report)  # left by an interrupted run
        follow(shell, [Step("cd ~/edge-mcnn")], report)
        compare(shell, here, report)
        follow(shell, _FURTHER_STEPS, report)
        listen(root, report)
        follow(shell, removal, report)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.arm64", description=__doc__)
    default_folder = Path.home() / ".cache" / "edge-mcnn-arm64"
    parser.add_argument("--roots", type=Path, default=default_folder, help="folder of the roots (default: %(default)s)")
    parser.add_argument("--speech-model", type=Path, help="folder of the Vosk model, to test without fetching it")
    parser.add_argument("systems", nargs="*", default=SYSTEMS, metavar="SYSTEM", help=f"any of {', '.join(SYSTEMS)}")
    options = parser.parse_args()
    if unknown := set(options.systems) - set(SYSTEMS):
        parser.error(f"no such system: {', '.join(unknown)}")
    if options.speech_model and not options.speech_model.is_dir():
        parser.error(f"{options.speech_model} is not a folder")
    here = predictions_here()
    reports = []
    for system in options.systems:
        reports.append(Report(system))
        start = time.monotonic()
        root = Root(options.roots.absolute() / system, system)
        print(f"{system}: in {root.folder}, which takes some minutes to create the first time", file=sys.stderr)
        root.create()
        reports[-1].add("create the root", time.monotonic() - start)
        try:
            check(root, here, options.speech_model and options.speech_model.resolve(), reports[-1])
        except ShellEndedError as error:
            reports[-1].add("all further steps", 0.0, str(error))
    print(*(row for report in reports for row in report.rows), sep="\n")
    print(f"The roots stay for the next run; to remove them: sudo rm -rf '{options.roots.absolute()}'")
    if failed := [step for report in reports for step in report.failed]:
        sys.exit(f"failed: {'; '.join(failed)}")


if __name__ == "__main__":
    try:
        _main()
    except (UnavailableError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
