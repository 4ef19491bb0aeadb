"""Random requests for every route: none may end in an error of the server, change anything, or make it grow."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.web.hostile_requests import KINDS, Hostile, attacked


@pytest.fixture(scope="module", params=[True, False], ids=["password", "no password"])
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    with attacked(folder, random.Random(1), password=request.param) as hostile:
        yield hostile


@pytest.mark.parametrize("kind", KINDS)
def test_no_request_harms_the_server(hostile: Hostile, kind: str) -> None:
    hostile.check(hostile.send(kind, 300))
