"""Create a version of a named training set: the steps of `features training-set create`.

1. Resolve the names, and open the store as of the moment of the set.
2. Check the relations: one row per key and instant, no overlapping intervals. Count what cannot be used.
3. Compute features that depend on the clock as of the instants of the rows; split the rows; read vectors.
4. Join, write the rows into a temporary folder, and count them.
5. Audit: no feature is from the future.
6. Under the lock: rename the folder, and list it in `training_sets`. If a version has this content, it is the result.

A process that is killed leaves a temporary folder, or a folder that is not listed; the next creation removes both.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, TypeAlias

from photogenic._lazy import duckdb, pa
from photogenic.features.status import freshness
from photogenic.features.vectors import reader
from photogenic.models.training_sets.audit import Audited, audit
from photogenic.models.training_sets.instants import compute_at_instants
from photogenic.models.training_sets.join import Join
from photogenic.models.training_sets.options import TrainingSetOptions
from photogenic.models.training_sets.sources import Sources, sources_of
from photogenic.models.training_sets.splits import make_splits, put_table
from photogenic.models.training_sets.writing import Written, write_rows
from photogenic.warehouse import Store, StoreError
from photogenic.warehouse.duckdb_store.query import require_labels
from photogenic.warehouse.erasure.tombstones import count_erasures
from photogenic.warehouse.labels.last_build import LastBuild, last_build, next_options
from photogenic.warehouse.labels.past import open_moments
from photogenic.warehouse.moment import EVERYTHING, Moment, Moments
from photogenic.warehouse.storage.layout import sync_directory
from photogenic.warehouse.storage.training_set_files import (
    Manifest,
    SetColumn,
    abandoned,
    check_name,
    describe,
    folders,
    hold,
    read_manifest,
    write_manifest,
)

__all__ = ["Created", "create"]


_Opened: TypeAlias = tuple[duckdb.DuckDBPyConnection, Sources, Moment, LastBuild | None]
"""A connection with the relations of a moment, what the set reads, the moment, and the last build of labels."""


@dataclass(frozen=True, slots=True)
class Created:
    """Result of a creation.

    Attributes:
        manifest: the version.
        folder: its files.
        is_new: whether it is a new version; otherwise an earlier one has the same content.
        notes: what to know about it.
    """

    manifest: Manifest
    folder: Path
    is_new: bool
    notes: tuple[str, ...] = ()


def create(store: Store, name: str, options: TrainingSetOptions) -> Created:
    """Create the next version of a training set. May be killed and started again.

    Args:
        store: the open store.
        name: name of the set.
        options: what it holds.

    Raises:
        AuditError: a feature is from the future.
        InputError: a name is unknown, or a relation cannot be joined.
        StoreError: there is no store, it has no labels, or people were erased meanwhile.
    """
    check_name(name)
    store.database.require()
    layout, erasures = store.layout, count_erasures(store.layout)
    made = layout.training_sets / f".{name}.{os.getpid()}.tmp"
    shutil.rmtree(made, ignore_errors=True)
    handle: int | None = None
    try:
        with _opened(store, options) as (con, sources, moment, last):
            join = Join(con, sources, options, moment)
            join.check()
            counts: dict[str, Any] = join.counts()
            n_instants = compute_at_instants(store, join)
            make_splits(join, options, next_options(None, last).split_seed)
            encoders = _read_vectors(store, con, sources)
            made.mkdir(parents=True)
            handle = hold(made)
            written = write_rows(join, made / "rows.parquet", counts["entity_rows"], encoders)
            assert written.sample is not None
            audited = audit(store, join, written.sample)
            manifest = Manifest(
                name=name,
                version=1,
                created_at=dt.datetime.now(dt.UTC).isoformat(timespec="microseconds"),
                program=version_of("photogenic"),
                definition=options.recorded(),
                n_rows=written.n_rows,
                columns=_columns(sources, written, encoders),
                counts=_all_counts(counts, written, n_instants),
                digests=_digests((con, sources, moment, last), options, written, encoders),
                audit=asdict(audited),
                parts=(describe(made / "rows.parquet"),),
            )
        return _publish(store, made, manifest, erasures, _notes(manifest, audited))
    except OSError as error:
        raise StoreError(
            f"The training set cannot be written to {layout.training_sets}: {error.strerror or error}",
            "a writable folder with free disk; nothing else was changed",
            f"df -h {layout.root}, make room, and run the same command again",
        ) from error
    finally:
        if handle is not None:
            os.close(handle)
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _opened(store: Store, options: TrainingSetOptions) -> Iterator[_Opened]:
    """Yield a connection with the relations of the moment of the set."""
    db = store.database
    with db.read(labelling=True) as con:
        require_labels(con)
        sources, last = sources_of(con, options, store.layout), last_build(con)
        if not options.moment.is_limited:
            ((as_of, known_at),) = con.execute("select as_of, known_at from clock").fetchall()
            _require_built(con, sources)
            if options.at is not None:
                _refuse_stale(store, con, sources)
            yield con, sources, Moment(as_of, known_at), last
            return
    moment = options.moment
    con, notes = open_moments(db, Moments(moment), sources.names)
    try:
        for note in notes.values():
            store.progress.note(note)
        yield con, sources, moment, last
    finally:
        con.close()


def _require_built(con: duckdb.DuckDBPyConnection, sources: Sources) -> None:
    """Refuse relations that no build has computed."""
    there = {name for (name,) in con.execute("select table_name from information_schema.tables").fetchall()}
    for name in sorted(sources.names - there):
        raise StoreError(f"{name} was not computed yet.", "a relation that a build computed", "features build")


def _refuse_stale(store: Store, con: duckdb.DuckDBPyConnection, sources: Sources) -> None:
    """Refuse relations that are older than the facts: what the audit computes again would differ for that reason."""
    labels = freshness(store.database)
    if labels["stale"]:
        changed = ", ".join(labels["changed"]) or "everything"
        raise StoreError(
            f"The labels are older than the data: {changed} changed.",
            "relations that were computed from everything that came in",
            "features build, or --known-at with the time of the last build",
        )
    query = "select relation, coalesce(error, status) from own_relations where status <> 'ok' order by relation"
    for name, why in con.execute(query).fetchall():
        if name in sources.names:
            raise StoreError(
                f"{name} has the rows of an earlier build: {why}.",
                "a relation that the last build computed",
                "features build",
            )


def _read_vectors(store: Store, con: duckdb.DuckDBPyConnection, sources: Sources) -> dict[str, reader.VectorSet]:
    """Create a table with the position of each vector of an encoder, of photos that the moment has."""
    found = dict[str, reader.VectorSet]()
    for want in sources.features:
        if want.relation:
            continue
        held = reader.open_vectors(store.layout, want.column)
        living = {photo_id for (photo_id,) in con.execute("select photo_id from photos").fetchall()}
        ids = [photo_id for photo_id in held.ids() if photo_id in living]
        table = {"photo_id": pa.array(ids, pa.string()), "embedding": pa.array(held.positions(ids))}
        put_table(con, f"vectors of {want.column}", pa.table(table))
        found[want.column] = held
    return found


def _columns(sources: Sources, written: Written, encoders: dict[str, reader.VectorSet]) -> tuple[SetColumn, ...]:
    wanted = {want.name: want for want in sources.features}
    own = {"target": sources.target, "weight": sources.weight}
    columns = list[SetColumn]()
    assert written.schema is not None
    for name in written.schema.names:
        if name in wanted:
            want = wanted[name]
            kind = want.type if want.relation else f"float[{encoders[want.column].dim}]"
            columns.append(SetColumn(name, kind, "feature", want.source, want.time))
        elif name in ("target", "weight"):
            found = own[name]
            kind, source = (found.type, found.source) if found else ("double", "")
            columns.append(SetColumn(name, kind, "target" if name == "target" else "weight", source))
        elif name == "instant":
            columns.append(SetColumn(name, "timestamp", "instant"))
        elif name == "split":
            columns.append(SetColumn(name, "varchar", "split"))
        else:
            columns.append(SetColumn(name, "varchar", "key", f"{sources.entity.relation.name}.{name}"))
    return tuple(columns)


def _all_counts(counts: dict[str, Any], written: Written, n_instants: int) -> dict[str, Any]:
    """Return the account of the rows: those of the entity are the rows of the set and those left out, each once."""
    left_out = {name: n for name, n in counts.items() if name != "entity_rows"}
    left_out["without_target"] = written.without_target
    rest = counts["entity_rows"] - sum(left_out.values()) - written.n_rows
    left_out["earlier_rows_of_users_in_a_later_split"] = rest
    relations = {place: {"matched": n, "unmatched": written.n_rows - n} for place, n in sorted(written.matched.items())}
    return {
        "entity_rows": counts["entity_rows"],
        "rows": written.n_rows,
        "left_out": {name: n for name, n in left_out.items() if n},
        "duplicate_keys": written.duplicate_keys,
        "relations": relations,
        "missing": dict(sorted(written.missing.items())),
        "splits": {name: written.splits.get(name, 0) for name in ("train", "dev", "test")},
        "computed_instants": n_instants,
    }


def _digests(
    opened: _Opened, options: TrainingSetOptions, written: Written, encoders: dict[str, reader.VectorSet]
) -> dict[str, Any]:
    con, sources, moment, last = opened
    assert written.schema is not None
    schema = [(field.name, str(field.type)) for field in written.schema]
    parts = [
        options.recorded(),
        schema,
        written.content,
        written.n_rows,
        [held.manifest.content for held in encoders.values()],
    ]
    read = sorted({sources.entity.relation.name, *(want.relation for want in sources.all if want.relation)})
    states = "select relation, checksum from store.facts.relation_state"
    held = dict(con.execute(states).fetchall()) if not options.moment.is_limited else {}
    texts = {name: sources.relations[name].text for name in read}
    return {
        "content": hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
        "clock": {
            "as_of": moment.as_of.isoformat() if moment.as_of < EVERYTHING else None,
            "known_at": moment.known_at.isoformat() if moment.known_at < EVERYTHING else None,
        },
        "labels": {"build_id": last.build_id, "options": last.options.recorded()} if last else None,
        "relations": {
            name: {"definition": hashlib.sha256(text.encode()).hexdigest(), "rows": held.get(name)}
            for name, text in texts.items()
        },
        "encoders": {
            name: {"digest": held.manifest.digest, "content": held.manifest.content} for name, held in encoders.items()
        },
        "code": version_of("photogenic"),
    }


def _notes(manifest: Manifest, audited: Audited) -> tuple[str, ...]:
    counts, notes, by_time = manifest.counts, list[str](), manifest.definition["by_time"]
    if left_out := counts["left_out"]:
        words = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in left_out.items())
        notes.append(f"{counts['entity_rows']:,} rows of {manifest.definition['entity']}: {words} were left out.")
    if counts["duplicate_keys"]:
        notes.append(f"{counts['duplicate_keys']:,} rows have ids and instant of another row; they were kept.")
    for split, n in counts["splits"].items():
        if not n:
            why = "earlier rows of users with later rows are left out" if by_time else "the rows are of few users"
            notes.append(f"Split {split} is empty: {why}.")
    if audited.gone:
        notes.append(
            f"{audited.gone:,} of {audited.values:,} values that the audit compared are missing, because the relations "
            "have no such rows any more: of photos and users that were deleted later."
        )
    return tuple(notes)


def _publish(store: Store, made: Path, manifest: Manifest, erasures: int, notes: tuple[str, ...]) -> Created:
    """Do step 6."""
    layout = store.layout
    with store.database.write("features training-set create") as con:
        if count_erasures(layout) != erasures:
            raise StoreError(
                f"People were erased from the store while the training set {manifest.name} was made.",
                "a store without a running erase",
                "run the same command again",
            )
        remove_unlisted(store, con)
        held = con.execute(
            "select version, status, digests from facts.training_sets where name = $1 order by version", [manifest.name]
        ).fetchall()
        for version, status, digests in held:
            folder = layout.training_set(manifest.name, version)
            if status == "ok" and json.loads(digests)["content"] == manifest.digests["content"]:
                found = read_manifest(folder)
                if found is not None:
                    return Created(found, folder, is_new=False, notes=notes)
        version = max((version for version, _, _ in held), default=0) + 1
        manifest = Manifest(**{**{name: getattr(manifest, name) for name in Manifest.__slots__}, "version": version})
        folder = layout.training_set(manifest.name, version)
        write_manifest(made, manifest)
        folder.parent.mkdir(parents=True, exist_ok=True)
        made.rename(folder)
        sync_directory(folder.parent)
        sync_directory(layout.training_sets)
        con.begin()
        con.execute(
            "insert into facts.training_sets values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)", _row(manifest)
        )
        con.commit()
    return Created(manifest, folder, is_new=True, notes=notes)


def remove_unlisted(store: Store, con: duckdb.DuckDBPyConnection) -> int:
    """Remove folders that are not listed: a creation was killed before it listed them. The caller holds the lock."""
    listed = set(con.execute("select name, version from facts.training_sets where status <> 'removed'").fetchall())
    stale = [path for name, version, path in folders(store.layout) if (name, version) not in listed]
    stale += abandoned(store.layout)
    for path in stale:
        shutil.rmtree(path)
    return len(stale)


def _row(manifest: Manifest) -> list[Any]:
    options = manifest.definition
    files = {part.file: part.sha256 for part in manifest.parts}
    clock = manifest.digests["clock"]
    return [
        manifest.name,
        manifest.version,
        options["entity"],
        options["at"],
        options["target"],
        list(options["features"]),
        clock["as_of"],
        clock["known_at"],
        manifest.n_rows,
        json.dumps({**manifest.digests, "files": files}),
        dt.datetime.fromisoformat(manifest.created_at).replace(tzinfo=None),
        manifest.status,
    ]
