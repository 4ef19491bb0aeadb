"""Reading `TF_CONFIG`, waiting for the other machines, and errors when they cannot be reached."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from device.errors import TrainingError
from tests.training.conftest import free_ports, printed
from training.fit.workers import Cluster, Workers, assemble, read_cluster, wait_for_workers


def configuration(cluster: Any, kind: str = "worker", index: Any = 0) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_cluster_is_read() -> None:
    assert read_cluster(None) is None
    assert read_cluster("") is None
    assert read_cluster(configuration({"worker": ["a:1"]})) is None
    two = ["a:1", "b:2"]
    assert read_cluster(configuration({"worker": two}, index=1)) == Cluster(("a:1", "b:2"), 1)
    chief = {"chief": ["c:3"], "worker": two}
    assert read_cluster(configuration(chief, "chief")) == Cluster(("c:3", "a:1", "b:2"), 0)
    assert read_cluster(configuration(chief, "worker", "1")) == Cluster(("c:3", "a:1", "b:2"), 2)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "not valid JSON"),
        ("[]", "incomplete or malformed"),
        ('{"cluster": {"worker": ["a:1", "b:2"]}}', "incomplete or malformed.*'task'"),
        (configuration({"worker": ["a:1", "b:2"]}, index=2), "there is no worker of index 2"),
        (configuration({"worker": ["a:1", "b:2"]}, index=-1), "there is no worker of index -1"),
        (configuration({"worker": ["a:1", "b:2"]}, index="x"), "incomplete or malformed"),
        (configuration({"worker": ["a:1", "b"]}), "'b' is not HOST:PORT"),
        (configuration({"worker": ["a:1", "b:http"]}), "incomplete or malformed"),
        (configuration({"worker": ["a:1", "a:1"]}), "same address"),
        (configuration({"worker": ["a:1", "b:2"], "ps": ["c:3"]}), "type 'ps'"),
        (configuration({"worker": ["a:1", "b:2"]}, kind="evaluator"), "incomplete or malformed.*'evaluator'"),
        (configuration({"worker": 5}), "incomplete or malformed"),
    ],
)
def test_malformed_configuration(content: str, expected: str, console: Console) -> None:
    with pytest.raises(TrainingError, match=rf"^TF_CONFIG: .*{expected}.*or unset it to train on this machine alone$"):
        assemble({"TF_CONFIG": content}, 1, console)


def test_unreachable_worker(console: Console) -> None:
    own, other = (f"localhost:{port}" for port in free_ports(2))
    with pytest.raises(TrainingError, match=rf"worker {other} cannot be reached within 0.3 s; start `edge-mcnn train`"):
        wait_for_workers(Cluster((own, other), 0), 0.3, console)
    assert f"waiting for {other}" in printed(console)


def test_port_in_use(console: Console) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TrainingError, match=f"cannot listen on this worker's port {port}"):
            wait_for_workers(Cluster((f"localhost:{port}", "localhost:1"), 0), 1, console)


def test_workers_wait_for_each_other() -> None:
    ports = free_ports(3)
    addresses = tuple(f"localhost:{port}" for port in ports)
    all_connected = threading.Barrier(3)

    def join(index: int) -> bool:
        wait_for_workers(Cluster(addresses, index), 20, Console(quiet=True))
        # TensorFlow would listen on the port now, so that slower machines reach it.
        with socket.create_server(("", ports[index])):
            all_connected.wait(20)
        return True

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(join, range(3))) == [True] * 3


def test_single_machine_is_the_chief() -> None:
    alone = Workers(tf.distribute.get_strategy())
    assert alone.chief
    (same,) = alone.from_chief([np.arange(3)])
    np.testing.assert_array_equal(same, np.arange(3))
