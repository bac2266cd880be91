"""Inspect NDJSON before its rows are read: the keys of its objects, and JSON that is not one object per line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from photogenic._lazy import duckdb, pa
from photogenic.ingest.readers.input_files import InputFile, shell_quoted
from photogenic.ingest.tabular.column_mapping import find
from photogenic.ingest.tabular.parsing import literal
from photogenic.ingest.tabular.schemas import Table
from photogenic.ingest.tabular.suggestions import Candidate, candidate_of_values
from photogenic.warehouse import InputError

__all__ = [
    "Keys",
    "OpenRecords",
    "Readable",
    "find_path",
    "first_rows",
    "has_path",
    "lacking_paths",
    "pointer",
    "read_keys",
    "refuse_nested",
    "refuse_other_json",
    "samples",
]

_MOST_ROWS, _MOST_CANDIDATES, _DEEPEST = 1000, 1000, 20
_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of all objects, in order of first appearance. `repeat`: some object has a key twice."""

    names: list[str]
    repeat: bool


class Readable(Protocol):
    """Records that are read once: those of a text file, or messages of a stream."""

    failure: OSError | None

    def reader(self) -> pa.RecordBatchReader:
        """Batches of line, broken, text, and the fields f0, f1..."""


OpenRecords = Callable[[], Readable]
"""Opens the records of a file from their beginning."""


def read_keys(con: duckdb.DuckDBPyConnection, file: InputFile, records: OpenRecords) -> Keys:
    """Read the keys of all objects: a key may appear first in a late row.

    Raises:
        InputError: there is no object.
    """
    found = _query(
        con,
        records,
        """
        select key, bool_or(is_twice)
        from (
            select line, unnest(keys) as key, list_unique(keys) < len(keys) as is_twice
            from (
                select line, case when try(json_type(f0)) = 'OBJECT' then json_keys(f0) end as keys
                from records
            )
        )
        group by key
        order by min(line), key
        """,
    )
    if not found and not file.is_lenient:
        if file.is_messages:
            raise InputError(
                f"None of the first messages of {file.name} is a JSON object.",
                "JSON objects, or Avro with its schema",
                "--schema FILE",
            )
        raise InputError(
            f"{file.name} holds no JSON object.", "NDJSON: one object a line", f"head -n 3 {shell_quoted(file.path)}"
        )
    return Keys([key for key, _ in found], any(repeat for _, repeat in found))


def has_path(con: duckdb.DuckDBPyConnection, records: OpenRecords, keys: Sequence[str]) -> bool:
    """Whether any object of the file has a value at the path of these keys."""
    there = f"try(json_exists(f0, {literal(pointer(keys))}))"
    return bool(_query(con, records, f"select 1 from records where {there} limit 1"))


def pointer(keys: Sequence[str]) -> str:
    """The JSON pointer (RFC 6901) of a path of keys."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def _query(con: duckdb.DuckDBPyConnection, open_records: OpenRecords, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query over `records`."""
    records = open_records()
    con.register("records", records.reader())
    try:
        return con.execute(query).fetchall()
    except duckdb.Error as error:
        raise records.failure or error from error
    finally:
        con.unregister("records")


def refuse_other_json(file: InputFile, head: str) -> None:
    """Refuse JSON whose first value is an array, spans several lines, or is followed by another value on its line.

    Raises:
        InputError: the file is such JSON.
    """
    text = head.lstrip()
    if text[0] == "[":
        raise InputError(f"{file.name} is a JSON array.", "NDJSON: one object a line", _jq(file, "-c '.[]'"))
    try:
        first, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(first, dict):
        return
    if (n_lines := len(_LINE_END.split(text[:end]))) > 1:
        raise InputError(
            f"{file.name} is indented JSON: its first object goes over {n_lines} lines.",
            "NDJSON: one object a line",
            _jq(file, "-c ."),
        )
    if _LINE_END.split(text[end:], maxsplit=1)[0].strip().startswith(("{", ",")):
        raise InputError(
            f"{file.name} has several JSON objects on its first line.", "NDJSON: one object a line", _jq(file, "-c .")
        )


def first_rows(head: str) -> list[dict[str, Any]]:
    """The objects of the first lines."""
    rows = list[dict[str, Any]]()
    for line in _LINE_END.split(head, maxsplit=_MOST_ROWS)[:_MOST_ROWS]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def values_at(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[Any]:
    """The values at a path of keys that are there and not null."""
    found: list[Any] = list(rows)
    for key in keys:
        found = [row[key] for row in found if isinstance(row, dict) and row.get(key) is not None]
    return found


def is_nested_at(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> bool:
    """Whether there is an object or a list at a path of keys wherever it is not null."""
    values = values_at(rows, keys)
    return bool(values) and all(isinstance(value, (dict, list)) for value in values)


def find_path(names: Sequence[str], rows: Sequence[Mapping[str, Any]], name: str) -> list[str] | None:
    """The keys of a path such as `photo.id`: each exact, else ignoring case, blanks and hyphens. None: there is no such
    path in the first rows. Its first key may have dots too.
    """
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        keys, among = list[str](), list(names)
        for part in [".".join(parts[:n]), *parts[n:]]:
            numbers = find(among, part)
            if len(numbers) != 1:
                break
            keys.append(among[numbers[0]])
            inside = (value for value in values_at(rows, keys) if isinstance(value, dict))
            among = list(dict.fromkeys(key for value in inside for key in value))
        else:
            return keys
    return None


def lacking_paths(table: Table, mapping: Mapping[str, str], names: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The names and paths of columns that are needed or mapped, and that no object has: blank everywhere."""
    found = list[tuple[str, tuple[str, ...]]]()
    for column in table.columns:
        theirs = mapping.get(column.name, column.name if column.required else None)
        if theirs is not None and not find(names, theirs):
            found.append((theirs, tuple(theirs.split(".")) if "." in theirs else ()))
    return found


def samples(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Candidate]:
    """The keys, and those of objects inside, with the types that the values of the first rows may have."""
    found, waiting = list[Candidate](), [[name] for name in reversed(names)]
    while waiting and len(found) < _MOST_CANDIDATES:
        keys = waiting.pop()
        values = values_at(rows, keys)
        objects = [value for value in values if isinstance(value, dict)]
        if objects and len(objects) == len(values):
            if len(keys) < _DEEPEST:
                waiting.extend(reversed([[*keys, key] for key in dict.fromkeys(k for value in objects for k in value)]))
        elif not any(isinstance(value, (dict, list)) for value in values):
            texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
            found.append(candidate_of_values(".".join(keys), texts))
        elif len(keys) == 1:
            found.append(Candidate(keys[0], frozenset({"tags"})))
    return found


def refuse_nested(
    name: str, table: Table, bound: Mapping[str, Sequence[str]], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Refuse an object or a list as an id or a text: its JSON would become the value.

    Args:
        name: name of the file.
        table: kind of its rows.
        bound: our column name -> keys of its path.
        rows: first rows.

    Raises:
        InputError: a column has objects or lists.
    """
    for ours, keys in bound.items():
        if table.column(ours).type not in {"id", "text"} or not is_nested_at(rows, keys):
            continue
        theirs = ".".join(keys)
        inside = [value for value in values_at(rows, keys) if isinstance(value, dict)]
        first = next((key for value in inside for key in value), None)
        quoted = ".".join(json.dumps(key) for key in keys)
        raise InputError(
            f"{name}: {theirs!r} holds objects or lists, not values of type {table.column(ours).type} for {ours}.",
            "one value",
            f"--map {shell_quoted(f'{ours}={theirs}.{first}')}"
            if first is not None
            else f"jq -c {shlex.quote(f'. + {{{ours}: .{quoted}[0]}}')} takes the first value of each list",
        )


def _jq(file: InputFile, program: str) -> str:
    if file.is_stream:
        return f"jq {program} | features ingest ... -"
    return f"jq {program} {shell_quoted(file.path)} > {shell_quoted(file.path.stem + '.lines.ndjson')}"
