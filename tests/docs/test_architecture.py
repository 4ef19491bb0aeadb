"""The page on the architecture lists the folders, layers, companions and methods of an output that exist."""

import re
import tomllib
from pathlib import Path

from device.bundle import DEFAULT_BUNDLE, read_bundle

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")
PACKAGES = ("edge_mcnn", "training", "convert", "device")


def test_every_folder_is_listed() -> None:
    listed = re.findall(r"^\| `([\w/]+)/` \|", PAGE, re.M)
    folders = {
        str(path.parent.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")
    }
    assert len(listed) == len(set(listed))
    assert folders <= set(listed)
    assert [name for name in listed if not (ROOT / name).is_dir()] == []


def test_the_layers_of_device_are_those_of_the_contract() -> None:
    [contract] = [
        each
        for each in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
        if each.get("containers") == ["device"]
    ]
    [sentence] = re.findall(r"imports go one way: (.*?)\.", PAGE, re.S)
    layers = [sorted(re.findall(r"`(\w+)`", layer)) for layer in sentence.split(";")]
    assert layers == [sorted(re.findall(r"\w+", layer)) for layer in contract["layers"]]


def test_the_files_in_a_bundle_are_named() -> None:
    for name in read_bundle(DEFAULT_BUNDLE).companions.entries():
        assert f"`{name}`" in PAGE


def test_the_methods_of_an_output_are_those_of_the_protocol() -> None:
    source = (ROOT / "device/outputs/base.py").read_text("utf-8").partition("class Monitor")[0]
    methods = re.findall(r"^    def (\w+)\(self, ([^)]*)\)", source, re.M)
    expected = [f"{name}({re.sub(': [^,]*', '', parameters)})" for name, parameters in methods]
    assert re.findall(r"^\| `(\w+\(\w[^`]*\))` \|", PAGE, re.M) == expected
