"""Search the store as of an instant: the photos that existed then, with the labels of that time.

Labels are computed as in warehouse/labels/plan.py: on the snapshot, in temporary tables, which hide the tables of the
same name. Nothing is written. Vectors are the current ones, so a photo whose bytes arrived or changed since then is
left out: there is no vector of its former bytes.
"""

from __future__ import annotations

import datetime as dt

from photogenic._lazy import duckdb
from photogenic.features.previous_build import former_choices
from photogenic.warehouse import Database, InputError
from photogenic.warehouse.labels.build import last_cluster
from photogenic.warehouse.labels.compute import Computation
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.progress import no_progress

__all__ = ["open_past"]


def open_past(db: Database, as_of: dt.datetime) -> duckdb.DuckDBPyConnection:
    """Open a reading connection on the newest snapshot, with its relations computed as of an instant.

    Args:
        db: the warehouse.
        as_of: UTC instant; later events and arrivals are ignored. Label options are those of the last build.

    Raises:
        AuditError: a relation breaks its contract.
        InputError: the instant is out of range, or Spark computed the labels.
        StoreError: the store does not exist.
    """
    moment, (_, options) = Moment.of(as_of, as_of), former_choices(db)
    con = db.open_snapshot(labelling=True)
    try:
        if last_cluster(con) is not None:
            raise InputError(
                "Spark computed the labels of this store from swipes outside the store.",
                "a store with its own swipes, for labels as of another instant",
                "features build --only labels --as-of TIME, then search without --as-of",
            )
        con.execute("create temp table photos_now as select photo_id, sha256 from photos")
        Computation(con, moment, options, rehearsal=True).run(no_progress)
        con.execute(
            "create temp table photos as select photos.* from photos inner join photos_now"
            " on photos.photo_id = photos_now.photo_id and photos.sha256 is not distinct from photos_now.sha256"
        )
        con.execute("set lock_configuration = true")  # the next statements contain a predicate of the user
    except BaseException:
        con.close()
        raise
    return con
