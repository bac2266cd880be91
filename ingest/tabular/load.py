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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.ingest.images.local_images import Folder, import_pictures
from photogenic.ingest.readers.input_files import Spool, find, openable, printable_name
from photogenic.ingest.readers.memory_errors import memory_errors_as_ours
from photogenic.ingest.readers.source_files import Source, inspect_source
from photogenic.ingest.tabular import parsing
from photogenic.ingest.tabular.event_rows import add_events
from photogenic.ingest.tabular.known_files import changes_nothing
from photogenic.ingest.tabular.report import IngestReport
from photogenic.ingest.tabular.schemas import Kind, table_of
from photogenic.ingest.tabular.staging import Rows
from photogenic.ingest.tabular.versioned_rows import add_photos, add_users
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.erasure.tombstones import Tombstones

__all__ = ["ingest"]

T = TypeVar("T")

_AHEAD = dt.timedelta(days=1)
"""How much later than now a time may be: clocks differ, and dates have no zone."""


def ingest(
    store: Store,
    kind: Kind,
    sources: Sequence[str | Path],
    *,
    mapping: Mapping[str, str] | None = None,
    images: Path | None = None,
    now: dt.datetime | None = None,
) -> list[IngestReport]:
    """Load files of one kind. May be killed and started again at any time.

    Args:
        store: the open store.
        kind: kind of the rows: users, photos, main_photos, swipes.
        sources: files, globs, pipes, `-` for stdin; CSV, TSV, NDJSON (also .gz, .zst), Parquet.
        mapping: our column name -> theirs.
        images: for photos: folder that `path` is relative to. Default: the folder of the file.
        now: time of the ingest; naive is UTC. Default: the current time.

    Returns:
        One report per file, in the order of the sources, globs sorted.

    Raises:
        InputError: a file is missing or cannot be read as such rows. It is raised before the first write, except for a
            file that is damaged inside: then the files before it are kept, and nothing of it is.
        LockedError: another process writes.
    """
    table = table_of(kind)
    folder = _images_folder(table.kind, images)
    reports: list[IngestReport] = []
    failure: InputError | None = None
    with memory_errors_as_ours(f"features ingest {kind}"), Spool(store.layout.spill) as spool:
        files = [inspect_source(found, table, mapping or {}) for found in find(sources, spool)]
        states, digests = [file.state() for file in files], [file.digest() for file in files]
        ids = [file.ingest_id(digest) for file, digest in zip(files, digests, strict=True)]
        with store.database.write(f"features ingest {kind}") as con:
            parsing.prepare(con)
            tombstones = Tombstones(store.layout)
            tombstones.prepare(con)
            con.execute("set preserve_insertion_order = false")
            con.execute("set timezone = 'UTC'")
            for at, file in enumerate(files):
                with memory_errors_as_ours(file.name), openable(file.path) as path:
                    task = _Task(
                        *(store, con, replace(file, path=path), digests[at], states[at], folder or _folder_of(file)),
                        _utc(now),
                        after_erase=bool(tombstones),
                    )
                    try:
                        reports.append(task.run(is_held=changes_nothing(con, table.kind, ids[at:])))
                    except InputError as error:
                        failure = error
                        break
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
    now: dt.datetime
    after_erase: bool

    def run(self, *, is_held: bool) -> IngestReport:
        """Load the file completely or not at all, then its pictures. If it is known, load only its pictures."""
        kind, source = self.source.table.kind, self.source
        stamp = self._stamp()
        report = IngestReport(kind, source.name, ignored=source.ignored)
        has_pictures = kind == "photos" and "path" in source.bound
        if is_held:
            report = replace(report, repeated=True)
            if has_pictures:
                self._in_transaction(_list_pictures)
        else:
            report = self._in_transaction(lambda rows: self._load(rows, report, stamp))
        if has_pictures and self.folder is not None:
            pictures = import_pictures(self.con, self.store, self.folder, stamp)
            report = replace(report, pictures=pictures)
        return report

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
        report = replace(
            report,
            n_read=rows.n_read,
            **asdict(account),
            refused=refused,
            notes=("not UTF-8: read as Latin-1",) if rows.looks_latin1 else (),
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

    def _in_transaction(self, action: Callable[[Rows], T]) -> T:
        """Run an action on the rows, in one transaction."""
        source = self.source
        with self.store.progress.stage(source.table.kind, source.n_rows, "rows") as advance:
            self.con.begin()
            try:
                latest = self.now + _AHEAD
                with contextlib.closing(Rows(self.con, source, latest, advance, after_erase=self.after_erase)) as rows:
                    result = action(rows)
            except BaseException:
                self.con.rollback()
                raise
            self.con.commit()
            return result

    def _stamp(self) -> dt.datetime:
        """`ingested_at` of this file: now, but later than everything stored, so that there is one newest version."""
        [(last,)] = self.con.execute(sql.read("ingest/last_stamp")).fetchall()
        return self.now if last is None else max(self.now, last + dt.timedelta(microseconds=1))


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


def _utc(now: dt.datetime | None) -> dt.datetime:
    """Naive, UTC."""
    if now is None or now.tzinfo is not None:
        now = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
    return now.replace(tzinfo=None)
