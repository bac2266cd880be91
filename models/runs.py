"""A run on disk and in the warehouse: the weights, then the manifest that says what made them.

    models/<run_id>/weights.safetensors     the arrays of a Model
    models/<run_id>/manifest.json           a Run; written last, so it is the mark of a finished run

The run id is a digest of everything that decides the outcome; training the same thing again finds it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from models.model import Kind, Link, Model
from warehouse import InputError, Layout, StoreError
from warehouse.layout import write_atomically

if TYPE_CHECKING:
    import polars as pl

    from warehouse import Database

__all__ = ["Run", "finished", "load", "record", "recorded", "run_id", "save"]

_COLUMNS = ["run_id", "target", "setup", "encoder", "head", "metric", "dev", "test", "baseline", "n_train", "n_test"]


@dataclass(frozen=True, slots=True)
class Run:
    """What made a head and how well it does.

    Attributes:
        encoder: one name, or `a+b` for vectors side by side.
        encoder_digests: of each of these names, when it was trained.
        samples: digest of photos, vectors, labels, weights and splits.
        metric: what dev, test and baseline are measured in: `mse` or `accuracy`.
        dim: length of the vectors it takes.
        hyperparameters: what was tried and what dev chose.
        results: intervals, further figures, learning curve.
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
    kind: Kind
    link: Link
    encoder_digests: dict[str, str]
    samples: str
    hyperparameters: dict[str, Any]
    results: dict[str, Any]
    weights_sha256: str = ""
    created_at: str = ""


def run_id(decided_by: Sequence[Any]) -> str:
    """Twelve hex digits that name everything that decides a run."""
    return hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()[:12]


def finished(layout: Layout, name: str) -> bool:
    """Whether that run was trained to its end."""
    return (layout.models / name / "manifest.json").exists()


def save(layout: Layout, run: Run, model: Model) -> Run:
    """Write the weights, then the manifest. Returns the run as it is written there."""
    from safetensors.numpy import save as encode

    folder, data = layout.models / run.run_id, encode(model.arrays)
    write_atomically(folder / "weights.safetensors", data)
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    complete = Run(**{**asdict(run), "weights_sha256": hashlib.sha256(data).hexdigest(), "created_at": now})
    write_atomically(folder / "manifest.json", json.dumps(asdict(complete), indent=1).encode())
    return complete


def load(layout: Layout, name: str) -> tuple[Run, Model]:
    """A finished run and its head.

    Raises:
        InputError: no run has that id.
        StoreError: the weights are not those that the manifest names.
    """
    from safetensors.numpy import load as decode

    folder = layout.models / name
    if not finished(layout, name):
        raise InputError(
            f"There is no run {name!r} in {layout.models}.", "a run_id of `runs`", "features sql 'from runs'"
        )
    run = Run(**json.loads((folder / "manifest.json").read_text()))
    data = (folder / "weights.safetensors").read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != run.weights_sha256:
        raise StoreError(
            f"The weights of run {name} have SHA-256 {found}.",
            f"{run.weights_sha256}, as {folder / 'manifest.json'} says",
            f"remove {folder} and train again",
        )
    return run, Model(run.kind, run.link, decode(data))


def recorded(database: Database) -> set[str]:
    """The runs that the warehouse knows."""
    if not database.layout.snapshot.exists():
        return set()
    with database.read() as con:
        return {name for (name,) in con.execute("select run_id from runs").fetchall()}


def record(database: Database, runs: Iterable[Run], predictions: pl.DataFrame) -> None:
    """Add rows to `runs` and `predictions` in one transaction. `predictions` has the columns of the relation."""
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
        con.register("new_predictions", predictions)
        con.begin()
        for row in rows:
            con.execute(f"insert into facts.runs ({columns}) values ({marks})", row)
        con.execute(
            "insert into facts.predictions by name select run_id, photo_id, split, prediction from new_predictions"
        )
        con.commit()
