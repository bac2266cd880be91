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
import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from photogenic._lazy import duckdb
from photogenic.ingest.arrivals import Arrivals, arrival_of, utc
from photogenic.ingest.images.folders import Folder, ObjectFolder, PictureFolder
from photogenic.ingest.images.local_images import import_picture_bytes, import_pictures
from photogenic.ingest.images.picture_column import picture_bytes
from photogenic.ingest.options import Rowlike, SourceOptions
from photogenic.ingest.readers.input_files import InputFile, Spool, openable, printable_name
from photogenic.ingest.readers.memory_errors import memory_errors_as_ours
from photogenic.ingest.readers.message_records import places_of
from photogenic.ingest.readers.source_files import Source, inspect_sources
from photogenic.ingest.sources.opening import group_sources, open_sources
from photogenic.ingest.sources.positions import check_positions, write_positions
from photogenic.ingest.sources.remote import RemoteFile
from photogenic.ingest.tabular import parsing
from photogenic.ingest.tabular.event_rows import add_events
from photogenic.ingest.tabular.known_files import KnownFile, KnownFiles
from photogenic.ingest.tabular.mapping_file import Given, mapping_of
from photogenic.ingest.tabular.report import IngestReport
from photogenic.ingest.tabular.schemas import Kind, table_of
from photogenic.ingest.tabular.staging import Rows
from photogenic.ingest.tabular.versioned_rows import add_photos, add_users
from photogenic.warehouse import InputError, NetworkError, Store
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.filesystems import is_remote
from photogenic.warehouse.moment import Instant

__all__ = ["Inspected", "Loader", "images_folder", "ingest"]

T = TypeVar("T")

_BACK = (
    "of the corrected got back values that were corrected before",
    "users got back values that a later file had changed: give updated_at, which decides what is newest, "
    "or ingest the later file again",
)
"""The note on events, and that on users."""

_AHEAD = dt.timedelta(days=1)
"""How much later than now a time may be: clocks differ, and dates have no zone."""


def ingest(
    store: Store,
    kind: Kind,
    sources: Sequence[Rowlike | InputFile],
    *,
    options: SourceOptions | None = None,
    mapping: Given = None,
    images: Path | str | None = None,
    arrived_at: Instant | None = None,
    retract: bool = False,
    named: set[str] | None = None,
    now: dt.datetime | None = None,
    publish: bool = True,
) -> list[IngestReport]:
    """Load files of one kind. May be killed and started again at any time.

    Args:
        store: the open store.
        kind: kind of the rows: users, photos, main_photos, swipes.
        sources: files, folders, globs, pipes, `-` for stdin, in one of `readers.formats.FORMATS`; addresses and frames,
            as `ingest.sources.opening` lists them.
        options: options of sources other than files.
        mapping: mapping of columns and values: `mapping_file.mapping_of` reads it.
        images: for photos: folder that `path` is relative to, also of an object store, `s3://bucket/folder`. Default:
            the folder of the file.
        arrived_at: when the rows arrived: an instant for all of them, or the column that says it of each. Default: the
            column `ingested_at`, if the file has it, else now.
        retract: whether every row takes back what it names.
        named: for photos: set to which the ids in the files are added.
        now: time of the ingest; naive is UTC. Default: the current time.
        publish: whether to publish the snapshot at the end.

    Returns:
        One report per file, in the order of the sources, globs sorted.

    Raises:
        InputError: a file is missing or cannot be read as such rows. It is raised before the first write, except for a
            file that is damaged inside, or an object of a later group: then the files before it are kept, and nothing
            of it is.
        NetworkError: a server cannot be reached, or a connection broke; as above.
        LockedError: another process writes.
    """
    table, now = table_of(kind), utc(now)
    folder = images_folder(table.kind, images)
    read_as, arrival = arrival_of(mapping_of(table.kind, mapping), arrived_at, now)
    failure: InputError | NetworkError | None = None
    options = options or SourceOptions()

    def inspected(group: Sequence[Rowlike | InputFile | RemoteFile], spool: Spool) -> list[Inspected]:
        found = open_sources(group, spool, options)
        told = inspect_sources(found, table, read_as, spool, arrived_at=arrival, retract=retract)
        return [Inspected.of(file) for file in told]

    with memory_errors_as_ours(f"features ingest {kind}"), Spool(store.layout.spill) as spool:
        is_event = table.kind in {"swipes", "main_photos"}
        first, *others = group_sources(sources, options, in_parts=is_event and not retract)
        files = inspected(first, spool)
        with store.database.write(f"features {'retract' if retract else 'ingest'} {kind}", publish=publish) as con:
            loader = Loader(store, con, table.kind, now, folder=folder, retract=retract, named=named)
            try:
                loader.load(files)
                spool.close()
                for group in others:
                    with Spool(store.layout.spill) as copies:
                        loader.load(inspected(group, copies))
            except (InputError, NetworkError) as error:
                failure = error
    if failure is not None:
        raise failure
    return loader.reports


@dataclass(frozen=True, slots=True)
class Inspected:
    """A file that was inspected, with the digest and the state of its bytes at that time.

    Attributes:
        source: the file.
        digest: SHA-256 of its bytes.
        state: size and modification time; if they change while the file is read, its rows are not kept.
    """

    source: Source
    digest: str
    state: tuple[int, int]

    @classmethod
    def of(cls, source: Source) -> Inspected:
        """Read the state and the digest of a file."""
        state = source.state()
        return cls(source, source.digest(), state)

    @property
    def ingest_id(self) -> str:
        """Id of the ingest of the file."""
        return self.source.ingest_id(self.digest)


class Loader:
    """Loads of files of one kind, one after the other, on an open writing connection.

    Args:
        store: the open store.
        con: writing connection.
        kind: kind of the rows.
        now: time of the ingest, naive UTC.
        folder: for photos: folder that `path` is relative to; None: the folder of each file.
        retract: whether every row takes back what it names.
        named: for photos: set to which the ids in the files are added.

    Attributes:
        reports: one report per file that was loaded.
    """

    def __init__(
        self,
        store: Store,
        con: duckdb.DuckDBPyConnection,
        kind: Kind,
        now: dt.datetime,
        *,
        folder: PictureFolder | None = None,
        retract: bool = False,
        named: set[str] | None = None,
    ) -> None:
        self.reports: list[IngestReport] = []
        self._store, self._con, self._folder, self._named = store, con, folder, named
        parsing.prepare(con)
        tombstones = Tombstones(store.layout)
        tombstones.prepare(con)
        self._after_erase = bool(tombstones)
        con.execute("set preserve_insertion_order = false")
        con.execute("set timezone = 'UTC'")
        self._kind, self._retract, self._arrivals = kind, retract, Arrivals(con, now)

    @functools.cached_property
    def _known(self) -> KnownFiles:
        """The files that were loaded before; messages of a stream do without, for the list grows with each batch."""
        return KnownFiles(self._con, self._kind, retract=self._retract)

    def load(self, files: Sequence[Inspected], *, anew: bool = False) -> None:
        """Load files, each in its own transaction, unless loading it again would change nothing.

        Args:
            files: the files.
            anew: whether a file is loaded also if one of the same content was before.

        Raises:
            InputError: a file is damaged inside, or changed meanwhile: those before it are kept, and nothing of it is.
        """
        ids = [file.ingest_id for file in files]
        for at, file in enumerate(files):
            is_once = file.source.is_messages  # by their positions
            with memory_errors_as_ours(file.source.name), openable(file.source.path) as path:
                task = _Task(
                    *(self._store, self._con, replace(file.source, path=path), file.digest, file.state),
                    *(self._folder or _folder_of(file.source), self._arrivals),
                    after_erase=self._after_erase,
                )
                self.reports.append(report := task.run(None if anew or is_once else self._known.find(ids[at:])))
                if self._named is not None:
                    self._named |= task.photo_ids()
            if not report.repeated and not is_once:
                self._known.add(KnownFile(ids[at], report.n_read, report.refused, self._arrivals.last))


@dataclass(frozen=True, slots=True)
class _Task:
    """The load of one file."""

    store: Store
    con: duckdb.DuckDBPyConnection
    source: Source
    digest: str
    state: tuple[int, int]
    folder: PictureFolder | None
    arrivals: Arrivals
    after_erase: bool

    def run(self, known: KnownFile | None) -> IngestReport:
        """Load the file completely or not at all, then its pictures. If it is known, load only its pictures."""
        kind, source = self.source.table.kind, self.source
        report = IngestReport(kind, source.name, ignored=source.ignored, notes=source.notes)
        has_paths, has_bytes = kind == "photos" and "path" in source.bound, source.picture is not None
        if known is not None:
            report = replace(report, repeated=True, n_read_before=known.n_read, refused_before=known.refused)
            if not (has_paths or has_bytes):
                self._write_positions(self.arrivals.last)
                return report
        stamp = self.arrivals.next()
        if known is not None:
            self._in_transaction(stamp, self._list_pictures)
        else:
            report = self._in_transaction(stamp, lambda rows: self._load(rows, report, stamp))
            self._record(report)
        pictures: Counter[str] = Counter()
        if has_bytes:
            pictures.update(self._import_bytes(stamp, again=known is not None))
        if has_paths and self.folder is not None:
            pictures.update(import_pictures(self.con, self.store, self.folder, stamp))
        if has_paths or has_bytes:
            report = replace(report, pictures=dict(sorted(pictures.items())))
            self._write_positions(stamp)  # after the pictures: else a killed command would leave them behind
        return report

    def _list_pictures(self, rows: Rows) -> None:
        """Fill the temporary tables of pictures from a file whose rows are in the store."""
        if "path" in self.source.bound:
            _list_paths(rows)
        if self.source.picture is not None:
            updated_at = "updated_at" if "updated_at" in self.source.bound else "null"
            rows.run(
                f"""
                create or replace temp table listed_bytes as {{checked}}
                select line, photo_id, user_id, coalesce({updated_at}, {rows.arrival}) as true_from
                from checked where problem is null
                """
            )

    def _import_bytes(self, stamp: dt.datetime, *, again: bool) -> dict[str, int]:
        """Take in the pictures of a column, of the photos in `listed_bytes`."""
        return import_picture_bytes(
            self.con,
            self.store,
            lambda lines: picture_bytes(self.con, self.source, lines),
            stamp,
            again=again,
        )

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
            outside = self.folder.outside if self.folder is not None else lambda _: ()
            account = add_photos(rows, name, stamp, outside, batch)
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
        if not (kind == "photos" and ("path" in self.source.bound or self.source.picture is not None)):
            write_positions(self.con, self.source.positions, stamp)
        else:
            check_positions(self.con, self.source.positions)  # they are written after the pictures
        if self.source.is_messages and report.n_refused:
            self._name_places(stamp)
        self.con.execute(
            f"insert into facts.ingests values ({', '.join('?' * 14)})",
            [
                *(self.source.ingest_id(self.digest), kind, name, self.digest),
                *(report.n_read, report.n_new, report.n_corrected, report.n_retracted, report.n_known),
                *(report.n_refused, json.dumps(refused), time.perf_counter() - started, stamp, batch),
            ],
        )
        return report

    def _name_places(self, stamp: dt.datetime) -> None:
        """Name each refused message by its offset, which becomes its line, and its partition."""
        self.con.register("places", places_of(self.source.path))
        self.con.execute(
            """
            update facts.rejects as refused
            set line = places.position,
                detail = 'partition ' || places.part || coalesce(': ' || refused.detail, '')
            from places
            where refused.ingested_at = $1 and refused.line = places.line
            """,
            [stamp],
        )
        self.con.unregister("places")

    def _write_positions(self, stamp: dt.datetime) -> None:
        """Write the positions of a file whose rows, and pictures, are in the store already."""
        if self.source.positions:
            self.con.begin()
            write_positions(self.con, self.source.positions, stamp)
            self.con.commit()

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


def _list_paths(rows: Rows) -> None:
    """Fill the temporary table `listed` (photo_id, user_id, path) from the file."""
    rows.run(
        """
        create or replace temp table listed as {checked}
        select distinct photo_id, user_id, path from checked where problem is null and path is not null
        """
    )


def _folder_of(source: Source) -> Folder | None:
    """The folder of a list of photos. None for other kinds, and where the pictures are in a column.

    Raises:
        InputError: paths are relative to a working folder that was removed.
    """
    if source.table.kind != "photos" or source.picture is not None:
        return None
    try:
        return Folder(source.folder)
    except FileNotFoundError as error:
        raise InputError(
            f"{source.name}: paths are relative to the working folder, which was removed.",
            "a folder for relative paths",
            "--images FOLDER",
        ) from error


def images_folder(kind: Kind, images: Path | str | None) -> PictureFolder | None:
    """The folder that paths of pictures are relative to; None: none is given.

    Raises:
        InputError: there is no such folder, or the rows have no pictures.
    """
    if images is None:
        return None
    if kind != "photos":
        raise InputError(f"{kind} have no pictures.", "--images with photos only", f"features ingest {kind} FILE")
    if is_remote(images):
        return ObjectFolder(str(images))
    if not Path(images).is_dir():
        raise InputError(
            f"There is no folder '{printable_name(images)}'.", "the folder that paths are relative to", "ls"
        )
    return Folder(Path(images))
