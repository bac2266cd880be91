"""Runs on disk and in the warehouse: the weights, then the manifest that describes them.

    models/<run_id>/weights.safetensors     arrays of a Model
    models/<run_id>/manifest.json           a Run; it is written last, so a run with a manifest is finished

The run id is a digest of everything that determines the result; the same training finds its run by it.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from photogenic import sql
from photogenic._lazy import pl, safetensors
from photogenic.features.vectors.privacy import holds_vectors
from photogenic.models.data.samples import NO_ENCODER
from photogenic.models.heads.kinds import ENSEMBLE, rule_of
from photogenic.models.heads.model import Link, Model
from photogenic.warehouse import Database, InputError, Layout, StoreError
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.storage.layout import write_atomically
from photogenic.warehouse.storage.manifest import dump_with_digest, load_with_digest, read_limited, to_dataclass
from photogenic.warehouse.user_modules import VARIABLES

__all__ = [
    "INGESTED",
    "Run",
    "alike",
    "check_head",
    "described",
    "finished",
    "folders",
    "inputs_in",
    "is_finished",
    "is_id",
    "keep",
    "load",
    "reads",
    "record",
    "recorded",
    "run_id",
    "save",
    "verify",
]

_COLUMNS = ["run_id", "target", "setup", "encoder", "head", "metric", "dev", "test", "baseline", "n_train", "n_test"]

_NAME = re.compile(r"[\w-]{1,100}")
"""Valid names of folders of runs; they contain no path separator."""

INGESTED = "ingested"
"""`origin`, and `encoder`, of a run of predictions that were made elsewhere; it has no folder."""

_NAMED = 12
"""Largest number of runs that an error names."""


@dataclass(frozen=True, slots=True)
class Run:
    """Description and figures of a head.

    Attributes:
        encoder: encoder name, or `a+b` for joined vectors, or `none`.
        encoder_digests: digest of each encoder at the time of training.
        samples: digest of photos, vectors, labels, weights and splits.
        metric: metric of dev, test and baseline: `mse` or `accuracy`.
        dim: dimension of the vectors that it reads, and number of inputs.
        hyperparameters: hyperparameters that were tried, and those that dev selected.
        results: intervals, further figures and learning curve.
    """

    run_id: str
    target: str
    setup: str
    encoder: str
    head: str
    metric: str
    dev: float
    test: float
    baseline: float
    n_train: int
    n_dev: int
    n_test: int
    dim: int
    kind: str
    link: Link
    encoder_digests: dict[str, str]
    samples: str
    hyperparameters: dict[str, Any]
    results: dict[str, Any]
    weights_sha256: str = ""
    created_at: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns that it reads beside the vectors."""
        return inputs_in(self.hyperparameters)

    @property
    def reads(self) -> str:
        """What it reads, in words: the encoder, and the inputs beside the vectors."""
        return reads(self.encoder, self.inputs)


def inputs_in(hyperparameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the inputs beside the vectors that the hyperparameters of a run name."""
    return tuple(str(each["name"]) for each in hyperparameters.get("inputs") or ())


def reads(encoder: str, inputs: Sequence[str]) -> str:
    """Return the encoder of a run, and its inputs if it has some: up to two by name, more as a number."""
    if not inputs:
        return encoder
    words = " and ".join(inputs) if len(inputs) <= 2 else f"{len(inputs)} columns"
    return words if encoder == NO_ENCODER else f"{encoder} with {words}"


def run_id(decided_by: Sequence[Any]) -> str:
    """Return a digest of everything that determines a run, 12 hex digits."""
    return hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()[:12]


def finished(layout: Layout, name: str) -> bool:
    """Return whether a run is finished."""
    return (layout.models / name / "manifest.json").exists()


def is_finished(layout: Layout, text: str) -> bool:
    """Return whether a text from outside is the id of a finished run."""
    return is_id(text) and finished(layout, text)


def is_id(text: str) -> bool:
    """Return whether a text from outside may be the id of a run: it contains no path separator."""
    return bool(_NAME.fullmatch(text))


def folders(layout: Layout) -> list[str]:
    """Return the ids of the finished runs on disk, sorted."""
    return sorted(path.parent.name for path in layout.models.glob("*/manifest.json"))


def save(layout: Layout, run: Run, model: Model) -> Run:
    """Write the weights, then the manifest. Returns the run as the manifest holds it."""
    folder, data = layout.models / run.run_id, safetensors.numpy.save(model.arrays)
    write_atomically(folder / "weights.safetensors", data)
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    complete = Run(**{**asdict(run), "weights_sha256": hashlib.sha256(data).hexdigest(), "created_at": now})
    write_atomically(folder / "manifest.json", dump_with_digest(asdict(complete)))
    return complete


def described(layout: Layout, name: str) -> Run:
    """Read the manifest of a finished run.

    Raises:
        InputError: there is no finished run of that id.
        StoreError: the manifest is damaged, or of another version.
    """
    folder = layout.models / name
    if not is_finished(layout, name):
        there = folders(layout)
        raise InputError(
            f"There is no run {name[:80]!r} in {layout.models}.",
            f"one of these: {', '.join(there[:_NAMED])}{', ...' if there[_NAMED:] else ''}"
            if there
            else "a finished run; there are none yet",
            "leave out --run, which uses the best head" if there else "features train",
        )
    try:
        run = to_dataclass(Run, load_with_digest(read_limited(folder / "manifest.json")))
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(folder, error) from error
    if run.run_id != name:
        raise _unreadable(folder, f"its manifest describes run {run.run_id!r}")
    return run


def load(layout: Layout, name: str) -> tuple[Run, Model]:
    """Read a finished run and its head.

    Raises:
        InputError: there is no finished run of that id, or its head is not registered here.
        StoreError: the weights differ from the digest in the manifest.
    """
    run = described(layout, name)
    data = _weights(layout, run)
    try:
        model = Model(run.kind, run.link, safetensors.numpy.load(data))
    except safetensors.SafetensorError as error:
        raise _unreadable(layout.models / name, error) from error
    try:
        model.check()
    except InputError as error:
        raise _unknown_head(run, error) from error
    return run, model


def check_head(run: Run) -> None:
    """Refuse a run whose head is not registered here; `load` also checks the members of an ensemble.

    Raises:
        InputError: the head is not registered here.
    """
    try:
        if run.kind != ENSEMBLE:
            rule_of(run.kind)
    except InputError as error:
        raise _unknown_head(run, error) from error


def verify(layout: Layout, name: str) -> None:
    """Refuse a run that `load` would refuse; files are read again only if they have changed.

    Raises:
        InputError, StoreError: the errors of `load`.
    """
    described(layout, name)
    folder = layout.models / name
    try:
        state = [(folder / file).stat() for file in ("manifest.json", "weights.safetensors")]
    except OSError:
        load(layout, name)
        return
    _verified(layout, name, tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in state))


@functools.lru_cache(maxsize=256)
def _verified(layout: Layout, name: str, state: tuple[tuple[int, ...], ...]) -> None:  # noqa: ARG001 - part of the key
    load(layout, name)


def _weights(layout: Layout, run: Run) -> bytes:
    folder = layout.models / run.run_id
    try:
        data = (folder / "weights.safetensors").read_bytes()
    except OSError as error:
        raise _unreadable(folder, error) from error
    found = hashlib.sha256(data).hexdigest()
    if found != run.weights_sha256:
        raise StoreError(
            f"The weights of run {run.run_id} have SHA-256 {found}.",
            f"SHA-256 {run.weights_sha256}, as in {folder / 'manifest.json'}",
            f"remove {folder} and train again",
        )
    return data


def _unknown_head(run: Run, error: InputError) -> InputError:
    if error.what.startswith(VARIABLES):  # a module of the user cannot be imported
        return error
    return InputError(
        f"Run {run.run_id} is a head {run.head}, which is not registered here.", error.expected, error.remedy
    )


def _unreadable(folder: Path, why: object) -> StoreError:
    return StoreError(
        f"The run {folder.name} cannot be read: {why}",
        f"{folder} as training wrote it",
        f"remove {folder} and train again",
    )


def recorded(database: Database) -> set[str]:
    """Return the ids of the runs in the warehouse."""
    if not database.layout.snapshot.exists():
        return set()
    return {name for (name,) in database.rows("select run_id from runs")}


def alike(database: Database, target: str, setup: str, division: str) -> list[str]:
    """Return the ids of the runs of one target, setup and division, newest first."""
    rows = database.rows(
        "select run_id from runs where target = $1 and setup = $2"
        " and json_extract_string(hyperparameters, '$.division') = $3 order by created_at desc, run_id",
        [target, setup, division],
    )
    return [name for (name,) in rows]


def record(
    database: Database, runs: Iterable[Run], predictions: pl.DataFrame, learned: pl.DataFrame | None = None
) -> None:
    """Add rows to `runs` and `predictions` in one transaction. `predictions` has the columns of the relation.

    Runs that are in the warehouse already, committed by another process or by one that was killed before it published
    its snapshot, are not changed. Photos that were erased since the training began get no rows; heads that learned from
    such a photo are marked, and their weights are removed if they hold vectors.

    Args:
        database: database of the store.
        runs: finished runs.
        predictions: columns run_id, photo_id, split, prediction.
        learned: columns run_id, photo_id: training photos of each run. None: the photos of `predictions` with a split.
    """
    learned = predictions.filter(predictions["split"].is_not_null()) if learned is None else learned
    rows = [
        [
            *(getattr(run, name) for name in _COLUMNS),
            json.dumps(run.hyperparameters),
            json.dumps(run.results),
            dt.datetime.fromisoformat(run.created_at),
        ]
        for run in runs
    ]
    columns = ", ".join([*_COLUMNS, "hyperparameters, results, created_at"])
    marks = ", ".join(f"${n}" for n in range(1, len(_COLUMNS) + 4))
    with database.write("features train") as con:
        Tombstones(database.layout).prepare(con)
        con.begin()
        known = {name for (name,) in con.execute("select run_id from facts.runs").fetchall()}
        rows = [row for row in rows if row[0] not in known]
        names = [row[0] for row in rows]
        con.register("new_predictions", predictions.filter(predictions["run_id"].is_in(names)))
        con.register("new_learned", learned.select("run_id", "photo_id").filter(learned["run_id"].is_in(names)))
        for row in rows:
            con.execute(f"insert into facts.runs ({columns}) values ({marks})", row)
        con.execute(
            "insert into facts.predictions by name select run_id, photo_id, split, prediction from new_predictions"
            " where not was_erased('photo', photo_id)"
        )
        marked = con.execute(sql.read("training/mark_erased"), {"vectors": _with_vectors(database.layout, names)})
        marked.fetchall()
        con.commit()
        query = "select run_id from facts.runs where list_contains($1, run_id) and results->>'weights' = 'removed'"
        for (run_id,) in con.execute(query, [names]).fetchall():
            shutil.rmtree(database.layout.models / run_id, ignore_errors=True)


def _with_vectors(layout: Layout, names: Iterable[str]) -> list[str]:
    """Return the runs whose weights hold vectors that they learned from."""
    return [name for name in names if holds_vectors(layout.models / name)]


def keep(database: Database, predictions: pl.DataFrame) -> int:
    """Add predictions for photos without a prediction of the run; return the number of new rows.

    Args:
        database: database of the store.
        predictions: columns run_id, photo_id, prediction.
    """
    if predictions.is_empty():
        return 0
    with database.write("features predict --keep") as con:
        con.register("new_predictions", predictions)
        Tombstones(database.layout).prepare(con)
        con.begin()
        row = con.execute(
            "insert into facts.predictions by name select run_id, photo_id, null as split, prediction"
            " from new_predictions anti join facts.predictions as known using (run_id, photo_id)"
            " where not was_erased('photo', photo_id)"
        ).fetchone()
        con.commit()
    return int(row[0]) if row else 0
