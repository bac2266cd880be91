"""Queries that read a file as it is: each row with its line, and the reason if it is broken as a row."""

from __future__ import annotations

from collections.abc import Collection

from photogenic.ingest.readers import parquet_schema
from photogenic.ingest.readers.source_files import Field, Source
from photogenic.ingest.tabular.parsing import remedy, shown

__all__ = ["aliases", "detail", "given", "raw"]


_INSTANTS = {"TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}


def given(source: Source, far: Collection[int] = ()) -> str:
    """The query: line, reason why it is broken, text of broken rows, and the fields f0, f1... as they are.

    Args:
        source: the file.
        far: numbers of the fields to take from the table `far_instants` (parquet_timestamps.py); those inside lists and
            structures are left out.
    """
    if source.format == "parquet":
        plain = {number for number in far if source.fields[number].type in _INSTANTS}
        fields = ", ".join(
            f"{_as_given(number, field, number in far)} as f{number}"
            for number, field in enumerate(source.fields)
            if number not in plain
        )
        query = f"""
            select line + 1 as line, cast(null as varchar) as broken, cast(null as varchar) as text, {fields}
            from {parquet_schema.table_function(source.path, with_lines=True)} as given({aliases(source)}, line)"""
        if plain:
            query = f"select * from ({query}) join far_instants using (line)"
    elif source.format == "ndjson":
        pointers = ", ".join(_text(_pointer(source.fields[number].name)) for number in source.bound.values())
        fields = ", ".join(f"found[{place}] as f{number}" for place, number in enumerate(source.bound.values(), 1))
        query = f"""
            select line, {_broken_object(source)} as broken, coalesce(text, row_text) as text, row_text, {fields}
            from (
                select line, broken, text, f0 as row_text,
                    case when try(json_type(f0)) = 'OBJECT' then json_extract_string(f0, [{pointers}]) end as found
                from records
            )"""
    else:
        query = "select * from records"
    return query


def raw(source: Source, *, only_ours: bool = False) -> str:
    """The expression of a row as JSON; long values are cut, so that the result is valid JSON.

    Args:
        source: the file.
        only_ours: whether to leave out columns that are not ours, and all text of broken rows.
    """
    if only_ours:
        ours = sorted(source.bound.values())
        pairs = (f"{_text(source.fields[n].name)}, left({shown(source.fields[n].type, f'f{n}')}, 1000)" for n in ours)
        return f"case when broken is null then json_object({', '.join(pairs)}) end"
    if source.format == "ndjson":
        row = "case when strlen(row_text) <= 65536 then row_text else to_json(left(row_text, 4096)) end"
    else:
        pairs = (
            f"{_text(field.name)}, left({shown(field.type, f'f{number}')}, 1000)"
            for number, field in enumerate(source.fields)
        )
        row = f"json_object({', '.join(pairs)})"
    return f"case when broken is null then {row} else to_json(left(text, 4096)) end"


def detail(source: Source) -> str:
    """The expression of the invalid value, as it is in the file."""
    arms = []
    for column in source.columns:
        number = source.bound[column.name]
        type_, field = source.fields[number].type, f"f{number}"
        text = f"left({shown(type_, field)}, 200) || {remedy(column, type_, field)}"
        arms.append(f"when '{column.name}' then {text}")
    return f"case split_part(problem, ':', 2) {' '.join(arms)} end"


def aliases(source: Source) -> str:
    """Our alias for each column, by position: the file's names may be empty, or equal to another one."""
    return ", ".join(f"f{number}" for number in range(len(source.fields)))


def _as_given(number: int, field: Field, is_far: bool) -> str:
    """The expression of a Parquet column by position, cast where its own type is not usable."""
    if is_far:
        return f"cast(null as {field.type})"
    return f"cast(f{number} as {field.type})" if field.is_null else f"f{number}"


def _broken_object(source: Source) -> str:
    """The expression of the reason why a line is broken as an object."""
    arms = ["when broken is null and found is null then 'bad_json'"]
    if source.repeats_keys:
        arms.append("when list_unique(json_keys(row_text)) < len(json_keys(row_text)) then 'repeated_key'")
    for place, column in enumerate(source.bound, 1):
        if source.table.column(column).type in {"id", "text"}:
            pointer = _text(_pointer(source.fields[source.bound[column]].name))
            is_nested = f"json_type(row_text, {pointer}) in ('OBJECT', 'ARRAY')"
            # Nearly no id begins like this; only for those the object is parsed again.
            begins = f"starts_with(found[{place}], '{{') or starts_with(found[{place}], '[')"
            arms.append(f"when case when {begins} then {is_nested} else false end then 'nested_value'")
    return f"case {' '.join(arms)} else broken end"


def _pointer(name: str) -> str:
    """A key as JSON pointer (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
