"""Scores for pictures, several requests at a time: what arrives while the networks work is their next batch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

from photogenic import FeatureStore
from photogenic.app.serve.http.errors import ApiError, translated
from photogenic.app.serve.http.uploads import Upload, in_memory
from photogenic.app.serve.snapshot import Snapshot
from photogenic.features.compute.embed_files import Embedded, FileEmbedder
from photogenic.features.faces.detector import FaceSettings
from photogenic.models.data.targets import TARGETS
from photogenic.models.predict import Scored, predict
from photogenic.models.runs import run_selection, run_store
from photogenic.models.runs.input_check import check_encoders
from photogenic.warehouse import InputError, Layout, PhotogenicError

__all__ = ["Scorer"]

_BATCH = 64
_SAID = ("prediction", "low", "high", "run_id", "head", "encoder", "setup")
_TRUSTED_S = 10.0
"""How long a choice stands without another look at the encoders that are here."""

_log = logging.getLogger(__name__)

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
        self._told = set[str]()
        self._choices: dict[str, tuple[object, float, run_selection.Choice]] = {}
        self.n_batches = self.n_pictures = 0

    def close(self) -> None:
        for embedder in self._embedders.values():
            embedder.close()

    def answering(self, snapshot: Snapshot, run: str | None, target: str) -> tuple[list[str], list[str]]:
        """The runs that are asked for pictures, one after the other, and a line on each that cannot be.

        Args:
            snapshot: where `runs` are.
            run: the only one; None: those that `models.runs.run_selection` finds for the target.
            target: like_ratio, popular, gender.

        Raises:
            ApiError: there is none.
        """
        layout = self._store.layout
        try:
            if run is not None:
                run_store.verify(layout, run)
                return [run], []
            found = self._choice(snapshot, target)
        except PhotogenicError as error:
            raise self._told_of(error, "not_ready" if run is None else "not_found") from error
        for note in set(found.notes) - self._told:
            self._told.add(note)
            _log.warning("%s", note)
        names = [one.run_id for one in (found.run, found.fallback) if one is not None]
        return names, [self._without_paths(note) for note in found.notes]

    def shown(self, snapshot: Snapshot, run: str | None, target: str) -> dict[str, Any]:
        """The row of the run whose predictions are shown: the one that is named, or that answers for pictures.

        Raises:
            ApiError: there is none.
        """
        if run is None:
            try:
                found: run_selection.Candidate | None = self._choice(snapshot, target).run
            except PhotogenicError:
                found = run_selection.shown(self._store.layout, snapshot.ask, target)
            if found is None:
                raise ApiError(
                    "not_ready", f"No head for {target} was trained yet.", f"features train --target {target}"
                )
            run = found.run_id
        for row in snapshot.runs:
            if row["run_id"] == run:
                return row
        raise ApiError("not_found", f"There is no run {run[:80]!r}.", "GET /api/v1/runs lists those that there are")

    def all_shown(self, snapshot: Snapshot) -> frozenset[str]:
        """The run_id of every target whose predictions are shown."""
        found = set()
        for target in TARGETS:
            with contextlib.suppress(ApiError):  # none was trained
                found.add(self.shown(snapshot, None, target)["run_id"])
        return frozenset(found)

    def _choice(self, snapshot: Snapshot, target: str) -> run_selection.Choice:
        """What the rule says, as long as neither the snapshot nor the folder of a run is another one."""
        layout = self._store.layout
        state = snapshot.key, [_state(layout, row["run_id"]) for row in snapshot.runs if row["target"] == target]
        known = self._choices.get(target)
        if known is None or known[0] != state or time.monotonic() - known[1] > _TRUSTED_S:
            fits = partial(check_encoders, faces=FaceSettings(), models=layout.models)
            known = state, time.monotonic(), run_selection.choose(layout, snapshot.ask, target, fits=fits)
            self._choices[target] = known
        return known[2]

    async def score(self, asked: Sequence[str], pictures: Sequence[Upload]) -> list[dict[str, Any]]:
        """One answer per picture, in order.

        Args:
            asked: runs; the second one answers where the first finds no face, or several.
            pictures: as they came.
        """
        scored: dict[int, Scored] = {}
        left = [at for at, picture in enumerate(pictures) if picture.status == "ok"]
        for run_id in asked if left else ():
            for at, one in zip(left, await self._scored(run_id, [pictures[at] for at in left]), strict=True):
                if at not in scored or one.status == "ok":
                    scored[at] = one
            left = [at for at in left if scored[at].status in run_selection.FACELESS]
            if not left:
                break
        return [_answer(picture, scored.get(at)) for at, picture in enumerate(pictures)]

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
                told = self._told_of(error) if isinstance(error, PhotogenicError) else error
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(told)
                continue
            self.n_batches, self.n_pictures = self.n_batches + 1, self.n_pictures + len(pictures)
            for its, answer in batch:
                mine, scored = scored[: len(its)], scored[len(its) :]
                if not answer.done():
                    answer.set_result(mine)

    def _told_of(self, error: PhotogenicError, missing: str = "not_usable") -> ApiError:
        """As an answer: `missing` is its code where the request names what is not there."""
        told = translated(error)
        code = missing if isinstance(error, InputError) else told.code
        return ApiError(code, self._without_paths(told.message), self._without_paths(told.remedy))

    def _without_paths(self, text: str) -> str:
        """Where the store lies on this machine is nobody's business."""
        return text.replace(f"{self._store.layout.root}/", "")

    def _predict(self, run_id: str, pictures: Sequence[Upload]) -> list[Scored]:

        with in_memory(pictures) as paths:
            return predict(self._store.store, paths, run=run_id, embed=self._embed)

    def _embed(self, paths: Sequence[str | Path], name: str) -> list[Embedded]:

        if name not in self._embedders:
            self._embedders[name] = FileEmbedder(name, models=self._store.layout.models)
        return self._embedders[name](paths)


def _state(layout: Layout, run_id: str) -> list[tuple[int, int] | None]:
    """Changes when somebody removes the folder of a run, or puts it back."""
    found: list[tuple[int, int] | None] = []
    for name in ("manifest.json", "weights.safetensors"):
        try:
            stat = (layout.models / run_id / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_mtime_ns, stat.st_size))
    return found


def _answer(picture: Upload, scored: Scored | None) -> dict[str, Any]:
    said = {name: getattr(scored, name, None) for name in _SAID}
    return {"file": picture.name} | said | {"status": picture.status if scored is None else scored.status}
