"""Score pictures with a trained head: what each is likely to earn, between which bounds, or why nothing is said.

Files are scored as they are. The relation `predictions` is about photos of the store: kept there is what was
said of files that are such photos (by their bytes), and of photos that came after the head was trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import sql
from features import encoders, pipeline, vectors
from features.faces import FaceSettings
from features.queries import picture_files, read_file
from models import runs
from models.arrays import Array
from models.ranking import leaderboard
from models.runs import Run
from models.samples import read_vectors
from models.targets import target as target_named
from warehouse import EncoderError, InputError

if TYPE_CHECKING:
    from features.pipeline import Embedded
    from features.store import FeatureStore
    from models.model import Model

__all__ = ["Scored", "best_run", "check_encoders", "predict"]

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
        status: ok, or why there is no prediction: no_face, several_faces; missing, empty, not_an_image,
            unsupported_format, truncated, unreadable, too_large, detector_failed; not_built, of a photo of the store
            that `features build` has not looked at yet.
        photo_id: of the photo of the store, where that was asked for: without files, or to keep.
    """

    path: str
    prediction: float | None
    low: float | None
    high: float | None
    status: str
    photo_id: str | None = None


def predict(
    store: FeatureStore,
    files: Sequence[str | Path] | None = None,
    *,
    run: str | None = None,
    target: str = "like_ratio",
    sender: str | None = None,
    keep: bool = False,
    faces: FaceSettings | None = None,
    device: str | None = None,
    embed: Callable[[Sequence[str | Path], str], Sequence[Embedded]] | None = None,
) -> list[Scored]:
    """One answer per picture, in order.

    Args:
        store: where runs are.
        files: pictures, folders, globs. None: the photos of the store that the run says nothing of yet.
        run: a run_id; None: the best run of `target`, by its dev figure.
        target: like_ratio, popular, gender.
        sender: a user_id: what this one would like, by `models.taste` on the vectors of the run's encoder.
        keep: put what is said of photos of the store into the relation `predictions`.
        faces: the detector of the store's build, where it was not the default.
        device: as torch calls it.
        embed: makes the vectors of files in the eyes of an encoder; a server passes one that stays loaded.

    Raises:
        InputError: no such run, or none of that target; a sender who has not swiped, or a target beside one; a
            sender's taste is asked of no file, or is to be kept.
        EncoderError: the run was trained on vectors that its encoder no longer makes.
    """
    found, model = runs.load(store.layout, run or best_run(store, target))
    settings = faces or FaceSettings()
    if sender is not None and (keep or files is None):
        raise InputError(
            f"A sender's taste is {'kept nowhere' if keep else 'asked of files'}.",
            "files, and no --keep",
            f"features predict FILE --for {sender}",
        )
    if files is None:
        return _of_store(store, found, model, keep=keep)
    files = picture_files(files)
    check_encoders(found, settings)
    embed = embed or (lambda paths, name: pipeline.embed_files(paths, name, faces=settings, device=device))
    parts = [embed(list(files), name) for name in found.encoder.split("+")]
    answers = [_joined(several) for several in zip(*parts, strict=True)]
    good = [X for X, _ in answers if X is not None]
    if sender is not None:
        scored = iter(_personal(store, sender, found, good))
    else:
        reach = found.results.get("conformal", {}).get("radius")
        scored = iter([_bounded(p, reach) for p in (model.predict(np.stack(good)).tolist() if good else [])])
    said = [
        Scored(str(path), *next(scored), "ok") if status == "ok" else Scored(str(path), None, None, None, status)
        for path, (_, status) in zip(files, answers, strict=True)
    ]
    return _kept(store, found, _recognised(store, said)) if keep else said


def _of_store(store: FeatureStore, run: Run, model: Model, *, keep: bool) -> list[Scored]:
    """The photos that the run says nothing of: from the vectors that are held."""
    with store.database.read() as con:
        rows = con.execute(sql.read("training/unpredicted"), {"run": run.run_id}).fetchall()
    vectors_by_id: dict[str, Array] = {}
    wanted = {photo_id for photo_id, *_ in rows}
    if wanted:
        ids, X = read_vectors(store.layout, run.encoder)
        vectors_by_id = {photo_id: x for photo_id, x in zip(ids, X, strict=True) if photo_id in wanted}
    _check_vectors(store, run)
    faces = any(encoders.encoder(name).input == "face" for name in run.encoder.split("+"))
    reach = run.results.get("conformal", {}).get("radius")
    known = list(vectors_by_id)
    p = model.predict(np.stack([vectors_by_id[photo_id] for photo_id in known])).tolist() if known else []
    predictions = dict(zip(known, p, strict=True))
    said = []
    for photo_id, sha256, path, status, n_faces in rows:
        where = str(path or (store.layout.photo(sha256) if sha256 else ""))
        if photo_id in predictions:
            said.append(Scored(where, *_bounded(predictions[photo_id], reach), "ok", photo_id))
            continue
        why = status
        if status == "ok":
            why = "not_built" if not faces or n_faces == 1 else "several_faces" if n_faces else "no_face"
        said.append(Scored(where, None, None, None, why, photo_id))
    return _kept(store, run, said) if keep else said


def _recognised(store: FeatureStore, said: Sequence[Scored]) -> list[Scored]:
    """With the photo of the store that has the same bytes; of several, one row each."""
    owners = dict(
        pipeline.photo_bytes(store.database).group_by("sha256", maintain_order=True).agg("photo_id").iter_rows()
    )
    found = []
    for one in said:
        photo_ids: list[str | None] = [None]
        if one.status == "ok":
            photo_ids = owners.get(hashlib.sha256(read_file(Path(one.path))[2]).hexdigest(), [None])
        found += [replace(one, photo_id=photo_id) for photo_id in photo_ids]
    return found


def _kept(store: FeatureStore, run: Run, said: list[Scored]) -> list[Scored]:
    import polars as pl

    good = [one for one in said if one.status == "ok"]
    rows = [(run.run_id, one.photo_id, one.prediction) for one in good if one.photo_id is not None]
    names = {"run_id": pl.String, "photo_id": pl.String, "prediction": pl.Float64}
    n = runs.keep(store.database, pl.DataFrame(rows, schema=names, orient="row"))
    told = f"{n:,} predictions by run {run.run_id} kept, {len(rows) - n:,} were there."
    if strangers := len(good) - len(rows):
        told += f" {strangers:,} pictures are no photos of the store; features ingest photos makes them so."
    store.progress.note(told)
    return said


def best_run(store: FeatureStore, target: str = "like_ratio") -> str:
    """The run_id that dev ranks first among the runs of a target whose weights are there.

    Raises:
        InputError: there is none.
    """
    rows = leaderboard(store.database).frame.filter(target=target_named(target).name)
    there = [run_id for run_id in rows["run_id"].to_list() if runs.finished(store.layout, run_id)]
    if not there:
        raise InputError(
            f"No head for {target} was trained yet.", "a run of that target", f"features train --target {target}"
        )
    return str(there[0])


def check_encoders(run: Run, faces: FaceSettings) -> None:
    """Refuse a head whose encoder has other weights, or cuts another picture, than it was trained with."""
    for name, trained_with in run.encoder_digests.items():
        now = encoders.encoder(name).digest(faces.digest)
        if trained_with.removesuffix(_HALF) != now:
            raise EncoderError(
                f"Run {run.run_id} was trained on vectors of {name} {trained_with}; {name} is {now} here.",
                "the weights and the face detector that its training vectors were made with",
                "features build, then features train: a head for the encoder as it is now",
            )


def _check_vectors(store: FeatureStore, run: Run) -> None:
    """Refuse a head whose vectors in the store are no longer those it was trained with."""
    for name, trained_with in run.encoder_digests.items():
        held = vectors.manifest(store.layout, name).digest
        if trained_with.removesuffix(_HALF) != held.removesuffix(_HALF):
            raise EncoderError(
                f"Run {run.run_id} was trained on vectors of {name} {trained_with}; the store holds {held}.",
                "the vectors that the head was trained on",
                "features train: a head for the vectors as they are now",
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
