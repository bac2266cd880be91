"""Server of the fake network: API, login and images.

async with FakeNetwork(FakeWorld.tiny(20, 5, random.Random(0))) as fake:
    fake.base, fake.graph.office.issue("17841400000000001"), fake.pictures.requests, ...
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from aiohttp import web
from yarl import URL

from photogenic.synthetic.network.faults import Faults
from photogenic.synthetic.network.graph import Graph
from photogenic.synthetic.network.login import Login
from photogenic.synthetic.network.pictures import Pictures
from photogenic.synthetic.network.tokens import TokenOffice
from photogenic.synthetic.network.world import FakeWorld

__all__ = ["FakeNetwork", "serving"]


class FakeNetwork:
    """A local server, which runs inside its context.

    Args:
        world: accounts, posts and images.
        faults: faults of the image host.
        api_faults: faults of the API.
        budget: requests per token and window.
        window_s: length of the rolling window, in seconds.
        now: clock of the server, in seconds since 1970.
        hosts: loopback addresses to listen on, all with the same port; the first one serves the API.
        port: port number; 0: a free port.
    """

    def __init__(
        self,
        world: FakeWorld,
        *,
        faults: Faults | None = None,
        api_faults: Faults | None = None,
        budget: int = 200,
        window_s: float = 3600.0,
        now: Callable[[], float] = time.time,
        hosts: Sequence[str] = ("127.0.0.1",),
        port: int = 0,
    ) -> None:
        self.world, self._hosts, self._port = world, hosts, port
        self._faults, self._api_faults = faults or Faults(), api_faults or Faults()
        self.office = TokenOffice(now, budget, window_s)

    async def __aenter__(self) -> FakeNetwork:
        app = web.Application()
        self.pictures = Pictures(self.world.picture, self._faults)
        self.graph = Graph(self.world, self.office, URL("http://unset"), self._api_faults)
        self.login = Login(self.office)
        for part in (self.pictures, self.login, self.graph):
            part.add_to(app)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        port = self._port
        for host in self._hosts:
            site = web.TCPSite(self._runner, host, port, backlog=1024)
            await site.start()
            port = port or self._runner.addresses[0][1]
        self.base = URL.build(scheme="http", host=self._hosts[0], port=port)
        self.graph.base = self.base
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def picture_url(self, key: str, host: int = 0) -> str:
        """Return the URL of an image on the n-th host."""
        return str(self.base.with_host(self._hosts[host % len(self._hosts)]) / "pictures" / key)


@contextlib.contextmanager
def serving(network: FakeNetwork) -> Iterator[FakeNetwork]:
    """Run a network in a thread of its own, for callers that are not coroutines."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake network", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(network.__aenter__(), loop).result()
        try:
            yield network
        finally:
            asyncio.run_coroutine_threadsafe(network.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
