"""Remove people from everything: the story of `features erase`.

1. Keep everybody else from writing. Write down who is meant (erased/journal.json): from here on nothing else is
   written to the store until the erase has ended, whatever happens to this process.
2. Remember salted hashes of them, their photos, accounts and pictures, so that no road brings them back: not under
   another id either. Pictures that somebody else's photo has too stay, and are not remembered.
3. Beside the store, in erased/work, make what it will be: the warehouse without them, labels computed again, vectors
   without theirs, new indices, neighbours and near-duplicates; the warehouse copied whole, so that no freed block of
   it keeps what was deleted. Readers see the store as it was.
4. Put it in place, the snapshot first, then remove bytes, small pictures, reports, taste and heads that hold vectors.
   Each step can be done twice: a process that is killed before 4 begins again with 3, later it goes on.
5. Look for what is left; only when nothing is, write the receipt and remove the journal.
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
from photogenic.ingest.quiesce import settle, settled
from photogenic.maintenance.erase.journal import Journal, Receipt
from photogenic.maintenance.erase.parquet_rows import install
from photogenic.maintenance.erase.staged_store import prepare, work_of
from photogenic.maintenance.erase.verify import look_for
from photogenic.warehouse import InputError, Store, StoreError
from photogenic.warehouse.erasure.delete_rows import id_words, known_users, select_erased, unchanged_mentions
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.storage.layout import remove, sync_filesystem, write_atomically
from photogenic.warehouse.storage.lock import locked
from photogenic.warehouse.storage.manifest import dump_with_digest, load_with_digest, read_limited

__all__ = ["alone", "erase"]


def erase(store: Store, user_ids: Sequence[str] = ()) -> list[Receipt]:
    """Remove people, and finish the erase that was cut off, if there is one. May be killed and started again.

    Args:
        store: the open store.
        user_ids: whom; none: only finish what was cut off.

    Returns:
        One receipt for the erase that was cut off, and one for everybody else named.

    Raises:
        InputError: nobody is named, or somebody whom the store does not know; nothing was removed.
        LockedError: another process writes, downloads, crawls or fine-tunes.
        StoreError: there is no store; something of them is left that is not ours to remove, and the erase goes on
            once it is gone.
    """
    layout = store.layout
    if not layout.warehouse.exists():
        raise StoreError(
            f"There is no store at {layout.root.absolute()}.",
            "a folder that holds a store",
            "features erase --store DIR",
        )
    with settled(store.database), alone(store), store.database.lock("features erase", erasing=True):
        receipts, done = [], set[str]()
        if layout.erase_journal.exists():
            store.progress.note("Finishing the erase that was cut off.")
            journal = Journal.read(layout)
            receipts.append(_finish(store, journal))
            done.update(journal.gone.users)
        asked = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in done]
        if asked or not receipts:
            receipts.append(_finish(store, _begin(store, asked)))
    return receipts


@contextlib.contextmanager
def alone(store: Store) -> Iterator[None]:
    """No network is being fine-tuned."""
    with contextlib.ExitStack() as held:
        for path in sorted(store.layout.models.glob("*/lock")):
            held.enter_context(locked(path, "features erase", store.database.settings.lock_timeout_s))
        yield


def _begin(store: Store, user_ids: Sequence[str]) -> Journal:
    """Step 1."""
    layout = store.layout
    if not user_ids:
        raise InputError("Nobody was named.", "one user_id or more", "features erase USER_ID --yes")
    settle(store.database)
    with store.database.write("features erase") as con:
        there = known_users(con, user_ids)
        strangers = [user_id for user_id in user_ids if user_id not in there]
        gone = select_erased(con, user_ids)
        runs = {run_id for (run_id,) in con.execute("select run_id from facts.runs").fetchall()}
        held = {sha256 for (sha256,) in con.execute("select distinct sha256 from facts.photo_files").fetchall()}
    if strangers:
        tombstones = Tombstones(layout)
        places = ", ".join(str(user_ids.index(user_id) + 1) for user_id in strangers)
        n_before = sum(tombstones.contains("user", user_id) for user_id in strangers)
        before = f"; {n_before} of these were erased before" if n_before else ""
        raise InputError(
            f"Of {len(user_ids)} people named, {len(strangers)} are not in the store: number {places}{before}.",
            "a user_id of users, or of a sender or recipient of swipes; nobody was erased",
            "features sql 'select user_id from users limit 10'",
        )
    journal = Journal(
        f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}",
        gone,
        runs_removed=tuple(run_id for run_id in gone.kept_photos if holds_vectors(layout.models / run_id)),
        leftovers=tuple(path.name for path in layout.models.glob("*/") if path.name not in {*runs, "taste"}),
        orphans=tuple(path.stem for path in layout.photos.glob("??/*.jpg") if path.stem not in held),
    )
    return journal.write(layout)


def _finish(store: Store, journal: Journal) -> Receipt:
    """Steps 2 to 5, from wherever they stand."""
    layout = store.layout
    gone = journal.gone
    tombstones = Tombstones(layout)
    tombstones.add([("user", user_id) for user_id in gone.users])
    tombstones.add([("photo", photo_id) for photo_id in gone.photos])
    tombstones.add([("target", target) for target in gone.targets])
    tombstones.add([("bytes", sha256) for sha256 in gone.sha256s])
    if not journal.prepared:
        journal = prepare(store, journal)
    _swap(store, journal)
    settle(store.database)  # what a download wrote down that had begun before
    looked_at, left = look_for(store, gone)
    if left:
        raise StoreError(
            f"The erase is not finished: of the people named something is left in {len(left)} places: "
            + "; ".join(left[:5]),
            "no file of the store to hold an id of theirs",
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
    )
    receipt.keep(layout)
    shutil.rmtree(work_of(layout).root, ignore_errors=True)
    layout.erase_journal.unlink()
    return receipt


def _swap(store: Store, journal: Journal) -> None:
    """Step 4."""
    layout = store.layout
    work, gone = work_of(layout), journal.gone
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
            facts["results"]["trained_on_erased"] = n_people
            write_atomically(manifest, dump_with_digest(facts))
    with store.database.read() as con:
        words = id_words(con, gone)
    for manifest in layout.models.glob("*/manifest.json"):  # values of slices may be ids
        told = json.dumps(load_with_digest(manifest.read_bytes()))
        if (kept := words.redact_json(told)) != told:
            write_atomically(manifest, dump_with_digest(json.loads(kept)))
    for folder in (layout.reports, layout.spill):
        shutil.rmtree(folder, ignore_errors=True)
    for path in layout.root.rglob(".*.tmp"):
        remove(path)
    shutil.rmtree(work.root, ignore_errors=True)
    sync_filesystem(layout.root)
