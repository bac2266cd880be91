"""The store as it was at an instant, to search in: the photos there were, with the labels they would have had.

Labels are computed as in warehouse/labels/plan.py: on the snapshot, in temporary tables, which stand
before those of the same name. Nothing is written. Vectors are those of today, so a photo whose bytes have changed
since, or had not arrived yet, is left out: of what it showed then there is no vector.
"""

from __future__ import annotations

import datetime as dt

from photogenic._lazy import duckdb
from photogenic.features.previous_build import former_choices
from photogenic.warehouse import Database, InputError
from photogenic.warehouse.labels.build import as_clock, last_cluster
from photogenic.warehouse.labels.compute import Computation
from photogenic.warehouse.progress import no_progress

__all__ = ["open_past"]


def open_past(db: Database, as_of: dt.datetime) -> duckdb.DuckDBPyConnection:
    """A reading connection on the newest snapshot as it would be if it had been built as of then.

    Args:
        db: the warehouse.
        as_of: UTC; only what happened and had arrived before. The choices behind labels are those of the last build.

    Raises:
        AuditError: a relation would break its contract.
        InputError: no instant that a clock can show; Spark computed the labels.
        StoreError: there is no store.
    """
    clock, (_, options) = as_clock(as_of), former_choices(db)
    con = db.open_snapshot(labelling=True)
    try:
        if last_cluster(con) is not None:
            raise InputError(
                "Spark computed the labels of this store from swipes that lie elsewhere.",
                "a store that holds its own, to see labels as of another instant",
                "features build --only labels --as-of TIME, then ask without --as-of",
            )
        con.execute("create temp table photos_now as select photo_id, sha256 from photos")
        Computation(con, clock, options, rehearsal=True).run(no_progress)
        con.execute(
            "create temp table photos as select photos.* from photos inner join photos_now"
            " on photos.photo_id = photos_now.photo_id and photos.sha256 is not distinct from photos_now.sha256"
        )
        con.execute("set lock_configuration = true")  # what follows was written by others
    except BaseException:
        con.close()
        raise
    return con
