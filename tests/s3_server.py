"""An S3 server on loopback for tests (moto, in a process of its own), and a proxy that breaks connections to it.

    def test_something(bucket):                    # environment and address of a new, empty bucket
        bucket.put("folder/a.csv", b"...")
        store.ingest("users", bucket.address + "/folder/a.csv")

    with Proxy(bucket.port, cut_after=1000, only=b"GET") as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)

The server is in another process because pyarrow holds Python's lock while it closes a stream.
"""

import contextlib
import http.client
import itertools
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import urllib.parse
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import pytest

_SERVER = """
import sys
from moto.server import ThreadedMotoServer
import logging
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""

_NUMBERS = itertools.count(1)
_SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, Signature=0"}
"""The server reads who asks, and verifies nothing."""


@pytest.fixture(scope="session")
def s3_port():
    """Port of the server, which runs until the tests end."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    port = process.stdout.readline().strip()
    assert port, "moto does not start: pip install 'moto[s3,server]'"
    yield int(port)
    process.stdin.close()
    process.stdout.close()
    process.terminate()
    process.wait(30)


@pytest.fixture
def bucket(s3_port, monkeypatch):
    """A new bucket; the environment leads pyarrow, deltalake and all else that reads AWS_* to it."""
    for name, value in environment(s3_port).items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    made = Bucket(s3_port, f"bucket-{os.getpid()}-{next(_NUMBERS)}")
    made.request("PUT", "")
    return made


def environment(port):
    """The variables with which a process reaches a server on this port."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-tests",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",  # deltalake and Lance
        "AWS_EC2_METADATA_DISABLED": "true",
        "FEATURES_NETWORK_TIMEOUT": "2",
    }


@dataclass(frozen=True)
class Bucket:
    """One bucket, seen by a client that is not the program's.

    Attributes:
        port: port of the server.
        name: name of the bucket.
    """

    port: int
    name: str

    @property
    def address(self):
        return f"s3://{self.name}"

    def put(self, key, data):
        self.request("PUT", key, data)

    def get(self, key):
        return self.request("GET", key)

    def delete(self, key):
        self.request("DELETE", key)

    def keys(self, prefix=""):
        """The keys of all objects, sorted, without those that pyarrow makes for empty folders."""
        found, token = [], ""
        while True:
            asked = {"list-type": 2, "prefix": prefix} | ({"continuation-token": token} if token else {})
            tree = ElementTree.fromstring(self.request("GET", "", query=urllib.parse.urlencode(asked)))
            space = tree.tag.partition("}")[0] + "}"
            found += [element.text for element in tree.iter(f"{space}Key")]
            token = tree.findtext(f"{space}NextContinuationToken")
            if not token:
                return sorted(key for key in found if not key.endswith("/"))

    def uploads(self):
        """The number of unfinished uploads."""
        return self.request("GET", "", query="uploads").count(b"<Upload>")

    def request(self, method, key, body=None, query="", headers=None):
        """Send one request, and return the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        path = f"/{self.name}/{urllib.parse.quote(key)}" if key else f"/{self.name}"
        try:
            connection.request(method, f"{path}?{query}" if query else path, body, _SIGNED | (headers or {}))
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        assert response.status < 300, (method, key, response.status, data)
        return data


class Proxy:
    """A proxy before a server on loopback, which hurts chosen requests. A context manager.

    Args:
        port: port of the server.
        only: bytes that the first line of a request holds if it is to be hurt, e.g. b"GET /bucket/key".
        after: number of such requests that pass first.
        times: number of such requests that are hurt; None: all.
        cut_after: close the connection after so many bytes of the answer, its head included.
        cut_request_after: close it after so many bytes of the request, its head included.
        hang: answer nothing, and keep the connection open.
        lie: add this to the Content-Length of the answer.
        answer: bytes to answer in place of the server.
        called: function to call before the request is sent on.

    Attributes:
        endpoint: address of the proxy.
        n_hurt: number of requests that were hurt.
        lines: first line of each request.
    """

    def __init__(
        self,
        port,
        *,
        only=b"",
        after=0,
        times=None,
        cut_after=None,
        cut_request_after=None,
        hang=False,
        lie=0,
        answer=None,
        called=None,
    ):
        self.only, self.after, self.times = only, after, times
        self.cut_after, self.cut_request_after = cut_after, cut_request_after
        self.hang, self.lie, self.answer, self.called = hang, lie, answer, called
        self.n_hurt, self.lines = 0, []
        self._upstream, self._lock, self._open = port, threading.Lock(), []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        for connection in self._open:
            connection.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._keep(client)
            self._start(self._serve, client)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()
        return thread

    def _keep(self, connection):
        with self._lock:
            self._open.append(connection)

    def _serve(self, client):
        with contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            line = head.partition(b"\r\n")[0]
            with self._lock:
                self.lines.append(line.decode())
                hurt = self.only in line and (self.times is None or self.n_hurt < self.times)
                if hurt and self.after:
                    self.after, hurt = self.after - 1, False
                self.n_hurt += hurt
            if hurt and self.called is not None:
                self.called()
            if hurt and self.hang:
                client.recv(1)
                return
            if hurt and self.answer is not None:
                client.sendall(self.answer)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
                return
            self._pass_on(client, head, hurt)

    def _pass_on(self, client, head, hurt):
        server = socket.create_connection(("127.0.0.1", self._upstream))
        self._keep(server)
        self._start(self._upload, client, server, head, self.cut_request_after if hurt else None)
        answer, left = b"", self.cut_after if hurt else None
        while b"\r\n\r\n" not in answer and (data := server.recv(65536)):
            answer += data
        if hurt and self.lie:
            answer = re.sub(
                rb"(?i)content-length: (\d+)", lambda n: b"Content-Length: %d" % (int(n[1]) + self.lie), answer, count=1
            )
        while answer:
            client.sendall(answer if left is None else answer[:left])
            left = None if left is None else max(left - len(answer), 0)
            if left == 0:
                break
            answer = server.recv(65536)
        self._close(client, hard=left == 0)
        self._close(server)

    def _upload(self, client, server, head, left):
        with contextlib.suppress(OSError):
            data = head
            while data:
                server.sendall(data if left is None else data[:left])
                left = None if left is None else max(left - len(data), 0)
                if left == 0:
                    self._close(client, hard=True)
                    self._close(server, hard=True)
                    return
                data = client.recv(65536)

    def _close(self, connection, hard=False):
        with contextlib.suppress(OSError):
            if hard:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RDWR)
