"""Scores of pictures, batched across requests: pictures that arrive while the networks run form the next batch."""

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
from photogenic.app.serve.http.errors import ApiError, to_api_error
from photogenic.app.serve.http.uploads import Upload, as_memory_files
from photogenic.app.serve.snapshot import Snapshot
from photogenic.features.compute.embed_files import Embedded, FileEmbedder
from photogenic.features.faces.detector import FaceSettings
from photogenic.models.data.targets import names_in
from photogenic.models.predict import Scored, predict
from photogenic.models.runs import run_selection, run_store
from photogenic.models.runs.input_check import check_encoders
from photogenic.models.runs.run_names import find_run, runnable
from photogenic.warehouse import InputError, Layout, PhotogenicError

__all__ = ["Scorer"]

_BATCH = 64
_FIELDS = ("prediction", "low", "high", "run_id", "head", "encoder", "setup")
_TRUSTED_S = 10.0
"""Seconds for which a choice of runs is kept before the encoders are checked again."""

_log = logging.getLogger(__name__)

ScoreRequest = tuple[Sequence[Upload], "asyncio.Future[list[Scored]]"]


class Scorer:
    """Predictions of the heads of one store.

    Args:
        store: Store with the runs.
        networks: The one thread in which neural networks run.
    """

    def __init__(self, store: FeatureStore, networks: Executor) -> None:
        self._store, self._networks = store, networks
        self._embedders: dict[str, FileEmbedder] = {}
        self._requests: dict[str, list[ScoreRequest]] = {}
        self._working: asyncio.Task[None] | None = None
        self._logged = set[str]()
        self._choices: dict[str, tuple[object, float, run_selection.Choice]] = {}
        self.n_batches = self.n_pictures = 0

    def close(self) -> None:
        for embedder in self._embedders.values():
            embedder.close()

    def runs_for(self, snapshot: Snapshot, run: str | None, target: str) -> tuple[list[str], list[str]]:
        """Return the runs that score pictures, in order, and a note on each run that cannot be used.

        Args:
            snapshot: Snapshot with `runs`.
            run: The id, name or beginning of the id of the run to use; None: the runs that `models.runs.run_selection`
                chooses for the target.
            target: like_ratio, popular, gender, or a column that a run was trained for.

        Raises:
            ApiError: There is no such run.
        """
        layout = self._store.layout
        try:
            if run is not None:
                name = runnable(layout, snapshot.query, run)
                run_store.verify(layout, name)
                return [name], []
            found = self._choice(snapshot, target)
        except PhotogenicError as error:
            raise self._to_api_error(error, "not_ready" if run is None else "not_found") from error
        for note in set(found.notes) - self._logged:
            self._logged.add(note)
            _log.warning("%s", note)
        names = [one.run_id for one in (found.run, found.fallback) if one is not None]
        return names, [self._without_paths(note) for note in found.notes]

    def shown_run(self, snapshot: Snapshot, run: str | None, target: str) -> dict[str, Any]:
        """Return the row of the run whose predictions are shown: `run`, or the run that scores pictures.

        Raises:
            ApiError: There is no such run.
        """
        if run is None:
            try:
                found: run_selection.Candidate | None = self._choice(snapshot, target).run
            except PhotogenicError:
                found = run_selection.shown(self._store.layout, snapshot.query, target)
            if found is None:
                raise ApiError(
                    "not_ready", f"No head for {target} was trained yet.", f"features train --target {target}"
                )
            run = found.run_id
        else:
            with contextlib.suppress(InputError):
                run = find_run(self._store.layout, snapshot.query, run)
        for row in snapshot.runs:
            if row["run_id"] == run:
                return row
        raise ApiError("not_found", f"There is no run {run[:80]!r}.", "GET /api/v1/runs lists all runs")

    def shown_runs(self, snapshot: Snapshot) -> frozenset[str]:
        """Return the run_ids whose predictions are shown, one per trained target."""
        found = set()
        for target in names_in(snapshot.runs):
            with contextlib.suppress(ApiError):  # no head was trained for this target
                found.add(self.shown_run(snapshot, None, target)["run_id"])
        return frozenset(found)

    def _choice(self, snapshot: Snapshot, target: str) -> run_selection.Choice:
        """Return the chosen runs of a target, cached until the snapshot or the folder of a run changes."""
        layout = self._store.layout
        state = snapshot.key, [_state(layout, row["run_id"]) for row in snapshot.runs if row["target"] == target]
        known = self._choices.get(target)
        if known is None or known[0] != state or time.monotonic() - known[1] > _TRUSTED_S:
            fits = partial(check_encoders, faces=FaceSettings(), models=layout.models)
            known = state, time.monotonic(), run_selection.choose(layout, snapshot.query, target, fits=fits)
            self._choices[target] = known
        return known[2]

    async def score(self, run_ids: Sequence[str], pictures: Sequence[Upload]) -> list[dict[str, Any]]:
        """Return one score per picture, in order.

        Args:
            run_ids: Runs to use. The second one scores pictures in which the first finds no face or several.
            pictures: Uploaded pictures.
        """
        scored: dict[int, Scored] = {}
        left = [at for at, picture in enumerate(pictures) if picture.status == "ok"]
        for run_id in run_ids if left else ():
            for at, one in zip(left, await self._scored(run_id, [pictures[at] for at in left]), strict=True):
                if at not in scored or one.status == "ok":
                    scored[at] = one
            left = [at for at in left if scored[at].status in run_selection.FACELESS]
            if not left:
                break
        return [_answer(picture, scored.get(at)) for at, picture in enumerate(pictures)]

    async def _scored(self, run_id: str, pictures: Sequence[Upload]) -> list[Scored]:
        answer: asyncio.Future[list[Scored]] = asyncio.get_running_loop().create_future()
        self._requests.setdefault(run_id, []).append((pictures, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.ensure_future(self._work())
        return await answer

    async def _work(self) -> None:
        """Process batches until no request is waiting."""
        while self._requests:
            run_id, requests = next(iter(self._requests.items()))
            batch: list[ScoreRequest] = []
            while requests and sum(len(pictures) for pictures, _ in batch) < _BATCH:
                batch.append(requests.pop(0))
            if not requests:
                del self._requests[run_id]
            batch = [request for request in batch if not request[1].cancelled()]
            pictures = [picture for request in batch for picture in request[0]]
            try:
                scored = await asyncio.get_running_loop().run_in_executor(
                    self._networks, self._predict, run_id, pictures
                )
            except Exception as error:  # passed on to every waiting request
                answer_error = self._to_api_error(error) if isinstance(error, PhotogenicError) else error
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(answer_error)
                continue
            self.n_batches, self.n_pictures = self.n_batches + 1, self.n_pictures + len(pictures)
            for its, answer in batch:
                mine, scored = scored[: len(its)], scored[len(its) :]
                if not answer.done():
                    answer.set_result(mine)

    def _to_api_error(self, error: PhotogenicError, missing: str = "not_usable") -> ApiError:
        """Convert an error; `missing` is the code if the request names something that does not exist."""
        answer_error = to_api_error(error)
        code = missing if isinstance(error, InputError) else answer_error.code
        return ApiError(code, self._without_paths(answer_error.message), self._without_paths(answer_error.remedy))

    def _without_paths(self, text: str) -> str:
        """Remove the path of the store, which clients must not learn."""
        return text.replace(f"{self._store.layout.root}/", "")

    def _predict(self, run_id: str, pictures: Sequence[Upload]) -> list[Scored]:

        with as_memory_files(pictures) as paths:
            return predict(self._store.store, paths, run=run_id, embed=self._embed)

    def _embed(self, paths: Sequence[str | Path], name: str) -> list[Embedded]:

        if name not in self._embedders:
            self._embedders[name] = FileEmbedder(name, models=self._store.layout.models)
        return self._embedders[name](paths)


def _state(layout: Layout, run_id: str) -> list[tuple[int, int] | None]:
    """Return a value that changes when the folder of a run is removed or restored."""
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
    fields = {name: getattr(scored, name, None) for name in _FIELDS}
    return {"file": picture.name} | fields | {"status": picture.status if scored is None else scored.status}
