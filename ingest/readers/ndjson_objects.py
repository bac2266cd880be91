"""Inspect NDJSON before its rows are read: the keys of its objects, and JSON that is not one object per line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb
from photogenic.ingest.readers.input_files import InputFile, shell_quoted
from photogenic.ingest.readers.text_records import Records
from photogenic.ingest.readers.text_streams import Compression, open_text
from photogenic.ingest.tabular.schemas import Table
from photogenic.warehouse import InputError

__all__ = ["Keys", "nested_keys", "read_keys", "refuse_nested", "refuse_other_json"]

_MOST_ROWS = 1000
_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of all objects, in order of first appearance. `repeat`: some object has a key twice."""

    names: list[str]
    repeat: bool


def read_keys(file: InputFile, path: Path, compression: Compression | None) -> Keys:
    """Read the keys of all objects: a key may appear first in a late row.

    Raises:
        InputError: there is no object.
    """
    records = Records(open_text(path, compression))
    with duckdb.connect() as con:
        con.register("records", records.reader())
        try:
            found = con.execute(
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
                """
            ).fetchall()
        except duckdb.Error as error:
            raise records.failure or error from error
    if not found:
        raise InputError(
            f"{file.name} holds no JSON object.", "NDJSON: one object a line", f"head -n 3 {shell_quoted(file.path)}"
        )
    return Keys([key for key, _ in found], any(repeat for _, repeat in found))


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


def nested_keys(head: str) -> set[str]:
    """The keys that have an object or a list wherever they are not null, in the first rows."""
    nested, plain = set[str](), set[str]()
    for line in _LINE_END.split(head, maxsplit=_MOST_ROWS)[:_MOST_ROWS]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        for key, value in row.items() if isinstance(row, dict) else ():
            if value is not None:
                (nested if _is_nested(value) else plain).add(key)
    return nested - plain


def refuse_nested(name: str, table: Table, bound: Mapping[str, str], nested: Collection[str]) -> None:
    """Refuse an object or a list as an id or a text: its JSON would become the value.

    Raises:
        InputError: a column has objects or lists.
    """
    for ours, theirs in bound.items():
        if theirs in nested and table.column(ours).type in {"id", "text"}:
            inner = f".{theirs}" if theirs.isidentifier() else f".[{json.dumps(theirs)}]"
            raise InputError(
                f"{name}: {theirs!r} holds objects or lists, not values of type {table.column(ours).type} for {ours}.",
                "one value",
                f"jq -c {shlex.quote(f'. + {{{ours}: {inner}.KEY}}')} copies one value of each object",
            )


def _is_nested(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _jq(file: InputFile, program: str) -> str:
    if file.is_stream:
        return f"jq {program} | features ingest ... -"
    return f"jq {program} {shell_quoted(file.path)} > {shell_quoted(file.path.stem + '.lines.ndjson')}"
