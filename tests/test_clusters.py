"""Golden sets on clusters: Dask's processes, and submitit's local executor. `make clusters` runs these."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("distributed", reason="distributed is not installed: `make clusters` runs these")
pytest.importorskip("submitit", reason="submitit is not installed: `make clusters` runs these")

from intsim import resources
from intsim.cluster import parallel, require_cluster
from intsim.errors import IntsimError
from intsim.sets import golden_set, verify

PICTURES = int(os.environ.get("PICTURES", "60"))
SHIPPED = os.environ.get("MODEL") == "shipped"  # instead of a tiny one: PICTURES=1000 MODEL=shipped, a quarter of an hour


class Cluster:
    """A scheduler at a fixed port and worker processes of one thread."""

    def __init__(self, folder: Path, workers: int) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.folder, self.address = folder, f"127.0.0.1:{self.port}"
        self.scheduler = self.begin_scheduler()
        self.workers = [self.begin_worker(i) for i in range(workers)]

    def _begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "dask.log").open("ab")
        return subprocess.Popen([sys.executable, "-m", *arguments], stdout=log, stderr=log, cwd=self.folder)

    def begin_scheduler(self) -> subprocess.Popen[bytes]:
        where = ("--host", "127.0.0.1", "--port", str(self.port))
        return self._begin("distributed.cli.dask_scheduler", *where, "--no-dashboard", "--no-jupyter")

    def begin_worker(self, number: int) -> subprocess.Popen[bytes]:
        how = ("--nthreads", "2", "--no-dashboard", "--no-nanny", "--name", f"w{number}", "--death-timeout", "60")
        return self._begin("distributed.cli.dask_worker", f"tcp://{self.address}", *how)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, 4)
    yield made
    made.end()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "pictures", np.random.default_rng(1)
    folder.mkdir()
    for i in range(PICTURES):
        sides = (128, 128) if SHIPPED else (24, 40)
        Image.fromarray(rng.integers(0, 256, (*sides, 3)).astype(np.uint8)).save(folder / f"p{i:04d}.png")
    return folder


def wait_for(folder: Path, count: int, command: subprocess.Popen[bytes]) -> None:
    """Wait until so many golden files are there; the command must still run."""
    while len(list(folder.glob("*.h5"))) < count:
        assert command.poll() is None
        time.sleep(0.02)


def index_of(folder: Path) -> bytes:
    return (folder / "set.json").read_bytes()


def test_a_worker_is_killed_and_the_scheduler_restarted(
    cluster: Cluster, pictures: Path, model_file: Path, tmp_path: Path
) -> None:
    """The index is byte for byte that of two processes on this machine."""
    model_file = resources.model() if SHIPPED else model_file
    golden_set([pictures], tmp_path / "here", model_file, cluster="local:2")
    where = ("-m", str(model_file), "-o", str(tmp_path / "there"), "--cluster", f"dask:{cluster.address}")
    command = subprocess.Popen([sys.executable, "-m", "intsim", "golden", str(pictures), *where], stdout=subprocess.DEVNULL)
    wait_for(tmp_path / "there", PICTURES // 4, command)
    os.kill(cluster.workers[0].pid, signal.SIGKILL)
    wait_for(tmp_path / "there", PICTURES // 2, command)
    for process in (cluster.scheduler, *cluster.workers):
        process.kill()
        process.wait()
    cluster.scheduler = cluster.begin_scheduler()
    cluster.workers = [cluster.begin_worker(i) for i in range(4)]
    assert command.wait() == 0
    assert index_of(tmp_path / "there") == index_of(tmp_path / "here")
    assert verify(tmp_path / "there", cluster=f"dask:{cluster.address}") == []


def test_jobs_of_submitit(pictures: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its local executor, in which jobs are processes; Slurm itself was not tried."""
    monkeypatch.chdir(tmp_path)
    golden_set([pictures], tmp_path / "here", model_file, cluster="local:1")
    golden_set([pictures], tmp_path / "jobs", model_file, cluster="slurm:local")
    assert index_of(tmp_path / "jobs") == index_of(tmp_path / "here")
    assert not list(tmp_path.glob("intsim-jobs-*"))


def test_an_address_that_nobody_answers(model_file: Path, pictures: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(
        IntsimError,
        match=rf"dask:127\.0\.0\.1:{port}: no scheduler with workers answers within 10 s; is the cluster running",
    ):
        golden_set([pictures], tmp_path / "out", model_file, cluster=f"dask:127.0.0.1:{port}")
    assert time.monotonic() - begun < 12
    assert not list((tmp_path / "out").glob("*.h5"))
    with pytest.raises(IntsimError, match="cluster 'dask:' is none of"):
        require_cluster("dask:")
    with pytest.raises(IntsimError, match="dask:nowhere: HOST:PORT of a scheduler is expected"):
        list(parallel(None, [1], "dask:nowhere"))  # type: ignore[arg-type]


def test_slurm_that_is_not_there() -> None:
    with pytest.raises(IntsimError, match="use slurm:local to run jobs on this machine"):
        list(parallel(None, [1], "slurm"))  # type: ignore[arg-type]
