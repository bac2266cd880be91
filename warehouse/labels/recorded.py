"""What facts.builds records of the last build of labels: its moment, its options, and where Spark ran."""

from __future__ import annotations

import datetime as dt
import json

from photogenic._lazy import duckdb
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.spark.session import Cluster

__all__ = ["last_cluster", "last_labels"]


def last_labels(con: duckdb.DuckDBPyConnection) -> tuple[Moment, LabelOptions]:
    """Return moment and options of the published labels; without labels, the defaults."""
    query = "select as_of, known_at, options from facts.builds order by rowid desc"
    for as_of, known_at, recorded in con.execute(query).fetchall():
        values = json.loads(recorded).get("labels")
        if values is not None:
            values["earliest_post"] = dt.datetime.fromisoformat(values["earliest_post"])
            return Moment.of(as_of, known_at), LabelOptions(**values)
    return Moment(), LabelOptions()


def last_cluster(con: duckdb.DuckDBPyConnection) -> Cluster | None:
    """Return the Spark cluster that computed the current labels; None: DuckDB did, or there are none."""
    for (recorded,) in con.execute("select options from facts.builds order by rowid desc").fetchall():
        options = json.loads(recorded)
        if "labels" in options:
            return Cluster(**options["cluster"]) if "cluster" in options else None
    return None
