import pytest

from device.errors import EdgeMcnnError
from edge_mcnn.output import out


def test_data_goes_to_standard_output_and_everything_else_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    out.line("data")
    out.json({"text": "grün"})
    out.announce("note")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ('data\n{"text": "grün"}\n', "note\n")


def test_an_error_is_a_message_and_a_fix(capsys: pytest.CaptureFixture[str]) -> None:
    out.error(EdgeMcnnError("a.toml: no such\n file", fix="choose\nanother"))
    out.error(EdgeMcnnError("stopped"))
    assert capsys.readouterr().err == "edge-mcnn: a.toml: no such file\n  fix: choose another\nedge-mcnn: stopped\n"
