"""Purge deleted photos: remove their bytes and everything computed from them at once, and verify that nothing is left.

The steps are those of `erase`, with the same journal, so a purge that was killed is finished by the next purge or by
`features erase`. People stay, and so does history: the ids of the photos, whose they were, when they were main photos,
and the swipes that they received. An index keeps its cells: entries are removed from it, nothing is trained.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from photogenic import sql
from photogenic.ingest.options import Rowlike, SourceOptions
from photogenic.ingest.quiesce import merge_journals, pause_network_runs
from photogenic.ingest.tabular.load import ingest
from photogenic.ingest.tabular.mapping_file import Given
from photogenic.ingest.tabular.report import IngestReport
from photogenic.maintenance.erase.erase import finish, lock_fine_tuning, new_journal
from photogenic.maintenance.erase.journal import Journal, Receipt
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.erasure.delete_rows import select_purged
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.moment import Instant

__all__ = ["finish_purge", "purge", "purge_again", "retract_and_purge"]


def retract_and_purge(
    store: Store,
    sources: Sequence[Rowlike],
    *,
    options: SourceOptions | None = None,
    mapping: Given = None,
    arrived_at: Instant | None = None,
) -> tuple[list[IngestReport], list[Receipt]]:
    """Delete the photos that files name, and purge them. May be killed and started again.

    Args:
        store: the open store.
        sources: files of `features retract photos`, or other sources.
        options: options of sources other than files.
        mapping: mapping of columns and values.
        arrived_at: when the rows arrived; see `ingest`.

    Returns:
        A report for each file, and the receipts of `purge`.

    Raises:
        InputError, LockedError, StoreError: as in `ingest` and `purge`.
    """
    receipts, named = finish_purge(store), set[str]()
    reports = ingest(
        *(store, "photos", sources),
        options=options,
        mapping=mapping,
        arrived_at=arrived_at,
        retract=True,
        named=named,
    )
    deleted = {photo_id for (photo_id,) in store.database.rows(sql.read("features/deleted_now"))}
    return reports, receipts + purge(store, sorted(named & deleted))


def finish_purge(store: Store) -> list[Receipt]:
    """Finish an interrupted purge or erase, if there is one."""
    if not store.layout.erase_journal.exists():
        return []
    with (
        pause_network_runs(store.database),
        lock_fine_tuning(store),
        store.database.lock("features erase", erasing=True),
    ):
        if not store.layout.erase_journal.exists():
            return []  # another process finished it
        store.progress.note("Finishing the interrupted purge.")
        return [finish(store, Journal.read(store.layout))]


def purge(store: Store, photo_ids: Sequence[str]) -> list[Receipt]:
    """Purge deleted photos. May be killed and started again.

    Args:
        store: the open store.
        photo_ids: ids of photos; those that were purged before are left out.

    Returns:
        The receipt of an interrupted purge that was finished first, if there was one, and that of the others.

    Raises:
        InputError: a photo is not deleted, or unknown; nothing was removed.
        LockedError: another process writes, downloads, crawls or fine-tunes.
        StoreError: remains were found that must be removed by hand, after which the purge can be finished.
    """
    layout = store.layout
    receipts = finish_purge(store)
    with (
        pause_network_runs(store.database),
        lock_fine_tuning(store),
        store.database.lock("features retract photos --purge", erasing=True),
    ):
        tombstones = Tombstones(layout)
        asked = [name for name in dict.fromkeys(photo_ids) if not tombstones.contains("photo", name)]
        if not asked:
            return receipts
        merge_journals(store.database)
        with store.database.write("features retract photos --purge") as con:
            deleted = {name for (name,) in con.execute(sql.read("features/deleted_now")).fetchall()}
            left = [name for name in asked if name not in deleted]
            gone = select_purged(con, asked)
        if left:
            raise InputError(
                f"{len(left)} of {len(asked)} photos are not deleted: {', '.join(map(repr, left[:3]))}.",
                "photos of deleted_photos; nothing was removed",
                "features retract photos FILE --purge",
            )
        receipts.append(finish(store, new_journal(store, gone).write(layout)))
    return receipts


def purge_again(store: Store, deleted_at: Mapping[str, dt.datetime]) -> list[Receipt]:
    """Purge photos that a backup brought back, which was made before they were purged.

    Args:
        store: the restored store.
        deleted_at: for each photo, when it was purged: those that the backup has as photos are deleted at that time.

    Raises:
        LockedError, StoreError: as in `purge`.
    """
    with (
        pause_network_runs(store.database),
        lock_fine_tuning(store),
        store.database.lock("features restore", erasing=True),
    ):
        with store.database.write("features restore") as con:
            con.execute(
                "create or replace temp table returned as"
                " select unnest($1::varchar[]) as photo_id, unnest($2::timestamp[]) as purged_at",
                [[*deleted_at], [*deleted_at.values()]],
            )
            con.execute(sql.read("erase/deleted_again"), {"now": dt.datetime.now(dt.UTC).replace(tzinfo=None)})
            gone = select_purged(con, list(deleted_at))
        return [finish(store, new_journal(store, gone).write(store.layout))]
