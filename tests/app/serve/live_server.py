"""A server in a thread of the test run, with a client over real sockets."""

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
from photogenic.app.serve.http.server import make_guard, running_server


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
        """Check the shape of an error, and return its code."""
        state = self.json
        assert set(state) == {"code", "message", "remedy"}
        assert all(isinstance(text, str) for text in state.values())
        assert state["message"]
        return state["code"]


@dataclass
class LiveServer:
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
        """Repeat a request until its answer meets a condition."""
        for _ in range(int(seconds / 0.1)):
            answer = self.get(path)
            if holds(answer):
                return answer
            threading.Event().wait(0.1)
        raise AssertionError(f"{path} is still {answer.body[:500]!r}")


def form(pictures, **fields):
    """Return a multipart body of pictures, given as name and bytes, and fields; and its content type."""
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
def live_server(root: Path, *, limits: Limits | None = None, token: str | None = None) -> Iterator[LiveServer]:
    """Run a server on a store inside the `with` block. By default it runs one query at a time."""
    ready, state = threading.Event(), {}

    async def live():
        with FeatureStore(root) as store:
            async with running_server(
                store, make_guard("127.0.0.1", token), limits=limits or Limits(sql_at_once=1)
            ) as url:
                state["url"], state["end"], state["loop"] = url, asyncio.Event(), asyncio.get_running_loop()
                ready.set()
                await state["end"].wait()

    def run():
        try:
            asyncio.run(live())
        except BaseException as error:
            state["error"] = error
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        assert ready.wait(120)
        assert "error" not in state, state.get("error")
        yield LiveServer(state["url"])
    finally:
        if "end" in state:
            state["loop"].call_soon_threadsafe(state["end"].set)
        thread.join(30)
        assert not thread.is_alive()
