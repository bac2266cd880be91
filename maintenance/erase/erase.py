"""Erase people from the whole store: the steps of `features erase`.

1. Lock out all other writers. Write the names of the people to erased/journal.json: from now on nothing else is
   written to the store until the erase has finished, even if this process dies.
2. Store salted hashes of the people, their photos, accounts and pictures, so that they cannot be loaded again, not
   even under another id. Pictures that a photo of somebody else has too are kept, and are not hashed.
3. Beside the store, in erased/work, make the new state: the warehouse without them, labels computed again, vectors
   without theirs, new indices, neighbors and near-duplicates; the warehouse is copied as a whole, so that no freed
   block of it keeps what was deleted. Readers see the store as it was.
4. Put it in place, the snapshot first, then remove bytes, thumbnails, reports, taste and heads that hold vectors.
   Each step can be done twice: a process that is killed before step 4 starts again with 3, later it continues.
5. Search for remains; if there are none, write the receipt and remove the journal.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from photogenic.features.vectors.privacy import holds_vectors
from photogenic.ingest.quiesce import merge_journals, pause_network_runs
from photogenic.maintenance.erase.journal import Journal, Receipt
from photogenic.maintenance.erase.parquet_rows import install
from photogenic.maintenance.erase.staged_store import prepare, staged_layout
from photogenic.maintenance.erase.verify import search_for_remains
from photogenic.warehouse import InputError, Store, StoreError
from photogenic.warehouse.erasure.delete_rows import (
    ErasedRecords,
    id_words,
    known_users,
    select_erased,
    unchanged_mentions,
)
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.storage.layout import remove, sync_filesystem, write_atomically
from photogenic.warehouse.storage.lock import locked
from photogenic.warehouse.storage.manifest import dump_with_digest, load_with_digest, read_limited

__all__ = ["erase", "finish", "lock_fine_tuning", "new_journal"]


def erase(store: Store, user_ids: Sequence[str] = ()) -> list[Receipt]:
    """Erase people, and finish an interrupted erase, if there is one. May be killed and started again.

    Args:
        store: the open store.
        user_ids: ids of the users; none: only finish the interrupted erase.

    Returns:
        One receipt for the interrupted erase, and one for all others named.

    Raises:
        InputError: no user is named, or one that the store does not know; nothing was removed.
        LockedError: another process writes, downloads, crawls or fine-tunes.
        StoreError: there is no store; or remains were found that must be removed by hand, after which the erase can be
            finished.
    """
    layout = store.layout
    if not layout.warehouse.exists():
        raise StoreError(
            f"There is no store at {layout.root.absolute()}.",
            "a folder that holds a store",
            "features erase --store FOLDER",
        )
    with (
        pause_network_runs(store.database),
        lock_fine_tuning(store),
        store.database.lock("features erase", erasing=True),
    ):
        receipts, done = [], set[str]()
        if layout.erase_journal.exists():
            store.progress.note("Finishing the interrupted erase.")
            journal = Journal.read(layout)
            receipts.append(finish(store, journal))
            done.update(journal.gone.users)
        asked = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in done]
        if asked or not receipts:
            receipts.append(finish(store, _begin(store, asked)))
    return receipts


@contextlib.contextmanager
def lock_fine_tuning(store: Store) -> Iterator[None]:
    """Keep networks from being fine-tuned while the context is open."""
    with contextlib.ExitStack() as held:
        for path in sorted(store.layout.models.glob("*/lock")):
            held.enter_context(locked(path, "features erase", store.database.settings.lock_timeout_s))
        yield


def _begin(store: Store, user_ids: Sequence[str]) -> Journal:
    """Do step 1."""
    layout = store.layout
    if not user_ids:
        raise InputError("No user was named.", "one user_id or more", "features erase USER_ID --yes")
    merge_journals(store.database)
    with store.database.write("features erase") as con:
        there = known_users(con, user_ids)
        strangers = [user_id for user_id in user_ids if user_id not in there]
        gone = select_erased(con, user_ids)
    if strangers:
        tombstones = Tombstones(layout)
        places = ", ".join(str(user_ids.index(user_id) + 1) for user_id in strangers)
        n_before = sum(tombstones.contains("user", user_id) for user_id in strangers)
        before = f"; {n_before} of these were erased before" if n_before else ""
        raise InputError(
            f"{len(strangers)} of {len(user_ids)} people named are not in the store: number {places}{before}.",
            "a user_id of users, or of a sender or recipient of swipes; nobody was erased",
            "features sql 'select user_id from users limit 10'",
        )
    return new_journal(store, gone).write(layout)


def new_journal(store: Store, gone: ErasedRecords) -> Journal:
    """Name the files that have to go with these records, besides those that the records name."""
    layout = store.layout
    with store.database.read() as con:
        runs = {run_id for (run_id,) in con.execute("select run_id from facts.runs").fetchall()}
        held = {sha256 for (sha256,) in con.execute("select distinct sha256 from facts.photo_files").fetchall()}
    return Journal(
        f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}",
        gone,
        runs_removed=tuple(run_id for run_id in gone.kept_photos if holds_vectors(layout.models / run_id)),
        leftovers=tuple(path.name for path in layout.models.glob("*/") if path.name not in {*runs, "taste"}),
        orphans=tuple(path.stem for path in layout.photos.glob("??/*.jpg") if path.stem not in held),
    )


def finish(store: Store, journal: Journal) -> Receipt:
    """Do steps 2 to 5, as far as they are not done."""
    layout = store.layout
    gone = journal.gone
    tombstones = Tombstones(layout)
    tombstones.add([("user", user_id) for user_id in gone.users])
    tombstones.add([("photo", photo_id) for photo_id in gone.photos])
    tombstones.add([("target", target) for target in gone.targets])
    if not gone.purge:  # the same picture may be a new photo of its owner
        tombstones.add([("bytes", sha256) for sha256 in gone.sha256s])
    if not journal.prepared:
        journal = prepare(store, journal)
    _swap(store, journal)
    merge_journals(store.database)  # what a download wrote down that had begun before
    looked_at, left = search_for_remains(store, gone)
    if left:
        raise StoreError(
            f"The {'purge' if gone.purge else 'erase'} is not finished: remains of the "
            f"{'photos' if gone.purge else 'people named'} were found in {len(left)} places: " + "; ".join(left[:5]),
            "no file of the store that contains their ids",
            f"remove these files, then features erase --yes --store {layout.root}",
        )
    with store.database.read() as con:
        kept = unchanged_mentions(con, gone)
    receipt = Receipt(
        journal.erase_id,
        dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        tuple(tombstones.hash("user", user_id) for user_id in gone.users),
        {what: n for what, n in journal.counts.items() if n},
        journal.runs,
        journal.runs_removed,
        looked_at,
        kept,
        tuple(tombstones.hash("photo", photo_id) for photo_id in gone.photos) if gone.purge else (),
    )
    receipt.save(layout)
    shutil.rmtree(staged_layout(layout).root, ignore_errors=True)
    layout.erase_journal.unlink()
    return receipt


def _swap(store: Store, journal: Journal) -> None:
    """Do step 4."""
    layout = store.layout
    work, gone = staged_layout(layout), journal.gone
    if work.warehouse.exists():
        layout.warehouse.with_name(f"{layout.warehouse.name}.wal").unlink(missing_ok=True)
        work.warehouse.replace(layout.warehouse)
    for made, live in ((work.snapshot, layout.snapshot), (work.snapshot_manifest, layout.snapshot_manifest)):
        if made.exists():
            made.replace(live)
    for place, names in journal.folders.items():
        install(work.root / place, layout.root / place, names)
    for sha256 in (*gone.sha256s, *journal.orphans):
        layout.photo(sha256).unlink(missing_ok=True)
        for path in layout.thumbnails.glob(f"*/{sha256[:2]}/*{sha256}*"):
            path.unlink(missing_ok=True)
    for run_id in (*journal.runs_removed, *journal.leftovers, "taste"):
        shutil.rmtree(layout.models / run_id, ignore_errors=True)
    drawn = [layout.root / "demo" / "world", layout.root / "demo" / "network"]
    for folder in (*layout.models.glob("*/work"), *layout.models.glob("*/checkpoint"), *drawn, *layout.restoring):
        shutil.rmtree(folder, ignore_errors=True)
    for run_id, n_people in journal.runs.items():
        manifest = layout.models / run_id / "manifest.json"
        if manifest.exists():
            facts: dict[str, Any] = load_with_digest(read_limited(manifest))
            facts["results"][gone.mark] = n_people
            write_atomically(manifest, dump_with_digest(facts))
    with store.database.read() as con:
        words = id_words(con, gone)
    for manifest in layout.models.glob("*/manifest.json"):  # values of slices may be ids
        text = json.dumps(load_with_digest(manifest.read_bytes()))
        if (kept := words.redact_json(text)) != text:
            write_atomically(manifest, dump_with_digest(json.loads(kept)))
    for folder in (layout.reports, layout.spill):
        shutil.rmtree(folder, ignore_errors=True)
    for path in layout.root.rglob(".*.tmp"):
        remove(path)
    shutil.rmtree(work.root, ignore_errors=True)
    sync_filesystem(layout.root)
