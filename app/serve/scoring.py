"""Scores for pictures, several requests at a time: what arrives while the networks work is their next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.serve.errors import ApiError, translated
from app.serve.snapshot import Snapshot
from app.serve.uploads import Upload, in_memory
from models.targets import TARGETS
from warehouse import PhotogenicError

if TYPE_CHECKING:
    from features import FeatureStore
    from features.queries import Embedded, FileEmbedder
    from models import Scored

__all__ = ["Scorer"]

_BATCH = 64

Order = tuple[Sequence[Upload], "asyncio.Future[list[Scored]]"]


class Scorer:
    """Predictions of one store's heads.

    Args:
        store: where runs are.
        networks: the one thread in which networks run.
    """

    def __init__(self, store: FeatureStore, networks: Executor) -> None:
        self._store, self._networks = store, networks
        self._embedders: dict[str, FileEmbedder] = {}
        self._orders: dict[str, list[Order]] = {}
        self._working: asyncio.Task[None] | None = None
        self.n_batches = self.n_pictures = 0

    def close(self) -> None:
        for embedder in self._embedders.values():
            embedder.close()

    def run(self, snapshot: Snapshot, run: str | None, target: str) -> dict[str, Any]:
        """The row of the run that is asked for; None: the best of the target on dev.

        Raises:
            ApiError: there is none.
        """
        if run is not None:
            found = [row for row in snapshot.runs if row["run_id"] == run]
            if not found:
                raise ApiError("not_found", f"There is no run {run[:80]!r}.", "features sql 'from runs'")
            return found[0]
        known = TARGETS[target]
        found = [row for row in snapshot.runs if row["target"] == target and row["dev"] is not None]
        if not found:
            raise ApiError("not_ready", f"No head for {target} was trained yet.", f"features train --target {target}")
        return min(found, key=lambda row: (-row["dev"] if known.higher_is_better else row["dev"], row["run_id"]))

    async def score(self, run_id: str, pictures: Sequence[Upload]) -> list[dict[str, Any]]:
        """One answer per picture, in order: file, prediction, low, high, status."""
        sound = [picture for picture in pictures if picture.status == "ok"]
        scored = iter(await self._scored(run_id, sound) if sound else [])
        return [
            _answer(picture, next(scored))
            if picture.status == "ok"
            else {"file": picture.name, "prediction": None, "low": None, "high": None, "status": picture.status}
            for picture in pictures
        ]

    async def _scored(self, run_id: str, pictures: Sequence[Upload]) -> list[Scored]:
        answer: asyncio.Future[list[Scored]] = asyncio.get_running_loop().create_future()
        self._orders.setdefault(run_id, []).append((pictures, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.ensure_future(self._work())
        return await answer

    async def _work(self) -> None:
        """Batch after batch, until nobody waits."""
        while self._orders:
            run_id, orders = next(iter(self._orders.items()))
            batch: list[Order] = []
            while orders and sum(len(pictures) for pictures, _ in batch) < _BATCH:
                batch.append(orders.pop(0))
            if not orders:
                del self._orders[run_id]
            batch = [order for order in batch if not order[1].cancelled()]
            pictures = [picture for order in batch for picture in order[0]]
            try:
                scored = await asyncio.get_running_loop().run_in_executor(
                    self._networks, self._predict, run_id, pictures
                )
            except Exception as error:  # passed on to each who waits, not swallowed
                told = translated(error) if isinstance(error, PhotogenicError) else error
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(told)
                continue
            self.n_batches, self.n_pictures = self.n_batches + 1, self.n_pictures + len(pictures)
            for its, answer in batch:
                mine, scored = scored[: len(its)], scored[len(its) :]
                if not answer.done():
                    answer.set_result(mine)

    def _predict(self, run_id: str, pictures: Sequence[Upload]) -> list[Scored]:
        from models import predict

        with in_memory(pictures) as paths:
            return predict(self._store, paths, run=run_id, embed=self._embed)

    def _embed(self, paths: Sequence[str | Path], name: str) -> list[Embedded]:
        from features.queries import FileEmbedder

        if name not in self._embedders:
            self._embedders[name] = FileEmbedder(name)
        return self._embedders[name](paths)


def _answer(picture: Upload, scored: Scored) -> dict[str, Any]:
    return {
        "file": picture.name,
        "prediction": scored.prediction,
        "low": scored.low,
        "high": scored.high,
        "status": scored.status,
    }
