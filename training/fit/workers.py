"""The machines that train together: their addresses, waiting for them, and sums over their results.

TensorFlow's own `TF_CONFIG` names them; without it this machine is the only one, and nothing here costs time. This
module is independent of networks and corpora.
"""

import json
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console

from device.errors import TrainingError

_FIX = (
    'name all machines and which one this is, such as {"cluster": {"worker": ["pc1:12345", "pc2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}, or unset it to train on this machine alone'
)
_RETRY_S = 0.2


@dataclass(frozen=True)
class Cluster:
    """The addresses of the machines that train together, and which of them this is."""

    addresses: tuple[str, ...]
    """`host:port` of every worker; the first is the chief, which writes the model."""
    index: int
    """Index of this process among the addresses."""


def read_cluster(configuration: str | None) -> Cluster | None:
    """Read the content of `TF_CONFIG`.

    Returns:
        The cluster; None if there is no configuration, or if it names one machine only.

    Raises:
        TrainingError: it is not JSON, or does not name the workers and which of them this is.
    """
    if not configuration:
        return None
    try:
        content = json.loads(configuration)
    except ValueError as error:
        raise TrainingError(f"TF_CONFIG: not valid JSON ({error})", fix=_FIX) from None
    try:
        cluster, task = content["cluster"], content["task"]
        other = sorted(set(cluster) - {"chief", "worker"})
        if other:
            raise TrainingError(f"TF_CONFIG: has machines of type {other[0]!r}, can use chief and worker", fix=_FIX)
        chiefs, workers = list(cluster.get("chief", [])), list(cluster.get("worker", []))
        kind, index = task["type"], int(task["index"])
        positions = {"chief": list(range(len(chiefs))), "worker": [len(chiefs) + n for n in range(len(workers))]}
        addresses = tuple(chiefs + workers)
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not host or not 0 < int(port) < 65536:
                raise TrainingError(f"TF_CONFIG: {address!r} is not HOST:PORT", fix=_FIX)
        if len(set(addresses)) < len(addresses):
            raise TrainingError("TF_CONFIG: two workers have the same address", fix=_FIX)
        if index < 0 or index >= len(positions[kind]):
            raise TrainingError(f"TF_CONFIG: there is no {kind} of index {index}", fix=_FIX)
        own = positions[kind][index]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise TrainingError(f"TF_CONFIG: incomplete or malformed ({error!r})", fix=_FIX) from None
    return Cluster(addresses, own) if len(addresses) > 1 else None


class Workers:
    """This process among those that train together.

    Args:
        strategy: TensorFlow's distribution strategy, with one replica per process.
        count: number of workers.
        index: index of this worker.
    """

    def __init__(self, strategy: Any, count: int = 1, index: int = 0) -> None:
        self.strategy = strategy
        self.count = count
        self.index = index
        self._sum = tf.function(self._summed, autograph=False)

    @property
    def chief(self) -> bool:
        """Whether this worker writes the checkpoint and the model."""
        return self.index == 0

    def total(self, values: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the sums of the arrays of all workers, each of the same shape and type everywhere; all must call this.

        Raises:
            TrainingError: a worker was lost.
        """
        if self.count == 1:
            return list(values)
        try:
            return [found.numpy() for found in self._sum([tf.constant(value) for value in values])]
        except tf.errors.OpError as error:
            raise worker_lost(error) from None

    def from_chief(self, values: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the chief's arrays; the others pass arrays of the same shapes and types. All must call this."""
        return self.total([value if self.chief else np.zeros_like(value) for value in values])

    def _summed(self, values: list[Any]) -> list[Any]:
        per_replica = self.strategy.run(lambda *own: own, values)
        return [self.strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None) for each in per_replica]


def assemble(environment: Mapping[str, str], wait_s: float, console: Console) -> Workers:
    """Connect to the other machines, if there are any; must be called before TensorFlow computes anything.

    Args:
        environment: environment variables, of which `TF_CONFIG` is read, see `read_cluster`.
        wait_s: seconds to wait for the other machines.
        console: console for the machines that it waits for.

    Raises:
        TrainingError: `TF_CONFIG` is unusable, or a machine cannot be reached.
    """
    cluster = read_cluster(environment.get("TF_CONFIG"))
    if cluster is None:
        return Workers(tf.distribute.get_strategy())
    wait_for_workers(cluster, wait_s, console)
    # One replica per process, as documented: with more, each would train on the same rows.
    for kind in ("GPU", "TPU"):
        tf.config.set_visible_devices(tf.config.list_physical_devices(kind)[:1], kind)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"the {len(cluster.addresses)} workers cannot be connected ({_first_line(error)})"
        ) from None
    console.print(f"worker {cluster.index + 1} of {len(cluster.addresses)}")
    return Workers(strategy, len(cluster.addresses), cluster.index)


def worker_lost(error: Exception) -> TrainingError:
    """Return the error for a failure of TensorFlow during training because another worker ended."""
    return TrainingError(
        f"another worker was lost or stopped ({type(error).__name__})",
        fix="read its message, then start all of them again with --resume",
    )


def wait_for_workers(cluster: Cluster, wait_s: float, console: Console) -> None:
    """Wait until every machine can be reached: TensorFlow would wait for an hour, without naming the missing ones.

    Raises:
        TrainingError: not all can be reached in time, or this machine's port is taken.
    """
    own = cluster.addresses[cluster.index]
    port = int(own.rpartition(":")[2])
    missing = [address for address in cluster.addresses if address != own]
    until = time.monotonic() + wait_s
    try:
        # Others check this machine by connecting to the port on which TensorFlow will listen a little later.
        listener = socket.create_server(("", port), backlog=128)
    except OSError as error:
        raise TrainingError(
            f"TF_CONFIG: cannot listen on this worker's port {port} ({error.strerror})",
            fix="choose a free one, or end the program that uses it",
        ) from None
    with listener:
        announced = False
        while True:
            missing = [address for address in missing if not _reachable(address)]
            if not missing:
                return
            if time.monotonic() > until:
                raise TrainingError(
                    f"TF_CONFIG: worker {missing[0]} cannot be reached within {wait_s:g} s",
                    fix="start `edge-mcnn train` there as well, and check that its firewall opens the port",
                )
            if not announced:
                console.print(f"waiting for {', '.join(missing)}", soft_wrap=True)
                announced = True
            time.sleep(_RETRY_S)


def _reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=2):
        return True
    return False


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
