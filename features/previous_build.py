"""Defaults of a build from the previous one: the engine of the labels and their options."""

from __future__ import annotations

from photogenic.features.build_options import BuildOptions
from photogenic.warehouse import Database, InputError
from photogenic.warehouse.labels.last_build import LastBuild, last_build
from photogenic.warehouse.spark.session import Cluster

__all__ = ["chosen_cluster", "last_labels"]


def last_labels(db: Database) -> LastBuild | None:
    """Return what the last build of the labels recorded; None: there was none, or there is no store."""
    if not db.layout.snapshot.exists():
        return None
    with db.read() as con:
        return last_build(con)


def chosen_cluster(db: Database, options: BuildOptions) -> Cluster | None:
    """The Spark cluster of a build; None for DuckDB. Its `facts` are None where Spark only processes photos.

    Args:
        db: database of the store; its last build gives the default engine, master and facts.
        options: options of the build.

    Raises:
        InputError: Spark computes labels, but no facts are given.
    """
    last = last_labels(db) if options.engine != "duckdb" else None
    former = last.cluster if last is not None else None
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
