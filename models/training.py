"""Train heads on a store: gather, fit together, judge once, keep, publish.

    1. gather   photos, labels and vectors of each target, encoder and setup; runs that exist are left alone
    2. fit      every head and learning rate of an encoder in one pass; dev chooses
    3. judge    test, once, with intervals; dev's residuals give the width of prediction intervals
    4. keep     weights, then manifest, in models/<run_id>/
    5. publish  rows of `runs` and `predictions`, in one transaction

Killed anywhere, the same call goes on: a run without a manifest is trained again, one with a manifest
and no row is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from features import vectors
from features.device import choose
from features.encoders import encoder as encoder_named
from models import runs
from models.classic import CLASSIC, fit_classic, suits
from models.fitting import PUBLISHED_GRID, Fitted, Grid, constant, fit_heads
from models.heads import DEPTHS
from models.intervals import LEVEL, coverage, radius
from models.metrics import judge
from models.ranking import Leaderboard, leaderboard
from models.runs import Run
from models.samples import Samples, gather, read_vectors
from models.targets import Target
from models.targets import target as target_named
from warehouse import InputError, Progress, silent

if TYPE_CHECKING:
    import polars as pl

    from features.store import FeatureStore

__all__ = ["train"]

SETUPS = ("all", "one_face")

_RULES = 2
"""Of training and judging; raised when the same samples, grid and seed would give another run."""


def train(
    store: FeatureStore,
    target: str | Sequence[str] = "like_ratio",
    encoders: Sequence[str] = ("efficientnet_lite0", "dlib_face"),
    heads: Sequence[str] = tuple(DEPTHS),
    setup: str | Sequence[str] = "one_face",
    *,
    grid: Grid = PUBLISHED_GRID,
    seed: int = 0,
    device: str | None = None,
    progress: Progress = silent,
) -> Leaderboard:
    """Train every combination that is not trained yet; the leaderboard of all that were asked for.

    Args:
        store: labels, vectors, and where runs go.
        target: like_ratio, popular, gender; one or several.
        encoders: names; `a+b` sets two vectors side by side.
        heads: 0fc, 1fc, 2fc, svm, logistic, ridge; the last three are left out of targets that
            they cannot learn.
        setup: all, one_face; one or several. Encoders of faces are left out of `all`.
        grid: what dev chooses from.
        seed: of the initial heads, the order of photos and the bootstrap.
        device: as torch calls it; None: a GPU where there is one.
        progress: hears of updates, and of what was done already.

    Raises:
        InputError: a target, head or setup that does not exist; no photos to learn from.
        StoreError: no vectors of an encoder.
    """
    targets = [target_named(name) for name in _several(target)]
    setups = _several(setup)
    _check(heads, [*DEPTHS, *CLASSIC], "head")
    _check(setups, SETUPS, "setup")
    pairs = _pairs(targets, heads, progress)
    asked: list[str] = []
    n_trained, published, new = 0, runs.recorded(store.database), _Unpublished(store)
    for place, encoder in _places(setups, encoders, progress):
        data = {t.name: _Data.of(store, t, encoder, place) for t in targets}
        ids = {(t.name, head): data[t.name].run_id(head, grid, seed) for t, head in pairs}
        todo = [pair for pair, run_id in ids.items() if not runs.finished(store.layout, run_id)]
        deep = [pair for pair in todo if pair[1] in DEPTHS]
        fits = fit_heads(
            {name: rows.samples for name, rows in data.items() if any(name == pair[0] for pair in deep)},
            [head for head in heads if any(head == pair[1] for pair in deep)],
            seed=seed,
            grid=grid,
            device=choose(device).name,
            progress=progress,
        )
        for name, head in todo:
            rows = data[name]
            fit = fit_classic(rows.samples, head, rows.target, seed=seed) if head in CLASSIC else fits[name, head]
            runs.save(store.layout, data[name].judged(ids[name, head], head, fit, seed), fit.model)
        n_trained += len(todo)
        asked += ids.values()
        new.add({run_id: data[name].samples for (name, _), run_id in ids.items() if run_id not in published}, encoder)
    if n_trained < len(asked):
        progress.note(f"{len(asked) - n_trained} of {len(asked)} heads were trained on the same data before: kept.")
    new.publish()
    return leaderboard(store.database, asked, n_trained=n_trained)


@dataclass(frozen=True, slots=True)
class _Data:
    """What the heads of one target, encoder and setup learn from."""

    target: Target
    setup: str
    encoder: str
    digests: dict[str, str]
    samples: Samples
    content: str

    @classmethod
    def of(cls, store: FeatureStore, target: Target, encoder: str, setup: str) -> _Data:
        samples = gather(store, target, encoder, setup)
        digests = {name: vectors.manifest(store.layout, name).digest for name in encoder.split("+")}
        return cls(target, setup, encoder, digests, samples, samples.digest())

    def run_id(self, head: str, grid: Grid, seed: int) -> str:
        """Named after everything that decides the run."""
        parts = [
            _RULES,
            self.target.name,
            self.setup,
            self.encoder,
            self.digests,
            self.content,
            head,
            asdict(CLASSIC[head]) if head in CLASSIC else asdict(grid),
            seed,
        ]
        return runs.run_id(parts)

    def judged(self, run_id: str, head: str, fit: Fitted, seed: int) -> Run:
        """The run, with test looked at this once."""
        train, dev, test = (self.samples.part(split) for split in ("train", "dev", "test"))
        mean, rng = constant(train), np.random.default_rng(seed)
        on_dev, on_test = fit.model.predict(dev.X), fit.model.predict(test.X)
        figures = judge(self.target, test.y, on_test, weight=test.weight, users=test.user_ids, constant=mean, rng=rng)
        tuned = judge(self.target, dev.y, on_dev, weight=dev.weight, users=dev.user_ids, constant=mean, rng=rng)
        results = {**figures, **fit.results, "dev_loss": fit.dev_loss, "constant": mean}
        if self.target.metric == "mse":
            reach = radius(dev.y, on_dev)
            results["conformal"] = {"level": LEVEL, "radius": reach, "coverage": coverage(test.y, on_test, reach)}
        return Run(
            run_id=run_id,
            target=self.target.name,
            setup=self.setup,
            encoder=self.encoder,
            head=head,
            metric=self.target.metric,
            dev=tuned["metric"],
            test=figures["metric"],
            baseline=figures["baseline"],
            n_train=len(train),
            n_dev=len(dev),
            n_test=len(test),
            dim=fit.model.dim,
            kind=fit.model.kind,
            link=fit.model.link,
            encoder_digests=self.digests,
            samples=self.content,
            hyperparameters=fit.hyperparameters,
            results=results,
        )


class _Unpublished:
    """Runs on disk that the warehouse does not know yet, with what they say about every photo that has a vector."""

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self.runs: list[Run] = []
        self.predictions: list[pl.DataFrame] = []

    def add(self, samples: dict[str, Samples], encoder: str) -> None:
        import polars as pl

        if not samples:
            return
        photo_ids, X = read_vectors(self.store.layout, encoder)
        for run_id, rows in samples.items():
            run, model = runs.load(self.store.layout, run_id)
            splits = dict(zip(rows.photo_ids.tolist(), rows.split.tolist(), strict=True))
            self.runs.append(run)
            self.predictions.append(
                pl.DataFrame(
                    {
                        "run_id": run_id,
                        "photo_id": photo_ids,
                        "split": pl.Series([splits.get(photo_id) for photo_id in photo_ids], dtype=pl.String),
                        "prediction": model.predict(X),
                    }
                )
            )

    def publish(self) -> None:
        import polars as pl

        if self.runs:
            runs.record(self.store.database, self.runs, pl.concat(self.predictions))


def _places(setups: Sequence[str], encoders: Sequence[str], progress: Progress) -> Iterator[tuple[str, str]]:
    """(setup, encoder), without faces in photos that may show none or several."""
    found = 0
    for setup in setups:
        for name in encoders:
            if setup == "all" and any(encoder_named(part).input == "face" for part in name.split("+")):
                progress.note(f"{name} needs photos of one face: left out of setup all.")
                continue
            found += 1
            yield setup, name
    if not found:
        raise InputError(
            f"Nothing to train: {', '.join(encoders)} in setup {', '.join(setups)}.",
            "an encoder of whole photos, or setup one_face",
            "--setup one_face",
        )


def _pairs(targets: Sequence[Target], heads: Sequence[str], progress: Progress) -> list[tuple[Target, str]]:
    """Every target with every head that can learn it."""
    found = []
    for t in targets:
        for head in heads:
            if suits(head, t):
                found.append((t, head))
            else:
                progress.note(f"{head} cannot learn {t.name}: left out.")
    if not found:
        raise InputError(
            f"Nothing to train: {', '.join(heads)} cannot learn {', '.join(t.name for t in targets)}.",
            "ridge for like_ratio; svm or logistic for popular and gender; 0fc, 1fc, 2fc for all",
            "--head 0fc",
        )
    return found


def _several(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _check(names: Sequence[str], known: Sequence[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise InputError(
                f"{name!r} is not a {what}.", f"one of {', '.join(known)}", f"--{what} {next(iter(known))}"
            )
