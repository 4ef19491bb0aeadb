from pathlib import Path

from tests.edge_mcnn.command_line import assert_refused, edge_mcnn


def test_without_a_daemon(tmp_path: Path) -> None:
    assert_refused(edge_mcnn("status", "--socket", tmp_path / "none"), "no daemon is running")
