"""Defaults of a build from the previous one: the engine of the labels and their options."""

from __future__ import annotations

from photogenic.features.build_options import BuildOptions
from photogenic.warehouse import Database, InputError
from photogenic.warehouse.labels.build import last_cluster
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.labels.recorded import last_labels
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.spark.session import Cluster

__all__ = ["chosen_cluster", "former_choices"]


def former_choices(db: Database) -> tuple[Moment, LabelOptions]:
    """Moment and label options of the last label build, which steps for faces and embeddings keep."""
    with db.read() as con:
        return last_labels(con)


def chosen_cluster(db: Database, options: BuildOptions) -> Cluster | None:
    """The Spark cluster of a build; None for DuckDB. Its `facts` are None where Spark only processes photos.

    Args:
        db: database of the store; its last build gives the default engine, master and facts.
        options: options of the build.

    Raises:
        InputError: Spark computes labels, but no facts are given.
    """
    former = None
    if options.engine != "duckdb" and db.layout.snapshot.exists():
        with db.read() as con:
            former = last_cluster(con)
    if options.engine != "spark":
        return former
    facts = options.facts or (former.facts if former else None)
    if facts is None and options.asks_labels:
        raise InputError(
            "Spark has no facts to compute labels from.",
            "the folder or address that `features export` wrote",
            "features export FOLDER, then features build --engine spark --facts FOLDER",
        )
    return Cluster(options.master or (former.master if former else "local[*]"), facts)
