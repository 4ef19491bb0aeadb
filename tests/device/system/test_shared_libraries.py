import pytest

from device.system.shared_libraries import how_to_install


@pytest.mark.parametrize(
    ("error", "package"),
    [
        # The messages of cffi and of Python.
        (
            "cannot load library '/x/vosk/libvosk.so': libatomic.so.1: cannot open shared object file: No such file or "
            "directory",
            "libatomic1",
        ),
        ("libgomp.so.1: cannot open shared object file: No such file or directory", "libgomp1"),
        ("libstdc++.so.6: cannot open shared object file", "libstdc++6"),
        ("libusb-1.0.so.0: cannot open shared object file", "libusb-1.0-0"),
    ],
)
def test_package_of_a_missing_library(error: str, package: str) -> None:
    assert how_to_install(OSError(error)) == f"run: sudo apt-get install {package}"


@pytest.mark.parametrize(
    "error", ["No module named 'vosk'", "libvosk.so: invalid ELF header", "libvosk.so: cannot open shared object file"]
)
def test_apt_does_not_fix_other_errors(error: str) -> None:
    assert how_to_install(ImportError(error)) == ""
