"""Files of queries for `features similar --from-file`: photo ids, paths or vectors, in any format of ingest.

    photo_id      photos of the store
    path          pictures; a relative path is relative to the working folder
    query         each a photo id or a path
    embedding     vectors, as a list of numbers; the column photo_id, if there is one, names them

A text without such a header is one query per line. A NumPy file (.npy) has vectors (q, d). The first of embedding,
photo_id, path and query that a file has is used. A row that cannot be read is a query with a problem, so that every row
of the file is in the answer.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import duckdb, pa
from photogenic.features.similar_many.lists import block_of_lists
from photogenic.features.similar_many.queries import PhotoId, Problem, QueryBlock
from photogenic.ingest.readers import parquet_schema
from photogenic.ingest.readers.conversion import convert
from photogenic.ingest.readers.formats import by_content, by_name
from photogenic.ingest.readers.input_files import InputFile, Spool, find, openable
from photogenic.ingest.readers.memory_errors import memory_errors_as_ours
from photogenic.ingest.readers.source_files import inspect_sources
from photogenic.ingest.tabular import parsing
from photogenic.ingest.tabular.mapping_file import FileMapping
from photogenic.ingest.tabular.schemas import Column, Table
from photogenic.ingest.tabular.staging import Rows
from photogenic.warehouse.errors import InputError

__all__ = ["COLUMNS", "read_queries"]

COLUMNS = ("embedding", "photo_id", "path", "query")
"""Columns of a file of queries; the first that a file has is used."""

_TABLE = Table("predictions", (Column("photo_id", "id"), Column("path", "text"), Column("query", "text")))
_LONGEST = 65_536
"""Bytes of a text; a longer one is refused, as in ingest."""

_NPY = b"\x93NUMPY"
_EXPECTED = "a column photo_id, path, query or embedding; or one query per line; or .npy with vectors (q, d)"
_REMEDY = "features similar --from-file IDS.csv"


@contextlib.contextmanager
def read_queries(
    source: str | Path, folder: Path, size: int, advance: Callable[[int], None] = lambda _: None
) -> Iterator[Iterator[QueryBlock]]:
    """Context manager for the queries of a file, in blocks.

    Args:
        source: name of the file; `-` is stdin.
        folder: folder for temporary copies of streams and of converted files.
        size: largest number of queries in a block.
        advance: callback with the number of rows of a text that were read.

    Raises:
        InputError: the file cannot be read, or has none of the columns.
    """
    with memory_errors_as_ours("the queries"), Spool(folder) as spool, contextlib.ExitStack() as held:
        files = find([source], spool)
        if len(files) != 1:
            raise InputError(f"{source} is {len(files):,} files.", "one file", f"cat {source} | {_REMEDY[:-7]}-")
        (file,) = files
        path = held.enter_context(openable(file.path))
        with path.open("rb") as opened:
            magic = opened.read(16)
        foreign = by_content(magic, file.name) or by_name(file.name)
        if magic.startswith(_NPY):
            yield _of_numpy(file, path, size)
        elif foreign == "parquet":
            yield _of_parquet(file, path, size, held)
        elif foreign in ("arrow", "arrow_stream", "avro", "orc"):
            yield _of_parquet(file, convert(path, file.name, foreign, spool).path, size, held)
        else:
            yield _of_text(file, spool, folder, size, advance)


def _of_numpy(file: InputFile, path: Path, size: int) -> Iterator[QueryBlock]:
    try:
        vectors: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, OverflowError) as error:
        raise InputError(f"{file.name} cannot be read as a NumPy file: {error}.", _EXPECTED, _REMEDY) from error
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise InputError(
            f"{file.name} has {vectors.dtype} of shape {vectors.shape}.", "numbers (q, d): one vector per row", _REMEDY
        )
    for at in range(0, len(vectors), size):
        part = np.asarray(vectors[at : at + size])
        yield QueryBlock([str(number) for number in range(at + 1, at + len(part) + 1)], part)


def _of_parquet(file: InputFile, path: Path, size: int, held: contextlib.ExitStack) -> Iterator[QueryBlock]:
    con = held.enter_context(duckdb.connect())
    con.execute("set enable_external_file_cache = false")
    try:
        relation = con.sql(f"from {parquet_schema.table_function(path)}")
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    except duckdb.Error as error:
        raise parquet_schema.unreadable(error, path, file.name) from error
    chosen = [name for name in COLUMNS if name in types] or [
        name for name, type_ in types.items() if type_.startswith(("FLOAT[", "DOUBLE[")) and type_.count("[") == 1
    ]
    if not chosen:
        raise InputError(f"{file.name} has the columns {', '.join(types) or 'of none'}.", _EXPECTED, _REMEDY)
    column = chosen[0]
    is_vector = "[" in types[column]
    if column == "embedding" and not types[column].startswith(("FLOAT[", "DOUBLE[")):
        raise InputError(
            f"{file.name}: the column embedding is of type {types[column]}.", "lists of FLOAT or DOUBLE", _REMEDY
        )
    quoted = '"' + column.replace('"', '""') + '"'
    named = "photo_id" if is_vector and "photo_id" in types else "null"
    text = f"cast({quoted if not is_vector else named} as varchar)"
    value = quoted if is_vector else f"case when strlen({text}) <= {_LONGEST} then {text} else left({text}, 80) end"
    about = f"left({text}, {_LONGEST})" if is_vector else f"strlen({text})"
    query = f"select {value} as query, {about} as about from {parquet_schema.table_function(path)}"

    def blocks() -> Iterator[QueryBlock]:
        at = 0
        try:
            for batch in con.sql(query).to_arrow_reader(size):
                queries, about = batch.column(0), batch.column(1).to_pylist()
                yield block_of_lists(queries, about, at) if is_vector else _of_texts(queries.to_pylist(), column, about)
                at += len(batch)
        except (duckdb.Error, OSError) as error:
            raise parquet_schema.damaged(error, file.name) from error

    return blocks()


def _of_texts(texts: Sequence[str | None], column: str, n_bytes: Sequence[int | None] = ()) -> QueryBlock:
    make: Callable[[str], Any] = {"photo_id": PhotoId, "path": Path}.get(column, str)
    problems: dict[int, Problem] = {
        place: ("no_query", f"{column} is blank")
        for place, text in enumerate(texts)
        if text is None or not text.strip()
    }
    problems |= {
        place: ("unreadable_row", f"too_long: {n:,} bytes") for place, n in enumerate(n_bytes) if n and n > _LONGEST
    }
    queries = [None if place in problems else make(str(text)) for place, text in enumerate(texts)]
    return QueryBlock([text or "" for text in texts], queries, problems)


def _of_text(
    file: InputFile, spool: Spool, folder: Path, size: int, advance: Callable[[int], None]
) -> Iterator[QueryBlock]:
    (source,) = inspect_sources([file], _TABLE, FileMapping(), spool)
    if not source.bound:
        if source.format != "csv" or source.n_columns != 1:
            names = ", ".join(field.name for field in source.fields[:20])
            raise InputError(f"{file.name} has the columns {names}.", _EXPECTED, _REMEDY)
        source = replace(source, header_line=0, bound={"query": 0})  # no header: every line is a query
    column = next(name for name in COLUMNS if name in source.bound)

    def blocks() -> Iterator[QueryBlock]:
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        with duckdb.connect() as con, openable(source.path) as path:
            con.execute(f"set temp_directory = {parsing.literal(str(folder.absolute()))}")
            parsing.prepare(con)
            with contextlib.closing(Rows(con, replace(source, path=path), now, now, advance)) as rows:
                query = f"{{checked}} select {column}, problem, {rows.refused} from checked order by line"
                for batch in rows.stream(query):
                    for at in range(0, len(batch), size):
                        yield _of_checked(batch.slice(at, size), column)

    return blocks()


def _of_checked(batch: pa.RecordBatch, column: str) -> QueryBlock:
    texts, problems, raws, details = (batch.column(at).to_pylist() for at in range(4))
    block = _of_texts(texts, column)
    for place, problem in enumerate(problems):
        if problem is not None:
            reason = problem.partition(":")[0]
            block.problems[place] = "unreadable_row", f"{reason}: {details[place] or raws[place] or ''}"[:200]
    return block
