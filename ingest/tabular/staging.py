"""The rows of one file in DuckDB: `checked`, a relation with the line, our values, and what is wrong.

    rows = Rows(con, source, latest, stamp, advance)
    rows.run("insert into facts.swipes {checked} select sender_id, ... from checked where problem is null")

`problem` is NULL or `reason:column`. Text is read once, by readers/text_records.py, into a temporary table. Parquet
is read again by each run: that is faster in DuckDB than a copy.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb, pa
from photogenic.ingest.readers import parquet_schema, parquet_timestamps
from photogenic.ingest.readers.message_records import MessageRecords
from photogenic.ingest.readers.source_files import Source
from photogenic.ingest.readers.text_records import Records
from photogenic.ingest.readers.text_streams import open_text
from photogenic.ingest.tabular import parsing, scan_sql
from photogenic.ingest.tabular.schemas import Column
from photogenic.warehouse import PhotogenicError
from photogenic.warehouse.duckdb_store.error_mapping import is_memory_error

__all__ = ["Rows"]

_EVERY_S = 0.5

_KINDS = {"user_id": "user", "sender_id": "user", "recipient_id": "user", "photo_id": "photo"}
"""Columns that name a user, or a photo of a user."""


class Rows:
    """The rows of one file on one connection.

    Args:
        con: connection with the macros of `parsing.prepare`.
        source: the file.
        latest: latest time that is accepted.
        stamp: time of the load: the arrival of rows that do not say it, and the latest that is accepted.
        advance: Callback for the number of rows read.
        after_erase: whether people were erased from the store. Then rows about them are rejected as `erased`, and of
            rejected rows only our columns are kept.

    Attributes:
        n_read: number of rows found.
        arrival: the arrival of a row, as an expression over `checked`.
        refused: the columns `raw` (the row as JSON) and `detail` (the invalid value), as expressions over `checked`.
            For Parquet they are costly: use them after the rows were chosen.

    Raises:
        InputError: the file is truncated or damaged. The methods raise it too.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        source: Source,
        latest: dt.datetime,
        stamp: dt.datetime,
        advance: Callable[[int], None],
        *,
        after_erase: bool = False,
    ) -> None:
        self.con, self._advance = con, advance
        self._copy: Path | None = None
        if source.frame is not None:
            source.frame.register(con)
        source = self.source = self._with_safe_names(source)
        self._far = parquet_timestamps.prepare(con, source)
        self.arrival = f"timestamp '{source.arrived_at or stamp}'"
        if "ingested_at" in source.bound:
            self.arrival = f"coalesce(ingested_at, {self.arrival})"
        judged = _with_clause(source, latest, stamp, self._far)
        raw, detail = scan_sql.raw(source, only_ours=after_erase), scan_sql.detail(source)
        ours = ", ".join(column.name for column in source.columns)
        if source.n_rows is not None:
            self.n_read = source.n_rows
            checked = "select * from judged"
            if after_erase and self._find_erased(f"{judged} select {{}} as id from judged"):
                condition = _is_erased(source)
                checked = (
                    f"select * replace (case when {condition} then 'erased:' else problem end as problem) from judged"
                )
                raw = f"case when problem <> 'erased:' then {raw} end"
            self._checked = f"{judged}, checked as ({checked})"
            self.refused = f"{raw} as raw, {detail} as detail"
            return
        refused = f"case when problem is not null then {raw} end as raw, {detail} as detail"
        picture = "" if source.picture is None else f", f{source.picture} as image"
        self.n_read = self._stage(f"{judged} select line, {ours}, problem, {refused}{picture} from judged")
        if after_erase and self._find_erased("select {} as id from staged"):
            con.execute(f"update staged set problem = 'erased:', raw = null, detail = null where {_is_erased(source)}")
        self._checked = "with checked as (select * from staged)"
        self.refused = "raw, detail"

    def close(self) -> None:
        """Remove the temporary file, if there is one, and forget a frame."""
        if self.source.frame is not None:
            self.source.frame.unregister(self.con)
        if self._copy is not None:
            self._copy.unlink(missing_ok=True)

    @property
    def looks_latin1(self) -> bool:
        """Whether it was read as Latin-1, because no byte sequence in it was valid UTF-8."""
        return self.source.encoding is not None

    def run(self, statement: str, parameters: Mapping[str, Any] | None = None, *, with_progress: bool = False) -> int:
        """Execute a statement in which `{checked}` stands for the `with` clause. Returns the number of rows changed.

        Args:
            statement: SQL.
            parameters: parameters of the statement.
            with_progress: whether to report the progress of this run.
        """
        with self._reading(), self._reporting_progress() if with_progress else contextlib.nullcontext():
            [(n,)] = self.con.execute(statement.replace("{checked}", self._checked), dict(parameters or {})).fetchall()
        return int(n)

    def stream(self, query: str) -> Iterator[pa.RecordBatch]:
        """The result of a query in which `{checked}` stands for the `with` clause, in batches."""
        with self._reading():
            yield from self.con.sql(query.replace("{checked}", self._checked)).to_arrow_reader(1 << 20)

    def _find_erased(self, ids: str) -> bool:
        """Fill `erased_here` (id) with the erased users and photos in the file. Returns whether there are any.

        Args:
            ids: query of one column, called `id`, with a placeholder for the column's name.
        """
        self.con.execute("create or replace temp table erased_here (id varchar)")
        for column in self.source.columns:
            if column.name in _KINDS:
                with self._reading():
                    self.con.execute(
                        "insert into erased_here select id from (select distinct id from"
                        f" ({ids.format(column.name)})) where was_erased('{_KINDS[column.name]}', id)"
                    )
        return bool(self.con.execute("select 1 from erased_here limit 1").fetchall())

    def _stage(self, query: str) -> int:
        """Read text into the temporary table `staged`. Returns the number of rows."""
        while True:
            source = self.source
            records = _records(source, self._advance)
            self.con.register("records", records.reader())
            with self._reading(records):
                self.con.execute(f"create or replace temp table staged as {query}")
            self.con.unregister("records")
            if source.encoding is not None or not records.looks_latin1:
                return records.n_records
            self.source = replace(source, encoding="latin-1")

    @contextlib.contextmanager
    def _reading(self, records: Records | MessageRecords | None = None) -> Iterator[None]:

        # Below the projections, a filter on `problem` would compute every value again, several times over. Lists of
        # words would become joins, which cost time for every row. And the statistics of a Parquet file ignore NaN, so
        # that checks would be optimized away.
        off = "filter_pushdown,in_clause"
        if any(parsing.has_nan(field.type) for field in self.source.fields):
            off += ",statistics_propagation"
        self.con.execute(f"set disabled_optimizers = '{off}'")
        try:
            yield
        except duckdb.Error as error:
            if is_memory_error(error):
                raise
            if failure := (records.failure if records else None) or self._scan_failure():
                if isinstance(failure, PhotogenicError):
                    raise failure from error
                raise parquet_schema.damaged(failure, self.source.name) from error
            raise
        self.con.execute("reset disabled_optimizers")

    def _scan_failure(self) -> BaseException | None:
        """The error with which the file or frame cannot be read, or None."""
        frame = self.source.frame
        if frame is not None and frame.failure is not None:
            return frame.failure
        if self.source.format not in {"parquet", "frame"}:
            return None
        try:
            with duckdb.connect() as con:
                if frame is not None:
                    frame.register(con)
                names = scan_sql.aliases(self.source)
                sound = (f"f{number}" for number in range(self.source.n_columns) if number not in self._far)
                file = parquet_schema.table_function(self.source.scanned)
                con.execute(f"select max(hash({', '.join(sound) or '1'})) from {file} as given({names})").fetchall()
        except (duckdb.Error, MemoryError) as error:
            return error
        return None

    def _with_safe_names(self, source: Source) -> Source:
        """The source; if a column has the name of the line number that DuckDB adds, a copy with other names."""
        if source.format != "parquet" or all(field.name.lower() != "file_row_number" for field in source.fields):
            return source
        [(spill,)] = self.con.execute("select current_setting('temp_directory')").fetchall()
        self._copy = copy = Path(spill, f"renamed-{uuid.uuid4().hex}.parquet")
        copy.parent.mkdir(parents=True, exist_ok=True)
        target = str(copy).replace("'", "''")
        self.source = source
        with self._reading():
            self.con.execute("set preserve_insertion_order = true")
            try:
                self.con.execute(
                    f"copy (from {parquet_schema.table_function(source.path)} as given({scan_sql.aliases(source)}))"
                    f" to '{target}' (format parquet)"
                )
            finally:
                self.con.execute("set preserve_insertion_order = false")
        return replace(source, path=copy)

    @contextlib.contextmanager
    def _reporting_progress(self) -> Iterator[None]:
        """Report how far DuckDB is in a Parquet file or frame; that of text was reported while it was staged."""
        n_rows, done, reported = self.source.n_rows, threading.Event(), 0
        frame = self.source.frame
        if not n_rows:
            yield
            return
        self.con.execute("set enable_progress_bar = true; set enable_progress_bar_print = false")

        def watch() -> None:
            nonlocal reported
            while not done.wait(_EVERY_S):
                now = frame.n_handed if frame else int(max(self.con.query_progress(), 0.0) / 100 * n_rows)
                if now > reported:
                    self._advance(now - reported)
                    reported = now

        watcher = threading.Thread(target=watch, name="ingest progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
        self._advance(n_rows - reported)


def _is_erased(source: Source) -> str:
    """The condition that a row is about an erased person."""
    names = (column.name for column in source.columns if column.name in _KINDS)
    return " or ".join(f"coalesce({name} in (from erased_here), false)" for name in names)


def _dispensable(column: Column, source: Source) -> str:
    """The condition under which a value may be blank; empty: never."""
    conditions = {
        "deleted": "true" if source.retract else "coalesce(deleted, false)" if "deleted" in source.bound else None,
        "event_id": "event_id is not null" if "event_id" in source.bound else None,
    }
    needed = [conditions[name] for name in column.unless]
    return "" if None in needed else " and ".join(dict.fromkeys(filter(None, needed)))


def _records(source: Source, advance: Callable[[int], None]) -> Records | MessageRecords:
    if source.is_messages:
        return MessageRecords(source.path, advance=advance)
    stream = open_text(source.path, source.compression, source.encoding)
    if source.format == "ndjson":
        return Records(stream, advance=advance)
    n = source.n_columns
    return Records(
        stream,
        n_fields=n,
        wanted=range(n),
        separator=source.separator,
        skip_lines=source.header_line,
        advance=advance,
    )


def _with_clause(source: Source, latest: dt.datetime, stamp: dt.datetime, far: Collection[int]) -> str:
    """The `with` clause up to `judged`: the fields f0, f1..., our values, and `problem`."""
    words, ready, typed = [], [], []
    arms = ["when broken is not null then broken || ':'"]
    for column in source.columns:
        number = source.bound[column.name]
        type_, field = source.fields[number].type, f"f{number}"
        trimmed = parsing.trimmed(column, type_, field)
        value = parsing.value(column.type, type_, f"t{number}", source.mapping.units.get(column.name))
        if mapped := source.mapping.values.get(column.name):
            words.append(f"{parsing.word(type_, field)} as w{number}")
            trimmed = parsing.unless_mapped(mapped, f"w{number}", trimmed)
            value = parsing.mapped_value(mapped, f"w{number}", value)
        ready.append(f"{trimmed} as t{number}")
        typed.append(f"{value} as {column.name}")
        for condition, reason in parsing.problems(column, latest, stamp, f"t{number}", _dispensable(column, source)):
            arms.append(f"when {condition} then {reason} || ':{column.name}'")
    worded = f"(select *, {', '.join(words)} from given)" if words else "given"
    arms.extend(
        f"when not ({_dispensable(column, source)}) then '{column.blank or 'no_photo_id'}:'"
        for column in source.table.columns
        if column.unless and column.name not in source.bound
    )
    return f"""
        with given as ({scan_sql.given(source, far)}),
        ready as (select *, {", ".join(ready)} from {worded}),
        typed as (select *, {", ".join(typed)} from ready),
        judged as (select *, case {" ".join(arms)} end as problem from typed)
    """
