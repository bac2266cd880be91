"""How rows of files get into the warehouse.

The story of `ingest`:
1. find the files and look at each one's beginning: whatever must fail, fails before the first write;
2. one file at a time, in one transaction each: if taking it in again would change nothing, that is all;
3. read it once: what is sound goes into the base tables, what is not among the rejects, with its line;
4. events that are held already are removed again, descriptions that say nothing new are not added;
5. photos: copy the pictures that are not held yet, and note what was found;
6. publish once; return the account of every file: read = kept + rejected, by reason.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.ingest.images.local_images import Folder, take_in_pictures
from photogenic.ingest.readers.input_files import Spool, find, openable, shown
from photogenic.ingest.readers.memory_errors import shortage_told
from photogenic.ingest.readers.source_files import Source, look
from photogenic.ingest.tabular import parsing
from photogenic.ingest.tabular.event_rows import add_events
from photogenic.ingest.tabular.known_files import changes_nothing
from photogenic.ingest.tabular.report import Account
from photogenic.ingest.tabular.schemas import Kind, table_of
from photogenic.ingest.tabular.staging import Rows
from photogenic.ingest.tabular.versioned_rows import Kept, add_photos, add_users
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.erasure.tombstones import Tombstones

__all__ = ["ingest"]

T = TypeVar("T")

_AHEAD = dt.timedelta(days=1)
"""Clocks differ, and dates have no zone: so much later than now is still believed."""


def ingest(
    store: Store,
    kind: Kind,
    sources: Sequence[str | Path],
    *,
    mapping: Mapping[str, str] | None = None,
    images: Path | None = None,
    now: dt.datetime | None = None,
) -> list[Account]:
    """Take in files of one kind. May be killed and started again at any time.

    Args:
        store: the open store.
        kind: of rows: users, photos, main_photos, swipes.
        sources: files, globs, pipes, `-` for stdin; CSV, TSV, NDJSON (also .gz, .zst), Parquet.
        mapping: our column name -> theirs.
        images: for photos: the folder that `path` is relative to; None: the list's own folder.
        now: the instant of the ingest; naive is UTC. None: the clock's.

    Returns:
        One account per file, in the order of the sources, globs sorted.

    Raises:
        InputError: a file is missing or cannot be read as such rows. Found before the first write, except for
            a file that turns out to be damaged inside: then the files before it stay, and nothing of it does.
        LockedError: another process writes.
    """
    table = table_of(kind)
    folder = _images(table.kind, images)
    accounts: list[Account] = []
    failure: InputError | None = None
    with shortage_told(f"features ingest {kind}"), Spool(store.layout.spill) as spool:
        files = [look(given, table, mapping or {}) for given in find(sources, spool)]
        states, digests = [file.state() for file in files], [file.digest() for file in files]
        ids = [file.ingest_id(digest) for file, digest in zip(files, digests, strict=True)]
        with store.database.write(f"features ingest {kind}") as con:
            parsing.prepare(con)
            tombstones = Tombstones(store.layout)
            tombstones.prepare(con)
            con.execute("set preserve_insertion_order = false")
            con.execute("set timezone = 'UTC'")
            for at, file in enumerate(files):
                with shortage_told(file.name), openable(file.path) as path:
                    task = _Task(
                        *(store, con, replace(file, path=path), digests[at], states[at], folder or _beside(file)),
                        _utc(now),
                        after_erase=bool(tombstones),
                    )
                    try:
                        accounts.append(task.run(is_held=changes_nothing(con, table.kind, ids[at:])))
                    except InputError as error:
                        failure = error
                        break
    if failure is not None:
        raise failure
    return accounts


@dataclass(frozen=True, slots=True)
class _Task:
    """One file to take in."""

    store: Store
    con: duckdb.DuckDBPyConnection
    source: Source
    digest: str
    state: tuple[int, int]
    folder: Folder | None
    now: dt.datetime
    after_erase: bool

    def run(self, *, is_held: bool) -> Account:
        """Take it in, whole or not at all, then its pictures. If all of it is held, its pictures only."""
        kind, source = self.source.table.kind, self.source
        stamp = self._stamp()
        account = Account(kind, source.name, ignored=source.ignored)
        has_pictures = kind == "photos" and "path" in source.bound
        if is_held:
            account = replace(account, repeated=True)
            if has_pictures:
                self._in_one_piece(_list_pictures)
        else:
            account = self._in_one_piece(lambda rows: self._take_in(rows, account, stamp))
        if has_pictures and self.folder is not None:
            pictures = take_in_pictures(self.con, self.store, self.folder, stamp)
            account = replace(account, pictures=pictures)
        return account

    def _take_in(self, rows: Rows, account: Account, stamp: dt.datetime) -> Account:
        name, kind = account.source, account.kind
        if kind == "users":
            kept = add_users(rows, name, stamp)
        elif kind == "photos":
            kept = add_photos(rows, name, stamp, self.folder.outside if self.folder else set)
        else:
            kept = Kept(add_events(rows, name, stamp), 0)
        if self.source.state() != self.state:
            raise InputError(f"{name} changed while it was read.", "a file that stays as it is", "try again")
        rejected = dict(
            self.con.execute(
                "select reason, count(*) from facts.rejects where ingested_at = $1 group by reason order by reason",
                [stamp],
            ).fetchall()
        )
        account = replace(
            account,
            n_read=rows.n_read,
            n_kept=kept.n_kept,
            n_unchanged=kept.n_unchanged,
            n_main_photos=kept.n_main_photos,
            rejected=rejected,
            notes=("not UTF-8: read as Latin-1",) if rows.looks_latin1 else (),
        )
        if account.n_read != account.n_kept + account.n_rejected:
            raise AssertionError(f"the account does not add up: {account}")
        self.con.execute(
            "insert into facts.ingests values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                *(self.source.ingest_id(self.digest), kind, name, self.digest),
                *(account.n_read, account.n_kept, account.n_unchanged, account.n_rejected, stamp),
            ],
        )
        return account

    def _in_one_piece(self, action: Callable[[Rows], T]) -> T:
        """Do something with the rows, in one transaction."""
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
        """`ingested_at` of this file: now, but later than everything held, so that the newest version is one."""
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


def _beside(source: Source) -> Folder | None:
    """The folder that a list of photos lies in; None: it is of something else.

    Raises:
        InputError: paths are relative to a working folder that is gone.
    """
    if source.table.kind != "photos":
        return None
    try:
        return Folder(source.folder)
    except FileNotFoundError as error:
        raise InputError(
            f"{source.name}: paths are relative to the working folder, which was removed.",
            "a folder for relative paths",
            "--images DIR",
        ) from error


def _images(kind: Kind, images: Path | None) -> Folder | None:
    if images is None:
        return None
    if kind != "photos":
        raise InputError(f"{kind} have no pictures.", "--images with photos only", f"features ingest {kind} FILE")
    if not images.is_dir():
        raise InputError(f"There is no folder '{shown(images)}'.", "the folder that paths are relative to", "ls")
    return Folder(images)


def _utc(now: dt.datetime | None) -> dt.datetime:
    """Naive, UTC."""
    if now is None or now.tzinfo is not None:
        now = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
    return now.replace(tzinfo=None)
