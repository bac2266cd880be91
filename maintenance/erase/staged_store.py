"""Make the new state of the store, without some people, beside the store that readers see.

Parquet parts are linked, not copied; only those with rows of the people are rewritten. The warehouse is copied, rows
are deleted in the copy, labels are computed again, and it is copied once more, so that no freed block keeps what was
deleted.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

from photogenic._lazy import duckdb
from photogenic.features.build import tell
from photogenic.features.pictures.relations import update_relations
from photogenic.features.search import index, index_files
from photogenic.features.similarity.relations import keep_similarity, update_similarity
from photogenic.maintenance.erase.journal import Journal
from photogenic.maintenance.erase.parquet_rows import link_tree, purge
from photogenic.maintenance.erase.training_sets import record, remake
from photogenic.warehouse import Database, Layout, Store
from photogenic.warehouse.erasure.delete_rows import (
    ErasedRecords,
    delete_rows,
    held_by_own_relations,
    select_erased,
    select_purged,
)
from photogenic.warehouse.erasure.own_relations import empty_relations
from photogenic.warehouse.labels.build import build_labels, update_own
from photogenic.warehouse.labels.last_build import last_build, next_options
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.storage.layout import sync_filesystem
from photogenic.warehouse.storage.parquet_parts import MANIFEST

__all__ = ["prepare", "staged_layout"]


def staged_layout(layout: Layout) -> Layout:
    """The paths of the new state."""
    return Layout(layout.erased / "work")


def prepare(store: Store, journal: Journal) -> Journal:
    """Make the new state, and mark it as complete in the journal. Leftovers of an earlier call are removed first."""
    layout = store.layout
    work, gone = staged_layout(layout), journal.gone
    shutil.rmtree(work.root, ignore_errors=True)
    index_files.discard_parts(layout)  # they may have codes of the erased photos
    work.root.mkdir(parents=True, mode=0o700)
    work.photos.symlink_to(layout.photos.absolute())
    shutil.copyfile(layout.warehouse, work.warehouse)
    for folder in (layout.faces, layout.pictures, layout.hashes, layout.root / "embeddings"):
        link_tree(folder, work.root / folder.name)
    counts = _purge(work, gone)
    remade = remake(store, work, gone)
    counts |= {one.place: one.n_rows for one in remade if one.n_rows}
    database = Database(work, store.database.settings)
    database.history = store.database.history
    staged = Store(database, store.progress)
    with store.progress.stage("erase", 5, "steps") as advance:
        with database.write("features erase") as con:
            con.begin()
            selected = select_purged(con, gone.photos) if gone.purge else select_erased(con, gone.users)
            counts |= delete_rows(con, selected, journal.runs_removed)
            record(con, remade)
            con.commit()
            results_of_runs = con.execute("select run_id, results from facts.runs").fetchall()
            ((built,),) = con.execute("select count(*) from facts.relation_state").fetchall()
            last = last_build(con)
            elsewhere = last is not None and last.cluster is not None
            if elsewhere:
                _drop_spark_labels(con)
        advance(1)
        if built and not elsewhere:
            moment = last.moment if last is not None else Moment()
            build_labels(
                staged,
                as_of=moment.as_of,
                known_at=moment.known_at,
                options=next_options(None, last),
                anew=gone.purge
                and moment != Moment(),  # then it was a photo, with likes, and these rows changed in place
                own_anew=True,
            )
        advance(1)
        folders = {f"embeddings/{path.name}" for path in (work.root / "embeddings").glob("*/")}
        for encoder in _indexed(layout, gone):
            former = index_files.read_manifest(layout, encoder)
            assert former is not None
            if (work.embeddings(encoder) / MANIFEST).exists():
                limit = index.memory_limit_of(former)
                if gone.purge:  # entries are removed from the index; its cells are not trained again
                    link_tree(layout.index(encoder), work.index(encoder))
                index.build(staged, encoder, recall=former.wanted_recall, memory=limit, keep_cells=gone.purge)
            else:  # its vectors were removed by an interrupted repair: a build makes both again
                work.index(encoder).mkdir(parents=True)
            folders.add(f"indices/{work.index(encoder).name}")
        advance(1)
        _link_untouched(layout, work)
        if gone.purge:
            lost_links = bool(counts.get("near_duplicates"))
            keep_similarity(store, staged, _indexed(layout, gone), lost_links=lost_links)
        else:
            update_similarity(staged, [made.encoder for made in index.manifests(work)])
        update_relations(database)
        if built and not elsewhere:
            update_own(staged)  # those that read the nearest photos
        _empty_own(database, gone)
        tell(staged)
        advance(1)
        database.compact()
        folders |= {
            str(path.relative_to(work.root)) for kind in (work.faces, work.pictures) for path in kind.glob("*/")
        }
        folders |= {work.hashes.name} if work.hashes.is_dir() else set()
        folders |= {one.place for one in remade}
        advance(1)
    shutil.rmtree(work.spill, ignore_errors=True)
    sync_filesystem(work.root)
    prepared = replace(
        journal,
        prepared=True,
        folders={name: sorted(path.name for path in (work.root / name).iterdir()) for name in sorted(folders)},
        runs={run_id: json.loads(results)[gone.mark] for run_id, results in results_of_runs if run_id in gone.runs},
        counts=counts | {"pictures": len(gone.sha256s), "runs_marked": len(gone.runs)},
    )
    return prepared.write(layout)


def _empty_own(database: Database, gone: ErasedRecords) -> None:
    """Empty own relations that failed, or that still hold one of the people."""
    if not database.rows("select 1 from facts.own_relations limit 1"):
        return
    with database.write("features erase") as con:
        con.begin()
        empty_relations(con, held_by_own_relations(con, gone))
        con.commit()


def _drop_spark_labels(con: duckdb.DuckDBPyConnection) -> None:
    """Drop labels that Spark computed from facts outside of the store; its next build leaves the erased people out."""
    con.begin()
    for (relation,) in con.execute("select relation from facts.relation_state").fetchall():
        con.execute(f'drop table "{relation}"')
    con.execute("delete from facts.relation_state")
    con.execute(
        "update facts.own_relations set status = 'pending', error = null, built_definition = null,"
        " built_parameters = null where kind = 'sql'"
    )
    con.commit()


def _purge(work: Layout, gone: ErasedRecords) -> dict[str, int]:
    """Remove rows of faces, hashes, features and vectors. Returns their number by folder."""
    counts: dict[str, int] = {}
    folders = [(path, "photo_id") for path in (work.root / "embeddings").glob("*/")]
    by_bytes = (*work.faces.glob("*/"), *work.pictures.glob("*/"), work.hashes)
    folders += [(path, "sha256") for path in by_bytes if path.is_dir()]
    for folder, column in folders:
        n = purge(folder, column, gone.photos if column == "photo_id" else gone.sha256s)
        counts[str(folder.relative_to(work.root))] = n
    return counts


def _indexed(layout: Layout, gone: ErasedRecords) -> list[str]:
    """Encoders whose index has a photo of the erased people."""
    found = []
    for made in index.manifests(layout):
        ids = set(index.load(layout, made.encoder).ids.to_list())
        if ids & {*gone.photos}:
            found.append(made.encoder)
    return found


def _link_untouched(layout: Layout, work: Layout) -> None:
    """Link the indices that do not change, so that neighbors can be computed beside the store."""
    for folder in (layout.root / "indices").glob("*/"):
        if not (work.root / "indices" / folder.name).exists():
            link_tree(folder, work.root / "indices" / folder.name)
