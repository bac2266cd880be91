"""Read the rows of a query from a database: a stream of Arrow, which is copied into the store's temporary folder.

    postgresql://USER@HOST/DATABASE    postgresql.py
    sqlite:FILE                        sqlite.py
    mysql://                           refused, with the commands that pass its rows through a pipe

The query reads one state of the database, and cannot write. It is in no message: it may hold secrets.
"""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photogenic._lazy import pa
from photogenic.ingest.databases import postgresql, sqlite
from photogenic.ingest.readers.input_files import InputFile, Spool
from photogenic.warehouse import InputError

if TYPE_CHECKING:
    from photogenic.ingest.options import SourceOptions

__all__ = ["Reading", "open_batches", "open_source", "printable", "select_of"]

_TABLE = re.compile(r'(?:[^\W\d][\w$]*|"(?:[^"\0]|"")+")(?:\.(?:[^\W\d][\w$]*|"(?:[^"\0]|"")+")){0,2}')
_SILENCE_S = 3600.0
"""Longest time without a row. A query may think long; a server that hangs is left after it."""

_AHEAD = 2
"""Batches that are read before they are asked for."""

_MYSQL = "mysql --batch --quick -e 'select ...' DATABASE | features ingest KIND -"


def open_source(given: str, spool: Spool, options: SourceOptions) -> list[InputFile]:
    """Copy the rows of a query, and return them as one file.

    Args:
        given: address of the database.
        spool: where the rows are copied to.
        options: the query, or the name of a table.

    Raises:
        InputError: the database cannot be reached, or refuses the query; or the connection is lost.
        MissingPartError: the driver is not installed.
        StoreError: there is no room for the rows.
    """
    name, query = printable(given), options.query
    select = select_of(query, name)
    name = f"{name} {query.strip()}" if query and _is_table(query) else name
    with open_batches(given, select) as reading:
        copy = spool.table(pa.RecordBatchReader.from_batches(reading.schema, reading.batches), name)
    return [InputFile(copy, name, reading.folder, is_stream=True, notes=tuple(reading.notes))]


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of a query, while it is read.

    Attributes:
        schema: its columns.
        batches: its rows.
        folder: folder that relative paths of pictures start from.
        notes: what the account says besides the counts; complete after the last batch.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    folder: Path
    notes: list[str]


@contextlib.contextmanager
def open_batches(given: str, query: str) -> Iterator[Reading]:
    """Run a query on a database and read its rows, some batches ahead of what is asked for.

    Args:
        given: address of the database.
        query: one select.

    Raises:
        InputError: the database cannot be reached, or refuses the query; or the connection is lost.
        MissingPartError: the driver is not installed.
    """
    reader = _reader(given)
    with contextlib.closing(_read_ahead(lambda: reader.batches(query), reader.name)) as batches:
        yield Reading(next(batches), batches, reader.folder, reader.notes)


def printable(given: str) -> str:
    """The address without secrets.

    Raises:
        InputError: it cannot be read, or there is no such file.
    """
    return _reader(given).name


def _reader(given: str) -> postgresql.Reader | sqlite.Reader:
    scheme = given.partition(":")[0].lower()
    if scheme == "mysql":
        raise InputError(
            "Databases of MySQL and MariaDB are not read directly.",
            "their rows through a pipe: text with tabs and a header, written while the server sends it",
            _MYSQL,
        )
    return sqlite.Reader(given) if scheme == "sqlite" else postgresql.Reader(given)


def select_of(given: str | None, name: str) -> str:
    """The query without its semicolon; a table's name stands for all its rows.

    Raises:
        InputError: there is none.
    """
    text = (given or "").strip()
    while text.endswith(";"):
        text = text[:-1].rstrip()
    if not text or "\0" in text:
        raise InputError(
            f"There is no query for {name}.",
            "a select, or the name of a table",
            "--query 'select sender_id, recipient_id, liked, swiped_at from swipes'",
        )
    return f"select * from {text}" if _is_table(text) else text


def _is_table(text: str) -> bool:
    return _TABLE.fullmatch(text.strip().rstrip(";").rstrip()) is not None


def _read_ahead(read: Callable[[], Generator[Any, None, None]], name: str) -> Generator[Any]:
    """Read in a thread, so that the database works while a batch is written, and a server that hangs does not hold us.

    Args:
        read: function that yields a schema and then batches.
        name: name of the database, for messages.

    Raises:
        InputError: nothing came for an hour.
    """
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(_AHEAD)
    is_over = threading.Event()

    def offer(is_error: bool, what: Any) -> bool:
        while not is_over.is_set():
            with contextlib.suppress(queue.Full):
                ready.put((is_error, what), timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            with contextlib.closing(read()) as found:
                for what in found:
                    if not offer(False, what):
                        return
            offer(False, None)
        except BaseException as error:
            offer(True, error)

    thread = threading.Thread(target=work, name="photogenic-database", daemon=True)
    thread.start()
    try:
        while True:
            try:
                is_error, what = ready.get(timeout=_SILENCE_S)
            except queue.Empty:
                raise InputError(
                    f"{name} sent nothing for {_SILENCE_S:,.0f} s.", "a server that answers", "try again"
                ) from None
            if is_error:
                raise what
            if what is None:
                return
            yield what
    finally:
        is_over.set()
