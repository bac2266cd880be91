"""Load rows of files into the warehouse.

Steps of `ingest`:
1. find the files and inspect the beginning of each: errors are found before the first write;
2. load one file at a time, in one transaction each, unless loading it again would change nothing;
3. read it: valid rows go into the base tables, invalid ones into the rejects, with their line;
4. events that are in the store, and descriptions that change nothing, are not added again;
5. photos: copy the pictures that are not in the store yet, and store their status;
6. publish once; return a report for every file: read = new + corrected + retracted + known + refused.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.ingest.images.local_images import Folder, import_pictures
from photogenic.ingest.readers.input_files import Spool, find, openable, printable_name, shell_quoted
from photogenic.ingest.readers.memory_errors import memory_errors_as_ours
from photogenic.ingest.readers.source_files import Source, inspect_sources
from photogenic.ingest.tabular import parsing
from photogenic.ingest.tabular.event_rows import add_events
from photogenic.ingest.tabular.known_files import KnownFile, KnownFiles
from photogenic.ingest.tabular.mapping_file import FileMapping, Given, mapping_of
from photogenic.ingest.tabular.report import IngestReport
from photogenic.ingest.tabular.schemas import Kind, table_of
from photogenic.ingest.tabular.staging import Rows
from photogenic.ingest.tabular.versioned_rows import add_photos, add_users
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.moment import Instant, Moment

__all__ = ["ingest"]

T = TypeVar("T")

_BACK = (
    "of the corrected got back values that were corrected before",
    "users got back values that a later file had changed: give updated_at, which decides what is newest, "
    "or ingest the later file again",
)
"""The note on events, and that on users."""

_AHEAD = dt.timedelta(days=1)
"""How much later than now a time may be: clocks differ, and dates have no zone."""

_FIRST = dt.datetime(1900, 1, 1)
"""No earlier time is accepted."""


def ingest(
    store: Store,
    kind: Kind,
    sources: Sequence[str | Path],
    *,
    mapping: Given = None,
    images: Path | None = None,
    arrived_at: Instant | None = None,
    retract: bool = False,
    named: set[str] | None = None,
    now: dt.datetime | None = None,
) -> list[IngestReport]:
    """Load files of one kind. May be killed and started again at any time.

    Args:
        store: the open store.
        kind: kind of the rows: users, photos, main_photos, swipes.
        sources: files, folders, globs, pipes, `-` for stdin, in one of `readers.formats.FORMATS`.
        mapping: mapping of columns and values: `mapping_file.mapping_of` reads it.
        images: for photos: folder that `path` is relative to. Default: the folder of the file.
        arrived_at: when the rows arrived: an instant for all of them, or the column that says it of each. Default: the
            column `ingested_at`, if the file has it, else now.
        retract: whether every row takes back what it names.
        named: for photos: set to which the ids in the files are added.
        now: time of the ingest; naive is UTC. Default: the current time.

    Returns:
        One report per file, in the order of the sources, globs sorted.

    Raises:
        InputError: a file is missing or cannot be read as such rows. It is raised before the first write, except for a
            file that is damaged inside: then the files before it are kept, and nothing of it is.
        LockedError: another process writes.
    """
    table, now = table_of(kind), _utc(now)
    folder = _images_folder(table.kind, images)
    read_as, arrival = _arrival(mapping_of(table.kind, mapping), arrived_at, now)
    reports: list[IngestReport] = []
    failure: InputError | None = None
    with memory_errors_as_ours(f"features ingest {kind}"), Spool(store.layout.spill) as spool:
        found = find(sources, spool)
        files = inspect_sources(found, table, read_as, spool, arrived_at=arrival, retract=retract)
        states, digests = [file.state() for file in files], [file.digest() for file in files]
        ids = [file.ingest_id(digest) for file, digest in zip(files, digests, strict=True)]
        with store.database.write(f"features {'retract' if retract else 'ingest'} {kind}") as con:
            parsing.prepare(con)
            tombstones = Tombstones(store.layout)
            tombstones.prepare(con)
            con.execute("set preserve_insertion_order = false")
            con.execute("set timezone = 'UTC'")
            known, arrivals = KnownFiles(con, table.kind, retract=retract), _Arrivals(con, now)
            for at, file in enumerate(files):
                with memory_errors_as_ours(file.name), openable(file.path) as path:
                    task = _Task(
                        *(store, con, replace(file, path=path), digests[at], states[at], folder or _folder_of(file)),
                        arrivals,
                        after_erase=bool(tombstones),
                    )
                    try:
                        reports.append(report := task.run(known.find(ids[at:])))
                        if named is not None:
                            named |= task.photo_ids()
                    except InputError as error:
                        failure = error
                        break
                    if not report.repeated:
                        known.add(KnownFile(ids[at], report.n_read, report.refused, arrivals.last))
    if failure is not None:
        raise failure
    return reports


@dataclass(frozen=True, slots=True)
class _Task:
    """The load of one file."""

    store: Store
    con: duckdb.DuckDBPyConnection
    source: Source
    digest: str
    state: tuple[int, int]
    folder: Folder | None
    arrivals: _Arrivals
    after_erase: bool

    def run(self, known: KnownFile | None) -> IngestReport:
        """Load the file completely or not at all, then its pictures. If it is known, load only its pictures."""
        kind, source = self.source.table.kind, self.source
        report = IngestReport(kind, source.name, ignored=source.ignored, notes=source.notes)
        has_pictures = kind == "photos" and "path" in source.bound
        if known is not None:
            report = replace(report, repeated=True, n_read_before=known.n_read, refused_before=known.refused)
            if not has_pictures:
                return report
        stamp = self.arrivals.next()
        if known is not None:
            self._in_transaction(stamp, _list_pictures)
        else:
            report = self._in_transaction(stamp, lambda rows: self._load(rows, report, stamp))
            self._record(report)
        if has_pictures and self.folder is not None:
            pictures = import_pictures(self.con, self.store, self.folder, stamp)
            report = replace(report, pictures=pictures)
        return report

    def photo_ids(self) -> set[str]:
        """The ids of the photos in the file."""
        query = "{checked} select distinct photo_id from checked where problem is null"
        found: set[str] = set()

        def collect(rows: Rows) -> None:
            for batch in rows.stream(query):
                found.update(batch.column(0).to_pylist())

        self._in_transaction(self.arrivals.last, collect)
        return found

    def _load(self, rows: Rows, report: IngestReport, stamp: dt.datetime) -> IngestReport:
        name, kind, started = report.source, report.kind, time.perf_counter()
        [(batch,)] = self.con.execute("select coalesce(max(batch), 0) + 1 from facts.ingests").fetchall()
        if kind == "users":
            account = add_users(rows, name, stamp, batch)
        elif kind == "photos":
            account = add_photos(rows, name, stamp, self.folder.outside if self.folder else set, batch)
        else:
            account = add_events(rows, name, stamp, batch)
        if self.source.state() != self.state:
            raise InputError(f"{name} changed while it was read.", "a file that stays as it is", "try again")
        refused = dict(
            self.con.execute(
                "select reason, count(*) from facts.rejects where ingested_at = $1 group by reason order by reason",
                [stamp],
            ).fetchall()
        )
        told = asdict(account)
        notes = ["not UTF-8: read as Latin-1"] if rows.looks_latin1 else []
        if n_unmatched := told.pop("n_unmatched"):
            notes.append(f"{n_unmatched:,} of the retracted are not in the store (yet)")
        if n_revived := told.pop("n_revived"):
            notes.append(f"{n_revived:,} of the new had been taken back before")
        if n_back := told.pop("n_back"):
            notes.append(f"{n_back:,} {_BACK[kind in ('users', 'photos')]}")
        report = replace(
            report,
            n_read=rows.n_read,
            **told,
            refused=refused,
            notes=(*report.notes, *notes),
        )
        n_told = report.n_new + report.n_corrected + report.n_retracted + report.n_known + report.n_refused
        if report.n_read != n_told:
            raise AssertionError(f"the counts do not add up: {report}")
        self.con.execute(
            f"insert into facts.ingests values ({', '.join('?' * 14)})",
            [
                *(self.source.ingest_id(self.digest), kind, name, self.digest),
                *(report.n_read, report.n_new, report.n_corrected, report.n_retracted, report.n_known),
                *(report.n_refused, json.dumps(refused), time.perf_counter() - started, stamp, batch),
            ],
        )
        return report

    def _in_transaction(self, stamp: dt.datetime, action: Callable[[Rows], T]) -> T:
        """Run an action on the rows, in one transaction."""
        source = self.source
        with self.store.progress.stage(source.table.kind, source.n_rows, "rows") as advance:
            self.con.begin()
            try:
                latest = self.arrivals.now + _AHEAD
                rows = Rows(self.con, source, latest, stamp, advance, after_erase=self.after_erase)
                with contextlib.closing(rows):
                    result = action(rows)
            except BaseException:
                self.con.rollback()
                raise
            self.con.commit()
            return result

    def _record(self, report: IngestReport) -> None:
        """Add the counts to the history of the running command."""
        if self.store.database.history is not None:
            counts = {name: getattr(report, f"n_{name}") for name in ("new", "corrected", "retracted", "known")}
            refused = {f"refused {reason}": n for reason, n in report.refused.items()}
            self.store.database.history.count(report.kind, counts | refused)


class _Arrivals:
    """`ingested_at` of each file: now, but later than everything stored, so that there is one newest version.

    Attributes:
        now: time of the ingest.
        last: the newest time of arrival so far. The base tables are asked for it once.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, now: dt.datetime) -> None:
        self.con, self.now = con, now
        self._last: dt.datetime | None = None

    @property
    def last(self) -> dt.datetime:
        return self._last or self.now

    def next(self) -> dt.datetime:
        """Return the time of arrival of the next file."""
        if self._last is None:
            [(last,)] = self.con.execute(sql.read("ingest/last_stamp")).fetchall()
        else:
            last = self._last
        self._last = self.now if last is None else max(self.now, last + dt.timedelta(microseconds=1))
        return self._last


def _list_pictures(rows: Rows) -> None:
    """Fill the temporary table `listed` (photo_id, user_id, path) from the file."""
    rows.run(
        """
        create or replace temp table listed as {checked}
        select distinct photo_id, user_id, path from checked where problem is null and path is not null
        """
    )


def _folder_of(source: Source) -> Folder | None:
    """The folder of a list of photos. None for other kinds.

    Raises:
        InputError: paths are relative to a working folder that was removed.
    """
    if source.table.kind != "photos":
        return None
    try:
        return Folder(source.folder)
    except FileNotFoundError as error:
        raise InputError(
            f"{source.name}: paths are relative to the working folder, which was removed.",
            "a folder for relative paths",
            "--images FOLDER",
        ) from error


def _images_folder(kind: Kind, images: Path | None) -> Folder | None:
    if images is None:
        return None
    if kind != "photos":
        raise InputError(f"{kind} have no pictures.", "--images with photos only", f"features ingest {kind} FILE")
    if not images.is_dir():
        raise InputError(
            f"There is no folder '{printable_name(images)}'.", "the folder that paths are relative to", "ls"
        )
    return Folder(images)


def _arrival(
    mapping: FileMapping, arrived_at: Instant | None, now: dt.datetime
) -> tuple[FileMapping, dt.datetime | None]:
    """The mapping, and the arrival of all rows: `arrived_at` is an instant, or the name of a column.

    Raises:
        InputError: the instant is later than now or before 1900, or the column is mapped as well.
    """
    if arrived_at is None:
        return mapping, None
    column = mapping.columns.get("ingested_at")
    if column is not None and column != arrived_at:
        raise InputError(
            f"The arrival is said twice: by --arrived-at {arrived_at} and by --map ingested_at={column}.",
            "one of them",
            f"--arrived-at {shell_quoted(column)}",
        )
    try:
        instant = Moment.of(known_at=arrived_at).known_at
    except InputError:
        if not isinstance(arrived_at, str) or not arrived_at.strip():
            raise InputError(
                f"The arrival is {arrived_at!r}.",
                "an instant that has passed, or the name of a column",
                f"--arrived-at {now:%Y-%m-%dT%H:%M:%SZ}",
            ) from None
        return mapping | FileMapping({"ingested_at": arrived_at}), None
    if instant < _FIRST:
        raise InputError(
            f"The arrival {instant}Z is before {_FIRST:%Y}.",
            "an instant that has passed, as in the column ingested_at",
            f"--arrived-at {now:%Y-%m-%dT%H:%M:%SZ}",
        )
    if instant > now:
        raise InputError(
            f"The arrival {instant}Z is later than now, {now:%Y-%m-%d %H:%M:%S}Z.",
            "an instant that has passed; naive times are UTC",
            f"--arrived-at {now:%Y-%m-%dT%H:%M:%SZ}",
        )
    return mapping, instant


def _utc(now: dt.datetime | None) -> dt.datetime:
    """Naive, UTC."""
    if now is None or now.tzinfo is not None:
        now = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
    return now.replace(tzinfo=None)
