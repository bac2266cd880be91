"""State of one server, made once and passed to every handler."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from photogenic import FeatureStore
from photogenic.app.serve.api.nearest import Nearest
from photogenic.app.serve.api.scorer import Scorer
from photogenic.app.serve.http.errors import ApiError, hide_folders, to_api_error
from photogenic.app.serve.http.guard import Guard
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.http.metrics import Metrics
from photogenic.app.serve.http.store_metrics import StoreMetrics
from photogenic.app.serve.pages.thumbnails import Pictures
from photogenic.app.serve.snapshot import Follower, Snapshot
from photogenic.app.serve.sql_sandbox.pool import Sandbox
from photogenic.warehouse import PhotogenicError
from photogenic.warehouse.moment import Moments

__all__ = ["APP_CONTEXT", "AppContext"]


@dataclass(slots=True)
class AppContext:
    """Attributes:
    sandbox: Processes that run queries.
    exports: Processes that run downloads, separate so that a slow reader does not block queries.
    work: Threads for tasks of milliseconds: searches, thumbnails, trusted queries.
    networks: The one thread in which neural networks run.
    """

    store: FeatureStore
    guard: Guard
    limits: Limits
    follower: Follower
    sandbox: Sandbox
    exports: Sandbox
    work: ThreadPoolExecutor
    networks: ThreadPoolExecutor
    nearest: Nearest
    scorer: Scorer
    pictures: Pictures
    store_metrics: StoreMetrics
    metrics: Metrics = field(default_factory=Metrics)

    @classmethod
    def open(cls, store: FeatureStore, guard: Guard, limits: Limits) -> AppContext:
        """Open the state of a server.

        Raises:
            StoreError: There is no store.
        """
        db, n_threads = store.database, store.database.settings.threads
        hide_folders(str(store.layout.root.absolute()), str(store.layout.root.resolve()))
        follower = Follower(db)
        sandbox, exports = (
            Sandbox(store.layout.root.absolute(), limits, n_threads, encoder=db.settings.encoder) for _ in range(2)
        )
        work = ThreadPoolExecutor(n_threads + 2, "work")
        networks = ThreadPoolExecutor(1, "networks")
        return cls(
            store,
            guard,
            limits,
            follower,
            sandbox,
            exports,
            work,
            networks,
            Nearest(db, sandbox, work, networks),
            Scorer(store, networks),
            Pictures(store.layout, work),
            StoreMetrics(store.store),
        )

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        return self.follower.current

    async def at(self, as_of: object = None, known_at: object = None) -> Snapshot:
        """Return the newest snapshot, or its relations as of another moment, from the values of a request.

        Raises:
            ApiError: The moment cannot be used.
        """
        return await self.follower.at(self.moments(as_of, known_at), self.limits)

    def moments(self, as_of: Any, known_at: Any) -> Moments:
        """Return the moments that a request asks for.

        Raises:
            ApiError: A value is no instant, or a name cannot stand before a relation.
        """
        try:
            return Moments.of(as_of, known_at)
        except PhotogenicError as error:
            refused = to_api_error(error)
            by_name = isinstance(as_of, dict) or isinstance(known_at, dict)
            remedy = '"as_of": {"jan": "2024-01-31"}' if by_name else "as_of=2024-02-01T00:00:00Z"
            raise ApiError(refused.code, refused.message, remedy) from error

    def status(self) -> dict[str, Any]:
        """Return the values of `features status`, with the name of the store's folder in place of its path."""
        return self.store.status() | {"store": self.store.layout.root.absolute().name}

    async def lifespan(self, _: web.Application) -> AsyncIterator[None]:
        """Start the background tasks before the first request, and close everything after the last."""
        await self.sandbox.start()
        watching = asyncio.ensure_future(self._watch())
        yield
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await self.sandbox.close()
        await self.exports.close()
        for pool in (self.work, self.networks):
            pool.shutdown(wait=True, cancel_futures=True)
        self.nearest.close()
        self.scorer.close()
        self.snapshot.close()

    async def _watch(self) -> None:
        await asyncio.to_thread(self.pictures.prune, self.snapshot)
        async for snapshot in self.follower.watch():
            await asyncio.to_thread(self.pictures.prune, snapshot)


APP_CONTEXT: web.AppKey[AppContext] = web.AppKey("site", AppContext)
