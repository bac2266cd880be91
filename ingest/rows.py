"""The rows of one file inside DuckDB: `checked`, a relation of the sound ones, or of the others with what is wrong.

    rows = Rows(con, source, latest)
    rows.run("insert into facts.swipes {checked} select sender_id, ... from checked")

Each run reads the file once, value by value in SQL; nothing in between is stored. Text goes through
ingest/records.py, Parquet straight through DuckDB.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ingest import scans, values
from ingest.records import Records
from ingest.sources import Source
from ingest.streams import open_text
from warehouse import InputError

if TYPE_CHECKING:
    import datetime as dt

    from duckdb import DuckDBPyConnection

__all__ = ["Rows"]

_EVERY_S = 0.5


class Rows:
    """The rows of one file on one connection.

    Args:
        con: with the macros of `values.prepare`.
        source: the file.
        latest: the last instant that is believed.
        advance: hears of the rows of the first run.

    Attributes:
        n_read: rows found; known after the first run.
        looks_latin1: text that is not UTF-8, as far as the last run could tell.
    """

    def __init__(
        self, con: DuckDBPyConnection, source: Source, latest: dt.datetime, advance: Callable[[int], None]
    ) -> None:
        self.con, self.source, self.latest = con, source, latest
        self.n_read = source.n_rows or 0
        self.looks_latin1 = False
        self._advance: Callable[[int], None] = advance

    def run(self, statement: str, parameters: Mapping[str, Any] | None = None, *, refused: bool = False) -> int:
        """Execute a statement in which `{checked}` stands for the `with` clause; the number of rows changed.

        Args:
            statement: SQL.
            parameters: of the statement.
            refused: `checked` has the other rows: line, problem, `raw` (the row as JSON), `detail` (what is wrong).

        Raises:
            InputError: the file broke off, or is damaged inside.
        """
        import duckdb

        text = statement.replace("{checked}", self._with(refused=refused))
        records = None if self.source.format == "parquet" else self._register(refused=refused)
        try:
            # Below the projections, a filter on `problem` would spell out every value again, several times over.
            self.con.execute("set disabled_optimizers = 'filter_pushdown'")
            with self._watched():
                [(n,)] = self.con.execute(text, dict(parameters or {})).fetchall()
        except duckdb.Error as error:
            if failure := records.failure if records else self._parquet_failure():
                raise InputError(
                    f"{self.source.path} cannot be read to its end: {str(failure).splitlines()[0]}",
                    "a complete file. This one was cut short or damaged; nothing of it was taken in",
                    "copy it again",
                ) from error
            raise
        self.con.execute("reset disabled_optimizers")
        if records is not None:
            self.con.unregister("records")
            self.n_read, self.looks_latin1 = records.n_records, records.looks_latin1
        self._advance = lambda _: None
        return int(n)

    def list_pictures(self) -> None:
        """Fill the temporary table `listed` (photo_id, user_id, path) from the file."""
        self.run(
            """
            create or replace temp table listed as {checked}
            select distinct photo_id, user_id, path from checked where path is not null
            """
        )

    def reject_problems(self, source: str, stamp: dt.datetime) -> None:
        """Put the rows that have a problem among the rejects, with their lines."""
        self.run(
            """
            insert into facts.rejects {checked}
            select $kind, $source, line, split_part(problem, ':', 1), detail, raw, $stamp
            from checked
            """,
            {"kind": self.source.table.kind, "source": source, "stamp": stamp},
            refused=True,
        )

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Tell how far DuckDB is in a Parquet file; text tells by itself."""
        n_rows, done = self.source.n_rows, threading.Event()
        if not n_rows:
            yield
            return
        self.con.execute("set enable_progress_bar = true; set enable_progress_bar_print = false")
        advance, told = self._advance, 0

        def watch() -> None:
            nonlocal told
            while not done.wait(_EVERY_S):
                now = int(max(self.con.query_progress(), 0.0) / 100 * n_rows)
                if now > told:
                    advance(now - told)
                    told = now

        watcher = threading.Thread(target=watch, name="ingest progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
        advance(n_rows - told)

    def _register(self, *, refused: bool) -> Records:
        source = self.source
        stream = open_text(source.path, source.compression, source.encoding)
        if source.format == "ndjson":
            records = Records(stream, advance=self._advance)
        else:
            n = len(source.fields)
            wanted = range(n) if refused else sorted(set(source.bound.values()))
            records = Records(
                stream,
                n_fields=n,
                wanted=wanted,
                separator=source.separator,
                skip_lines=source.header_line,
                advance=self._advance,
            )
        self.con.register("records", records.reader())
        return records

    def _with(self, *, refused: bool) -> str:
        source = self.source
        ready, typed, shown = [], [], []
        for column in source.columns:
            number = source.bound[column.name]
            type_ = source.fields[number].type
            ready.append(f"{values.trimmed(type_, f'f{number}')} as t{number}")
            typed.append(f"{values.value(column.type, type_, f't{number}')} as {column.name}")
            shown.append(f"when '{column.name}' then left(cast(f{number} as varchar), 200)")
        arms = ["when broken is not null then broken || ':'"]
        for column in source.columns:
            arms += [
                f"when {condition} then '{reason}:{column.name}'"
                for condition, reason in values.problems(column, self.latest)
            ]
        found = ", ".join(column.name for column in source.columns)
        if refused:
            found = f"{scans.raw(source)} as raw, case split_part(problem, ':', 2) {' '.join(shown)} end as detail"
        return f"""
            with given as ({scans.given(source)}),
            ready as (select *, {", ".join(ready)} from given),
            typed as (select *, {", ".join(typed)} from ready),
            judged as (select *, case {" ".join(arms)} end as problem from typed),
            checked as (select line, problem, {found} from judged where problem is {"not null" if refused else "null"})
        """

    def _parquet_failure(self) -> Exception | None:
        """Why the file cannot be read, if that is so."""
        import duckdb

        try:
            with duckdb.connect() as con:
                columns = ", ".join(scans.name(field.name) for field in self.source.fields)
                con.execute(f"select max(hash({columns})) from {scans.parquet(self.source)}").fetchall()
        except duckdb.Error as error:
            return error
        return None
