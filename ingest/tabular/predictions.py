"""Load predictions of the user's own model: the rows of files or of a frame, all of one call in one transaction.

    load_predictions(store, "predictions.csv", finish=..., bounds=(0, 1))

The rows are no facts, so they go nowhere by themselves: `finish` gets those that are sound, inside the transaction, and
evaluates and stores them. Rows that are not sound go into the rejects, as those of every other file, and each file has
its row in `facts.ingests`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeGuard

from photogenic import sql
from photogenic._lazy import duckdb, pl
from photogenic.ingest.options import SourceOptions
from photogenic.ingest.readers.input_files import Spool, openable
from photogenic.ingest.readers.memory_errors import memory_errors_as_ours
from photogenic.ingest.readers.source_files import Source, inspect_sources
from photogenic.ingest.sources.opening import open_sources
from photogenic.ingest.tabular import parsing
from photogenic.ingest.tabular.mapping_file import FileMapping, Given, mapping_of
from photogenic.ingest.tabular.report import IngestReport
from photogenic.ingest.tabular.schemas import PREDICTIONS, Column, Table
from photogenic.ingest.tabular.staging import Rows
from photogenic.warehouse import InputError, Store
from photogenic.warehouse.erasure.tombstones import Tombstones

__all__ = ["Data", "Sound", "load_predictions", "read_photo_ids"]

Data: TypeAlias = Any
"""A source, as `ingest.options.Rowlike` lists them, or a list of sources; or a dictionary: of columns, or photo_id ->
prediction."""

_LEARNED = Table("predictions", PREDICTIONS.columns[:1])


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound rows of a call.

    Attributes:
        rows: photo_id, prediction, split (NULL: not said), one row per photo, by photo_id.
        learned: photos of which a row says that the predictions were learned from them, also if that row is refused or
            the store does not have the photo.
        tells_splits: whether a row says what was learned from.
        stamp: time of the load.
    """

    rows: pl.DataFrame
    learned: frozenset[str]
    tells_splits: bool
    stamp: dt.datetime


def load_predictions(
    store: Store,
    data: Data,
    *,
    mapping: Given,
    bounds: tuple[float | None, float | None],
    finish: Callable[[duckdb.DuckDBPyConnection, Sound], bool],
) -> list[IngestReport]:
    """Load all files of a call, or nothing of them; return one report per file.

    Args:
        store: the open store.
        data: files, frames or other sources.
        mapping: mapping of columns and values: `mapping_file.mapping_of` reads it.
        bounds: least and greatest prediction; None: no bound.
        finish: function that stores the sound rows. False: the store has the same run already, so that nothing is
            written.

    Raises:
        InputError: a file is missing or cannot be read as such rows; nothing is written.
        LockedError: another process writes.
    """
    read_as = mapping_of("predictions", mapping)
    with memory_errors_as_ours("features ingest predictions"), Spool(store.layout.spill) as spool:
        files = _inspected(data, PREDICTIONS, read_as, spool)
        states, digests = [file.state() for file in files], [file.digest() for file in files]
        with store.database.write("features ingest predictions") as con:
            after_erase = _prepare(con, store)
            now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
            [(last,)] = con.execute(sql.read("ingest/last_stamp")).fetchall()
            stamp = now if last is None else max(now, last + dt.timedelta(microseconds=1))
            con.begin()
            load = _Load(store, con, stamp, after_erase=after_erase)
            for at, file in enumerate(files):
                load.add(at, file, states[at])
            reports = load.reports(files, bounds)
            if not finish(con, load.sound()):
                con.rollback()
                return [_known(report) for report in reports]
            load.record(files, digests, reports)
            con.commit()
            if store.database.history is not None:
                for report in reports:
                    refused = {f"refused {reason}": n for reason, n in report.refused.items()}
                    store.database.history.count(
                        "predictions", {"new": report.n_new, "known": report.n_known} | refused
                    )
    return reports


def read_photo_ids(store: Store, data: Data) -> frozenset[str]:
    """Read the photos that a model was trained on: ids, or files or a frame with a column photo_id.

    Raises:
        InputError: a file cannot be read, or a row of it has no usable photo_id. A list with a gap is not used, because
            a missing photo would be a missed leak.
    """
    if _is_ids(data):
        return frozenset(data)
    with memory_errors_as_ours("the photos trained on"), Spool(store.layout.spill) as spool:
        files = _inspected(data, _LEARNED, FileMapping(), spool)
        found: set[str] = set()
        with duckdb.connect() as con:
            con.execute(f"set temp_directory = {parsing.literal(str(store.layout.spill.absolute()))}")
            parsing.prepare(con)
            for file in files:
                with openable(file.path) as path, contextlib.closing(_rows(con, replace(file, path=path))) as rows:
                    for batch in rows.stream("{checked} select photo_id, problem is null from checked"):
                        ids, sound = batch.column(0).to_pylist(), batch.column(1).to_pylist()
                        if not all(sound):
                            raise InputError(
                                f"{file.name}: {sound.count(False):,} rows have no photo_id that can be read.",
                                "a photo_id in every row of the photos trained on",
                                "repair the list: with a gap in it, a leak would not be found",
                            )
                        found.update(ids)
    return frozenset(found)


class _Load:
    """Rows of all files of a call in the temporary tables `taken` and `judged`."""

    def __init__(self, store: Store, con: duckdb.DuckDBPyConnection, stamp: dt.datetime, *, after_erase: bool) -> None:
        self.store, self.con, self.stamp, self._after_erase = store, con, stamp, after_erase
        self._n_read = list[int]()
        self._refused, self._notes = list[dict[str, int]](), list[tuple[str, ...]]()
        self._learned: set[str] = set()
        self._tells_splits = False
        self._started = time.perf_counter()
        con.execute(
            "create or replace temp sequence row_numbers;"
            "create or replace temp table taken (row_no bigint default nextval('row_numbers'), file_no integer,"
            " line bigint, photo_id varchar, prediction double, split varchar)"
        )

    def add(self, file_no: int, source: Source, state: tuple[int, int]) -> None:
        """Stage the readable rows of a file, and store the others as rejects."""
        with (
            memory_errors_as_ours(source.name),
            openable(source.path) as path,
            self.store.progress.stage("predictions", source.n_rows, "rows") as advance,
            contextlib.closing(
                _rows(self.con, replace(source, path=path), self.stamp, advance, after_erase=self._after_erase)
            ) as rows,
        ):
            split = "lower(split)" if "split" in source.bound else "cast(null as varchar)"
            n_sound = rows.run(
                "insert into taken (file_no, line, photo_id, prediction, split) {checked}"
                f" select {file_no}, line, photo_id, prediction, {split} from checked where problem is null",
                with_progress=True,
            )
            if n_sound < rows.n_read:
                rows.run(
                    f"""
                    insert into facts.rejects {{checked}}
                    select 'predictions', $source, line, split_part(problem, ':', 1), detail, raw, $stamp
                    from (select line, problem, {rows.refused} from (select * from checked where problem is not null))
                    """,
                    {"source": source.name, "stamp": self.stamp},
                )
            refused: dict[str, int] = {}
            by_reason = "{checked} select split_part(problem, ':', 1), count(*) from checked where problem is not null"
            for batch in rows.stream(f"{by_reason} group by all"):
                refused.update(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))
            self._refused.append(refused)
            if "split" in source.bound:
                said = "{checked} select distinct photo_id, split from checked where split is not null"
                for batch in rows.stream(f"{said} and photo_id is not null and coalesce(problem, '') <> 'erased:'"):
                    self._tells_splits = True
                    learned = zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)
                    self._learned.update(photo_id for photo_id, part in learned if part.lower() in ("train", "dev"))
            self._n_read.append(rows.n_read)
            self._notes.append(("not UTF-8: read as Latin-1",) if rows.looks_latin1 else ())
            if source.state() != state:
                raise InputError(f"{source.name} changed while it was read.", "a file that stays as it is", "try again")

    def reports(self, files: Sequence[Source], bounds: tuple[float | None, float | None]) -> list[IngestReport]:
        """HeldOut the rows, store the refused ones as rejects, and return the counts of each file."""
        con, (low, high) = self.con, bounds
        con.execute(
            f"create or replace temp table judged as {sql.read('ingest/validate_predictions')}",
            {"low": low, "high": high},
        )
        reports = []
        for at, source in enumerate(files):
            con.execute(
                """
                insert into facts.rejects
                select
                    'predictions', $source, line, verdict,
                    case
                        when verdict = 'out_of_range' then prediction::varchar
                        when verdict = 'bad_split' then split
                    end,
                    json_object('photo_id', photo_id, 'prediction', prediction, 'split', split), $stamp
                from judged
                where file_no = $at and verdict <> 'duplicate'
                """,
                {"source": source.name, "stamp": self.stamp, "at": at},
            )
            verdicts = dict(
                con.execute(
                    "select coalesce(verdict, 'new'), count(*) from judged where file_no = $1 group by all", [at]
                ).fetchall()
            )
            n_new, n_known = verdicts.pop("new", 0), verdicts.pop("duplicate", 0)
            refused = dict(self._refused[at])
            for reason, n in verdicts.items():
                refused[reason] = refused.get(reason, 0) + n
            if self._n_read[at] != n_new + n_known + sum(refused.values()):
                raise AssertionError(f"the counts of {source.name} do not add up")
            notes = (*source.notes, *self._notes[at])
            reports.append(
                IngestReport(
                    "predictions",
                    source.name,
                    n_read=self._n_read[at],
                    n_new=n_new,
                    n_known=n_known,
                    refused=dict(sorted(refused.items())),  # type: ignore[arg-type]
                    ignored=source.ignored,
                    notes=notes,
                )
            )
        return reports

    def sound(self) -> Sound:
        """Return the sound rows, one per photo."""
        query = "select photo_id, prediction, split from judged where verdict is null order by photo_id"
        return Sound(self.con.sql(query).pl(), frozenset(self._learned), self._tells_splits, self.stamp)

    def record(self, files: Sequence[Source], digests: Sequence[str], reports: Sequence[IngestReport]) -> None:
        """Add a row per file to `facts.ingests`."""
        [(batch,)] = self.con.execute("select coalesce(max(batch), 0) from facts.ingests").fetchall()
        spent = (time.perf_counter() - self._started) / max(len(files), 1)
        for at, (source, report) in enumerate(zip(files, reports, strict=True)):
            self.con.execute(
                f"insert into facts.ingests values ({', '.join('?' * 14)})",
                [
                    *(source.ingest_id(digests[at]), "predictions", source.name, digests[at]),
                    *(report.n_read, report.n_new, 0, 0, report.n_known, report.n_refused),
                    *(json.dumps(report.refused), spent, self.stamp, batch + 1 + at),
                ],
            )


def _rows(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    stamp: dt.datetime | None = None,
    advance: Callable[[int], None] = lambda _: None,
    *,
    after_erase: bool = False,
) -> Rows:
    now = stamp or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return Rows(con, source, now, now, advance, after_erase=after_erase)


def _prepare(con: duckdb.DuckDBPyConnection, store: Store) -> bool:
    """Make the macros on a writing connection; return whether people were erased."""
    parsing.prepare(con)
    tombstones = Tombstones(store.layout)
    tombstones.prepare(con)
    con.execute("set preserve_insertion_order = false")
    con.execute("set timezone = 'UTC'")
    return bool(tombstones)


def _known(report: IngestReport) -> IngestReport:
    """Return the report of a file whose run is in the store already."""
    return IngestReport(
        "predictions", report.source, repeated=True, n_read_before=report.n_read, refused_before=report.refused
    )


def _inspected(data: Data, table: Table, mapping: FileMapping, spool: Spool) -> list[Source]:
    """Inspect the sources of a call."""
    is_many = isinstance(data, list | tuple) and bool(data) and not isinstance(data[0], Mapping)
    sources = list(data) if is_many else [_frame(data, table.columns) if isinstance(data, Mapping) else data]
    return inspect_sources(open_sources(sources, spool, SourceOptions()), table, mapping, spool)


def _frame(data: Mapping[Any, Any], columns: Sequence[Column]) -> pl.DataFrame:
    """Convert a dictionary, of columns or of predictions by photo, to a frame.

    Raises:
        InputError: it is no table.
    """
    if data and not any(_is_column(value) for value in data.values()):
        names = [column.name for column in columns[:2]]
        data = dict(zip(names, (list(data.keys()), list(data.values())), strict=True)) if len(names) == 2 else data
    try:
        return pl.DataFrame(data, strict=False)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"A {type(data).__name__} cannot be read as a table: {str(error).splitlines()[0] if str(error) else error}",
            "a file, a frame of polars, pandas or pyarrow, or dictionaries, with photo_id and prediction",
            'store.add_run("NAME", frame, target="like_ratio")',
        ) from error


def _is_column(value: object) -> bool:
    return not isinstance(value, str | bytes | int | float | bool) and hasattr(value, "__len__")


def _is_ids(data: object) -> TypeGuard[Sequence[str]]:
    """Whether it is a list of ids, and not of files."""
    is_list = isinstance(data, list | tuple | set | frozenset)
    return is_list and bool(data) and all(isinstance(each, str) for each in data)  # type: ignore[attr-defined]
