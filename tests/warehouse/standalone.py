"""A standalone Spark cluster on loopback: a master and workers, which end with the `with`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEAN_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
PATIENCE_S = 120


@dataclass(frozen=True)
class Standalone:
    """Address, environment and worker processes of a cluster."""

    url: str
    status_url: str
    environment: dict[str, str]
    workers: list[subprocess.Popen[bytes]]

    def alive(self) -> int:
        """Return the number of workers that the master knows."""
        with urllib.request.urlopen(self.status_url, timeout=10) as answer:
            status: dict[str, Any] = json.load(answer)
        return int(status["aliveworkers"])

    def kill(self, worker: int) -> None:
        """Send SIGKILL to a worker and its executors."""
        os.killpg(self.workers[worker].pid, signal.SIGKILL)


@contextlib.contextmanager
def standalone(folder: Path, conf: Mapping[str, str], *, workers: int = 2, memory: str = "1g") -> Iterator[Standalone]:
    """Start a cluster with one core per worker.

    Args:
        folder: folder for logs, configuration and files of the workers.
        conf: settings of the clients, as in spark-defaults.conf.
        workers: number of workers.
        memory: memory of each worker.
    """
    home, environment = _environment(folder, conf)
    port, ui = _free_ports(2)
    url, host = f"spark://127.0.0.1:{port}", ["--host", "127.0.0.1"]
    started: list[subprocess.Popen[bytes]] = []

    def start(kind: str, *line: str) -> None:
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", *host, *line]
        with (folder / f"{len(started)}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
                )
            )

    with _ended(started):
        start("master.Master", "--port", str(port), "--webui-port", str(ui))
        for n in range(workers):
            work = str(folder / f"work{n}")
            start("worker.Worker", "--cores", "1", "--memory", memory, "--webui-port", "0", "--work-dir", work, url)
        cluster = Standalone(url, f"http://127.0.0.1:{ui}/json/", environment, started[1:])
        _wait_for(cluster, workers, folder)
        yield cluster


@contextlib.contextmanager
def connect_server(folder: Path, conf: Mapping[str, str]) -> Iterator[str]:
    """Start a Spark Connect server with two cores, and yield its address."""
    home, environment = _environment(folder, conf)
    (port,) = _free_ports(1)
    line = ["--master", "local[2]", "--conf", f"spark.connect.grpc.binding.port={port}"]
    line += ["--conf", "spark.connect.grpc.binding.address=127.0.0.1"]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [str(home / "sbin" / "start-connect-server.sh"), "--wait", *line],
            env={
                **environment,
                "SPARK_DAEMON_MEMORY": "1g",
                "SPARK_PID_DIR": str(folder),
                "SPARK_LOG_DIR": str(folder),
            },
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    with _ended([server]):
        end = time.monotonic() + PATIENCE_S
        while not _listens(port):
            ended = server.poll() is not None or time.monotonic() > end
            assert not ended, (folder / "server.log").read_text()[-2000:]
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}"


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _environment(folder: Path, conf: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """Return the folder of Spark, and the environment of its processes."""
    import pyspark

    home = Path(pyspark.__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in conf.items()))
    return home, {
        **{name: value for name, value in os.environ.items() if not name.startswith("SPARK_")},
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(folder),
        "SPARK_DAEMON_JAVA_OPTS": LEAN_JAVA,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }


@contextlib.contextmanager
def _ended(started: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Kill these processes and their children at the end of the `with`, also after an error."""
    try:
        yield
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(cluster: Standalone, workers: int, folder: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if cluster.alive() == workers:
                return
        time.sleep(0.2)
    said = "\n".join(log.read_text()[-2000:] for log in sorted(folder.glob("*.log")))
    raise AssertionError(f"the cluster did not come up:\n{said}")


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
