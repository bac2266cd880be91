"""Attach DuckDB files of the user beside the snapshot, read-only, before the access to files is switched off.

A file from a stranger can have views and macros of any text. They run where the query runs: without files, network,
extensions and settings. The file is opened for reading only, and closed with the query.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Column, Relation
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.errors import InputError, LockedError
from photogenic.warehouse.storage.lock import foreign_holder

__all__ = ["AttachedDatabase", "AttachedFile", "attached_files"]

_MAGIC, _MAGIC_AT = b"DUCK", 8
_PAIR = re.compile(r"(?P<name>[^=/\\.]+)=(?P<path>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A DuckDB file and the name of its database in the query."""

    name: str
    path: Path


def attached_files(given: Mapping[str, str | Path] | Sequence[str | Path] | str | Path | None) -> list[AttachedFile]:
    """Return the files that a user names: by name, as `name=file.duckdb`, or with the name of the file.

    Raises:
        InputError: a file is missing, or is no file of DuckDB.
    """
    if given is None:
        return []
    if isinstance(given, Mapping):
        return [_file(str(name), Path(path)) for name, path in given.items()]
    found = []
    for one in [given] if isinstance(given, str | Path) else given:
        pair = _PAIR.fullmatch(one) if isinstance(one, str) and not Path(one).exists() else None
        found.append(_file(pair["name"], Path(pair["path"])) if pair else _file(Path(one).stem, Path(one)))
    return found


def _file(name: str, path: Path) -> AttachedFile:
    """Check that a file is one of DuckDB, and follow its symbolic links, once."""
    try:
        resolved = path.expanduser().resolve(strict=True)
        if not resolved.is_file():
            raise InputError(
                f"{path} is no regular file.", "a file of DuckDB", "features sql --attach meta=FILE.duckdb"
            )
        with resolved.open("rb") as file:
            head = file.read(_MAGIC_AT + len(_MAGIC))
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {reason}.", "a file of DuckDB", f"ls -l {path}") from error
    if head[_MAGIC_AT:] != _MAGIC:
        raise InputError(
            f"{path} is no file of DuckDB.",
            "a database file that DuckDB wrote",
            "features sql --table meta=FILE, for a file of CSV, NDJSON, Parquet or Arrow",
        )
    return AttachedFile(name, resolved)


class AttachedDatabase(Database):
    """A store with DuckDB files attached beside it. It keeps its own instance, which `close` closes.

    Args:
        db: the store.
        files: the files.
    """

    def __init__(self, db: Database, files: Sequence[AttachedFile]) -> None:
        super().__init__(db.layout, db.settings)
        self.extension, self.files = db.extension, tuple(files)

    def attach_others(self, con: duckdb.DuckDBPyConnection) -> None:
        con.execute("set autoinstall_known_extensions = false")
        con.execute("set autoload_known_extensions = false")
        for file in self.files:
            before = file.path.stat()
            try:
                con.execute(f'attach {_quoted(str(file.path))} as "{file.name}" (type duckdb, read_only)')
            except (duckdb.Error, UnicodeEncodeError) as error:
                raise _explained(file, error) from error
            after = file.path.stat()
            if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
                raise InputError(f"{file.path} was replaced while it was opened.", "a file at rest", "run it again")

    def relations(self) -> dict[str, Relation]:
        """The tables and views of the files, as `name.table`, for completion and messages."""
        query = """
            select columns.database_name, columns.schema_name, columns.table_name, columns.column_name, data_type
            from system.main.duckdb_columns() as columns
            where list_contains($1, database_name) and not internal
            order by columns.database_name, columns.schema_name, columns.table_name, column_index
        """
        found: dict[str, list[Column]] = {}
        with self.read(query="") as con:
            for database, schema, table, column, kind in con.execute(
                query, [[file.name for file in self.files]]
            ).fetchall():
                name = f"{database}.{table}" if schema == "main" else f"{database}.{schema}.{table}"
                found.setdefault(name, []).append(Column(column, kind.lower(), ""))
        return {name: described(name, "table of an attached file", columns) for name, columns in found.items()}


def described(name: str, summary: str, columns: Sequence[Column]) -> Relation:
    """Return the contract of a table of the user's own."""
    lines = [f"-- {name}: {summary}", *(f"--   {column.name}  {column.type}" for column in columns)]
    return Relation(
        name=name,
        text="\n".join(lines),
        summary=summary,
        grain="",
        reads=(),
        time="",
        source="the user",
        parameters=(),
        notes="",
        columns=tuple(columns),
    )


def _explained(file: AttachedFile, error: Exception) -> InputError | LockedError:
    text = str(error).partition("\n")[0]
    if (who := foreign_holder(text)) is not None or "already attached" in text or "different configuration" in text:
        return LockedError(
            f"{file.path} is open for writing in {who or 'this process'}.",
            "a file that no program writes",
            "close it there, or attach a copy",
        )
    if (found := re.search(r"version number (\d+), but we can only read versions? (.+?)\.?$", text)) is not None:
        return InputError(
            f"{file.path} comes from another version of DuckDB: its storage has version {found[1]}.",
            f"version {found[2]}",
            "export it there as Parquet, and give it with --table",
        )
    if "ncrypt" in text:
        return InputError(
            f"{file.path} is encrypted.",
            "a file without a key",
            "copy the tables that you need to Parquet, and give them with --table",
        )
    return InputError(
        f"{file.path} cannot be attached: {text}", "a whole file of DuckDB 2 or earlier", "duckdb FILE -readonly"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
