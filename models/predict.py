"""Predict with a trained head: a score with bounds for each picture, or the reason why there is none.

Files need not be in the store. The relation `predictions` is about photos of the store: `keep` adds predictions for
files whose bytes are those of a photo, and for photos that were ingested after the head was trained.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from photogenic import sql
from photogenic._lazy import pl
from photogenic.features.compute import pipeline
from photogenic.features.compute.embed_files import picture_files, read_file
from photogenic.features.compute.measure_files import measurable, measure_files
from photogenic.features.compute.pipeline import Embedded
from photogenic.features.encoders import registry
from photogenic.features.faces.detector import FaceSettings
from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import NO_ENCODER, encoder_parts, read_rows
from photogenic.models.data.targets import recorded
from photogenic.models.heads.model import Model
from photogenic.models.runs import run_store
from photogenic.models.runs.input_check import check_encoders, check_vectors
from photogenic.models.runs.run_names import runnable
from photogenic.models.runs.run_selection import FACELESS, choose
from photogenic.models.runs.run_store import Run
from photogenic.models.taste.cache import personal
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.columns import ColumnRef, resolve

__all__ = ["Scored", "missing_inputs", "predict"]

Bounded: TypeAlias = tuple[float, float | None, float | None]
"""A prediction with its lower and upper bound."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Prediction for one file.

    Attributes:
        prediction: prediction, 0 to 1, or a number in the unit of the target. None unless the status is ok.
        low, high: bounds of the observed value at the level of evaluation/conformal.py, or of the probability that a
            sender likes the photo. None if the run has none.
        status: ok, or the reason why there is no prediction: no_face, several_faces; missing, empty, not_an_image,
            unsupported_format, truncated, unreadable, too_large, detector_failed; not_built: a photo of the store
            without the faces or vectors that `features build` computes.
        photo_id: id of the photo in the store, if it was searched for: without files, or with `keep`.
        run_id: id of the run that predicted; for a sender's taste, of the run whose encoder computed the vector.
        head, encoder, setup: head, encoder and setup of that run.
    """

    path: str
    prediction: float | None
    low: float | None
    high: float | None
    status: str
    photo_id: str | None = None
    run_id: str | None = None
    head: str | None = None
    encoder: str | None = None
    setup: str | None = None


_MANY = 10
"""Number of files from which their embedding is shown as a stage."""


def predict(
    store: Store,
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
    """Predict for each picture; one result per picture, in order.

    Args:
        store: store with trained runs.
        files: picture files, folders and globs. None: the photos of the store without a prediction of the run.
        run: run id, its beginning, or the name of a run. None: the run of `target` that runs/run_selection.py chooses;
            pictures in which it finds no face or several are predicted by the run that it chooses in setup all.
        target: target to predict: like_ratio, popular, gender, or a column that a run was trained for.
        sender: user id of a sender whose likes are predicted, by `models.taste.taste` on vectors of the run's encoder.
        keep: whether to add predictions for photos of the store to the relation `predictions`.
        faces: face detector settings of the last build, if they were not the defaults.
        device: device for torch: cpu, cuda or cuda:1.
        embed: function from files and an encoder to vectors; a server passes one whose networks stay loaded.

    Raises:
        InputError: the run does not exist, or the target has no run; the sender has not swiped; a sender's taste needs
            files, excludes `keep`, and predicts like_ratio only.
        StoreError: no head of that target can predict here, or the run is damaged.
        EncoderError: the run was trained on vectors of another version of its encoder.
    """
    settings = faces or FaceSettings()
    if sender is not None and (keep or files is None):
        raise InputError(
            f"Predictions by a sender's taste {'are not kept in the store' if keep else 'need files'}.",
            "files, and no --keep",
            f"features predict FILE --for {sender}",
        )
    models = store.layout.models
    told: list[str] = []
    if run is None:
        fits = (
            partial(check_vectors, store.layout)
            if files is None
            else partial(check_encoders, faces=settings, models=models)
        )
        choice = choose(store.layout, store.database.frame, target, fits=fits)
        told = [choice.run.run_id, *([choice.fallback.run_id] if choice.fallback else [])]
        for note in choice.notes:
            store.progress.note(note)
    asked = [
        run_store.load(store.layout, name) for name in told or [runnable(store.layout, store.database.frame, str(run))]
    ]
    if files is None:
        return _predict_store(store, asked, keep=keep)
    for found, _ in asked:
        check_encoders(found, settings, models=models)
        if found.encoder == NO_ENCODER and not _measured(found):
            raise InputError(
                f"Run {found.run_id} reads no pictures, but {', '.join(found.inputs)}.",
                "photos of the store, or a run with an encoder",
                f"features predict --run {found.run_id}, without files; or features train with an --encoder",
            )
        if lacking := missing_inputs(found):
            store.progress.note(lacking)

    def embed_here(paths: Sequence[str | Path], name: str) -> Sequence[Embedded]:
        stage = store.progress.stage(f"pictures by {name}", len(paths), "pictures")
        with stage if len(paths) >= _MANY else contextlib.nullcontext(lambda _: None) as advance:
            return pipeline.embed_files(paths, name, models=models, faces=settings, device=device, advance=advance)

    embed = embed or embed_here
    paths = picture_files(files)
    how = partial(_predict_files, store, sender=sender, embed=embed, faces=settings)
    said = how(asked[0], paths)
    faceless = [at for at, one in enumerate(said) if one.status in FACELESS]
    if faceless and asked[1:]:
        others = how(asked[1], [paths[at] for at in faceless])
        for at, other in zip(faceless, others, strict=True):
            said[at] = other if other.status == "ok" else said[at]
    return _keep(store, _with_photo_ids(store, said)) if keep else said


def _predict_files(
    store: Store,
    asked: tuple[Run, Model],
    files: Sequence[str | Path],
    *,
    sender: str | None,
    embed: Callable[[Sequence[str | Path], str], Sequence[Embedded]],
    faces: FaceSettings,
) -> list[Scored]:
    """Predict for files with one head, or with a sender's taste on its encoder."""
    run, model = asked
    statuses, inputs = _file_inputs(run, files, faces)
    parts = [list(embed(list(files), name)) for name in encoder_parts(run.encoder)]
    answers: list[tuple[Array | None, str]] = [
        _join_vectors([part[at] for part in parts], row) if parts or status == "ok" else (None, status)
        for at, (status, row) in enumerate(zip(statuses, inputs, strict=True))
    ]
    good = [X for X, _ in answers if X is not None]
    if sender is not None:
        scored = iter(_predict_taste(store, sender, run, [X[: len(X) - len(run.inputs)] for X in good]))
    else:
        scored = iter([_with_bounds(p, run) for p in (model.predict(np.stack(good)).tolist() if good else [])])
    return [
        _with_run(
            run,
            Scored(str(path), *next(scored), "ok") if status == "ok" else Scored(str(path), None, None, None, status),
        )
        for path, (_, status) in zip(files, answers, strict=True)
    ]


def _with_run(run: Run, one: Scored) -> Scored:
    return replace(one, run_id=run.run_id, head=run.head, encoder=run.encoder, setup=run.setup)


def _predict_store(store: Store, asked: Sequence[tuple[Run, Model]], *, keep: bool) -> list[Scored]:
    """Predict for the photos of the store without a prediction, from their stored vectors."""
    said = {one.photo_id: one for one in _predict_missing(store, *asked[0])}
    if asked[1:] and any(one.status in FACELESS for one in said.values()):
        others = {one.photo_id: one for one in _predict_missing(store, *asked[1])}
        for photo_id, one in [*said.items()]:
            if one.status in FACELESS:
                other = others.get(photo_id)
                if other is None:
                    del said[photo_id]  # the other head has predicted it before
                elif other.status == "ok":
                    said[photo_id] = other
    return _keep(store, [*said.values()]) if keep else [*said.values()]


def _predict_missing(store: Store, run: Run, model: Model) -> list[Scored]:
    """Predict for the photos without a prediction of one head."""
    check_vectors(store.layout, run)
    rows = store.database.rows(sql.read("training/unpredicted"), {"run": run.run_id})
    vectors_by_id: dict[str, Array] = {}
    wanted = {photo_id for photo_id, *_ in rows}
    if wanted:
        ids, X = read_rows(store, run.encoder, _inputs_of(store, run))
        vectors_by_id = {photo_id: x for photo_id, x in zip(ids, X, strict=True) if photo_id in wanted}
    faces = any(registry.encoder(name, store.layout.models).input == "face" for name in encoder_parts(run.encoder))
    known = list(vectors_by_id)
    p = model.predict(np.stack([vectors_by_id[photo_id] for photo_id in known])).tolist() if known else []
    predictions = dict(zip(known, p, strict=True))
    said = []
    for photo_id, sha256, path, status, n_faces in rows:
        where = str(path or (store.layout.photo(sha256) if sha256 else ""))
        if photo_id in predictions:
            said.append(_with_run(run, Scored(where, *_with_bounds(predictions[photo_id], run), "ok", photo_id)))
            continue
        why = status
        if status == "ok":
            why = "not_built" if not faces or n_faces == 1 else "several_faces" if n_faces else "no_face"
        said.append(_with_run(run, Scored(where, None, None, None, why, photo_id)))
    return said


def _with_photo_ids(store: Store, said: Sequence[Scored]) -> list[Scored]:
    """Add the id of the photo with the same bytes; if there are several photos, one row for each."""
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


def _keep(store: Store, said: list[Scored]) -> list[Scored]:

    good = [one for one in said if one.status == "ok"]
    rows = [(one.run_id, one.photo_id, one.prediction) for one in good if one.photo_id is not None]
    kinds = {"run_id": pl.String, "photo_id": pl.String, "prediction": pl.Float64}
    n = run_store.keep(store.database, pl.DataFrame(rows, schema=kinds, orient="row"))
    names = " and ".join(dict.fromkeys(str(one.run_id) for one in good)) or "none"
    told = f"{n:,} predictions of run {names} are added to the store; {len(rows) - n:,} were there before."
    if strangers := len(good) - len(rows):
        told += f" {strangers:,} pictures are not photos of the store; features ingest photos adds them."
    store.progress.note(told)
    return said


def _inputs_of(store: Store, run: Run) -> list[ColumnRef]:
    """Return the columns that a run reads beside the vectors.

    Raises:
        InputError: the store does not have one of them any more.
    """
    if not run.inputs:
        return []
    try:
        with store.database.read(query="from facts.own_relations") as con:
            return resolve(con, run.inputs)
    except InputError as error:
        raise InputError(
            f"Run {run.run_id} cannot read its inputs: {error.what}",
            "the relations that it was trained on",
            "features build in the project that has them; or predict with another --run",
        ) from error


def missing_inputs(run: Run) -> str | None:
    """Return the note on inputs of a run that files do not have. None: there are no such inputs."""
    missing = sorted(set(run.inputs) - set(_measured(run)))
    return (
        f"Run {run.run_id} reads {', '.join(missing)}, which files do not have: missing for all." if missing else None
    )


def _measured(run: Run) -> list[str]:
    """Return the inputs of a run that can be computed of a file: features of a picture."""
    relations = set(measurable(list(dict.fromkeys(name.partition(".")[0] for name in run.inputs))))
    return [name for name in run.inputs if name.partition(".")[0] in relations]


def _file_inputs(run: Run, files: Sequence[str | Path], faces: FaceSettings) -> tuple[list[str], Array]:
    """Return the status of files, and their inputs, float32 (n, inputs); NaN where a file has none."""
    X = np.full((len(files), len(run.inputs)), np.nan, np.float32)
    measured = _measured(run)
    relations = list(dict.fromkeys(name.partition(".")[0] for name in measured))
    statuses, values = measure_files(files, relations, faces=faces)
    for name in measured:
        relation, _, column = name.partition(".")
        for at, row in enumerate(values[relation]):
            value = row.get(column)
            X[at, run.inputs.index(name)] = np.nan if value is None else value
    return statuses, X


def _join_vectors(parts: Sequence[Embedded], inputs: Array) -> tuple[Array | None, str]:
    """Join the vectors of one file and its inputs, or return the first reason why there are none."""
    for part in parts:
        if part.status != "ok":
            return None, part.status
    return np.concatenate([*(part.embedding for part in parts if part.embedding is not None), inputs]), "ok"


def _predict_taste(store: Store, sender: str, run: Run, X: Sequence[Array]) -> Sequence[Bounded]:

    if run.target != "like_ratio":
        raise InputError(
            f"Run {run.run_id} predicts {run.target}; a sender's taste predicts like_ratio.",
            "a run of like_ratio",
            "features predict FILE --for SENDER, without another target",
        )
    if run.encoder == NO_ENCODER:
        raise InputError(
            f"Run {run.run_id} reads no pictures; a sender's taste needs their vectors.",
            "a run with an encoder",
            "features train with an --encoder; or --run with such a run",
        )
    taste = personal(store, sender, run.encoder)
    return taste(np.stack(X)) if X else []


def _with_bounds(prediction: float, run: Run) -> Bounded:
    reach = run.results.get("conformal", {}).get("radius")
    if reach is None:
        return prediction, None, None
    if not recorded(run.target, run.metric).bounded:
        return prediction, prediction - reach, prediction + reach
    return prediction, max(prediction - reach, 0.0), min(prediction + reach, 1.0)
