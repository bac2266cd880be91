"""Test predictions of a run with the labels of the photos: those of photo_labels, or of a column that is the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from photogenic._lazy import duckdb
from photogenic.app.report.figures.photo_selection import query
from photogenic.models.data.targets import is_column
from photogenic.warehouse import InputError
from photogenic.warehouse.columns import resolve, values

__all__ = ["labeled_predictions", "reads"]


def reads(run: Mapping[str, Any]) -> str:
    """Return the names of all relations that `labeled_predictions` reads, as SQL text."""
    names = [str(run["target"]).partition(".")[0], str(run.get("weight") or "").partition(".")[0]]
    return query("own_predictions") + query("predictions_with_labels") + " -- " + " ".join(names)


def labeled_predictions(con: duckdb.DuckDBPyConnection, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of `predictions_with_labels.sql`, or of `own_predictions.sql` with `y` and `y_weight`.

    If the store does not have the column any more, there are no rows.

    Args:
        con: connection to a store or to one of its moments.
        run: unpacked row of `runs`.
    """
    target, said = str(run["target"]), {"run": run["run_id"]}
    if not is_column(target):
        found: list[dict[str, Any]] = con.sql(query("predictions_with_labels"), params=said).pl().to_dicts()
        return found
    rows = con.sql(query("own_predictions"), params=said).pl()
    photo_ids, user_ids = rows["photo_id"].to_numpy(), rows["user_id"].to_numpy()
    try:
        (y,) = values(con, resolve(con, [target]), photo_ids, user_ids)
        named = [str(run["weight"])] if run.get("weight") else []
        weight = values(con, resolve(con, named), photo_ids, user_ids)[0] if named else np.ones_like(y)
    except InputError:
        return []
    known = np.isfinite(y) & (weight > 0)
    return [row | {"y": y[at], "y_weight": weight[at]} for at, row in enumerate(rows.to_dicts()) if known[at]]
