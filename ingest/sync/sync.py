"""Take in what came since the last sync, from each source.

Steps of `sync`:
1. take the writer's lock: a second sync waits, and then finds nothing to do;
2. for each source, in the order users, photos, main photos, swipes: read its position, and refuse another definition;
3. read what is new: rows above the watermark in pieces, or files and objects that are not as they were;
4. load each piece or file in one transaction with its position: a killed sync goes on from there, and each row counts
   once;
5. note when the source was read to its end; a source that fails keeps what came of it, and the others go on;
6. publish once; return a report for every source.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from photogenic._lazy import duckdb
from photogenic.ingest.readers.input_files import InputFile, Spool, printable_name
from photogenic.ingest.readers.memory_errors import memory_errors_as_ours
from photogenic.ingest.readers.source_files import inspect_sources
from photogenic.ingest.sources.positions import Position, write_positions
from photogenic.ingest.sync.listings import Listed, list_changed, printable_source
from photogenic.ingest.sync.progress import Progress, forget, write_whole
from photogenic.ingest.sync.queries import QueryReader
from photogenic.ingest.sync.report import SyncReport
from photogenic.ingest.sync.source import SyncSource
from photogenic.ingest.tabular.load import Inspected, Loader, images_folder
from photogenic.ingest.tabular.report import IngestReport
from photogenic.ingest.tabular.schemas import KINDS, table_of
from photogenic.warehouse import InputError, MissingPartError, NetworkError, Store
from photogenic.warehouse.errors import SyncError

__all__ = ["failures", "sync"]


def sync(
    store: Store,
    sources: Sequence[SyncSource],
    *,
    plan: bool = False,
    from_start: Collection[str] = (),
    keep_position: Collection[str] = (),
    now: dt.datetime | None = None,
) -> list[SyncReport]:
    """Take in what came since the last sync. May be killed and started again at any time.

    Args:
        store: the open store.
        sources: the sources.
        plan: only say what would be read; nothing is written.
        from_start: names of the sources that are read from the start.
        keep_position: names of the sources that go on from their position although their definition has changed.
        now: the current time, naive UTC. Default: that of the clock.

    Returns:
        One report per source. `error` says why a source was not read to its end.

    Raises:
        LockedError: another process writes.
    """
    now = now or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    ordered = sorted(sources, key=lambda source: KINDS.index(source.kind))
    chosen = {source.name: (source.name in from_start, source.name in keep_position) for source in sources}
    if plan:
        held = _positions(store, ordered)
        return [
            _plan(store, source, held[source.name], now, anew=chosen[source.name][0], keep=chosen[source.name][1])
            for source in ordered
        ]
    with store.database.write("features sync") as con:
        return [_Run(store, con, source, *chosen[source.name], now).run() for source in ordered]


def failures(reports: Sequence[SyncReport]) -> SyncError | None:
    """The error of the sources that were not read to their end; None: all were."""
    failed = [report for report in reports if report.error]
    if not failed:
        return None
    first, *lines = failed[0].error.splitlines()
    parts = [line.partition(": ")[2] for line in lines]
    expected, remedy = parts if len(parts) == 2 else ("", "")
    what = f"{failed[0].name}: {first}"
    if len(reports) > 1:
        others = f"; so was not {', '.join(report.name for report in failed[1:])}" if failed[1:] else ""
        what = f"The source {failed[0].name} was not read to its end{others}: {first}"
    return SyncError(what, expected, remedy, reports)


@dataclass(slots=True)
class _Run:
    """The sync of one source."""

    store: Store
    con: duckdb.DuckDBPyConnection
    source: SyncSource
    from_start: bool
    keep_position: bool
    now: dt.datetime
    notes: list[str] = field(default_factory=list)

    def run(self) -> SyncReport:
        source, started = self.source, time.perf_counter()
        report = SyncReport(source.name, source.kind, printable_source(source))
        loader: Loader | None = None
        progress = Progress.read(self.con, source)
        report = replace(report, old_position=progress.in_words())
        try:
            folder = images_folder(source.kind, source.images)
            if self.from_start:
                forget(self.con, source.name)
                progress = Progress(source)
            elif not self.keep_position:
                source.refuse_changes(progress.definition)
            loader = Loader(self.store, self.con, source.kind, self.now, folder=folder, retract=source.retract)
            with memory_errors_as_ours(f"features sync {source.name}"):
                if source.query is not None:
                    progress = self._read_query(loader, progress)
                else:
                    self._read_listing(loader, progress)
            write_whole(self.con, progress, self.now)
        except (InputError, NetworkError, MissingPartError) as error:
            report = replace(report, error=str(error))
        reports = tuple(loader.reports) if loader is not None else ()
        return replace(
            report,
            reports=reports,
            new_position=Progress.read(self.con, source).in_words(),
            duration_s=time.perf_counter() - started,
            notes=tuple(dict.fromkeys([*self.notes, *_ignored(source, reports), *_notes_of(reports)])),
        )

    def _read_query(self, loader: Loader, progress: Progress) -> Progress:
        """Load the rows above the watermark, piece by piece. Returns the position after them."""
        reader = QueryReader(self.source, progress, self.now, may_go_back=self.keep_position)
        for piece in reader.pieces(self.store.layout.spill):
            with Spool(self.store.layout.spill) as spool:
                loader.load(self._inspect([piece], spool), anew=True)
        self.notes += reader.notes
        return reader.progress

    def _read_listing(self, loader: Loader, progress: Progress) -> None:
        """Load the files and objects that are new or not as they were, one at a time."""
        with Spool(self.store.layout.spill) as spool:
            listing = list_changed(self.source, progress, spool)
            for listed in listing.changed:
                with Spool(self.store.layout.spill) as copies:
                    self._load_listed(loader, progress, listed, copies)
        self.notes += listing.notes

    def _load_listed(self, loader: Loader, progress: Progress, listed: Listed, copies: Spool) -> None:
        """Load one file or object, unless its content is the one that it had when it was loaded last.

        The same content is not loaded again because it was touched: of users and photos the last file counts.
        """
        files, state = listed.open(copies)
        inspected = self._inspect(files, copies)
        ids = [one.ingest_id for one in inspected]
        before = progress.objects.get(listed.part)
        whole, part = progress.whole(), Position(self.source.name, listed.part, {**state, "ingests": ids})
        if not inspected or (before is not None and before.get("ingests") == ids):
            self.con.begin()
            write_positions(self.con, [whole, part], self.now)
            self.con.commit()
            return
        *others, last = inspected
        last = replace(last, source=replace(last.source, positions=(whole, part)))
        loader.load([*others, last], anew=before is not None)

    def _inspect(self, files: Sequence[InputFile], spool: Spool) -> list[Inspected]:
        source = self.source
        found = inspect_sources(files, table_of(source.kind), source.mapping, spool, retract=source.retract)
        return [Inspected.of(one) for one in found]


def _ignored(source: SyncSource, reports: Sequence[IngestReport]) -> list[str]:
    """The note on columns that are not ours, other than the watermark."""
    names = {name for report in reports for name in report.ignored} - {source.watermark}
    return [f"ignored columns: {', '.join(map(printable_name, sorted(names)))}"] if names else []


def _notes_of(reports: Sequence[IngestReport]) -> list[str]:
    """The notes of pieces and files, with the name of those of which there are several."""
    return [note if len(reports) == 1 else f"{report.source}: {note}" for report in reports for note in report.notes]


def _plan(
    store: Store, source: SyncSource, progress: Progress, now: dt.datetime, *, anew: bool, keep: bool
) -> SyncReport:
    """Say what would be read."""
    report, started = SyncReport(source.name, source.kind, printable_source(source)), time.perf_counter()
    report = replace(report, old_position=progress.in_words())
    try:
        if anew:
            progress = Progress(source)
        elif not keep:
            source.refuse_changes(progress.definition)
        if source.query is not None:
            reader = QueryReader(source, progress, now, may_go_back=keep)
            report = replace(report, n_rows=reader.count(), notes=tuple(reader.notes))
        else:
            with Spool(store.layout.spill) as spool:
                listing = list_changed(source, progress, spool)
            sizes = [listed.n_bytes for listed in listing.changed]
            known = [size for size in sizes if size is not None]
            n_bytes = sum(known) if len(known) == len(sizes) else None
            report = replace(report, n_objects=len(sizes), n_bytes=n_bytes, notes=tuple(listing.notes))
    except (InputError, NetworkError, MissingPartError) as error:
        report = replace(report, error=str(error))
    return replace(report, duration_s=time.perf_counter() - started)


def _positions(store: Store, sources: Sequence[SyncSource]) -> dict[str, Progress]:
    """The positions in the published state of the store; it need not exist."""
    if not store.layout.snapshot.exists():
        return {source.name: Progress(source) for source in sources}
    with store.database.read() as con:
        return {source.name: Progress.read(con, source) for source in sources}
