"""A server of this test run: in a thread of its own, asked over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from photogenic import FeatureStore
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.http.server import checked, running


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """Of an error, whose shape is checked on the way."""
        told = self.json
        assert set(told) == {"code", "message", "remedy"}
        assert all(isinstance(text, str) for text in told.values())
        assert told["message"]
        return told["code"]


@dataclass
class Here:
    url: str

    @property
    def host(self):
        return self.url.removeprefix("http://")

    def ask(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection(self.host, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path, value, **headers):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.ask("POST", path, data, {"Content-Type": "application/json"} | headers)

    def sql(self, query, **more):
        return self.post("/api/v1/sql", {"query": query, **more})

    def form(self, path, pictures, **fields):
        data, kind = form(pictures, **fields)
        return self.ask("POST", path, data, {"Content-Type": kind})

    def until(self, path, holds, seconds=30.0):
        """Ask again until the answer is as expected."""
        for _ in range(int(seconds / 0.1)):
            answer = self.get(path)
            if holds(answer):
                return answer
            threading.Event().wait(0.1)
        raise AssertionError(f"{path} is still {answer.body[:500]!r}")


def form(pictures, **fields):
    """Name and bytes of pictures, and plain fields, as a multipart body and its content type."""
    mark = uuid.uuid4().hex
    parts = []
    for name, data in pictures:
        head = f'Content-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'
        parts.append(head.encode() + data)
    for name, text in fields.items():
        parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode())
    body = b"".join(f"--{mark}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{mark}--\r\n".encode()
    return body, f"multipart/form-data; boundary={mark}"


@contextlib.contextmanager
def served(root: Path, *, limits: Limits | None = None, token: str | None = None) -> Iterator[Here]:
    """A server on this store until the block ends; with no limits said, one query at a time."""
    ready, told = threading.Event(), {}

    async def live():
        with FeatureStore(root) as store:
            async with running(store, checked("127.0.0.1", token), limits=limits or Limits(sql_at_once=1)) as url:
                told["url"], told["end"], told["loop"] = url, asyncio.Event(), asyncio.get_running_loop()
                ready.set()
                await told["end"].wait()

    def run():
        try:
            asyncio.run(live())
        except BaseException as error:
            told["error"] = error
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        assert ready.wait(120)
        assert "error" not in told, told.get("error")
        yield Here(told["url"])
    finally:
        if "end" in told:
            told["loop"].call_soon_threadsafe(told["end"].set)
        thread.join(30)
        assert not thread.is_alive()
