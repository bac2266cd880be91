"""An image server with very low cost, so that a benchmark measures the client.

    python -m tests.bench.pictures.server LATENCY_S     prints its port, serves until its input closes

Every path returns a JPEG of about 38 KB: one of 64 images by the number at the end of the path, which is also
written into it, so that all answers differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
import subprocess
import sys
from collections.abc import Iterator

_N_PICTURES = 64
_COMMENT = b"\xff\xfe\x00\x12"  # a JPEG comment of 16 bytes


@contextlib.contextmanager
def serving(latency_s: float) -> Iterator[str]:
    """Run the server in a process of its own, and yield the address to which a number is appended."""
    command = [sys.executable, "-m", "tests.bench.pictures.server", str(latency_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/p/"
        process.stdin.close()


def pictures() -> list[bytes]:
    """JPEGs of 512 x 512 pixels: coarse squares and fine noise."""
    from PIL import Image

    rng = random.Random(0)
    found = []
    for _ in range(_N_PICTURES):
        coarse = Image.frombytes("RGB", (32, 32), rng.randbytes(32 * 32 * 3)).resize(
            (512, 512), Image.Resampling.NEAREST
        )
        noise = Image.frombytes("RGB", (512, 512), rng.randbytes(512 * 512 * 3))
        target = io.BytesIO()
        Image.blend(coarse, noise, 0.08).save(target, "JPEG", quality=85)
        found.append(target.getvalue())
    return found


class _Protocol(asyncio.Protocol):
    answers: tuple[tuple[bytes, bytes], ...] = ()
    latency_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._received = transport, b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            line, self._received = self._received[:end].split(b" ", 2), self._received[end + 4 :]
            number = int(line[1].rsplit(b"/", 1)[1])
            head, tail = self.answers[number % _N_PICTURES]
            answer = b"%b%016d%b" % (head, number, tail)
            if self.latency_s:
                asyncio.get_running_loop().call_later(self.latency_s, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def _serve(latency_s: float) -> None:
    _Protocol.latency_s = latency_s
    headers = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b%b"
    _Protocol.answers = tuple((headers % (len(p) + 20, p[:2], _COMMENT), p[2:]) for p in pictures())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Protocol, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, os.read, 0, 1)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
