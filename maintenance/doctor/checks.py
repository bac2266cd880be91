"""Check the machine and the store: each check returns what it found and the command that repairs it.

A check never raises: an error is its finding. `fix` repairs only what a command would make again: the snapshot,
damaged faces, vectors and indices, leftovers of killed runs. Photos and facts are not changed, except that a damaged
warehouse is restored from the snapshot that was copied from it.
"""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator

from photogenic import sql
from photogenic._lazy import faiss, torch
from photogenic.features.encoders import weights
from photogenic.features.encoders.registry import DEFAULT, ENCODERS
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.status import freshness, moment_in_words, own_audits, own_relations
from photogenic.maintenance.doctor.artifacts import examine_artifacts
from photogenic.maintenance.doctor.finding import Finding, State
from photogenic.maintenance.doctor.project import examine_files, examine_link
from photogenic.maintenance.doctor.training_sets import examine_training_sets
from photogenic.warehouse import Database, Layout, Store
from photogenic.warehouse.duckdb_store.publish import is_modified
from photogenic.warehouse.errors import LockedError, PhotogenicError
from photogenic.warehouse.storage.checksum import digest
from photogenic.warehouse.storage.integrity import find_corruption, why_not_a_store
from photogenic.warehouse.storage.layout import remove
from photogenic.warehouse.storage.lock import foreign_holder, holder

__all__ = ["Finding", "examine"]

_FEW_FILES = 1024
_FROM_A_BACKUP = "features restore BACKUP --replace"
_FACTS = ("users", "photos", "main_photos", "swipes", "photo_files", "rejects")


def examine(store: Store, *, thorough: bool = False, fix: bool = False) -> list[Finding]:
    """Check the machine, and the store if there is one.

    Args:
        store: the open store.
        thorough: whether to read every byte of photos, vectors and indices, and compare it with its digest.
        fix: whether to repair what can be made again.

    Raises:
        LockedError: another process writes, and something is to be repaired.
    """
    layout = store.layout
    found = [*_machine(store), *examine_files(store)]
    erasing = layout.erase_journal.exists()
    if erasing:
        found.append(_unfinished_erase(layout))
    if not layout.warehouse.exists() and not layout.snapshot.exists():
        remedy = f"features ingest users USERS.csv --store {layout.root}"
        return [*found, Finding("store", "note", f"none at {layout.root.absolute()}", remedy)]
    if fix:
        with store.database.lock("features doctor --fix", erasing=erasing):  # what is damaged may be what cut it off
            return [*found, *_store(store, thorough=thorough, fix=True)]
    return [*found, *_store(store, thorough=thorough, fix=False)]


def _machine(store: Store) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft < _FEW_FILES and hard < _FEW_FILES
    yield Finding(
        "open files",
        "note" if few else "ok",
        f"{soft:,} allowed, {hard:,} at most",
        f"ulimit -n {_FEW_FILES}: `features fetch` downloads fewer at a time" if few else "",
    )
    yield _disk(store.layout)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding(
        "memory", "ok", f"{total / 1e9:.1f} GB, of which SQL takes at most {store.database.settings.memory_limit}"
    )
    yield _device()
    yield _decoders()
    for name in (*DEFAULT, "faces"):
        yield _weights(name)


def _disk(layout: Layout) -> Finding:
    """Check the free space. A publication needs as much space again as the warehouse has."""
    there = next(path for path in (layout.root.absolute(), *layout.root.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    needed = 2 * layout.warehouse.stat().st_size if layout.warehouse.exists() else 0
    state: State = "fault" if free < needed else "note" if free < 1e9 else "ok"
    return Finding("disk", state, f"{free / 1e9:.1f} GB free", f"df -h {there}" if state != "ok" else "")


def _device() -> Finding:

    n_torch, n_faiss = torch.cuda.device_count(), getattr(faiss, "get_num_gpus", lambda: 0)()
    if not n_torch and not n_faiss:
        return Finding("gpu", "ok", "none; networks and search run on the CPU")
    names = ", ".join(torch.cuda.get_device_name(at) for at in range(n_torch)) or "none"
    if n_torch != n_faiss:
        remedy = "FEATURES_GPU=0 keeps search on the CPU, FEATURES_DEVICE=cpu the networks"
        return Finding("gpu", "fault", f"torch sees {n_torch} ({names}), FAISS {n_faiss}", remedy)
    return Finding("gpu", "ok", names)


def _decoders() -> Finding:
    from PIL import features

    missing = [name for name in ("jpg", "zlib", "webp") if not features.check(name)]
    if missing:
        return Finding("pictures", "fault", f"Pillow cannot read {', '.join(missing)}", "pip install --upgrade pillow")
    return Finding("pictures", "ok", "JPEG, PNG and WebP are read")


def _weights(name: str) -> Finding:
    entry = FaceSettings().weights if name == "faces" else ENCODERS[name].backbone.weights
    assert entry is not None
    path = weights.located(entry)
    if path is None:
        return Finding(f"weights {entry.name}", "note", "not downloaded yet", f"features weights fetch {entry.name}")
    if (error := weights.refusal(entry)) is not None:
        return Finding(f"weights {entry.name}", "fault", error.what, f"rm {path}")
    own = weights.own_sha256(entry)
    if own is not None:
        return Finding(f"weights {entry.name}", "note", f"{path}: your own, not the published ones; SHA-256 {own}")
    return Finding(f"weights {entry.name}", "ok", str(path))


def _unfinished_erase(layout: Layout) -> Finding:
    if holder(layout.lock) is not None:
        return Finding("erase", "note", "under way")
    return Finding(
        "erase",
        "fault",
        "one was interrupted; nothing else is written until it has finished",
        f"features erase --yes --store {layout.root}",
    )


def _store(store: Store, *, thorough: bool, fix: bool) -> Iterator[Finding]:
    layout = store.layout
    writer = None if fix else holder(layout.lock)
    if writer is not None:
        yield Finding("writer", "note", str(writer), "the checks see the state before this write")
    snapshot = _snapshot(store, writes=writer is not None, thorough=thorough, fix=fix)
    yield snapshot
    yield _leftovers(layout, fix=fix and writer is None)
    if snapshot.state == "fault" or (snapshot.found.startswith(f"{layout.snapshot} is open")):
        return
    yield from _facts(store.database)
    yield _photos(store, thorough=thorough)
    yield from examine_artifacts(layout, thorough=thorough, fix=fix)
    yield from examine_training_sets(store, thorough=thorough, fix=fix)
    yield _labels(store.database)
    yield from _own(store)
    yield from examine_link(store)


def _snapshot(store: Store, *, writes: bool, thorough: bool, fix: bool) -> Finding:
    """Check the snapshot: it has what the last write published; without a writer the warehouse has the same."""
    db, layout = store.database, store.layout
    if fix:
        return _published(store, thorough=thorough)
    remedy = f"features doctor {'--thorough ' if thorough else ''}--fix --store {layout.root}"
    try:
        with db.read() as con:
            for name in _FACTS:
                con.execute(f"select count(*) from facts.{name}").fetchall()
    except LockedError as error:
        return Finding("snapshot", "note", error.what, error.remedy)
    except PhotogenicError as error:
        return Finding("snapshot", "fault", error.what, remedy)
    except Exception as error:
        return Finding("snapshot", "fault", str(error), remedy)
    unusable = None if writes else why_not_a_store(layout.warehouse)
    if unusable is not None:
        if (who := foreign_holder(unusable)) is not None:
            found = f"{layout.warehouse.name} is open in another program, {who}: nothing can be written"
            return Finding("snapshot", "note", found, "close it there")
        return Finding("snapshot", "fault", f"{layout.warehouse.name}: {unusable}", remedy)
    if thorough and (wrong := find_corruption(layout.snapshot, db.settings.memory_limit)):
        return Finding("snapshot", "fault", f"{layout.snapshot.name}: {wrong}", remedy)
    if thorough and not writes and (wrong := find_corruption(layout.warehouse, db.settings.memory_limit)):
        return Finding("snapshot", "fault", f"{layout.warehouse.name}: {wrong}", remedy)
    if thorough and not writes and is_modified(layout):
        found = f"{layout.snapshot.name} is not what the last write published: it has another SHA-256"
        return Finding("snapshot", "fault", found, remedy)
    if not writes and not db.is_published():  # or the store was copied here, which looks the same
        return Finding("snapshot", "note", "may be older than the warehouse", remedy)
    return Finding("snapshot", "ok", "what the warehouse holds" if not writes else "readable")


def _published(store: Store, *, thorough: bool) -> Finding:
    """Publish a damaged snapshot again, or restore a damaged warehouse from it if nothing was written since."""
    db, layout = store.database, store.layout
    sound = _snapshot(store, writes=False, thorough=thorough, fix=False)
    if sound.state == "ok" or " is open in another program" in sound.found:
        return sound  # both files are fine
    if thorough and find_corruption(layout.warehouse, db.settings.memory_limit):
        sound_copy = not is_modified(layout) and not find_corruption(layout.snapshot, db.settings.memory_limit)
        if db.is_published() and sound_copy:
            db.put_back()
            return Finding("snapshot", "fixed", f"was: {sound.found}; the warehouse was restored from the snapshot")
        return Finding("snapshot", "fault", sound.found, _FROM_A_BACKUP)
    try:
        layout.snapshot_manifest.unlink(missing_ok=True)
        with db.write("features doctor --fix"):
            pass  # to open the warehouse checks it, and to close it publishes it
    except PhotogenicError as error:
        return Finding("snapshot", "fault", error.what, _FROM_A_BACKUP)
    return Finding("snapshot", "fixed", f"was: {sound.found}; published again")


def _leftovers(layout: Layout, *, fix: bool) -> Finding:
    """Check for files of killed runs; each command removes its own when it runs next."""
    found = [path for name in (".snapshot.*.tmp", ".underway.*.tmp", "*/*/.*.tmp") for path in layout.root.glob(name)]
    incoming = layout.photos / ".incoming"
    if incoming.exists() and holder(layout.fetch / "lock") is None:
        found.append(incoming)
    found += [path for path in layout.restoring if path.exists() and holder(path / "lock") is None]
    if not found:
        return Finding("leftovers", "ok", "none")
    if not fix:
        names = ", ".join(path.name for path in found[:3])
        return Finding("leftovers", "note", f"{len(found)}: {names}", f"features doctor --fix --store {layout.root}")
    for path in found:
        remove(path)
    return Finding("leftovers", "fixed", f"{len(found)} removed")


def _facts(db: Database) -> Iterator[Finding]:
    if refused := db.rows(sql.read("status/rejects")):
        counts = ", ".join(f"{n:,} {kind} {reason}" for kind, reason, n in refused[:3])
        yield Finding("rejects", "note", counts, 'features sql "select * from rejects limit 20"')
    else:
        yield Finding("rejects", "ok", "no row was refused")


def _photos(store: Store, *, thorough: bool) -> Finding:
    """Check the pictures: those that the warehouse lists, and those that it does not know."""
    held = {name for (name,) in store.database.rows("select distinct sha256 from facts.photo_files") if name}
    there = {path.stem: path for path in store.layout.photos.glob("??/*.jpg")}
    missing, unknown = held - there.keys(), there.keys() - held
    damaged = []
    if thorough:
        with store.progress.stage("photos", len(held & there.keys()), "photos") as advance:
            for name in held & there.keys():
                if digest(there[name]) != name:
                    damaged.append(name)
                advance(1)
    if missing or damaged:
        found = f"{len(missing):,} missing, {len(damaged):,} damaged of {len(held):,}"
        return Finding(
            "photos", "fault", found, "remove damaged ones, then features ingest photos FILE --images FOLDER"
        )
    if unknown:
        found = f"{len(held):,} there; {len(unknown):,} more that the warehouse does not know"
        return Finding("photos", "note", found, "features fetch: adds what a killed run had downloaded")
    return Finding("photos", "ok", f"{len(held):,} there" + (", every byte as received" if thorough else ""))


def _own(store: Store) -> Iterator[Finding]:
    """Check the relations and audits of the user's own."""
    relations, audits = own_relations(store), own_audits(store.database)
    if not relations and not audits:
        return
    failed = {name: one["error"] for name, one in relations.items() if one["status"] == "failed"}
    failed |= {f"audit {name}": one["error"] for name, one in audits.items() if one["status"] == "failed"}
    for name, error in failed.items():
        yield Finding(f"own {name}", "fault", error.partition("\n")[0], "correct its file, then features build")
    due = [name for name, one in relations.items() if one["status"] != "failed" and one["stale"]]
    if due:
        yield Finding("own relations", "note", f"{', '.join(due[:3])} would be computed", "features build")
    elif not failed:
        yield Finding("own relations", "ok", f"{len(relations):,} computed")


def _labels(db: Database) -> Finding:
    labels = freshness(db)
    if labels["built_at"] is None:
        return Finding("labels", "note", "never built", "features build")
    if labels["stale"]:
        return Finding("labels", "note", f"{', '.join(labels['changed'])} changed since", "features build")
    if moment := moment_in_words(labels):
        return Finding("labels", "note", f"published {moment}", "features build: publishes those of the present")
    return Finding("labels", "ok", f"up to date, built {labels['built_at']}")
