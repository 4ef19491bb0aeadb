import pytest

from device.system.shared_libraries import how_to_install


@pytest.mark.parametrize(
    ("told", "package"),
    [
        # As cffi tells it, and as Python does.
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
def test_the_package_of_a_library_that_is_missing(told: str, package: str) -> None:
    assert how_to_install(OSError(told)) == f"run: sudo apt-get install {package}"


@pytest.mark.parametrize(
    "told", ["No module named 'vosk'", "libvosk.so: invalid ELF header", "libvosk.so: cannot open shared object file"]
)
def test_another_fault_is_not_apt_s(told: str) -> None:
    assert how_to_install(ImportError(told)) == ""
