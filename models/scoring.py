"""Score picture files with a trained head: what the photo is likely to earn, and between which bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from features import encoders, pipeline
from features.faces import FaceSettings
from models import runs
from models.arrays import Array
from models.ranking import leaderboard
from models.runs import Run
from models.targets import target as target_named
from warehouse import EncoderError, InputError

if TYPE_CHECKING:
    from features.pipeline import Embedded
    from features.store import FeatureStore

__all__ = ["Scored", "best_run", "predict"]

_HALF = "h"
"""Ends the digest of vectors that are stored in half precision; they are the same vectors, rounded."""

Bounded: TypeAlias = tuple[float, float | None, float | None]
"""A prediction with its bounds."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One file.

    Attributes:
        prediction: 0..1; None unless the status is ok.
        low, high: bounds of the observed ratio at the level of `models.intervals`, or of the probability that a
            sender likes it; None where the run has none.
        status: ok, or why there is no prediction: no_face, several_faces, missing, unreadable, ...
    """

    path: str
    prediction: float | None
    low: float | None
    high: float | None
    status: str


def predict(
    store: FeatureStore,
    files: Sequence[str | Path],
    *,
    run: str | None = None,
    target: str = "like_ratio",
    sender: str | None = None,
    faces: FaceSettings | None = None,
    device: str | None = None,
    embed: Callable[[Sequence[str | Path], str], Sequence[Embedded]] | None = None,
) -> list[Scored]:
    """One answer per file, in order.

    Args:
        store: where runs are.
        files: pictures.
        run: a run_id; None: the best run of `target`, by its dev figure.
        target: like_ratio, popular, gender.
        sender: a user_id: what this one would like, by `models.taste` on the vectors of the run's encoder.
        faces: the detector of the store's build, where it was not the default.
        device: as torch calls it.
        embed: makes the vectors of files in the eyes of an encoder; a server passes one that stays loaded.

    Raises:
        InputError: no such run, or none of that target; a sender who has not swiped, or a target beside one.
        EncoderError: the run was trained on vectors that its encoder no longer makes.
    """
    found, model = runs.load(store.layout, run or best_run(store, target))
    settings = faces or FaceSettings()
    _check_encoders(found, settings)
    embed = embed or (lambda paths, name: pipeline.embed_files(paths, name, faces=settings, device=device))
    parts = [embed(list(files), name) for name in found.encoder.split("+")]
    answers = [_joined(several) for several in zip(*parts, strict=True)]
    good = [X for X, _ in answers if X is not None]
    if sender is not None:
        scored = iter(_personal(store, sender, found, good))
    else:
        reach = found.results.get("conformal", {}).get("radius")
        scored = iter([_bounded(p, reach) for p in (model.predict(np.stack(good)).tolist() if good else [])])
    return [
        Scored(str(path), *next(scored), "ok") if status == "ok" else Scored(str(path), None, None, None, status)
        for path, (_, status) in zip(files, answers, strict=True)
    ]


def best_run(store: FeatureStore, target: str = "like_ratio") -> str:
    """The run_id that dev ranks first among the runs of a target.

    Raises:
        InputError: there is none.
    """
    rows = leaderboard(store.database).frame.filter(target=target_named(target).name)
    if rows.is_empty():
        raise InputError(
            f"No head for {target} was trained yet.", "a run of that target", f"features train --target {target}"
        )
    return str(rows["run_id"][0])


def _check_encoders(run: Run, faces: FaceSettings) -> None:
    """Refuse a head whose encoder has other weights, or cuts another picture, than it was trained with."""
    for name, trained_with in run.encoder_digests.items():
        now = encoders.encoder(name).digest(faces.digest)
        if trained_with.removesuffix(_HALF) != now:
            raise EncoderError(
                f"Run {run.run_id} was trained on vectors of {name} {trained_with}; {name} is {now} here.",
                "the weights and the face detector that its training vectors were made with",
                "features build, then features train: a head for the encoder as it is now",
            )


def _joined(parts: Sequence[Embedded]) -> tuple[Array | None, str]:
    """The vectors of one file side by side, or the first reason why there are none."""
    for part in parts:
        if part.status != "ok":
            return None, part.status
    return np.concatenate([part.embedding for part in parts if part.embedding is not None]), "ok"


def _personal(store: FeatureStore, sender: str, run: Run, X: Sequence[Array]) -> Sequence[Bounded]:
    from models.taste_store import personal

    if run.target != "like_ratio":
        raise InputError(
            f"Run {run.run_id} predicts {run.target}; a sender's taste is about likes.",
            "a run of like_ratio",
            "features predict FILE --for SENDER, without another target",
        )
    taste = personal(store, sender, run.encoder)
    return taste(np.stack(X)) if X else []


def _bounded(prediction: float, reach: float | None) -> Bounded:
    if reach is None:
        return prediction, None, None
    return prediction, max(prediction - reach, 0.0), min(prediction + reach, 1.0)
