"""Images and transcripts that real worker processes compute, some of which are killed in the middle of the work."""

import gc
import importlib.util
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console
from typer.testing import CliRunner

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from edge_mcnn.main import app
from tests.conftest import CLIPS
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn
from tests.training.conftest import free_ports, printed
from tests.training.dask_processes import Processes, running
from tests.waiting import wait_until
from training.dask_cluster import DaskCluster, connected
from training.data.clips import Clip
from training.data.corpus import Corpus
from training.data.transcripts.transcription import transcribe
from training.images.image_cache import ImageCache

pytestmark = pytest.mark.slow

COUNT = 24


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """A scheduler and two workers."""
    (tmp_path / "dask").mkdir()
    with running(tmp_path / "dask", workers=2) as started:
        yield started


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """Recordings of noise; one is broken, one is missing, and one is there twice."""
    folder = tmp_path / "clips"
    folder.mkdir()
    paths = [folder / f"{number}.wav" for number in range(COUNT)]
    for number, path in enumerate(paths):
        soundfile.write(path, np.random.default_rng(number).uniform(-0.5, 0.5, 16_000), 16_000)
    paths[5].write_text("broken")
    return [*paths, paths[0], folder / "missing.wav"]


def wait_for_workers(cluster: DaskCluster, count: int) -> None:
    wait_until(lambda: len(cluster._client.nthreads()) == count, message=f"there are not {count} workers")


def after_results(count: int, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call a function when the client has received this number of results, with others on their way."""
    results = DaskCluster.results

    def watched(self: DaskCluster, *arguments: object) -> Iterator[object]:
        for number, result in enumerate(results(self, *arguments), 1):  # type: ignore[arg-type]  # passed on
            yield result
            if number == count:
                act()

    monkeypatch.setattr(DaskCluster, "results", watched)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_images_equal_those_of_this_machine_although_a_worker_is_killed(
    processes: Processes, recordings: list[Path], tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = ImageCache(tmp_path / "local", FrontEnd()).fill(recordings, console)
    after_results(3, processes.workers[0].kill, monkeypatch)
    with connected(processes.address) as cluster:
        wait_for_workers(cluster, 2)
        remote = ImageCache(tmp_path / "remote", FrontEnd()).fill(recordings, console, cluster)
    assert processes.workers[0].poll() is not None
    assert (remote.computed, remote.reused) == (local.computed, local.reused) == (COUNT - 1, 0)
    assert remote.skipped == local.skipped
    assert remote.files == local.files
    assert content(tmp_path / "remote") == content(tmp_path / "local")


def test_transcripts_equal_those_of_this_machine_although_a_worker_is_killed(
    processes: Processes, speech_model: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert speech_model.is_dir()
    (tmp_path / "broken.wav").write_text("broken")
    files = [*sorted(CLIPS.glob("*.flac")), tmp_path / "broken.wav"]
    corpus = Corpus("corpus", tuple(Clip(file, "", "a", "train") for file in files))
    local = transcribe(corpus, tmp_path / "local.csv", console)
    after_results(2, processes.workers[1].kill, monkeypatch)
    with connected(processes.address) as cluster:
        wait_for_workers(cluster, 2)
        remote = transcribe(corpus, tmp_path / "remote.csv", console, cluster)
    assert processes.workers[1].poll() is not None
    assert remote.clips == local.clips
    assert any(clip.transcript for clip in remote.clips)
    assert (tmp_path / "remote.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert sorted((tmp_path / "remote.csv.transcripts.jsonl").read_text().splitlines()) == sorted(
        (tmp_path / "local.csv.transcripts.jsonl").read_text().splitlines()
    )


@pytest.mark.parametrize("lost", ["workers", "scheduler"])
def test_lost_cluster_is_one_line_and_the_same_command_continues(
    lost: str,
    processes: Processes,
    recordings: list[Path],
    tmp_path: Path,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kill() -> None:
        for process in processes.workers if lost == "workers" else [processes.scheduler]:
            process.kill()

    cache = ImageCache(tmp_path / "images", FrontEnd())
    with monkeypatch.context() as patch:
        after_results(4, kill, patch)
        with connected(processes.address, wait_s=5) as cluster, pytest.raises(TrainingError) as error:
            cache.fill(recordings, console, cluster)
    expected = "all workers were lost" if lost == "workers" else "the cluster cannot be used"
    assert error.value.message.startswith(f"--dask {processes.address}: {expected}")
    assert "\n" not in str(error.value)
    assert error.value.fix.endswith("then run the same command: it continues where it stopped")
    done = len(list((tmp_path / "images").glob("*.png")))
    assert 3 <= done < COUNT - 1
    update = cache.fill(recordings, console)
    assert (update.computed, update.reused) == (COUNT - 1 - done, done)


def test_command_computes_on_the_cluster_and_refuses_other_versions(
    processes: Processes, recordings: list[Path], tmp_path: Path
) -> None:
    recordings[5].unlink()
    corpus = tmp_path / "corpus"
    (corpus / "noise").mkdir(parents=True)
    shutil.move(tmp_path / "clips", corpus / "noise" / "clips")
    command = ["pictures", str(corpus), "--dask", processes.address, "-o"]
    done = edge_mcnn(*command, tmp_path / "images")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"{COUNT - 1} images computed, 0 reused" in done.stdout + done.stderr
    assert len(list((tmp_path / "images").glob("*.png"))) == COUNT - 1

    metadata = tmp_path / "other" / "edge_mcnn-99.9.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: edge-mcnn\nVersion: 99.9\n")
    processes.add_worker(search_first=tmp_path / "other")
    with connected(processes.address) as cluster:
        wait_for_workers(cluster, 3)
        with pytest.raises(TrainingError, match=r"a machine of the cluster has edge-mcnn 99\.9, this one has"):
            cluster.check_versions()
        with pytest.raises(TrainingError, match=r"edge-mcnn 99\.9"):  # a worker that joined later
            list(cluster.results(Path.stat, list((corpus / "noise" / "clips").iterdir())))
    assert_refused(edge_mcnn(*command, tmp_path / "more"), "--dask", "edge-mcnn 99.9", "pip install")
    assert list((tmp_path / "more").glob("*.png")) == []


def test_ctrl_c_is_one_line_and_the_same_command_continues(processes: Processes, tmp_path: Path) -> None:
    count = 300
    (tmp_path / "corpus" / "noise").mkdir(parents=True)
    for number in range(count):
        samples = np.random.default_rng(number).uniform(-0.5, 0.5, 32_000)
        soundfile.write(tmp_path / "corpus" / "noise" / f"{number}.wav", samples, 16_000)
    folder = tmp_path / "images"
    command = ["pictures", str(tmp_path / "corpus"), "--dask", processes.address, "-o", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_mcnn", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_until(lambda: any(folder.glob("*.png")), limit_s=60, message="no image was computed")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.splitlines()[-1] == "stopped; run the same command again to continue"
    assert "Traceback" not in output
    done = len(list(folder.glob("*.png")))
    assert f"{count - done} images computed, {done} reused" in edge_mcnn(*command).stdout


def test_libraries_log_nothing_while_connected(processes: Processes) -> None:
    """In a process of its own, in which `distributed` sets the levels of its loggers when it is imported."""
    script = """
import logging
import sys
from training.dask_cluster import connected

names = "distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "asyncio"
with connected(sys.argv[1]):
    for name in names:
        logging.getLogger(name).critical("%s reports an error", name)
logging.getLogger("tornado.application").error("after it, everything is reported again")
"""
    run = subprocess.run(
        [sys.executable, "-c", script, processes.address], check=True, capture_output=True, text=True, timeout=60
    )
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert line.endswith("after it, everything is reported again")


def test_addresses_without_a_cluster_are_one_line(tmp_path: Path) -> None:
    for address in ("nonsense://pc", "tcp://127.0.0.1", f"tcp://127.0.0.1:{free_ports(1)[0]}", "", "a b"):
        with pytest.raises(TrainingError) as error, connected(address, wait_s=0.5):
            pass
        assert error.value.message.startswith(f"--dask {address}: the cluster cannot be used (")
        assert "\n" not in str(error.value)
    (tmp_path / "dask").mkdir()
    with (
        running(tmp_path / "dask", workers=0) as processes,
        pytest.raises(TrainingError, match="has no worker"),
        connected(processes.address, wait_s=0.5),
    ):
        pass


def test_a_client_that_could_not_connect_is_not_collected_while_another_one_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enabled: list[bool] = []

    def refuse(*_arguments: object, **_options: object) -> None:
        enabled.append(gc.isenabled())
        raise OSError("no scheduler")

    monkeypatch.setattr("distributed.Client", refuse)
    with pytest.raises(TrainingError, match="no scheduler"), connected("tcp://pc1:8786", wait_s=0.5):
        pass
    assert enabled == [False]
    assert gc.isenabled()


def test_large_and_unreadable_recordings_are_left_to_this_machine(
    processes: Processes, recordings: list[Path], monkeypatch: pytest.MonkeyPatch, console: Console
) -> None:
    monkeypatch.setattr("training.dask_cluster._LARGEST_BYTES", 1000)
    with connected(processes.address) as cluster:
        found = dict(cluster.results(Path.read_bytes, recordings))
    assert found.pop(recordings[5]) == b"broken"
    assert set(found.values()) == {None}
    assert printed(console) == ""


def test_dask_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "distributed" else object())
    for command in ("pictures", "transcribe"):
        result = CliRunner().invoke(
            app, [command, str(tmp_path), "-o", str(tmp_path / "o"), "--dask", "tcp://pc1:8786"]
        )
        assert isinstance(result.exception, TrainingError)
        assert result.exception.message == "--dask needs distributed, which is not installed"
        assert result.exception.fix == 'run: pip install "edge-mcnn[cluster]"'
