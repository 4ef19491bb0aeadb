"""The machines that train together: who they are, waiting for them, and adding up what they found.

They are named by TensorFlow's own `TF_CONFIG`; without it this machine is the only one, and nothing here costs
anything. This module knows neither networks nor corpora.
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

_ADVICE = (
    'it names all machines and which one this is, such as {"cluster": {"worker": ["pc1:12345", "pc2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}; or unset it to train on this machine alone'
)
_RETRY_S = 0.2


@dataclass(frozen=True)
class Cluster:
    """Who trains together, and which of them this is."""

    addresses: tuple[str, ...]
    """`host:port` of every worker; the first is the chief, who writes the model."""
    index: int
    """Which of them is this process."""


def read_cluster(configuration: str | None) -> Cluster | None:
    """Read the content of `TF_CONFIG`.

    Returns:
        None where there is none, or where it names one machine only.

    Raises:
        TrainingError: it is not JSON, or does not say who the workers are and which of them this is.
    """
    if not configuration:
        return None
    try:
        content = json.loads(configuration)
    except ValueError as error:
        raise TrainingError(f"TF_CONFIG: not valid JSON ({error}); {_ADVICE}") from None
    try:
        cluster, task = content["cluster"], content["task"]
        other = sorted(set(cluster) - {"chief", "worker"})
        if other:
            raise TrainingError(f"TF_CONFIG: has machines of type {other[0]!r}, can use chief and worker; {_ADVICE}")
        chiefs, workers = list(cluster.get("chief", [])), list(cluster.get("worker", []))
        kind, index = task["type"], int(task["index"])
        places = {"chief": list(range(len(chiefs))), "worker": [len(chiefs) + n for n in range(len(workers))]}
        addresses = tuple(chiefs + workers)
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not host or not 0 < int(port) < 65536:
                raise TrainingError(f"TF_CONFIG: {address!r} is not HOST:PORT; {_ADVICE}")
        if len(set(addresses)) < len(addresses):
            raise TrainingError(f"TF_CONFIG: two workers have the same address; {_ADVICE}")
        if index < 0 or index >= len(places[kind]):
            raise TrainingError(f"TF_CONFIG: there is no {kind} of index {index}; {_ADVICE}")
        here = places[kind][index]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise TrainingError(f"TF_CONFIG: incomplete or malformed ({error!r}); {_ADVICE}") from None
    return Cluster(addresses, here) if len(addresses) > 1 else None


class Workers:
    """This process among those that train together.

    Args:
        strategy: TensorFlow's, of one replica per process.
        count: how many there are.
        index: which of them this is.
    """

    def __init__(self, strategy: Any, count: int = 1, index: int = 0) -> None:
        self.strategy = strategy
        self.count = count
        self.index = index
        self._sum = tf.function(self._summed)

    @property
    def chief(self) -> bool:
        """The one who keeps what is learnt."""
        return self.index == 0

    def total(self, values: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """The sums of what all workers give, each of one shape and type everywhere; all have to call this.

        Raises:
            TrainingError: a worker is gone.
        """
        if self.count == 1:
            return list(values)
        try:
            return [found.numpy() for found in self._sum([tf.constant(value) for value in values])]
        except tf.errors.OpError as error:
            raise lost(error) from None

    def from_chief(self, values: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """What the chief gives; the others give arrays of the same shapes and types. All have to call this."""
        return self.total([value if self.chief else np.zeros_like(value) for value in values])

    def _summed(self, values: list[Any]) -> list[Any]:
        found = self.strategy.run(lambda *own: own, values)
        return [self.strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None) for each in found]


def assemble(environment: Mapping[str, str], wait_s: float, console: Console) -> Workers:
    """Meet the other machines, if there are any. To be called before TensorFlow has computed anything.

    Args:
        environment: `TF_CONFIG` is read from it, see `read_cluster`.
        wait_s: seconds to wait for the other machines.
        console: where it is told who is waited for.

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
        raise TrainingError(f"the {len(cluster.addresses)} workers cannot be joined ({_first_line(error)})") from None
    console.print(f"worker {cluster.index + 1} of {len(cluster.addresses)}")
    return Workers(strategy, len(cluster.addresses), cluster.index)


def lost(error: Exception) -> TrainingError:
    """What to tell when TensorFlow fails in the middle because a worker is gone."""
    return TrainingError(
        f"another worker is gone or stopped ({type(error).__name__}); see what it says, then start all of them again "
        "with --resume"
    )


def wait_for_workers(cluster: Cluster, wait_s: float, console: Console) -> None:
    """Wait until every machine can be reached: TensorFlow itself would wait for an hour, and not say for whom.

    Raises:
        TrainingError: not all can be reached in time, or this machine's port is taken.
    """
    own = cluster.addresses[cluster.index]
    port = int(own.rpartition(":")[2])
    missing = [address for address in cluster.addresses if address != own]
    until = time.monotonic() + wait_s
    try:
        # Others find this machine by connecting to where TensorFlow will listen a little later.
        listener = socket.create_server(("", port), backlog=128)
    except OSError as error:
        raise TrainingError(
            f"TF_CONFIG: cannot listen on this worker's port {port} ({error.strerror}); choose a free one, or end the "
            "program that uses it"
        ) from None
    with listener:
        told = False
        while True:
            missing = [address for address in missing if not _reachable(address)]
            if not missing:
                return
            if time.monotonic() > until:
                raise TrainingError(
                    f"TF_CONFIG: worker {missing[0]} cannot be reached within {wait_s:g} s; start "
                    "`edge-mcnn train` there as well, and see that a firewall lets the port through"
                )
            if not told:
                console.print(f"waiting for {', '.join(missing)}", markup=False, soft_wrap=True)
                told = True
            time.sleep(_RETRY_S)


def _reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=2):
        return True
    return False


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
