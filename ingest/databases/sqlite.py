"""Read a query from a file of SQLite, which is opened for reading only.

A column of SQLite has values of any type, and the driver takes its type from the first values. So the types are counted
first; a column that mixes them is read as text.
"""

from __future__ import annotations

import contextlib
import importlib
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from photogenic._lazy import pa
from photogenic.ingest.databases.texts import Texts
from photogenic.ingest.readers.input_files import printable_name, shell_quoted
from photogenic.warehouse import InputError, MissingPartError

__all__ = ["Reader"]

_TYPES = ("integer", "real", "text", "blob")
_SAMPLES = {"integer": "0", "real": "0.5", "text": "''", "blob": "x'00'"}
_ROWS = "65536"
_WAIT_S = 10.0


class Reader:
    """A file of SQLite.

    Attributes:
        name: address to print and store.
        folder: folder of the file, that relative paths of pictures start from.
        notes: what the account says besides the counts; filled while batches are read.

    Raises:
        InputError: there is no such file.
    """

    def __init__(self, given: str) -> None:
        text = given.partition(":")[2]
        path = Path(text[3:] if text.startswith("///") else text).expanduser()
        self.name, self.folder, self.notes = f"sqlite:{printable_name(path)}", path.parent, list[str]()
        if not text or (text.startswith("//") and not text.startswith("///")) or not path.is_file():
            raise InputError(
                f"There is no file '{printable_name(path)}'.",
                "sqlite:FILE, with the path of an existing file",
                f"ls {shell_quoted(path.parent)}",
            )
        self._uri = f"file:{quote(bytes(path.absolute()))}?mode=ro"

    def batches(self, query: str) -> Generator[Any, None, None]:
        """Yield the Arrow schema, then the batches of a query.

        Raises:
            InputError: SQLite refuses the query, or the file is damaged.
            MissingPartError: the driver is not installed.
        """
        driver = _driver()
        names, types = self._columns(query)
        firsts = ", ".join(_SAMPLES[type_] for type_, _ in types)
        columns = ", ".join(
            f"case typeof(c{at}) when 'real' then printf('%!.17g', c{at}) else cast(c{at} as text) end"
            if is_mixed
            else f"c{at}"
            for at, (_, is_mixed) in enumerate(types)
        )
        # The first row gives each column its type, and is left out.
        typed = f"select {firsts} union all select {columns} from ({_named(query, len(names))})"
        texts = Texts()
        try:
            with driver.connect(self._uri) as connection, connection.cursor() as cursor:
                cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": _ROWS})
                cursor.execute(typed)
                reader = cursor.fetch_record_batch()
                schema = pa.schema(
                    [pa.field(name, field.type) for name, field in zip(names, reader.schema, strict=True)]
                )
                yield schema
                n_left_out = 1
                for batch in reader:
                    arrays = [texts.valid(column) for column in batch.slice(n_left_out).columns]
                    n_left_out = 0
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except (driver.Error, pa.ArrowException, OSError) as error:
            raise self._refused(error) from None
        self.notes += texts.notes()

    def _columns(self, query: str) -> tuple[list[str], list[tuple[str, bool]]]:
        """The name of each column; its type, and whether its values have several."""
        try:
            with contextlib.closing(sqlite3.connect(self._uri, uri=True, timeout=_WAIT_S)) as con:
                con.execute(f"explain {query}").close()
                described = con.execute(f"select * from (\n{query}\n) limit 0").description
                if not described:
                    raise InputError("The query has no columns.", "a select with columns", "select ... from ...")
                names = [name for name, *_ in described]
                counts = ", ".join(
                    f"count(*) filter (where typeof(c{at}) = '{type_}')" for at in range(len(names)) for type_ in _TYPES
                )
                [counted] = con.execute(f"select {counts} from ({_named(query, len(names))})").fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._refused(error) from None
        types = []
        for at in range(len(names)):
            found = [type_ for type_, n in zip(_TYPES, counted[4 * at : 4 * at + 4], strict=True) if n]
            types.append((found[0] if len(found) == 1 else "text", len(found) > 1))
        return names, types

    def _refused(self, error: Exception) -> InputError:
        said = str(error).removeprefix("IO: ").splitlines()[0]
        said = said.partition(":")[2].strip() if said.startswith(("Failed to", "[SQLite]")) else said
        if "one statement" in said:
            return InputError("The query has several statements.", "one select", "run it once for each of them")
        if "no such table" in said:
            return InputError(
                f"{self.name} refuses the query: {said}",
                "tables of this file",
                "--query \"select name from sqlite_schema where type in ('table', 'view')\"",
            )
        if "locked" in said or "busy" in said:
            return InputError(
                f"{self.name} is locked by another program.", "a file to which no program is writing", "try again"
            )
        if "not a database" in said or "malformed" in said or "disk I/O" in said or "unable to open" in said:
            return InputError(f"{self.name} cannot be read: {said}", "a complete file of SQLite", "copy it again")
        return InputError(
            f"{self.name} refuses the query: {said}", "one select that SQLite runs", "select ... from ..."
        )


def _named(query: str, n: int) -> str:
    """The query with the columns c0, c1, ..."""
    samples = ", ".join(f"null as c{at}" for at in range(n))
    return f"select {samples} where false union all select * from (\n{query}\n)"


def _driver() -> Any:
    try:
        return importlib.import_module("adbc_driver_sqlite.dbapi")
    except ModuleNotFoundError as error:
        raise MissingPartError(
            f"A file of SQLite needs the package {error.name}.",
            "the extra databases, or a file in CSV or Parquet",
            "pip install 'photogenic[databases]'",
        ) from error
